"""The drivers that an initramfs must have (profiles/versions/drivers.yaml): one list to request and to verify them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgbuild.config.data import versions


@dataclass(frozen=True)
class BootDrivers:
    """``always``: without one of these the build fails; ``where_built``: included if the kernel has the module."""

    always: tuple[str, ...]
    where_built: tuple[str, ...]


def boot_drivers(more: Sequence[str] = ()) -> BootDrivers:
    """The list, by module names with underscores. ``more`` are those that the profile adds."""
    table = versions("drivers")
    added = (name.replace("-", "_") for name in more)
    return BootDrivers(tuple(dict.fromkeys([*table["always"], *added])), tuple(table["where_built"]))


def network_drivers() -> tuple[str, ...]:
    """Modules of network cards, by names with underscores: the live initramfs has each that the kernel has."""
    return tuple(versions("drivers")["network"])
