"""Layers over each other, where each value came from, extends and --set."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.config.layers import MAX_FILES, Layered, chain, lay_option, lay_set
from imgbuild.config.load import load
from imgbuild.config.set_option import parse_set
from imgbuild.config.shipped import shipped
from imgbuild.config.source import Document, parse
from imgbuild.diagnostics.findings import Findings, Mark, format_path


def doc(data: dict[str, Any], name: str) -> Document:
    """The document that holds ``data``: JSON is YAML, and a quoted string is text."""
    findings = Findings()
    document = parse(json.dumps(data), name, findings)
    assert document is not None and not findings.items
    return document


def laid(*documents: Document) -> Layered:
    """The documents over each other, the last on top."""
    out = Layered()
    for document in documents:
        out.lay(document)
    return out


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every plain value with its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return [(path, value)]
    return [leaf for key, child in items for leaf in leaves(child, (*path, key))]


keys = st.sampled_from(["a", "b", "c", "d.e", "", "1"])
scalars = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["x", "y", "12", "true", "0644", "é"])
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3), max_leaves=8)
mappings = st.dictionaries(keys, values, max_size=4)


@given(mappings, mappings, mappings)
@settings(max_examples=75, deadline=None)
def test_laws_of_merging(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    one, two, three = doc(a, "a"), doc(b, "b"), doc(c, "c")
    assert laid(one).data == a
    assert laid(one, one).data == a  # idempotent
    assert laid(one, doc({}, "e")).data == a == laid(doc({}, "e"), one).data  # neutral
    whole = laid(one, two, three).data
    left = laid(doc(laid(one, two).data, "ab"), three).data
    right_from_left = laid(one, two).data
    assert left == whole and laid(one, two).data == right_from_left
    for path, value in leaves(c):  # the last wins
        if path:
            assert _at(whole, path) == value


def _at(data: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


@given(st.lists(mappings, min_size=1, max_size=4))
@settings(max_examples=75, deadline=None)
def test_every_leaf_knows_the_file_that_set_it(stack: list[dict[str, Any]]) -> None:
    layered = laid(*(doc(data, str(n)) for n, data in enumerate(stack)))
    for path, value in leaves(layered.data):
        if not path:
            continue
        mark = layered.mark(path)
        assert mark is not None
        setter = stack[int(mark.file)]
        assert _at(setter, path) == value
        assert layered.history[path][-1][0] == mark
        assert path in layered.key_marks or isinstance(path[-1], int)


def test_layers_do_not_share_values() -> None:
    under = doc({"a": [1], "b": {"c": [2]}}, "f")
    layered = laid(under)
    layered.data["a"].append(9)
    layered.data["b"]["c"].append(9)
    assert under.data == {"a": [1], "b": {"c": [2]}}


def test_history_keeps_every_setting_and_forgets_what_a_list_replaced() -> None:
    layered = laid(doc({"a": {"b": 1}, "l": [1, 2, 3]}, "1"), doc({"a": {"b": 2}, "l": [4]}, "2"), doc({"a": 5}, "3"))
    assert layered.data == {"a": 5, "l": [4]}
    assert [(m.file, v) for m, v in layered.history[("l",)]] == [("1", [1, 2, 3]), ("2", [4])]
    assert ("l", 2) not in layered.history and ("a", "b") not in layered.history
    mark = layered.mark(("a", "b", "c"))
    assert mark is not None and mark.file == "3"
    root = layered.mark(("nowhere",))
    assert root == Mark("3", 1, 1)


# --- extends ---


def write(folder: Path, **files: str) -> None:
    """NAME.yaml for each."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def names(folder: Path, start: str) -> tuple[list[str], list[str]]:
    """The files of a chain in their order, and the codes of its findings."""
    findings = Findings()
    found = chain(folder / f"{start}.yaml", f"{start}.yaml", "profiles", findings)
    assert all(f.mark is not None and f.hint for f in findings.items)
    return [Path(d.name).stem for d in found], [f.code for f in findings.items]


def test_a_chain_is_laid_from_the_deepest(tmp_path: Path) -> None:
    write(tmp_path, a="extends: [b.yaml, c.yaml]\n", b="extends: d.yaml\n", c="extends: []\n", d="x: 1\n")
    assert names(tmp_path, "a") == (["d", "b", "c", "a"], [])


