"""The packages of a lock: chosen now, or kept because the profile still asks for the same."""

from __future__ import annotations

import os
from pathlib import Path

from imgbuild.config.lock_packages import Packages
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.packages import requested
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.store import Store
from imgbuild.image.build import answering_mirrors
from imgbuild.image.closure.debian import solve_debian
from imgbuild.image.closure.rpm import solve_rpm
from imgbuild.image.requirements import missing_tools
from imgbuild.image.rootfs.base import base_tar
from imgbuild.image.surroundings import Site


def solve_packages(resolved: Resolved, store: Store, cache: Path, steps: Steps, site: Site) -> Packages:
    """Choose the packages of a profile's root file system. ``site``: that of the build, in force.

    Raises:
        HostError: this host cannot do it, or a mirror, a signature or the package manager's choice is wrong.
    """
    _able(resolved)
    base = base_tar(resolved, cache, steps, files=store)
    if base is None:
        found = solve_debian(resolved, answering_mirrors(resolved, steps), cache, steps, site)
    else:
        found = solve_rpm(resolved, base, store, cache, steps, site)
    fields = {
        "target": resolved.target.id,
        "base": base.sha256 if base is not None else None,
        "requested": requested(resolved),
        "repositories": dict(sorted(found.repositories.items())),
        "installed": sorted(package.line() for package, stays in found.packages if stays),
        "temporary": sorted(package.line() for package, stays in found.packages if not stays),
    }
    return Packages.model_validate(fields)


def _able(resolved: Resolved) -> None:
    """Refuse a host on which the target's package manager cannot run."""
    if os.geteuid() != 0:
        raise HostError(
            "packages are chosen by the target's own package manager, in a chroot, for which root is needed",
            "run imgbuild lock with sudo; or pass --no-packages to pin everything else",
        )
    tools = [tool for tool in missing_tools(None, resolved.target.image.element) if tool.name in _TOOLS]
    if tools:
        names, packages = (", ".join(t.name for t in tools), " ".join(sorted({t.package for t in tools})))
        raise HostError(f"missing tools: {names}", f"apt-get install {packages}")


_TOOLS = frozenset({"bash", "blkid", "chroot", "gpgv", "mmdebstrap", "mount", "qemu-img", "sudo", "tar", "unshare"})
