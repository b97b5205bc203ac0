"""What the host needs to build a disk image, so that a run can report it before it starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.fields import Firmware
from imgbuild.config.profile.extras import Format

CACHE_MIB = 4096
"""Free space for the root file system's build: the tree, diskimage-builder's copy of it, the tar, packages."""
WORK_MIB = 1536
"""Free space for one assembly: the unpacked tree, the disk."""
LIVE_MIB = 1024
"""Free space for a live root: 0.3 GB, and an unpacked ext4 of 0.7 GB where the target needs a nested one."""
FORMAT_MIB = 512
"""Free space for the image in one format: 0.3 GB packed, 0.6 GB as it is (measured with Debian 12)."""


@dataclass(frozen=True)
class Tool:
    """A program that the build runs, and the Debian package that has it. ``purpose`` is for readers of these tables."""

    name: str
    package: str
    purpose: str


_BOTH = (
    Tool("chroot", "coreutils", "run the target's own tools"),
    Tool("tar", "tar", "unpack the root file system"),
    Tool("du", "coreutils", "measure the root file system"),
    Tool("systemctl", "systemd", "enable units in the image"),
    Tool("mkfs.ext4", "e2fsprogs", "make the root file system"),
    Tool("e2image", "e2fsprogs", "keep the root file system"),
    Tool("resize2fs", "e2fsprogs", "make the root file system"),
    Tool("e2fsck", "e2fsprogs", "check the root file system"),
    Tool("debugfs", "e2fsprogs", "add the node files, and prove what the disk boots"),
    Tool("dumpe2fs", "e2fsprogs", "prove what the disk boots"),
    Tool("sfdisk", "fdisk", "partition the disk"),
    Tool("qemu-img", "qemu-utils", "write the disk image"),
    Tool("zstd", "zstd", "read the metadata of repositories, write the disk image as raw.zst"),
)
_EFI = (
    Tool("mkfs.vfat", "dosfstools", "make the EFI system partition"),
    Tool("mmd", "mtools", "fill the EFI system partition"),
    Tool("mcopy", "mtools", "fill the EFI system partition"),
)
_ROOTFS = (
    Tool("sudo", "sudo", "diskimage-builder calls it everywhere, as root too"),
    Tool("unshare", "util-linux", "keep the build's mounts to itself"),
    Tool("setpriv", "util-linux", "end the build with imgbuild"),
    Tool("mount", "mount", "build in a chroot"),
    Tool("fstrim", "util-linux", "diskimage-builder asks for it"),
    Tool("findmnt", "util-linux", "diskimage-builder asks for it"),
    Tool("bash", "bash", "diskimage-builder is written in it"),
    Tool("ps", "procps", "diskimage-builder looks for processes in the chroot"),
)
_ELEMENT = {
    "debian": (
        Tool("mmdebstrap", "mmdebstrap", "make the base of Debian"),
        Tool("gpgv", "gpgv", "check the packages' signatures"),
    ),
    "el": (Tool("blkid", "util-linux", "find the base image's root file system"),),
}
_FORMATS: Mapping[Format, tuple[Tool, ...]] = {"raw.xz": (Tool("xz", "xz-utils", "write the disk image as raw.xz"),)}
_PRELOAD = (Tool("skopeo", "skopeo", "fetch container images for the disk image"),)
_LOCKED: Mapping[str, tuple[Tool, ...]] = {
    "el": (
        Tool("createrepo_c", "createrepo-c", "install the packages of imgbuild.lock"),
        Tool("modifyrepo_c", "createrepo-c", "install the packages of imgbuild.lock"),
    ),
}
_LIVE = (Tool("mksquashfs", "squashfs-tools", "make the live root of a network boot"),)
_SELINUX = (Tool("setfiles", "policycoreutils", "label the files for SELinux"),)


@dataclass(frozen=True)
class Lack:
    """One thing that keeps this host from building an image, and what to do about it."""

    what: str
    hint: str


def together(lacks: Sequence[Lack]) -> tuple[str, str]:
    """Several as one text, and what to do about them, each line once."""
    return "; ".join(lack.what for lack in lacks), "\n".join(dict.fromkeys(lack.hint for lack in lacks))


def missing_tools(
    firmware: Firmware | None = None,
    element: str | None = None,
    *,
    rootfs: bool = True,
    selinux: bool = True,
    formats: Sequence[Format] | None = None,
    preload: bool = True,
    live: bool = True,
    locked: bool = True,
) -> list[Tool]:
    """The tools that this host lacks for one ``element``, one firmware and these formats (None: for all of them).

    ``rootfs`` is False if the root file system is already in the cache; ``selinux``: whether files are labelled;
    ``preload``: whether the image gets container images; ``live``: whether a live root is made; ``locked``:
    whether the packages are those of a lock.
    """
    wanted = [*_BOTH, *(_EFI if firmware != "bios" else ()), *(_SELINUX if selinux else ())]
    wanted += _PRELOAD if preload else ()
    wanted += _LIVE if live else ()
    wanted += [tool for name, tools in _FORMATS.items() if formats is None or name in formats for tool in tools]
    if rootfs:
        tables = (_ELEMENT, _LOCKED) if locked else (_ELEMENT,)
        own = (tools for table in tables for name, tools in table.items() if element in {None, name})
        wanted += [*_ROOTFS, *(tool for tools in own for tool in tools)]
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    return [tool for tool in wanted if not shutil.which(tool.name, path=path)]


def lacks(
    cache_dir: Path,
    work: Path,
    firmware: Firmware | None = None,
    element: str | None = None,
    *,
    rootfs: bool = True,
    selinux: bool = True,
    formats: Sequence[Format] | None = None,
    preload: bool = True,
    live: bool = True,
    locked: bool = True,
    checks: Mapping[str, Callable[[], bool]] | None = None,
) -> list[Lack]:
    """Everything that keeps this host from building an image, all at once; empty when it can.

    ``checks`` replaces the host's answers in tests ("root", "loop", "keyring").
    """
    ask = {"root": _is_root, "loop": loop_device, "keyring": _keyring, **(checks or {})}
    found: list[Lack] = []
    if not ask["root"]():
        found.append(Lack("not root: owners, device nodes and chroot need it", "run imgbuild with sudo"))
    tools = missing_tools(
        firmware, element, rootfs=rootfs, selinux=selinux, formats=formats, preload=preload, live=live, locked=locked
    )  # fmt: skip
    if tools:
        names = ", ".join(tool.name for tool in tools)
        packages = " ".join(sorted({tool.package for tool in tools}))
        found.append(Lack(f"missing tools: {names}", f"apt-get install {packages}"))
    if rootfs and element in {None, "debian"} and not ask["keyring"]():
        found.append(Lack("no keyring to verify Debian's packages with", "apt-get install debian-archive-keyring"))
    if rootfs and element in {None, "el"} and not ask["loop"]():
        found.append(
            Lack(
                "no loop device available: the disk of a base image is read through one",
                "run 'modprobe loop', or detach an unused one (losetup --list); in a container, share the host's /dev",
            )
        )
    more = LIVE_MIB if live else 0
    needs = [
        (work, WORK_MIB + more + FORMAT_MIB * (len(formats or ()) or 1)),
        *([(cache_dir, CACHE_MIB)] if rootfs else []),
    ]
    found += _space(needs)
    return found


def loop_device() -> bool:
    """Whether the kernel has a loop device available (one is free, or can be created)."""
    if not Path("/dev/loop-control").exists():
        return False
    blocks = list(Path("/sys/block").glob("loop*"))
    # A loop device that is attached has the folder "loop" with its backing file.
    return not blocks or any(not (b / "loop").exists() for b in blocks) or _can_grow()


def _can_grow() -> bool:
    """Whether the kernel makes loop devices on demand: /dev is then its own devtmpfs, writable for root."""
    return os.access("/dev/loop-control", os.W_OK)


def _is_root() -> bool:
    return os.geteuid() == 0


def _keyring() -> bool:
    return Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists()


def _space(needs: Iterable[tuple[Path, int]]) -> list[Lack]:
    """One lack for each file system that has too little space for its part of the build; sizes in MiB."""
    wanted: dict[int, tuple[Path, int]] = {}
    for folder, mib in needs:
        there = folder.resolve()
        while not there.exists():
            there = there.parent
        device = there.stat().st_dev
        first, sum_mib = wanted.get(device, (there, 0))
        wanted[device] = (first, sum_mib + mib)
    lacking = []
    for folder, mib in wanted.values():
        free = shutil.disk_usage(folder).free // (1024 * 1024)
        if free < mib:
            lacking.append(
                Lack(
                    f"{folder} has {free} MiB free, the image build needs about {mib} MiB",
                    "free some space, or set IMGBUILD_CACHE to a folder on a larger disk",
                )
            )
    return lacking