def test_extends_is_found_beside_the_file_that_says_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, a="extends: sub/b.yaml\n")
    write(tmp_path / "sub", b="extends: ./c.yaml\n", c="extends: centos7-efi\n")
    assert names(tmp_path, "a") == (["centos7-efi", "c", "b", "a"], [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{a: 1}", "IB107"), ("1", "IB107"), ("null", "IB107"), ("true", "IB107"), ("[1]", "IB107"), ("[[a]]", "IB107"),
        ("nope", "IB106"), ("''", "IB106"), ("nope.yaml", "IB100"), ('"a\\0b.yaml"', "IB103"), (".", "IB106"),
        ("../..", "IB100"), ("'*'", "IB106"), ("base", "IB106"), ("x" * 300, "IB106"),
        ("x" * 300 + ".yaml", "IB100"), ("/etc/passwd", "IB103"), ("/etc", "IB100"), ("loop.yaml", "IB100"),
    ],
)  # fmt: skip
def test_extends_that_cannot_be(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    write(tmp_path, a=f"extends: {text}\n")
    assert names(tmp_path, "a")[1][:1] == [code]


def test_a_file_that_cannot_be_read_is_reported_where_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, a="x: 1\nextends: [centos7-efi, nope.yaml]\n")
    findings = Findings()
    chain(tmp_path / "a.yaml", "a.yaml", "profiles", findings)
    (found,) = findings.items
    assert (found.code, found.mark and (found.mark.file, found.mark.line, found.mark.column)) == (
        "IB100",
        ("a.yaml", 2, 24),
    )


def test_circles_are_shown_whole(tmp_path: Path) -> None:
    write(tmp_path, a="extends: b.yaml\n", b="x: 1\nextends: [c.yaml]\n", c="extends: a.yaml\n", s="extends: s.yaml\n")
    findings = Findings()
    chain(tmp_path / "a.yaml", "a.yaml", "profiles", findings)
    (found,) = findings.items
    assert found.code == "IB107"
    assert re.sub(r"[^ ]*/", "", found.message).endswith("loop: a.yaml -> b.yaml -> c.yaml -> a.yaml")
    assert found.mark is not None and (found.mark.line, found.mark.column) == (1, 10)
    assert names(tmp_path, "s") == (["s"], ["IB107"])
    (tmp_path / "t.yaml").write_text("extends: u.yaml\n")
    (tmp_path / "u.yaml").symlink_to("t.yaml")
    assert names(tmp_path, "t")[1] == ["IB107"]


def test_a_million_files_are_not_read(tmp_path: Path) -> None:
    for n in range(25):
        write(tmp_path, **{f"f{n}": f"extends: [f{n + 1}.yaml, f{n + 1}.yaml]\n"})
    write(tmp_path, f25="a: 1\n")
    found, codes = names(tmp_path, "f0")
    assert codes == ["IB107"] and len(found) <= MAX_FILES


def test_a_long_chain_ends(tmp_path: Path) -> None:
    for n in range(500):
        write(tmp_path, **{f"f{n}": f"extends: f{n + 1}.yaml\n"})
    assert names(tmp_path, "f0")[1] == ["IB107"]


def test_what_is_shipped() -> None:
    assert "base" not in shipped("profiles")
    assert set(shipped("layers")) >= {"china", "container-host", "distro-containerd"}


# --- --set ---


