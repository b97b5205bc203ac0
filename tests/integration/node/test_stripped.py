"""Scripts without comments: nothing else changes, by shfmt's parser, for every script that travels in user-data."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from imgbuild.render.stripped import bare
from tests.support.deadline import HUNG
from tests.support.profiles import resolved

TARGETS = ("centos7-efi", "centos8-efi", "debian12-efi")


def scripts() -> Iterator[tuple[str, str]]:
    """Each script of a stock node once."""
    seen: set[str] = set()
    for profile in TARGETS:
        found = resolved(profile, sets=["mode=stock"])
        for file in (*node_tree(found).files, *install_tree(found).files):
            text = file.content.decode(errors="replace")
            if file.path.startswith("/usr/libexec/imgbuild/") and text not in seen:
                seen.add(text)
                yield file.path, text


_AWK = re.compile(r"(?m)(\bawk\b[^|;&\n]*)'(\n[^']*)'")


def minified(script: str) -> tuple[str, list[str]]:
    """What bash reads of a script, as shfmt prints it: no comments, no layout. And its longer awk programs."""
    programs = [found[2] for found in _AWK.finditer(script)]
    given = _AWK.sub(r"\1''", script)
    done = subprocess.run(["shfmt", "-ln", "bash", "-mn"], input=given, capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0, done.stderr
    return done.stdout, [pretty(program) for program in programs]


def pretty(program: str) -> str:
    """An awk program as gawk prints it, which keeps comments."""
    argv = ["gawk", "--pretty-print=/dev/stdout", "--file", "/dev/stdin"]
    done = subprocess.run(argv, input=program, capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0, f"{done.stderr}\n{program}"
    lines = (line for line in done.stdout.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return "\n".join(lines)


def test_bash_reads_the_same() -> None:
    lengths, programs = [0, 0], 0
    for path, text in scripts():
        short = bare(text)
        read = minified(text)
        assert minified(short) == read, path
        programs += len(read[1])
        assert short.startswith("#!") == text.startswith("#!")
        lengths = [lengths[0] + len(text), lengths[1] + len(short)]
    assert programs > 10
    assert lengths[1] < 0.75 * lengths[0]  # comments are a quarter
