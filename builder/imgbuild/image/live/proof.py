"""Whether a kernel and an initramfs can get a live root over the network, read from the files themselves."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection
from pathlib import Path

from imgbuild.config.target import LiveRoot
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.drivers import BootDrivers, network_drivers
from imgbuild.image.overlay import inside
from imgbuild.image.proof import initramfs

_REPORT = "report this: it is a bug in imgbuild or in the target's packages; no live root was written"
_OTHER_KERNEL = "choose another kernel.flavour, or set pxe.live: false"


def prove_kernel(root: Path, version: str, facts: LiveRoot) -> None:
    """Compare the configuration that the kernel was built with.

    Raises:
        HostError: it lacks an option, or the root file system does not have the configuration.
    """
    names = (f"/boot/config-{version}", f"/usr/lib/modules/{version}/config")
    found = next((path for path in (inside(root, name) for name in names) if path.is_file()), None)
    if found is None:
        raise _broken(f"the configuration of the kernel {version} is missing: neither {' nor '.join(names)}")
    options = dict(re.findall(r"^CONFIG_(\w+)=([ym])$", found.read_text(), re.MULTILINE))
    if missing := [name for name in facts.kernel if name not in options]:
        listed = ", ".join(f"CONFIG_{name}" for name in missing)
        raise _broken(f"the kernel {version} was built without {listed}", _OTHER_KERNEL)


def prove_initrd(image: bytes, root: Path, version: str, facts: LiveRoot, drivers: BootDrivers) -> None:
    """List the initramfs: what mounts the root, what fetches it, and the drivers of cards and disks.

    Raises:
        HostError: something is missing.
    """
    listed = [name.removeprefix("./").removeprefix("/") for name in initramfs.names(image)]
    held = {_module(name) for name in listed if "/modules/" in name and ".ko" in name}
    built_in, there = _modules(root, version, "modules.builtin"), _modules(root, version, "modules.dep")
    wanted = {*facts.modules, *drivers.always, *((set(drivers.where_built) | set(network_drivers())) & there)}
    missing = sorted(wanted - held - built_in)
    missing += [pattern for pattern in facts.files if not _has(listed, pattern)]
    if missing:
        raise _broken(f"the initramfs of the live root lacks {', '.join(missing)}")


def _has(listed: Collection[str], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"usr/{pattern}") for name in listed)


def _modules(root: Path, version: str, name: str) -> set[str]:
    """The modules in one of depmod's lists: a path a line, and what follows a colon are those it needs."""
    text = inside(root, f"/usr/lib/modules/{version}/{name}").read_text(errors="replace")
    return {_module(line.split(":", 1)[0]) for line in text.splitlines()}


def _module(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def _broken(why: str, hint: str = "") -> HostError:
    return HostError(f"no machine could boot the live root: {why}", hint or _REPORT)
