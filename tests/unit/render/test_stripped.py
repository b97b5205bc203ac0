"""Which lines of a script are comments, and what travels without them."""

from __future__ import annotations

import pytest
import yaml

from imgbuild.config.cluster import DEFAULT
from imgbuild.render.node import node_tree
from imgbuild.render.stripped import bare
from imgbuild.render.userdata import packed_files, user_data
from tests.support import travels
from tests.support.profiles import resolved

KEPT = {
    "a hash in a word": "x=${y#z}\necho a#b $((16#ff)) ${#x}\n",
    "text in quotes": "echo '\n    # of awk\n    { print | a  ||  b }\n' file\n",
    "an awk program on one line": "awk '{ print | \"sort\"; next }' file\n",
    "what awk continues": "awk '\n { x = \"a\\\n      # b\" }\n' file\n",
    "files of processes": "read -r x < <(echo a) > >(cat)\n",
    "a number before a file": "echo 1 >a 2>b\n",
    "a regular expression": "[[ $x =~ a( |$) && $x == b ]]&&a\n",
    "operators in tests and sums": "[[ $x =~ a\\ |\\ b ]]&&((a > 1 || b))\n",
    "a here-document": "cat <<END\n# text\nEND\ncat <<-'OTHER'\n\t# text\n\tOTHER\n",
    "double quotes": 'x="\n# text $(echo "# a")\n# text"\n',
    "a quote that is escaped": "x=\\'\n",
    "a shift": "y=$((1 << 3))\n((y << 2))\nx=1\n",
    "a here-string": "read -r x <<<'a\n# b | c'\n",
    "ANSI quotes": "x=$'a\\'\n# b'\n",
    "what is not understood": "cat <<END\n# without an end\n",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_is_no_comment_stays(text: str) -> None:
    assert bare(text) == text


REMOVED = {
    "#!/bin/bash\n# top\nx=1\n": "#!/bin/bash\nx=1\n",
    "x=(\n    a\n    # between\n    b\n)\n": "x=(\na\nb\n)\n",
    "x=$(\n    # inside\n    echo a\n)\n": "x=$(\necho a\n)\n",
    "case $x in\n    # one\n    a) y=\"$(b ')')\" ;;\nesac\n# end": "case $x in\na) y=\"$(b ')')\";;\nesac\n",
    "cat <<A <<'B'\n# a\nA\n# b\nB\n# gone\nx=1\n": "cat <<A <<'B'\n# a\nA\n# b\nB\nx=1\n",
    "if a; then\n\tcat <<E\n  text\nE\n  b \\\n    c\nfi": "if a;then\ncat <<E\n  text\nE\nb \\\nc\nfi",
    "awk -v a=1 '\n    # of awk\n    { print a }\n' file | b\n": "awk -v a=1 '\n { print a }\n' file|b\n",
    'a && b || c; d 2> /dev/null >> "$x" <<< "$y"\n': 'a&&b||c;d 2>/dev/null >>"$x" <<<"$y"\n',
    "echo a \\\n# is the end of the command\necho b\n": "echo a \\\n\necho b\n",
    "echo a # goes\n  # goes, with a ' and a \"\n\n \necho b; # too": "echo a\necho b;",
}


@pytest.mark.parametrize(("text", "short"), REMOVED.items())
def test_comments_and_layout_go(text: str, short: str) -> None:
    assert bare(text) == short


def test_only_what_travels_is_stripped() -> None:
    own = '{path: /usr/libexec/imgbuild/mine, content: "#!/bin/sh\\n# my own\\n"}'
    mine = f"files=[{own}, {{path: /opt/x, content: '# x'}}]"
    found = resolved("debian12-efi", sets=["mode=stock", mine])
    tree = node_tree(found)
    assert b"\n# " in tree.by_path()["/usr/libexec/imgbuild/verify"].content
    packed = packed_files(found, [tree])
    said = yaml.safe_load(user_data(found, DEFAULT, DEFAULT.nodes[0], [], packed=packed))
    text = "".join(file["content"] for file in travels.files(said))
    assert "# my own" in text and "# x" in text and "# imgbuild-verify: does this node match" not in text
