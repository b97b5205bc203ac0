"""No reader in a pipe of the node's scripts goes before its writer has ended; which readers do is proven here, too."""

from __future__ import annotations

import subprocess

import pytest

from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeTree
from tests.integration.install.test_tree import VARIANTS
from tests.support.install.room import tree as install_tree
from tests.support.node.pipes import Scripts, awk_parts, is_script, scripts_below, sed_quits
from tests.support.places import ROOT
from tests.support.profiles import CASES, resolved

EARLY = [
    "ctr version | awk '/^Server:/ { server = 1 } server { print $2; exit }'",
    "ctr version | awk 'NR == 1 { exit } END { print }'",
    "a | awk 'function stop() { exit } { stop() } END { print 1 }'",
    "a | awk 'BEGIN { print 1 }'",
    "a | gawk -F : -v b=\"$c\" '/exit/ { print \"exit\" } $1 { exit 1 }'",
    "a | awk \"\\$1 == \\\"$b\\\" { exit }\"",
    "a | awk -f program.awk",
    "a | head",
    "a | head -n 1",
    "a | LC_ALL=C timeout -k 1 10 head -c 20",
    "a | sudo /usr/bin/head -1 2> /dev/null",
    "a | grep -q b",
    "a | grep -Eqx -- \"$b\"",
    "a | grep --quiet b",
    "a | grep -m1 b",
    "a | grep --max-count=2 b",
    "a | grep -l b",
    "if ! a 2> /dev/null | grep -qvE '^x'; then b; fi",
    "x=$(a | sort | head -n 1) || x=''",
    "a | sed q",
    "a | sed 10q",
    "a | sed -n '/^b/{p;q}'",
    "a | sed -n -e 's/q/r/' -e '/b/Q'",
    "a | sed -n '\\|b|{s|c|d|p;q}'",
    "a | sed -f script",
    "a | read -r b",
    "a | { read -r b; echo \"$b\"; }",
    "a | (read -r b)",
    "a | while read -r b; do break; done",
    "a | while read -r b; do for c in 1; do break 2; done; done",
    "f() { a | while read -r b; do return 1; done; }",
    "a | while read -r b && [ -n \"$b\" ]; do :; done",
    "a | until read -r b; do :; done",
    "while read -r b; do [ -z \"$b\" ] || exit 1; done < <(a)",
    "read -r b < <(a)",
    "mapfile -n 1 b < <(a)",
    "head -n 1 < <(a)",
    "grep -q b <(a)",
    "cmp -s <(a) <(b)",
    "a > >(head -n 1)",
    "a 2> >(grep -m 1 b >&2)",
    "a |& grep -q b",
    "a | b | grep -q c | d",
    "a | true",
    "a | ctr images import -",
    "a | dd bs=1 count=2",
    "a | grep b <<< c",
    "a | case x in *) cat ;; esac",
    "first() { head -n 1; }\na | first",
    "first() { second; }\nsecond() { grep -q b; }\na | other images first",
    "cat <<END\n$(a | head -n 1)\nEND",
    "echo \"${x:-$(a | grep -q b)}\"",
    "if a; then case b in c) d | head -n 1 ;; esac; fi",
    "{ a; b; } | head -n 1",
    "exec 3< <(a)",
    "a | if b; then cat; fi",
    "a | if b; then cat; else head -n 1; fi",
    "a | if b; then head -n 1; elif c; then cat; else cat; fi",
    "a | openssl version",
    "a | openssl dgst -sha256 file",
    "a | python3 -c 'print(input())'",
]  # fmt: skip
FINE = [
    "a | if b; then cat; elif c; then wc -c; else openssl dgst -sha256 -r; fi",
    "a | python3 -c 'import json, sys; print(json.load(sys.stdin))'",
    "ctr version | awk '/^Server:/ { server = 1 } server && !n++ { print $2 }'",
    "a | awk 'END { exit !found }'",
    "a | awk '/exit/ { print \"exit\" } # exit\n{ b = c / d } /x[/]y/ { next }'",
    "a | awk '!/ / && !n++'",
    "a | awk -F '\\t' -v OFS=: \"{ print \\$1 }\" -",
    "awk '{ exit }' file",
    "awk '{ exit }' <<< \"$a\"",
    "grep -q b file",
    "grep -q b <<< \"$(a)\"",
    "head -n 1 file",
    "head -n 1 <<END\nx\nEND",
    "a | head -n -1",
    "a | grep b > /dev/null",
    "a | grep -c b",
    "a | grep -e b -e -q",
    "a | grep -o -- -q",
    "a | grep -v ' '",
    "a | sed -n 's/q/Q/p'",
    "a | sed 's|a|q|;/q/d;y/q/r/'",
    "a | sed -n '$p' | sed '$q'",
    "a | sed -e '/^gpg-pubkey\\t/d' -e 's/\\t0:/\\t/'",
    "a | sed '/x/i\\\nquit'",
    "a | tail -n 1",
    "a | sort -u | uniq",
    "a | tr -d q | tee -a \"$log\" >&2",
    "a | { read -r b; cat > /dev/null; }",
    "a | { iconv -c || true; }",
    "load() { ctr images import - && cat > /dev/null; }\na | other images load",
    "write() { mkdir -p b; cat > c; }\na | write d",
    "write() { mkdir -p b; dd of=c conv=fsync; mv c d; }\na | write d",
    "a | while IFS= read -r b; do for c in 1 2; do break; done; done",
    "while read -r b; do c || continue; done < <(a)",
    "while read -r b; do break; done <<< \"$(a)\"",
    "while read -r b; do break; done < file",
    "read -r b < file",
    "read -r -d '' -a b < <(a) || true",
    "mapfile -t b < <(a)",
    "comm -3 <(a) <(b)",
    "source <(a)",
    "a > >(tee b)",
    "tar --create . | sudo tar --extract",
    "a || head -n 1 file",
    "a && grep -q b file",
    "echo 'a | head -n 1'",
    "# a | head -n 1",
]  # fmt: skip


