"""Sizes as people write and read them."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def size_text(count: int) -> str:
    """As "281.3 MiB"."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


class Size(click.ParamType[int]):
    """A number of bytes, as 500M or 20G."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes; a usage error for anything else."""
        if isinstance(value, int):
            return value
        found = _WRITTEN.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a valid size: write a number and K, M, G or T, such as 20G", param, ctx)
        return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


_SECONDS = {"h": 3600, "d": 86_400}


class Days(click.ParamType[float]):
    """An age, as 30d or 12h."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; a usage error for anything else."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([hd])", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a valid age: write a number and d or h, such as 30d", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


def age_text(seconds: float) -> str:
    """As "12 days", in whole units."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "now"
