"""The drivers that an initramfs must hold (profiles/versions/drivers.yaml): asked for, and proven, by the same list."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from imgbuild.facts.derive import versions


@dataclass(frozen=True)
class BootDrivers:
    """``always``: without one of these there is no image; ``where_built``: wherever the kernel has the module."""

    always: tuple[str, ...]
    where_built: tuple[str, ...]


@cache
def boot_drivers() -> BootDrivers:
    """The list, by module names with underscores."""
    table = versions("drivers")
    return BootDrivers(tuple(table["always"]), tuple(table["where_built"]))
