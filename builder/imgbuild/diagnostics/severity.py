"""The severity of a finding."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """error: nothing is built; warning: built, and reported; info: reported."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
