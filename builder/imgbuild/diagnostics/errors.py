"""The errors that end a run, and the exit code of each (docs/reference/command-line.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgbuild.diagnostics.findings import Findings


class ImgbuildError(Exception):
    """A run that cannot continue.

    ``str(error)`` is what is wrong, ``hint`` how to fix it. Neither ever has a secret.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ImgbuildError):
    """The command line requests something that does not exist (exit code 2)."""

    exit_code = 2


class HostError(ImgbuildError):
    """The host cannot do it: a missing tool, no root, no space, no mirror, a failed build (exit code 3)."""

    exit_code = 3


class InvalidInput(Exception):  # noqa: N818  (the input is wrong, not imgbuild)
    """The input has errors: exit code 1, nothing written."""

    exit_code = 1

    def __init__(self, findings: Findings) -> None:
        super().__init__(f"{len(findings.errors)} errors in the input")
        self.findings = findings


class NoAnswer(InvalidInput):
    """Findings about something outside that does not answer: exit code 3, as for every other cause in the network."""

    exit_code = 3
