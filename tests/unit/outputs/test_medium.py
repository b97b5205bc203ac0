"""What a medium has: the live root, the disk's data, a node's seed; and what its menu starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.medium import Medium, medium

CLUSTER = """\
name: lab
endpoint: 10.0.0.10:6443
nodes:
  - {name: node1, role: control-plane, mac: "52:54:00:00:00:01", install_disk: "serial:S1", install_wipe: true}
  - {name: node2, role: worker, mac: "52:54:00:00:00:02", settings: {pxe: {boot: diskless}}}
"""
PXE = ("vmlinuz", "initrd.img", "root.squashfs", "disk.extents", "disk.data.zst", "disk.efi")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output folder as a build leaves it, with empty files of the image."""
    (tmp_path / "lab.yaml").write_text(CLUSTER)
    words = ["--profile", "debian12-efi", "--cluster", str(tmp_path / "lab.yaml"), "--no-image"]
    words += ["--set", "pxe.live=true", "--set", "pxe.boot=install", "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    place = tmp_path / "out/debian12-efi"
    for name in PXE:
        (place / "pxe" / name).write_bytes(name.encode())
    return place


def linux(made: Medium) -> list[str]:
    return [line.strip() for line in made.menu.splitlines() if line.strip().startswith("linux ")]


def test_a_medium_that_installs_one_node(folder: Path) -> None:
    made = medium(folder, "node1", install=False)
    assert made.secret
    seed = {"user-data", "meta-data", "vendor-data", "install"}
    assert set(made.files) == {
        "boot/vmlinuz", "boot/initrd.img", "live/filesystem.squashfs", "imgbuild/disk.extents",
        "imgbuild/disk.data.zst", *(f"imgbuild/seed/{name}" for name in seed),
    }  # fmt: skip
    (line,) = linux(made)
    there = "file:///run/live/medium/imgbuild/"
    for word in (
        "boot=live", "systemd.unit=imgbuild-install.target", "cloud-init=disabled", "imgbuild.install=serial:S1",
        "imgbuild.wipe", f"imgbuild.base={there}", f"imgbuild.seed={there}seed/",
        "systemd.mask=systemd-networkd-wait-online.service",
    ):  # fmt: skip
        assert word in line.split(), word
    assert "fetch=" not in line


def test_a_medium_that_is_a_node(folder: Path) -> None:
    (line,) = linux(medium(folder, "node2", install=False))
    assert "imgbuild.medium=seed" in line
    assert " ds=nocloud " in line
    assert "systemd.machine_id=" in line
    assert "install" not in line


@pytest.mark.parametrize("install", [True, False])
def test_a_medium_without_a_seed(folder: Path, install: bool) -> None:
    made = medium(folder, None, install=install)
    assert not made.secret
    assert not [name for name in made.files if "seed" in name]
    assert f"set default={0 if install else 1}\n" in made.menu
    installs, live = linux(made)
    assert "imgbuild.install=auto imgbuild.seed=none" in installs
    assert "imgbuild.install" not in live


def test_what_cannot_be_a_medium_names_the_fix(folder: Path) -> None:
    with pytest.raises(HostError, match="no seed of node3 for this medium; there are: node1, node2"):
        medium(folder, "node3", install=False)
    (folder / "pxe/root.squashfs").unlink()
    with pytest.raises(HostError, match="has no live root") as found:
        medium(folder, None, install=False)
    assert found.value.hint == "set pxe.live: true, and build the image"
    (folder / "pxe-private/boot.json").write_text("{}")
    with pytest.raises(HostError, match="is damaged"):
        medium(folder, None, install=False)


def test_a_usage_error_is_one(folder: Path) -> None:
    done = CliRunner().invoke(main, ["iso", str(folder), "--node", "node1", "--install"])
    assert done.exit_code == 2
    assert "set pxe.boot for that node" in done.output
