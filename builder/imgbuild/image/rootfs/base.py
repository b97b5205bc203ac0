"""The base that an EL image is built on: a cloud image, an archive or a folder, made into one tar in the cache.

diskimage-builder dropped CentOS 7 and never archived 8, and both distributions are frozen: their last release is a
cloud image, whose disk layout does not matter here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.address import shown
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.pinned import base_file
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
from imgbuild.image.cache import discard, locked, open_cache, open_store, remove, store, subfolder, take
from imgbuild.image.scratch import scratch
from imgbuild.image.sizes import SECTOR
from imgbuild.image.tool import run

_ARCHIVES = (b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh")
_ROOTS = {"xfs": "norecovery", "ext4": "noload", "ext3": "noload", "btrfs": "norecovery"}


@dataclass(frozen=True)
class Base:
    """A root file system as a tar; ``sha256`` identifies its source."""

    tar: Path
    sha256: str
    prepare: Callable[[], object] | None = field(default=None, compare=False, repr=False)
    """Makes the tar or verifies it; None if this run has done so. A root file system that is kept needs no base."""


def base_tar(
    resolved: Resolved, cache: Path, steps: Steps, *, fresh: bool = False, files: Store | None = None
) -> Base | None:
    """The profile's base, fetched and unpacked once; None if the target is installed from packages alone.

    ``fresh``: make a new tar. What is in the store ``files`` (by default the cache's) is not fetched again.

    Raises:
        HostError: it cannot be fetched, its checksum differs, or it has no root file system.
    """
    target = resolved.target
    if target.image.base is None:
        return None
    source, wanted = resolved.profile.base.source or target.image.base.url, named_sha256(resolved)
    place = open_cache(cache)
    folder = subfolder(place, "base")
    with locked(place / "base.lock", f"waiting for another imgbuild that prepares a base in {folder}", steps):
        if Path(source).is_dir():
            return _of_folder(Path(source), folder, place / "work", steps)
        if wanted is None:
            raise HostError(f"the base {shown(source)} has no checksum", "set base.sha256 (sha256sum FILE)")
        name = (shown(source) if "://" in source else source).rpartition("/")[2]
        tar = folder / f"{wanted}.tar"
        if fresh:
            discard(tar)
        if take(tar, f"the base {name}", steps) is not None:
            steps.note(f"the base {name} is in the cache")
            return Base(tar, wanted)
        with scratch(place / "work", "base") as room:
            artifact = base_file(resolved)
            if artifact is None:
                made = _to_tar(_copied(source, wanted, room, steps), room, name, steps)
            else:
                made = _fetched(artifact, files or open_store(place), folder, room, steps)
            store(made, tar, sha256_of(made))
    return Base(tar, wanted)


def base_of(resolved: Resolved, cache: Path, steps: Steps, *, fresh: bool, files: Store | None) -> Base | None:
    """The same, but if its checksum is known, it is not made or read before somebody prepares it.

    Raises:
        HostError: as `base_tar`, for a folder.
    """

    def now() -> Base | None:
        return base_tar(resolved, cache, steps, fresh=fresh, files=files)

    sha256 = named_sha256(resolved)
    return now() if sha256 is None else kept_base(sha256, cache, now)


def named_sha256(resolved: Resolved) -> str | None:
    """The checksum of the base's source, if profile or target name it: for a folder it is known once that is read."""
    own, image = resolved.profile.base, resolved.target.image.base
    if image is None or (own.source is not None and Path(own.source).is_dir()):
        return None
    return own.sha256 if own.source else image.sha256


def kept_base(sha256: str, cache: Path, prepare: Callable[[], object] | None = None) -> Base:
    """The base with that checksum, as an earlier build has left it or not."""
    return Base(cache / "base" / f"{sha256}.tar", sha256, prepare)


def _copied(source: str, wanted: str, room: Path, steps: Steps) -> Path:
    """A verified copy of the user's file: a later write to the file must not change what its sha256 guarantees."""
    if not Path(source).is_file():
        raise HostError(
            f"the base {source} does not exist, or is not a file or a folder",
            "correct base.source; a path is relative to the current folder",
        )
    copy = room / "copy"
    with steps.step(f"Copy the base {source}"):
        run(["cp", "--reflink=auto", "--", source, copy], what=f"copy {source}")
        found = sha256_of(copy)
    if found != wanted:
        raise HostError(
            f"the base {source} has the sha256 {found}, not {wanted}",
            "copy it again, or correct base.sha256: it is damaged, truncated or another file",
        )
    return copy


def _fetched(artifact: Artifact, files: Store, folder: Path, room: Path, steps: Steps) -> Path:
    """The tar of a base that is in the store, or is fetched into it."""
    old = folder / f"{artifact.sha256}.download"  # where the cache had it before there was a store
    if os.path.lexists(old):
        files.adopt(old, artifact, steps)
        for path in (old, old.with_name(f"{old.name}.part"), old.with_name(f"{old.name}.part.json")):
            remove(path)
    try:
        fetch_all([artifact], files, steps)
        with files.held(artifact, steps) as path:
            # Where others can write to the store, a later write must not change what the sha256 guarantees.
            mine = path if files.private else _copied(str(path), artifact.sha256, room, steps)
            made = _to_tar(mine, room, artifact.name, steps)
            if made == path:
                made = _copied(str(path), artifact.sha256, room, steps)
            return made
    except FetchError as error:
        hint = (
            "or fetch it on another machine and set base.source to the file, and base.sha256; or to a mirror's address"
        )
        raise HostError(f"the base: {error}", f"{error.hint}\n{hint}") from error


def _of_folder(source: Path, folder: Path, work: Path, steps: Steps) -> Base:
    """A folder has no checksum of its own: its tar's is used, so that a changed folder is another base."""
    with steps.step(f"Read the base {source}"), scratch(work, "folder") as room:
        tar = room / "base.tar"
        _pack(source, tar)
        digest = sha256_of(tar)
        final = folder / f"{digest}.tar"
        store(tar, final, digest)
    return Base(final, digest)


def _to_tar(path: Path, room: Path, name: str, steps: Steps) -> Path:
    """A root file system's tar in ``room``, or ``path`` itself: GNU tar in the element unpacks compressed ones too."""
    with path.open("rb") as data:
        kind = _kind(data)
    if kind == "archive":
        return path
    disk, tar = room / "disk.raw", room / "base.tar"
    with steps.step(f"Read the base {name}"):
        _stands_alone(path)
        run(["qemu-img", "convert", "-O", "raw", path, disk], what=f"read the disk image {path}")
        _of_disk(disk, tar, room)
    return tar


def _stands_alone(path: Path) -> None:
    """Refuse a disk image that reads other files of the host: its sha256 does not cover them."""
    info = json.loads(run(["qemu-img", "info", "--output=json", path], what=f"read the disk image {path}"))
    details = info.get("format-specific", {}).get("data", {})
    extents = [e.get("filename") for e in details.get("extents", [])]
    if "backing-filename" in info or "data-file" in details or any(e != str(path) for e in extents):
        raise HostError(
            "the base is a disk image that refers to another file, which its sha256 does not cover",
            "make one file of it: qemu-img convert -O qcow2 IMAGE NEW, and set base.source and base.sha256 to that",
        )


def _kind(data: BinaryIO) -> str:
    """ "archive" or "disk", by the file's first bytes: names can be wrong."""
    head = data.read(512)
    if head.startswith(_ARCHIVES):
        return "archive"
    data.seek(257)
    return "archive" if data.read(5) == b"ustar" else "disk"


@dataclass(frozen=True)
class _FileSystem:
    """One file system of a disk, with the names that an fstab may use for it."""

    start: int
    size: int
    type: str
    names: tuple[str, ...]


def _of_disk(disk: Path, tar: Path, work: Path) -> None:
    """Pack the root file system of a raw disk, with those that its fstab mounts below it.

    They are mounted read-only in a separate namespace, whose mounts and loop devices disappear with it however
    this ends. Neither nbd nor device-mapper nor a partition table known to the kernel is needed.
    """
    systems = _file_systems(disk)
    for root in sorted((s for s in systems if s.type in _ROOTS), key=lambda s: -s.size):
        # A blank line first: a file system that is not a root prints nothing at all.
        look = "if [ -e etc/os-release ]; then echo; cat etc/fstab || true; fi"
        fstab = _in(disk, [("/", root)], work, ["sh", "-c", look]).decode(errors="replace")
        if not fstab:
            continue
        mounts = [("/", root)]
        for line in fstab.splitlines():
            name, place, *_ = [*line.split(), "", ""]
            below = next((s for s in systems if name in s.names and s.type in _ROOTS), None)
            if below is not None and place.startswith("/") and place != "/":
                mounts.append((place, below))
        _in(disk, mounts, work, [*_TAR, "--file", str(tar), "."])
        return
    kinds = ", ".join(s.type or "unknown" for s in systems) or "no file system at all"
    raise HostError(
        f"the base has no root file system that can be read (it has {kinds})",
        "imgbuild reads ext4, xfs and btrfs on plain partitions: use another image, or an archive of its root",
    )


def _file_systems(disk: Path) -> list[_FileSystem]:
    size = disk.stat().st_size
    try:
        table = json.loads(run(["sfdisk", "--json", disk], what="read the base's partition table"))["partitiontable"]
    except HostError:
        places = [(0, size, "")]  # no table: a file system may fill the disk
    else:
        sector = int(table.get("sectorsize", SECTOR))
        places = [(p["start"] * sector, p["size"] * sector, p.get("uuid", "")) for p in table["partitions"]]
    found = []
    for start, length, partition in places:
        argv: list[str | Path] = [
            "blkid",
            "--probe",
            "--offset",
            str(start),
            "--size",
            str(length),
            "-o",
            "export",
            disk,
        ]
        try:
            lines = run(argv, what="read the base's partitions").decode().splitlines()
        except HostError:  # blkid exits with 2 if it finds nothing
            lines = []
        known = dict(line.split("=", 1) for line in lines if "=" in line)
        names = [f"{key}={known[key]}" for key in ("UUID", "LABEL") if key in known]
        names += [f"PARTUUID={partition.lower()}"] if partition else []
        found.append(_FileSystem(start, length, known.get("TYPE", ""), tuple(names)))
    return found


# $1 the folder; then device, place, type and options of each mount up to "--", then the command.
_IN = """
set -eu
root=$1
shift
while [ "$1" != -- ]; do
    mount -t "$3" -o "$4" "$1" "$root$2"
    shift 4
done
shift
cd "$root"
exec "$@"
"""


def _in(disk: Path, mounts: Sequence[tuple[str, _FileSystem]], work: Path, command: Sequence[str]) -> bytes:
    """Run a command in the root that ``mounts`` (place, file system) make of ``disk``; return its output."""
    root = work / "root"
    root.mkdir(exist_ok=True)
    argv: list[str | Path] = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN, "sh", root]
    for place, system in mounts:
        options = f"ro,loop,offset={system.start},sizelimit={system.size},{_ROOTS[system.type]}"
        argv += [disk, place, system.type, options]
    return run([*argv, "--", *command], what="read the base's file systems")


_TAR = ("tar", "--create", "--numeric-owner", "--xattrs", "--xattrs-include=*")


def _pack(source: Path, tar: Path) -> None:
    run([*_TAR, "--sort=name", "--file", tar, "."], what=f"pack {source}", cwd=source)
