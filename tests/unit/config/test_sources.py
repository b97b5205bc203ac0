"""Files of a profile that come from files of the build host."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import load
from imgbuild.config.profile import File
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.node_settings import own_profiles
from imgbuild.facts.resolved import resolve
from imgbuild.render.node import node_tree
from tests.support.checking import findings

RAW = bytes(range(256))


def files(folder: Path, text: str, *sets: str) -> tuple[list[File], Findings]:
    (folder / "node.yaml").write_text(f"extends: debian12-efi\nfiles: [{text}]\n")
    found = Findings()
    loaded = load(str(folder / "node.yaml"), (), sets, None, found)
    assert loaded is not None
    return loaded.profile.files, found


def test_bytes_arrive_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/raw").write_bytes(RAW)
    (file,), found = files(tmp_path, "{path: /opt/raw, source: sub/raw, mode: '0600'}")
    assert found.items == []
    assert (file.data, file.source) == (RAW, "sub/raw")
    loaded = load(str(tmp_path / "node.yaml"), (), (), None, found)
    assert loaded is not None
    node = node_tree(resolve(loaded)).by_path()["/opt/raw"]
    assert (node.content, node.secret) == (RAW, True)


def test_base64_is_decoded(tmp_path: Path) -> None:
    (file,), found = files(tmp_path, '{path: /opt/raw, encoding: base64, content: "AAEC\\n/w=="}')
    assert found.items == []
    assert file.data == b"\x00\x01\x02\xff"
    (said,) = files(tmp_path, "{path: /opt/raw, encoding: base64, content: no!}")[1].items
    assert (said.code, said.key) == ("IB113", "files[0].content")


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("source: nothing", "there is no file", "relative to the file"),
        ("source: sub", "is a folder", "tar -C FOLDER"),
        ("source: raw, content: x", "both source and content", "remove content"),
        ("source: raw, encoding: base64", "both source and encoding", "remove encoding"),
        ("source: large", "is over 32 MiB", "in run"),
        ("mode: '0644'", "neither content nor source", "write its text"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, words: str, hint: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "raw").write_bytes(RAW)
    with (tmp_path / "large").open("wb") as large:
        large.truncate((32 << 20) + 1)
    (tmp_path / "node.yaml").write_text(f"extends: debian12-efi\nfiles: [{{path: /opt/a, {text}}}]\n")
    (said,) = findings(str(tmp_path / "node.yaml"))
    assert said.code == "IB467"
    assert words in said.message and hint in said.hint
    assert said.mark is not None and said.mark.line == 2


def test_the_command_line_and_the_settings_of_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a").write_bytes(RAW)
    monkeypatch.chdir(tmp_path / "here")
    (file,), found = files(tmp_path, "", "files=[{path: /opt/a, source: a}]")
    assert found.items == [] and file.data == RAW
    place = tmp_path / "here/c.yaml"
    place.write_text("name: c\nnodes: [{name: n, role: worker, settings: {files: [{path: /opt/b, source: a}]}}]\n")
    monkeypatch.chdir(tmp_path)
    loaded, cluster = load("debian12-efi", (), (), "stock", found), load_cluster(place, found)
    assert loaded is not None and cluster is not None
    (own,) = own_profiles(resolve(loaded), cluster.cluster, cluster.layered, frozenset(), found)
    assert [file.data for file in own.resolved.profile.files] == [RAW]


@pytest.mark.parametrize(
    ("owner", "known"),
    [("root:adm", True), ("1000:1000", True), ("admin:admin", True), ("admin:ops", False), ("bob:admin", False)],
)
def test_an_owner_must_exist(owner: str, known: bool) -> None:
    found = findings("debian12-efi", [f"files=[{{path: /opt/a, content: x, owner: '{owner}'}}]"])
    assert [f.code for f in found] == ([] if known else ["IB468"])
