"""Where imgbuild's own data is: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def data_dir(room: str) -> Path:
    """The folder of one kind of data: "cloudinit", "node", "elements" or "profiles".

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for base in (_PACKAGE / "data", _PACKAGE.parents[1]):
        if (base / room).is_dir():
            return base / room
    raise FileNotFoundError(f"imgbuild's own folder {room}/ is missing: install imgbuild again")
