"""Write the requested formats of the disk image, at most one at a time for each processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from imgbuild.config.profile.extras import Format
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.formats import FORMATS
from imgbuild.fetch.checksum import sha256_of, sync
from imgbuild.image.blocks import Blocks, FileBlocks, disk_digest, processors
from imgbuild.image.formats.containerdisk import write_containerdisk
from imgbuild.image.formats.ova import Appliance, write_ova
from imgbuild.image.formats.qcow2 import Compression, Kept, write_qcow2
from imgbuild.image.tool import run

# Two options of VMware's disks that coreos-assembler (src/cosalib/qemuvariants.py) has used for years with vSphere:
# the adapter that its disk data base calls PVSCSI too, and hardware version 6, the lowest that takes this subformat.
_QEMU: Mapping[Format, tuple[str, tuple[str, ...]]] = {
    "raw": ("raw", ()),
    "vmdk": ("vmdk", ("-o", "subformat=streamOptimized,adapter_type=lsilogic,compat6")),
    # force_size: without it QEMU rounds the size to its old cylinders, and Azure refuses what is not whole MiB.
    "vhd": ("vpc", ("-o", "subformat=fixed,force_size=on")),
    "vhdx": ("vhdx", ("-o", "subformat=dynamic")),
}
_PACKERS: Mapping[Format, tuple[str, ...]] = {
    "raw.xz": ("xz", "--stdout", "--keep", "--threads={cores}"),
    "raw.zst": ("zstd", "--quiet", "--stdout", "--keep", "-T{cores}", "-9"),
}
_QCOW2: Mapping[Format, Compression] = {"qcow2": "zlib", "qcow2-zstd": "zstd"}
_MADE_FROM: Mapping[Format, Format] = {"ova": "vmdk", "containerdisk": "qcow2"}
# The slowest first, so that the last one does not run alone.
_ORDER: Sequence[Format] = ("raw.xz", "vmdk", "raw.zst", "qcow2", "qcow2-zstd", "vhdx", "vhd", "raw")
_PROVEN: Future[None] = Future()
_PROVEN.set_result(None)


class Pack(Protocol):
    """Compressed blocks of earlier disks."""

    def take(self, digest: bytes) -> Kept | None:
        """One with this digest; each is given away once."""


class Source(Protocol):
    """A disk whose content is only partly in its file."""

    def blocks(self) -> Blocks:
        """All of its blocks."""

    def pack(self, kind: Compression) -> AbstractContextManager[Pack]:
        """Those of them that are compressed already."""

    def fill(self) -> None:
        """Put everything into the disk's file."""


@dataclass(frozen=True)
class ImageFiles:
    """Which files are made of a disk: ``folder``/``name`` with the suffix of each form."""

    folder: Path
    name: str
    formats: Sequence[Format]
    appliance: Appliance
    """What an OVA's descriptor tells about the guest."""

    def path(self, form: Format) -> Path:
        """The file of a form."""
        return self.folder / f"{self.name}{FORMATS[form].suffix}"


@dataclass(frozen=True)
class DiskRecord:
    """The disk that all forms were made of; converted back, each has these bytes. ``size`` is in bytes."""

    blocks_sha256: str
    """The sha256 of the sha256 of each 64 KiB, one after another (imgbuild.image.blocks)."""
    size: int


@dataclass(frozen=True)
class Written:
    """The disk, and the sha256 of each file that was made of it, by name."""

    disk: DiskRecord
    sums: Mapping[str, str]


def compressions(formats: Sequence[Format]) -> Set[Compression]:
    """How the qcow2 files among these forms, and among what they are made of, are compressed."""
    return {_QCOW2[base] for base in _bases(formats) & _QCOW2.keys()}


def _bases(formats: Sequence[Format]) -> Set[Format]:
    """What is converted from the disk itself."""
    return {_MADE_FROM.get(form, form) for form in formats}