def set_one(argument: str, data: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    """What --set makes of ``data``, and the codes."""
    findings = Findings()
    layered = laid(doc(data or {}, "f"))
    parsed = parse_set(argument, 1, findings)
    if parsed is not None:
        lay_option(layered, *parsed, findings)
    for item in findings.items:
        assert item.mark is not None and item.mark.file == "--set" and item.hint
    return layered.data, [f.code for f in findings.items]


LISTS = {"l": [1, 2], "n": None, "m": {"k": 1}, "s": "text"}


@pytest.mark.parametrize(
    ("argument", "data"),
    [
        ("a=1", {"a": 1}), ("a=", {"a": None}), ("a=''", {"a": ""}), ("a=yes", {"a": "yes"}), ("a==", {"a": "="}),
        ("a=b=c", {"a": "b=c"}), ("a.b.c=x", {"a": {"b": {"c": "x"}}}), ('"a.b".c=x', {"a.b": {"c": "x"}}),
        ('"a=b"=c', {"a=b": "c"}), ('""=1', {"": 1}), ("é.中=ü", {"é": {"中": "ü"}}), ("a b=c", {"a b": "c"}),
        ("a={b: [1, 2]}", {"a": {"b": [1, 2]}}), ("a=\"# x\"", {"a": "# x"}), ("a=b#c", {"a": "b#c"}),
        ("007=a", {"007": "a"}), ("²=a", {"²": "a"}), ("1.2=a", {"1": {"2": "a"}}), ("a=|\n x\n y", {"a": "x\ny\n"}),
        ("a=x\ny", {"a": "x y"}), ("a=http://x/#y", {"a": "http://x/#y"}), ("a=-1", {"a": -1}), ("-a=1", {"-a": 1}),
        ("a=\t", {"a": None}), ("a=é\t", {"a": "é"}),
        ("a=: x", None), ("a=1\nb: 2", None), ("a=1\rb: 2", None), ("a=1\u2028b: 2", None),
    ],
)  # fmt: skip
def test_set_reads_keys_and_yaml(argument: str, data: dict[str, Any] | None) -> None:
    got, codes = set_one(argument)
    if data is None:
        assert codes and got == {}
    else:
        assert (got, codes) == (data, [])


@pytest.mark.parametrize(
    ("argument", "at", "value"),
    [
        ("l[0]=9", "l", [9, 2]), ("l.0=9", "l", [9, 2]), ("l[2]=9", "l", [1, 2, 9]), ("l=[]", "l", []),
        ("l[2].a[0]=9", "l", [1, 2, {"a": [9]}]), ("n[0]=9", "n", [9]), ("n.x=9", "n", {"x": 9}),
        ("m.k=9", "m", {"k": 9}),
        ("m={x: 1}", "m", {"k": 1, "x": 1}), ("m={k: {y: 2}, 3: 4}", "m", {"k": {"y": 2}, "3": 4}),
        ("m={}", "m", {}),
        ("m=null", "m", None), ("m={file: x}", "m", {"file": "x"}), ("n={x: 1}", "n", {"x": 1}),
        ("l={x: 1}", "l", {"x": 1}), ("s=9", "s", 9), ("m.0=9", "m", {"k": 1, "0": 9}),
    ],
)  # fmt: skip
def test_set_on_lists_and_mappings(argument: str, at: str, value: object) -> None:
    data, codes = set_one(argument, LISTS)
    assert codes == [] and data == {**LISTS, at: value}


@pytest.mark.parametrize(
    "argument",
    [
        "", "=", "=x", "a", '"=x"', '"a=x', ".=x", "a.=x", ".a=x", "a..b=x", "[0]=x", "a[-1]=x", "a[x]=x", "a[]=x",
        "a]=x", 'a"b"=x', '"a"b=x', "a[0]b=x", "l[3]=x", "l[-1]=x", "l.x=1", "l[0].x=1", "s.x=1", "s[0]=1", "a=b # c",
        "a=# c", "a=é\t# c",
        ".".join("a" * 100) + "=1", "l[99999999]=1", "a=[1", "a=0644", "a={b: 1, b: 2}", "a=!!python/x y",
        "a=\x07", "a=\udcff", "a=x: y", "a=*x", "a=- x", "a=\t- x",
    ],
)  # fmt: skip
def test_set_that_cannot_be(argument: str) -> None:
    data, codes = set_one(argument, LISTS)
    assert len(codes) == 1 and codes[0] in ("IB101", "IB102", "IB103", "IB105", "IB108")
    assert data == LISTS


def test_a_mapping_is_set_as_a_layer_sets_it() -> None:
    findings = Findings()
    one = load("debian12-efi", (), ["cilium.values={hubble: {enabled: true}}", "kernel={cgroup: v2}"], None, findings)
    two = load("debian12-efi", (), ["cilium.values={}", "cilium.values={hubble: {enabled: true}}"], None, findings)
    assert one is not None and two is not None and findings.items == []
    assert one.profile.cilium.values["routingMode"] and one.profile.kernel.sysctl and one.profile.kernel.cgroup == "v2"
    assert two.profile.cilium.values == {"hubble": {"enabled": True}}
    assert [mark.file for mark, _ in one.layered.history[("kernel",)]][-1] == "--set"
    mark = one.layered.mark(("kernel", "sysctl"))
    assert mark is not None and mark.file.endswith("base.yaml")


def test_set_has_its_place() -> None:
    findings = Findings()
    layered = laid(doc({"a": {"b": 1}}, "f"))
    parsed = parse_set("a.b={c: [1]}", 3, findings)
    assert parsed is not None
    lay_set(layered, *parsed, findings)
    for path in (("a", "b"), ("a", "b", "c"), ("a", "b", "c", 0)):
        assert layered.mark(path) == Mark("--set", 3, 1, "a.b=(not shown)")  # nobody declared it
    assert [m.file for m, _ in layered.history[("a", "b")]] == ["f", "--set"]
    assert "hunter2" not in repr(parse_set("users[0].hashed_password=hunter2", 1, findings)[2:])  # type: ignore[index]


key_text = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.lists(key_text, min_size=1, max_size=4), values)
@settings(max_examples=100, deadline=None)
def test_set_takes_any_quoted_key_and_any_value(path: list[str], value: Any) -> None:
    argument = ".".join(f'"{part}"' for part in path) + "=" + json.dumps(value, ensure_ascii=False)
    findings = Findings()
    parsed = parse_set(argument, 1, findings)
    assert parsed is not None, findings.items
    assert parsed[:2] == (tuple(path), value)


@given(st.lists(st.sampled_from(["a", "b.c", "", "x y", "é"]) | st.integers(0, 9), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_paths_written_by_format_path_are_read_back(path: list[str | int]) -> None:
    path = ["k", *path]
    parsed = parse_set(f"{format_path(path)}=1", 1, Findings())
    assert parsed is not None and list(parsed[0]) == path


@given(st.text(max_size=40), mappings)
@settings(max_examples=150, deadline=None)
def test_set_never_raises(argument: str, data: dict[str, Any]) -> None:
    set_one(argument, data)
    set_one(argument.replace("0", "=").replace("1", "."), data)


@given(st.text(alphabet='ab."[]01=:#{}\n é', max_size=24), mappings)
@settings(max_examples=150, deadline=None)
def test_set_never_raises_on_what_looks_like_it(argument: str, data: dict[str, Any]) -> None:
    set_one(argument, data)
