"""Scripts without comments: nothing else changes, by shfmt's parser, for every script that travels in user-data."""

from __future__ import annotations

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


def minified(script: str) -> str:
    """What bash reads of a script, as shfmt prints it: no comments, no layout."""
    done = subprocess.run(["shfmt", "-ln", "bash", "-mn"], input=script, capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bash_reads_the_same() -> None:
    lengths = [0, 0]
    for path, text in scripts():
        short = bare(text)
        assert minified(short) == minified(text), path
        assert short.startswith("#!") == text.startswith("#!")
        lengths = [lengths[0] + len(text), lengths[1] + len(short)]
    assert lengths[1] < 0.8 * lengths[0]  # comments are a quarter
