"""What is kept of a root so that units can be enabled in a part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.config.target import load_target
from imgbuild.image.system.listing import listed, wanted

BOOT = load_target("debian12").boot


@pytest.mark.parametrize(
    "folder",
    ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "usr/local/lib/systemd/system"],
)
def test_units_are_there_wherever_systemd_looks_for_them(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "own.service").touch()
    assert f"{folder}/own.service" in wanted(listed(tmp_path), tmp_path, BOOT)


def test_of_kernels_only_the_names_are_kept(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1").write_bytes(bytes(300_000))
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/program").touch()
    (tmp_path / "lib").symlink_to("usr/lib")
    found = listed(tmp_path)
    assert wanted(found, tmp_path, BOOT) == ["boot", "lib"]
    assert {"boot/vmlinuz-6.1", "usr/bin/program"} <= found.keys()
