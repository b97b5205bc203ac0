"""The NoCloud seed as an ISO image, the same bytes for the same input."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace

import pycdlib
from pycdlib import dates, headervd, utils
from pycdlib import pycdlib as core

LABEL = "cidata"
"""ds-identify looks for exactly ``cidata`` and ``CIDATA``; cloud-init before 19.1 for the first only."""

_LAST = 5_000_000_000  # a directory record holds the year in one byte, from 1900
_LOCK = threading.Lock()


@contextmanager
def _frozen(epoch: int) -> Iterator[None]:
    """pycdlib's own view of the time stands still, in UTC: it writes the wall clock and the time zone into the image.

    Only the names in its modules are changed; nothing else in this process sees it.
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


def seed_iso(files: Mapping[str, bytes], epoch: int) -> bytes:
    """An ISO 9660 image with these files at its root, under these very names (Joliet and Rock Ridge 1.09).

    Without both extensions the names would be ``USERDATA.;1`` and cloud-init would find no seed (pycdlib #7).
    """
    with _frozen(epoch):
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
        for name, content in sorted(files.items()):
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                f"/{name.upper().replace('-', '')}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
                file_mode=0o100400,
            )
        out = io.BytesIO()
        iso.write_fp(out)
        iso.close()
    return out.getvalue()
