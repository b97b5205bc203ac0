"""An ISO image of empty files, made with pycdlib: the same bytes for the same names and sizes."""

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

LABEL = "cidata"
"""ds-identify looks for exactly ``cidata`` and ``CIDATA``; cloud-init before 19.1 only for the first."""

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


@lru_cache(maxsize=32)
def empty_iso(sizes: tuple[tuple[str, int], ...], epoch: int) -> tuple[bytes, Mapping[str, int]]:
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