@pytest.mark.parametrize("text", EARLY)
def test_an_early_reader_is_found(text: str) -> None:
    assert list(Scripts({"x": text}).early()) == ["x"]


@pytest.mark.parametrize("text", FINE)
def test_a_reader_to_the_end_is_not(text: str) -> None:
    assert Scripts({"x": text}).early() == {}


def test_a_function_of_another_script_is_followed() -> None:
    texts = {"lib.sh": "first() { head -n 1; }", "main": "\na | first"}
    assert {name: [e.line for e in found] for name, found in Scripts(texts).early().items()} == {"main": [2]}


def test_a_script_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(AssertionError, match="1:"):
        Scripts({"x": "if a; then"})


@pytest.mark.parametrize("text", [case for case in EARLY if case.startswith(("a | ", "x="))][:8])
def test_the_examples_are_bash(text: str) -> None:
    subprocess.run(["bash", "-n", "-c", text], check=True)


def test_parts_of_awk() -> None:
    assert awk_parts('BEGIN { a = "}" } /}/ { b } END { exit }') == [
        ("BEGIN", ' a =  ""  '),
        ('""', " b "),
        ("END", " exit "),
    ]


@pytest.mark.parametrize(
    ("script", "quits"), [("q", True), ("1!G;h;$!d", False), ("s/a/b/;q", True), ("b q;:q", False)]
)
def test_sed_that_quits(script: str, quits: bool) -> None:
    assert sed_quits(script) is quits


def _rendered(tree: NodeTree) -> dict[str, str]:
    return {file.path: file.content.decode() for file in tree.files if is_script(file.path, file.content)}


def test_no_reader_of_a_nodes_scripts_goes_early() -> None:
    """Everything that runs on a node or in an image's chroot, as rendered for each profile, mode and layer."""
    texts: dict[str, str] = {}
    for room in ("node", "cloudinit", "elements"):
        texts |= {f"{room}/{name}": text for name, text in scripts_below(ROOT / room).items()}
    assert len(texts) > 60
    trees: list[tuple[str, NodeTree]] = []
    for name, layers in CASES:
        for sets in ([], ["mode=stock"]):
            found = resolved(name, layers, sets)
            trees.append((f"{name} {layers} {sets}", node_tree(found)))
    for name, variant in VARIANTS:
        for mode in ("baked", "stock"):
            trees.append((f"{name} {variant} {mode}", install_tree(name, *variant, mode=mode)))
    for what, tree in trees:
        texts |= {f"{what}: {path}": text for path, text in _rendered(tree).items()}
    for path in sorted((ROOT / "tests/golden").rglob("*.sh")):  # build.sh and links.sh are no node's files
        texts[str(path.relative_to(ROOT))] = path.read_text()
    unique = {text: name for name, text in reversed(texts.items())}
    assert Scripts({name: text for text, name in unique.items()}).early() == {}
