"""The folder that is served: what is in it, and that nothing else can be reached through it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.serve.tree import open_tree
from tests.support.serving.tree import CP1, TAKES_ANY, W1, make_tree


def content(descriptor: int | None) -> bytes | None:
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def test_a_machine_is_found_by_each_of_its_cards(tmp_path: Path) -> None:
    tree = open_tree(make_tree(tmp_path / "lab"))
    assert [tree.machine(mac).name for mac in (CP1, W1)] == ["cp1", "w1"]  # type: ignore[union-attr]
    assert tree.machine("52:54:00:00:00:99") is None
    any_one = open_tree(make_tree(tmp_path / "any", nodes=[TAKES_ANY]))
    assert any_one.machine("52:54:00:00:00:99").name == "spare"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path",
    [
        "", "/", ".", "..", "../manifest.json", "grub/../../manifest.json", "/etc/passwd", "grub//grub.cfg", ".run",
        "README.txt", "link", "folder-link/manifest.json", "grub", "mac-52-54-00-00-00-01/user-data", "any/user-data",
        "pxe-private/boot.json", "nul\0", "vmlinuz/", "pipe", "a" * 5000, "é\udcff",
    ],
)  # fmt: skip
def test_no_path_leads_out_or_to_what_is_private(tmp_path: Path, path: str) -> None:
    folder = make_tree(tmp_path / "lab")
    (folder / "pxe" / "link").symlink_to(folder / "manifest.json")
    (folder / "pxe" / "folder-link").symlink_to(folder)
    os.mkfifo(folder / "pxe" / "pipe")
    for name in ("mac-52-54-00-00-00-01", "any", "pxe-private"):  # as older versions wrote them
        (folder / "pxe" / name).mkdir()
        (folder / "pxe" / name / "user-data").write_text("secret")
        (folder / "pxe" / name / "boot.json").write_text("secret")
    assert content(open_tree(folder).public(path)) is None


def test_files_that_everybody_may_read(tmp_path: Path) -> None:
    tree = open_tree(make_tree(tmp_path / "lab"))
    assert content(tree.public("grub/grub.cfg")) == b"# the static one\n"
    assert content(tree.public("vmlinuz")) == b"kernel" * 100


def test_a_seed_is_read_from_its_own_folder_only(tmp_path: Path) -> None:
    tree = open_tree(make_tree(tmp_path / "lab"))
    machine = tree.machine(CP1)
    assert machine is not None
    assert b"cp1" in (content(tree.private(machine, "user-data")) or b"")
    for name in ("../boot.json", "..", "", "mac-52-54-00-00-00-02/user-data", ".run"):
        assert tree.private(machine, name) is None


def test_a_rebuilt_tree_is_seen_and_a_broken_one_is_not(tmp_path: Path) -> None:
    tree = open_tree(make_tree(tmp_path / "lab"))
    path = tmp_path / "lab/pxe-private/boot.json"
    data = json.loads(path.read_text())
    data["nodes"] = data["nodes"][1:]
    fresh = path.with_name("fresh")
    fresh.write_text(json.dumps(data))
    fresh.replace(path)
    assert [node.name for node in tree.nodes.nodes] == ["w1"]
    path.write_text("{")
    assert [node.name for node in tree.nodes.nodes] == ["w1"]


def test_what_cannot_be_served(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "lab")
    with pytest.raises(HostError, match="is only a part") as caught:
        open_tree(folder / "pxe")
    assert str(folder) in caught.value.hint
    with pytest.raises(HostError, match="has no manifest"):
        open_tree(tmp_path / "nothing")
    with pytest.raises(HostError, match="has no manifest"):
        open_tree(tmp_path)
    (folder / "pxe" / ".run").write_text("another\n")
    with pytest.raises(HostError, match="mixed tree"):
        open_tree(folder)
    (folder / "pxe" / ".run").write_text("run1\n")
    (folder / "pxe-private" / "boot.json").write_text('{"version": 2}')
    with pytest.raises(HostError, match="damaged, or from another version"):
        open_tree(folder)
    (folder / "pxe-private" / "boot.json").unlink()
    with pytest.raises(HostError, match="lists the nodes"):
        open_tree(folder)


def test_what_an_unfinished_tree_lacks(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "lab")
    assert open_tree(folder).lacks() == []
    (folder / "pxe/root.squashfs").unlink()
    (folder / "pxe/vmlinuz").unlink()
    assert open_tree(folder).lacks() == ["pxe/vmlinuz", "pxe/root.squashfs"]
    assert open_tree(folder).lacks("install") == ["pxe/vmlinuz", "pxe/root.squashfs", "pxe/disk.extents"]
