"""What goes into YAML comes out of it, byte for byte."""

from __future__ import annotations

import base64
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from imgbuild.render.yamltext import block, carries, content, quote

TEXT = st.text(max_size=60) | st.text(alphabet=" \n\tab#:-|>'\"\\{%", max_size=40)
LOADERS: tuple[Any, ...] = (yaml.SafeLoader, yaml.CSafeLoader)


def _load(text: str) -> list[Any]:
    return [yaml.load(text, Loader=loader) for loader in LOADERS]  # noqa: S506 - both are safe loaders


@given(TEXT)
@example("mime-version: MIME-Version:")
@example("\x85\u2028\u2029\ufeff\U0001f600\x00\x7f\r\n")
def test_a_quoted_text_comes_back(text: str) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    said = quote(text)
    assert "\n" not in said
    assert "mime-version:" not in said.lower()
    assert _load(f"a: {said}\nb: 1\n") == [{"a": text, "b": 1}] * 2
    assert _load(f"[{said}, {said}]") == [[text, text]] * 2


@given(TEXT)
@example("\n")
@example("  \n")
@example("a\n  ")
@example(" \n\n a\n\n\n")
@example("\ta \n\n\n")
@example("---\n...\n%YAML\n#x\n")
@example("{{ jinja }} {% x %} ## template: jinja\n")
def test_a_block_comes_back(text: str) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    document = f"- path: x\n  content: {block(text, 4)}\n# a remark\n- next\n"
    assert _load(document) == [[{"path": "x", "content": text}, "next"]] * 2
    nested = f"run:\n  - - sh\n    - {block(text, 6)}\n    - end\n  - x\n"
    assert _load(nested) == [{"run": [["sh", text, "end"], "x"]}] * 2


@given(st.binary(max_size=80) | TEXT.map(lambda t: t.encode(errors="replace")))
@example(b"")
@example(b"\xef\xbb\xbfbom")
@example(b"a\r\nb\r\n")
@example(b"MIME-Version: 1.0\n")
@example(b"\xff\xfe\x00")
def test_content_comes_back_byte_for_byte(raw: bytes) -> None:
    lines = "\n".join("    " + line for line in content(raw, 4))
    for found in _load(f"write_files:\n  - path: /a\n{lines}\n  - path: /b\n"):
        item = found["write_files"][0]
        text = item["content"]
        assert (base64.b64decode(text) if item.get("encoding") == "b64" else text.encode()) == raw
        assert found["write_files"][1] == {"path": "/b"}


def test_scripts_stay_readable() -> None:
    script = "#!/bin/bash\nset -eu\n\techo 'a: \"b\"'  \n\n# ünïcode\n"
    assert carries(script)
    assert "    #!/bin/bash\n" in block(script, 4)


def test_what_old_pyyaml_cannot_read_is_not_written_raw() -> None:
    """PyYAML before 5.1 refuses a whole document for one character beyond the basic plane."""
    assert not carries("😀")
    assert quote("😀") == '"\\U0001F600"'
    assert content("😀".encode(), 0)[0] == "encoding: b64"
