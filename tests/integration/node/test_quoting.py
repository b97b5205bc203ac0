"""Values of the user's reach the node as they are, through each kind of file."""

from __future__ import annotations

import json
import subprocess
import tomllib

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.render.templates import render, to_json, toml

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
NASTY = st.sampled_from(["$(touch /tmp/x)", "`id`", "'", '"', "\\", "{{ 7*7 }}", "{#", "%}", "\n", "${HOME}", "a b"])
ANY = st.one_of(TEXT, st.lists(st.one_of(TEXT, NASTY), max_size=6).map("".join))


@given(st.lists(ANY, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_bash_reads_what_was_meant(values: list[str]) -> None:
    """verify.conf, sourced by a real bash: words, lists and rows."""
    rows = [("section", "key", value) for value in values]
    content = render(
        "node",
        "etc/imgbuild/verify.conf.j2",
        checks=values,
        values=[("one", values[0]), ("many", values)],
        sysctls=[],
        containerd_config=rows,
    )
    script = 'source /dev/stdin; printf "%s\\0" "$one" "${checks[@]}" "${many[@]}" "${containerd_config[@]}"'
    argv = ["bash", "-euc", script]
    done = subprocess.run(argv, input=content, capture_output=True, check=True, env={"LC_ALL": "C"})
    wanted = [values[0], *values, *values, *(word for row in rows for word in row)]
    assert done.stdout.decode().split("\0")[:-1] == wanted


@given(ANY)
def test_toml_and_json_and_yaml(value: str) -> None:
    assert tomllib.loads(f"x = {toml(value)}\n")["x"] == value
    assert json.loads(to_json(value)) == value


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn", "Co", "Zl", "Zp"]), max_size=60))
def test_json_is_yaml_for_printable_text(value: str) -> None:
    assert yaml.safe_load(to_json([value])) == [value]


@given(ANY)
def test_a_template_is_never_made_of_data(value: str) -> None:
    content = render("node", "etc/modules-load.d/imgbuild.conf.j2", modules=[value]).decode()
    assert content.endswith(f"by then.\n{value}\n")
