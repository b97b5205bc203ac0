"""Documents are read back exactly, by the rules of YAML 1.1 and whatever the text looks like."""

from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from imgbuild.export.yamldoc import Value, document, documents

TEXT = st.text(max_size=40) | st.sampled_from(
    ["yes", "No", "on", "null", "~", "1e3", "0x1f", "1:30", "2026-11-29", "a: b", "- a", "#a", "a #b", "{{x}}", "%a",
     " a", "a ", "\ta", "a\n", "\n\na", "a\n\n", "a\n b\n", "  a\nb\n", "MIME-Version: 1.0\n", "\x85", "\u2028", "😀\n"]
)  # fmt: skip
VALUES: st.SearchStrategy[Value] = st.recursive(
    TEXT | st.integers(-(10**9), 10**9) | st.booleans(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
@example({"a": [[], {}, [["b"]], {"c": []}], "d": {"e": {"f": "g\nh\n"}}})
@example({"a": [{"b": {"c": "d"}}, ["e", ["f\n"]]]})
def test_a_document_is_read_back(value: dict[str, Value]) -> None:
    assert (yaml.safe_load(document(value)) or {}) == value


def test_several_documents() -> None:
    assert list(yaml.safe_load_all(documents([{"a": 1}, {"b": "x"}]))) == [{"a": 1}, {"b": "x"}]


def test_plain_words_stay_plain_and_others_are_quoted() -> None:
    assert document({"a": "quay.io/x/y:1.2", "b": "off", "c": "1.2"}) == 'a: quay.io/x/y:1.2\nb: "off"\nc: "1.2"\n'