def write_files(
    disk: Path, files: ImageFiles, work: Path, epoch: int, steps: Steps, source: Source | None = None,
    known: Callable[[DiskRecord], None] = lambda _record: None, proof: Future[Any] = _PROVEN,
) -> Written:  # fmt: skip
    """Write every form of the raw ``disk``. Each file appears complete or not at all. ``source``: where the rest of it
    is; None if it is all in the file. ``known`` is called once, with the record of the disk: before a qcow2 is written,
    which needs it, else at the end. No file appears before ``proof`` has a result, and only a qcow2 is begun.

    Raises:
        HostError: a tool is missing or failed, or there is no space. Forms that were finished are kept.
        Exception: what ``proof`` raises.
    """
    files.folder.mkdir(parents=True, exist_ok=True)
    cores = processors()
    bases = _bases(files.formats)
    if bases - _QCOW2.keys():
        proof.result()
        if source is not None:
            source.fill()
    blocks = FileBlocks(disk) if source is None else source.blocks()

    def record() -> DiskRecord:
        found = DiskRecord(disk_digest(blocks.digests), disk.stat().st_size)
        known(found)
        return found

    early = record() if compressions(files.formats) else None

    def convert(base: Format, part: Path) -> None:
        if base in _QCOW2:
            kind = _QCOW2[base]
            with nullcontext() if source is None else source.pack(kind) as pack:
                taken = pack.take if pack is not None else lambda _digest: None
                write_qcow2(blocks, part, kind, taken, lambda: proof.result() if proof.done() else None)
            return
        _convert(base, disk, part, cores)

    def chain(base: Format) -> list[_New]:
        """One conversion of the disk, and the archives that are made of it."""
        wanted = base in files.formats
        made = files.path(base) if wanted else work / files.path(base).name
        new = _appear(made, lambda part: convert(base, part), proof)
        archives = list(_archives(base, made, disk, files, epoch))
        if wanted:
            return [new, *archives]
        made.unlink()
        return archives

    sums: dict[str, str] = {}
    with ThreadPoolExecutor(cores) as pool:
        jobs = [pool.submit(chain, base) for base in _ORDER if base in bases]
        try:
            for job in as_completed(jobs):
                for new in job.result():
                    steps.note(new.told)
                    sums[new.name] = new.sha256
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Written(early or record(), sums)


def _archives(base: Format, made: Path, disk: Path, files: ImageFiles, epoch: int) -> Iterator[_New]:
    """Write the requested archives that ``made``, the disk in the form ``base``, is put into."""
    if "ova" in files.formats and base == _MADE_FROM["ova"]:
        yield _appear(files.path("ova"), lambda part: write_ova(made, disk, files.name, files.appliance, part, epoch))
    if "containerdisk" in files.formats and base == _MADE_FROM["containerdisk"]:
        yield _appear(files.path("containerdisk"), lambda part: write_containerdisk(made, files.name, part, epoch))


@dataclass(frozen=True)
class _New:
    name: str
    sha256: str
    told: str
    """Its name, size and time."""


def _appear(output: Path, write: Callable[[Path], None], proof: Future[Any] = _PROVEN) -> _New:
    """Write a file that appears complete or not at all, and only if ``proof`` has a result."""
    part = output.with_name(f".{output.name}.part")
    start = time.monotonic()
    try:
        write(part)
        with ThreadPoolExecutor(1) as beside:  # one waits for the disk, the other for the processor
            synced = beside.submit(sync, part)
            sha256 = sha256_of(part)
            synced.result()
        proof.result()
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    size = output.stat().st_blocks * 512 / 1e6
    return _New(output.name, sha256, f"{output.name}: {size:.0f} MB, {time.monotonic() - start:.0f} s")


def _convert(form: Format, disk: Path, output: Path, cores: int) -> None:
    what = f"write the disk image as {form}"
    if form in _PACKERS:
        run([*(word.format(cores=cores) for word in _PACKERS[form]), disk], what=what, output=output)
        return
    driver, options = _QEMU[form]
    run(["qemu-img", "convert", "-f", "raw", "-O", driver, *options, disk, output], what=what)
