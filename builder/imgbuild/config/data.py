"""imgbuild's own data: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[1]


def data_dir(folder: str) -> Path:
    """The folder of one kind of data: "cloudinit", "node", "elements" or "profiles".

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for base in (_PACKAGE / "data", _PACKAGE.parents[1]):
        if (base / folder).is_dir():
            return base / folder
    raise FileNotFoundError(f"imgbuild's own folder {folder}/ is missing: install imgbuild again")


@cache
def versions(name: str) -> dict[str, Any]:
    """A table of profiles/versions/, by its name without .yaml.

    For imgbuild's own files, which need no places. A test compares it with ``source.read``.
    """
    import yaml  # not at the top: help and completion, which need no table, take a third less time

    text = (data_dir("profiles") / "versions" / f"{name}.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return table
