"""JSON with a line for what fits on one: nothing is lost, and files stand one a line."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.outputs.jsontext import json_text

plain = st.none() | st.booleans() | st.integers() | st.text(max_size=90)
nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5))


@given(nested)
def test_it_says_the_same(value: object) -> None:
    assert json.loads(json_text(value)) == value


def test_a_file_a_line() -> None:
    digest = "0" * 64
    files = {f"nodes/node{n}/user-data": {"sha256": digest, "size": n, "mode": "0600"} for n in range(2)}
    assert json_text({"run": "1", "files": files, "none": {}}).splitlines() == [
        "{",
        ' "run": "1",',
        ' "files": {',
        f'  "nodes/node0/user-data": {{"sha256": "{digest}", "size": 0, "mode": "0600"}},',
        f'  "nodes/node1/user-data": {{"sha256": "{digest}", "size": 1, "mode": "0600"}}',
        " },",
        ' "none": {}',
        "}",
    ]
    assert json_text([1, "é"]) == '[1, "é"]'
