"""The NoCloud seed as an ISO image, the same bytes for the same input."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace

import pycdlib
from pycdlib import dates, headervd, utils
from pycdlib import pycdlib as core

from imgbuild.outputs.tree import OutFile

LABEL = "cidata"
"""ds-identify looks for exactly ``cidata`` and ``CIDATA``; cloud-init before 19.1 only for the first."""

IMAGE = "seed.iso"

_SECTOR = 2048
_LAST = 5_000_000_000  # a directory record has the year in one byte, counted from 1900
_LOCK = threading.Lock()


@contextmanager
def _frozen(epoch: int) -> Iterator[None]:
    """Freeze pycdlib's view of the time, in UTC: it writes the wall clock and the time zone into the image.

    Only the names in its modules are changed; the rest of this process is not affected.
    """
    here = (core, dates, headervd, utils)
    still = SimpleNamespace(
        time=lambda: float(min(epoch, _LAST)),
        localtime=time.gmtime,
        gmtime=time.gmtime,
        strftime=time.strftime,
        strptime=time.strptime,
        struct_time=time.struct_time,
    )
    with _LOCK:
        for module in here:
            vars(module)["time"] = still
        try:
            yield
        finally:
            for module in here:
                vars(module)["time"] = time


class SeedGroup(Mapping[str, OutFile]):
    """nodes/: each node's seed as files and as an image.

    ``seeds``: NoCloud files by node name. Images are made lazily: one is twenty times the size of its seed.
    """

    def __init__(self, seeds: Mapping[str, Mapping[str, bytes]], epoch: int) -> None:
        self.seeds, self.epoch = seeds, epoch

    def __iter__(self) -> Iterator[str]:
        for node, seed in self.seeds.items():
            yield from (f"{node}/{name}" for name in (*seed, IMAGE))

    def __len__(self) -> int:
        return sum(len(seed) + 1 for seed in self.seeds.values())

    def __getitem__(self, path: str) -> OutFile:
        node, _, name = path.partition("/")
        seed = self.seeds[node]
        return OutFile(seed_iso(seed, self.epoch) if name == IMAGE else seed[name], 0o600)


def seed_iso(files: Mapping[str, bytes], epoch: int) -> bytes:
    """An ISO 9660 image with these files at its root, under exactly these names (Joliet and Rock Ridge 1.09).

    Without both extensions the names would be ``USERDATA.;1`` and cloud-init would find no seed (pycdlib #7).
    """
    empty, places = _empty_iso(tuple(sorted((name, len(content)) for name, content in files.items())), epoch)
    image = bytearray(empty)
    for name, content in files.items():
        image[places[name] : places[name] + len(content)] = content
    return bytes(image)


@lru_cache(maxsize=32)
def _empty_iso(sizes: tuple[tuple[str, int], ...], epoch: int) -> tuple[bytes, Mapping[str, int]]:
    """An image whose files are all zeros, and the offset of each file.

    Only the files in an image depend on their content, and pycdlib takes a millisecond for an image: the nodes of
    a cluster, whose seeds mostly have the same sizes, share it.
    """
    with _frozen(epoch):
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
        for name, size in sizes:
            iso.add_fp(
                io.BytesIO(bytes(size)),
                size,
                f"/{name.upper().replace('-', '')}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
                file_mode=0o100400,
            )
        out = io.BytesIO()
        iso.write_fp(out)
        places = {name: iso.get_record(rr_path=f"/{name}").extent_location() * _SECTOR for name, _ in sizes}
        iso.close()
    return out.getvalue(), places
