"""The cache's finished file systems: one folder each, verified before use and made again if it differs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgbuild.config.fields import Firmware
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.hold import in_use, unlink_unused
from imgbuild.image.blocks import FileBlocks, used
from imgbuild.image.cache import Unfit, regular, remove, write_record
from imgbuild.image.disk.layout import DiskLayout
from imgbuild.image.formats.qcow2 import Compression
from imgbuild.image.rootfs.build import Rootfs
from imgbuild.image.system.listing import Listing, unpacked
from imgbuild.image.system.make import CORES, DIGESTS, IMAGE, KIT, LISTING, META, SMALL, meta_digest, size_of
from imgbuild.image.system.packs import KINDS, Pack, pack_of, sizes_of

FOLDER = "systems"
"""The cache's folder of them."""
RECORD = "system.json"
_VERSION = 3  # of what is in the folder: another one is another key


@dataclass(frozen=True)
class System:
    """A verified file system in ``folder``. Its image is verified block by block, whenever one is read."""

    folder: Path
    listing: Listing
    dropped: Sequence[str]
    """What the base added to the boot menu."""
    digests: Sequence[bytes]
    cores: Mapping[str, Mapping[str, str]]
    packs: Mapping[Compression, Future[Sequence[int]]] = field(default_factory=dict)
    """The sizes in those packs that are being verified by other threads."""

    @property
    def image(self) -> Path:
        return self.folder / IMAGE

    @property
    def meta(self) -> Path:
        return self.folder / META

    @property
    def kit(self) -> Path:
        return self.folder / KIT

    def core(self, firmware: Firmware) -> bytes:
        """GRUB's core image.

        Raises:
            HostError: the root has no GRUB for this firmware.
        """
        about = self.cores[firmware]
        if "error" in about:
            raise HostError(about["error"], about["hint"])
        return bytes.fromhex(about["core"])

    @contextmanager
    def pack(self, kind: Compression) -> Iterator[Pack]:
        """Its blocks, compressed."""
        base = FileBlocks(self.image, self.digests)
        try:
            with pack_of(self.folder, kind, base, self.packs.get(kind)) as pack:
                yield pack
        finally:
            base.close()


def key_of(rootfs: str, sha256: str, layout: DiskLayout) -> str:
    """The name of the file system of a root: its key, its content, and what a disk's layout decides."""
    facts = [_VERSION, rootfs, sha256, layout.boot.model_dump(mode="json"), layout.selinux, size_of(layout)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def there(rootfs: Rootfs, layout: DiskLayout, cache: Path) -> bool:
    """Whether the cache has the file system of a root, right or not."""
    return (cache / FOLDER / key_of(rootfs.key, rootfs.sha256, layout) / RECORD).is_file()


@contextmanager
def opened(folder: Path, steps: Steps, kinds: Set[Compression] = frozenset()) -> Iterator[System | None]:
    """The file system in ``folder``, not to be removed in the meantime; None if there is none, or if it was unfit.

    ``kinds``: its packs that will be needed. They are verified by other threads from now on.
    """
    with ExitStack() as held:
        try:
            held.enter_context(in_use(folder / IMAGE))
        except FileNotFoundError:
            yield None
            return
        system = _read(folder, steps)
        if system is not None and kinds:
            pool = held.enter_context(ThreadPoolExecutor(len(kinds)))
            verified = {kind: pool.submit(sizes_of, folder, kind, used(system.digests)) for kind in kinds}
            system = replace(system, packs=verified)
        yield system


def _read(folder: Path, steps: Steps) -> System | None:
    try:
        return _verified(folder)
    except Unfit as why:
        steps.note(f"the file system in the cache is not used but made again: {why} ({folder})")
        discard(folder)
        return None


def _verified(folder: Path) -> System:
    for name in (RECORD, IMAGE, META, *SMALL):
        regular(folder / name)
    try:
        sums = json.loads((folder / RECORD).read_text())["sha256"]
        for name in SMALL:
            if sha256_of(folder / name) != sums[name]:
                raise Unfit(f"{name} differs from its record")
        if meta_digest(folder) != sums[META]:
            raise Unfit(f"{META} differs from its record")
        about = json.loads((folder / LISTING).read_text())
        data = (folder / DIGESTS).read_bytes()
        digests = [data[at : at + 32] for at in range(0, len(data), 32)]
        cores = json.loads((folder / CORES).read_text())
        return System(folder, unpacked(about["files"]), about["dropped"], digests, cores)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise Unfit("its record cannot be read") from None


def keep(made: Path, folder: Path, name: str) -> None:
    """Move a file system that was just made into the cache. ``name``: what it is of.

    It is not synced: what a power failure damages differs from the record, and takes seconds to make again.
    """
    sums = {file: sha256_of(made / file) for file in SMALL}
    for file in (IMAGE, META, *SMALL):
        (made / file).chmod(0o600)
    write_record(made / RECORD, {"name": name, "sha256": {**sums, META: meta_digest(made)}})
    with suppress(OSError):  # another run was faster
        made.rename(folder)


def discard(folder: Path) -> None:
    """Remove it: the record first, so that what is left after a kill does not count."""
    remove(folder / RECORD)
    shutil.rmtree(folder, ignore_errors=True)


def folders(cache: Path) -> Sequence[Path]:
    """All file systems of the cache, finished or not."""
    place = cache / FOLDER
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else ()


def removed(folder: Path) -> bool:
    """Remove a file system unless a run uses it; whether it is gone."""
    if not unlink_unused(folder / IMAGE):
        return False
    discard(folder)
    return True


def damage(folder: Path) -> str | None:
    """Read all of a file system; what is wrong with it."""
    try:
        system = _verified(folder)
        blocks = FileBlocks(system.image)
        try:
            if list(blocks.digests) != list(system.digests):
                return f"{IMAGE} differs from its record"
        finally:
            blocks.close()
        for kind in KINDS:
            if (folder / f"{kind}.json").exists():
                sizes_of(folder, kind, used(system.digests))
    except Unfit as why:
        return str(why)
    return None
