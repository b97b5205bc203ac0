"""The drivers that an initramfs must have (profiles/versions/drivers.yaml): one list to request and to verify them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from imgbuild.config.data import versions


@dataclass(frozen=True)
class BootDrivers:
    """``always``: without one of these the build fails; ``where_built``: included if the kernel has the module."""

    always: tuple[str, ...]
    where_built: tuple[str, ...]


@cache
def boot_drivers() -> BootDrivers:
    """The list, by module names with underscores."""
    table = versions("drivers")
    return BootDrivers(tuple(table["always"]), tuple(table["where_built"]))
