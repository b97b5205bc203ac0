"""What a CD or a USB disk has that boots the live root without a network: files by their place, and GRUB's menu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.bootfile import PRIVATE, BootFile, read_boot_file
from imgbuild.outputs.bootline import BootLine
from imgbuild.outputs.manifest import mixed, read_manifest
from imgbuild.render.templates import environment

FOLDER = "imgbuild"
"""The folder on the medium with the disk's data."""
SEED = f"{FOLDER}/seed"
"""The folder on the medium with a node's seed."""
# The waits for a network that such a machine may not have: a medium has everything that an installation needs.
_NO_WAIT = ("systemd.mask=systemd-networkd-wait-online.service", "systemd.mask=NetworkManager-wait-online.service")


@dataclass(frozen=True)
class Medium:
    """``files``: the place on the medium, and the file; ``menu``: GRUB's; ``secret``: a seed is among the files."""

    label: str
    files: Mapping[str, Path]
    menu: str
    secret: bool


@dataclass(frozen=True)
class _Entry:
    name: str
    arguments: str


def medium(folder: Path, node: str | None, *, install: bool) -> Medium:
    """The medium of the build in ``folder``, such as out/debian12-efi, with the seed of ``node`` if there is one.

    ``install``: what starts by itself on a medium without a seed; with one, the node's `pxe.boot` decides.

    Raises:
        HostError: the build has no live root or no such node, or its parts are of different builds.
    """
    manifest = read_manifest(folder)
    if wrong := mixed(folder, manifest):
        raise HostError(f"{folder} has parts of different builds: {'; '.join(wrong)}", "build it again")
    about = read_boot_file(folder)
    facts = about.medium
    if not about.live or not (folder / "pxe" / about.root).is_file():
        raise HostError(
            f"{folder} has no live root, which a medium starts",
            "set pxe.live: true, and build the image",
        )
    files = {
        f"boot/{about.kernel}": folder / "pxe" / about.kernel,
        f"boot/{about.initrd}": folder / "pxe" / about.initrd,
        facts.root: folder / "pxe" / about.root,
    }
    files |= {
        f"{FOLDER}/{path.name}": path for path in sorted((folder / "pxe").glob("disk.*")) if path.suffix != ".efi"
    }
    there = f"file://{facts.mount}/{FOLDER}/"
    common: list[str] = [*facts.arguments]
    installing = [*facts.install, *_NO_WAIT, f"imgbuild.base={there}"]
    if node is None:
        entries = [
            _Entry(f"{about.cluster}: install on the smallest blank disk, without a seed",
                   " ".join([*common, *installing, "imgbuild.install=auto", "imgbuild.seed=none"])),
            _Entry(f"{about.cluster}: live system, without a seed", " ".join([*common, "cloud-init=disabled"])),
        ]  # fmt: skip
        return Medium(facts.label, files, _menu(about, entries, 0 if install else 1), secret=False)
    line = _line(about.nodes, node)
    seed = folder / PRIVATE / line.folder
    files |= {f"{SEED}/{path.name}": path for path in sorted(seed.iterdir()) if path.is_file()}
    if line.boot == "install":
        own = [word for word in line.install if word.startswith("imgbuild.install=") or word == "imgbuild.wipe"]
        words = [*common, *installing, *own, f"imgbuild.seed={there}seed/"]
        entry = _Entry(f"{node}: install on {own[0].partition('=')[2]}", " ".join(words))
    else:
        own = [word for word in line.diskless if word.startswith("systemd.machine_id=")]
        entry = _Entry(f"{node}: live system", " ".join([*common, *own, "ds=nocloud", "imgbuild.medium=seed"]))
    return Medium(facts.label, files, _menu(about, [entry], 0), secret=True)


def _line(nodes: Sequence[BootLine], node: str) -> BootLine:
    for line in nodes:
        if line.name == node:
            return line
    names = ", ".join(line.name for line in nodes)
    raise HostError(
        f"no seed of {node} for this medium; there are: {names or 'none'}",
        "name one of these nodes, or give the node a mac in the cluster file and build again",
    )


def _menu(about: BootFile, entries: Sequence[_Entry], default: int) -> str:
    names = {"kernel": about.kernel, "initrd": about.initrd}
    context = {**names, "entries": entries, "default": default, "cluster": about.cluster}
    return environment("cloudinit").get_template("pxe/medium.cfg.j2").render(context)
