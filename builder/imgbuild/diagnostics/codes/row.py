"""One row of the table of codes."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from imgbuild.diagnostics.severity import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """Everything about a code: reference pages, `imgbuild explain` and a test of both examples are made from it.

    Texts are Markdown, with links relative to docs/reference/findings/. The examples are files: a profile, and a
    cluster file where the code is about nodes. A profile without ``extends`` or ``target`` extends centos7-efi, and a
    cluster file without a name is that of a cluster called lab.
    """

    code: str
    severity: Severity
    title: str
    why: str
    fix: str
    bad: str = ""
    good: str = ""
    bad_cluster: str = ""
    good_cluster: str = ""
    bad_options: tuple[str, ...] = ()
    good_options: tuple[str, ...] = ()
    """Options of the command line beside --profile and --cluster."""
    lesser: Severity | None = None
    """The severity of the milder of two cases, where a code has two."""
    when: str = ""
    """Which case is the milder one."""
    also: tuple[str, ...] = ()
    """Other codes that the bad example causes."""
    day: str = ""
    """The day on which the examples are checked, where the code is about dates."""
    good_day: str = ""
    """The day of the good example, if it is another."""
    rendered: bool = False
    """The code is about rendered bytes: the examples have to be rendered."""
    setup: str = ""
    """How to get the code if no pair of files can: described instead of examples, and done by the test."""


def profile_text(text: str) -> str:
    """An example of a profile as a whole file."""
    text = textwrap.dedent(text).strip("\n")
    head = "" if re.search(r"(?m)^(extends|target|nodes)[:：]", text) else "extends: centos7-efi\n"
    return f"{head}{text}\n" if text else head


def cluster_text(text: str) -> str:
    """An example of a cluster file as a whole file."""
    text = textwrap.dedent(text).strip("\n")
    head = "" if re.search(r"(?m)^name:", text) else "name: lab\n"
    return f"{head}{text}\n" if text else ""
