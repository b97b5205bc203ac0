"""Node files laid over a root file system: never outside it, never through a link at their own place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.overlay import enable_units, inside, lay
from imgbuild.render.nodefile import NodeFile, NodeLink, NodeTree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="writes files owned by root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "root" / "etc").mkdir()
    return tmp_path / "root"


def test_files_with_modes_and_dates(root: Path) -> None:
    tree = NodeTree(
        files=(NodeFile("/etc/a/b/c.conf", b"x", 0o640),), links=(NodeLink("/etc/localtime", "/usr/share/zone"),)
    )
    lay(root, tree, 1_700_000_000)
    made = root / "etc/a/b/c.conf"
    assert made.read_bytes() == b"x"
    assert made.stat().st_mode & 0o7777 == 0o640
    assert made.stat().st_mtime == 1_700_000_000
    assert (root / "etc/a").stat().st_mode & 0o7777 == 0o755
    assert str((root / "etc/localtime").readlink()) == "/usr/share/zone"


def test_a_link_at_the_files_place_is_replaced_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (root / "etc/resolv.conf").symlink_to(outside)
    lay(root, NodeTree(files=(NodeFile("/etc/resolv.conf", b"new"),)), 0)
    assert outside.read_text() == "mine"
    assert not (root / "etc/resolv.conf").is_symlink()


def test_links_among_the_folders_are_followed_as_on_the_node(root: Path) -> None:
    (root / "lib").symlink_to("usr/lib")
    (root / "var").mkdir()
    (root / "run").mkdir()
    (root / "var/run").symlink_to("/run")
    lay(root, NodeTree(files=(NodeFile("/lib/x", b""), NodeFile("/var/run/y", b""))), 0)
    assert (root / "usr/lib/x").is_file()
    assert (root / "run/y").is_file()


@pytest.mark.parametrize("target", ["../../..", "../../../tmp", "a/../../.."])
def test_a_link_that_leads_out_is_refused(root: Path, target: str) -> None:
    (root / "etc/a").mkdir()
    (root / "etc/link").symlink_to(target)
    with pytest.raises(HostError, match="points out"):
        lay(root, NodeTree(files=(NodeFile("/etc/link/passwd", b""),)), 0)


def test_an_absolute_link_stays_inside(root: Path) -> None:
    (root / "etc/link").symlink_to("/tmp/imgbuild-not-here")
    lay(root, NodeTree(files=(NodeFile("/etc/link/file", b"1"),)), 0)
    assert (root / "tmp/imgbuild-not-here/file").is_file()
    assert not Path("/tmp/imgbuild-not-here").exists()


def test_links_in_a_circle(root: Path) -> None:
    (root / "etc/a").symlink_to("b")
    (root / "etc/b").symlink_to("a")
    with pytest.raises(HostError, match="loop"):
        inside(root, "/etc/a/file")


def test_a_folder_or_a_file_in_the_way(root: Path) -> None:
    (root / "etc/folder").mkdir()
    with pytest.raises(HostError, match="is a folder on the node"):
        lay(root, NodeTree(files=(NodeFile("/etc/folder", b""),)), 0)
    (root / "etc/file").write_text("")
    with pytest.raises(HostError, match="is a file on the node"):
        lay(root, NodeTree(files=(NodeFile("/etc/file/x", b""),)), 0)


def _unit(root: Path, name: str, text: str) -> None:
    folder = root / "etc/systemd/system"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_units_are_enabled_and_masked(root: Path) -> None:
    _unit(root, "a.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    enable_units(root, NodeTree(enable=("a.service",), mask=("b.service",)))
    assert (root / "etc/systemd/system/multi-user.target.wants/a.service").is_symlink()
    assert str((root / "etc/systemd/system/b.service").readlink()) == "/dev/null"


def test_a_unit_that_does_not_exist(root: Path) -> None:
    with pytest.raises(HostError, match=r"enable nosuch\.service"):
        enable_units(root, NodeTree(enable=("nosuch.service",)))


def test_a_unit_that_enabling_does_nothing_for(root: Path) -> None:
    _unit(root, "a.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    _unit(root, "s.service", "[Service]\nExecStart=/bin/true\n")
    with pytest.raises(HostError, match=r"^s\.service cannot be enabled: it is static"):
        enable_units(root, NodeTree(enable=("a.service", "s.service")))


def test_units_are_enabled_under_their_other_names_too(root: Path) -> None:
    _unit(root, "a.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nAlias=b.service\n")
    _unit(root, "c.timer", "[Timer]\nOnBootSec=1\n[Install]\nWantedBy=timers.target\n")
    _unit(root, "c.service", "[Service]\nExecStart=/bin/true\n")
    enable_units(root, NodeTree(enable=("a.service", "c.timer")))
    made = root / "etc/systemd/system"
    assert (made / "b.service").is_symlink()
    assert (made / "timers.target.wants/c.timer").is_symlink()


def test_the_unit_that_cannot_be_enabled_is_named_with_the_reason(root: Path) -> None:
    names = ("a.service", "b.service", "c.service", "d.service")
    for name in names:
        _unit(root, name, "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    _unit(root, "s.service", "[Service]\nExecStart=/bin/true\n[Install]\nAlias=x.timer\n")
    with pytest.raises(HostError, match=r"cannot enable s\.service: .* cannot alias s\.service as x\.timer"):
        enable_units(root, NodeTree(enable=(names[0], "s.service", *names[1:])))
