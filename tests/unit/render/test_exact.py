"""Whatever text a profile holds, every form of user-data gives it back exactly, and so does the diff's tree."""

from __future__ import annotations

import base64
import email
import email.policy
import gzip
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Request, prepare
from tests.support import travels

LETTERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
NASTY = st.sampled_from(
    [
        "{{ 7 * 7 }}", "{% raw %}", "{#", "$(id)", "`id`", "${HOME}", "%n", "%%", "\\", "\\n", "'", '"', "\n", "\n\n",
        "\r\n", "\t", " ", "  \n", "#cloud-config\n", "---\n", "...\n", "MIME-Version: 1.0\n", "Content-Type: a/b\n",
        "From nobody\n", "\x1f\x8b", "\ufeff", "\u2028", "\x85", "\x1b[2J", "é", "中", "😀", "=\n", "=3D", ".\n", "|",
        ">-", "#include http://x\n", "#!/bin/sh\n", ": ", "- ", "&a", "*a", "!!b", "@", "\x7f", "--imgbuild-",
        "a" * 200,
    ]
)  # fmt: skip
TEXT = st.lists(NASTY | LETTERS, max_size=8).map("".join)
# What bash cannot parse is IB463: a command quotes the text, and a file that begins as a script is no example here.
COMMAND = TEXT.filter(lambda text: "\r" not in text).map(lambda text: f"printf %s {shlex.quote(text)}")
CONTENT = TEXT.filter(lambda text: not text.startswith("#!"))


@pytest.mark.parametrize("mode", ["baked", "stock"])
@given(contents=st.lists(CONTENT, max_size=4), run=st.lists(COMMAND, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_form_of_user_data_gives_back_what_the_profile_says(
    mode: str, contents: list[str], run: list[str], tmp_path: Path
) -> None:
    place = tmp_path / "mine.yaml"
    files = [{"path": f"/etc/mine/{n}", "content": text, "mode": "0640"} for n, text in enumerate(contents)]
    place.write_text(yaml.safe_dump({"extends": "centos7-efi", "files": files, "run": run}))
    findings = Findings()
    ready = prepare(Request(str(place), mode=mode), findings)
    assert [f.content for f in ready.resolved.profile.files] == contents
    groups = ready.rendered.groups
    forms = {name: file.content for name, file in groups["cloud"].items() if name.startswith("node1/user-data")}
    plain = forms["node1/user-data"]
    assert groups["nodes"]["node1/user-data"].content == plain == gzip.decompress(forms["node1/user-data.gz"])
    multipart = forms["node1/user-data.mime"]
    assert gzip.decompress(forms["node1/user-data.mime.gz"]) == multipart
    for said in (yaml.safe_load(plain), yaml.safe_load(_part(multipart))):
        commands = [c[4] for c in said.get("runcmd", []) if isinstance(c, list) and c[0] == "once"]
        assert commands == run
        if mode == "stock":
            assert _written(said) == contents
    if mode == "baked":
        node = ready.rendered.node.by_path()
        assert [node[f"/etc/mine/{n}"].content.decode() for n in range(len(contents))] == contents


def _part(message: bytes) -> str:
    """The part as cloud-init takes it: the message decoded as text first, then the payload."""
    whole = email.message_from_string(message.decode(), policy=email.policy.compat32)
    payload: Any = whole.get_payload()
    assert len(payload) == 1
    raw = payload[0].get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw.decode()


def _written(said: dict[str, Any]) -> list[str]:
    mine = [item for item in travels.files(said) if item["path"].startswith("/etc/mine/")]
    assert all(item["permissions"] == "0640" for item in mine)
    return [
        base64.b64decode(item["content"]).decode() if item.get("encoding") == "b64" else item["content"]
        for item in sorted(mine, key=lambda item: int(item["path"].rpartition("/")[2]))
    ]
