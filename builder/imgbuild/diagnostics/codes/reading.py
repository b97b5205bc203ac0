"""Codes: Reading files and --set."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code(
        "IB100",
        ERROR,
        "A file cannot be read: not there, a folder, a pipe, no permission, over 4 MiB, binary, not UTF-8",
        fix="Check the path; save the file as UTF-8 text",
    ),
    Code("IB101", ERROR, "It is not YAML", fix="Look at indentation, colons, quotes and tabs at the place named"),
    Code("IB102", ERROR, "A key stands twice; YAML would take the last without a word", fix="Keep one"),
    Code(
        "IB103",
        ERROR,
        "A tag (`!!…`), a merge key (`<<`), a key that is no text, a NUL, or a file that is no mapping",
        fix="Write plain keys and values; `extends:` and layers do what merge keys do",
    ),
    Code(
        "IB104",
        ERROR,
        "Aliases inside themselves or by the thousand, too deep nesting, or too many problems in one file",
        fix="Write the values out",
    ),
    Code(
        "IB105",
        ERROR,
        "A number with a leading zero: octal for one YAML, decimal for another",
        fix='Put it in quotes: `"0644"`',
    ),
    Code("IB106", ERROR, "There is no such profile or layer", fix="One of those shipped, or a path to a file"),
    Code(
        "IB107", ERROR, "`extends` is no name, goes in a circle, or reads over 100 files", fix="Take one `extends:` out"
    ),
    Code(
        "IB108",
        ERROR,
        "`--set` is not KEY=VALUE, names a place that cannot be, or has a comment in its value",
        fix='`--set kernel.sysctl."vm.swappiness"=0`; quote a value with `#`',
    ),
    Code(
        "IB109",
        ERROR,
        "The profile names no target, or one that is not there; or its file name cannot name a folder",
        fix="`extends: centos7-efi`, or `target:`; rename the file",
    ),
    Code("IB110", ERROR, "A target file of imgbuild's own is broken", fix="Install imgbuild again"),
    Code("IB111", ERROR, "There is no such key", fix="The nearest one is named"),
    Code("IB112", ERROR, "A key is missing", fix="Add it"),
    Code(
        "IB113",
        ERROR,
        "A value does not fit its key: wrong type, none of the words allowed, wrong form",
        fix="What is wanted is named",
    ),
    Code(
        "IB114",
        WARNING,
        "The name means imgbuild's own file, and a file of that name lies here too",
        fix="Write the path if you mean yours",
    ),
    Code(
        "IB115",
        ERROR,
        "A file has a key under its old and its new name; a renamed key under its old name alone is a warning",
        fix="Write the new name",
        lesser=WARNING,
    ),
)
