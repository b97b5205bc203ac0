"""The installer's scripts: shellcheck, and no syntax that bash 4.2 lacks."""

from __future__ import annotations

import re

import pytest

from tests.integration.node.test_node_tree import TOO_NEW
from tests.support.places import ROOT
from tests.support.shellcheck import shellcheck


@pytest.mark.xdist_group("shellcheck")
def test_scripts_are_clean() -> None:
    programs = ROOT / "node/usr/libexec/imgbuild"
    scripts = [programs / name for name in ("install-disk", "medium-seed", "disks")]
    sourced = [*sorted((programs / "lib").glob("install-*.sh")), programs / "lib/block.sh", programs / "lib/path.sh"]
    shellcheck([*scripts, *sourced], sourced, "-x", "-P", "SCRIPTDIR")
    for path in (*scripts, *sourced):
        text = path.read_text()
        for pattern, what in TOO_NEW.items():
            assert not re.search(pattern, text), f"{path.name}: {what}"
        # bash before 4.4 takes "${empty[@]}" for an unset variable.
        bare = set(re.findall(r'(?<!\+)"\$\{([a-z_]+)\[[@*]\]\}', text))
        assert bare <= {"folders", "words", "unpack", "wrong"}, path.name
