"""Codes: Clouds."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code(
        "IB701",
        ERROR,
        "User-data is over a cloud's limit: an error for a cloud in `cloud.providers`, else a warning",
        fix="`cloud.include_url`, shorter `files` and `run`, or an image",
        lesser=WARNING,
    ),
)
