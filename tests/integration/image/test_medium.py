"""The ISO as xorriso reads it: both firmwares' boot records, a name, and no seed that others may read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.image import medium as module
from imgbuild.image.medium import write_iso
from imgbuild.outputs.medium import Medium

pytestmark = pytest.mark.skipif(
    shutil.which("grub-mkrescue") is None or not Path("/usr/lib/grub/x86_64-efi/moddep.lst").exists(),
    reason="needs grub-common, grub-pc-bin and grub-efi-amd64-bin",
)


def _medium(folder: Path, *, secret: bool) -> Medium:
    files = {}
    for place in ("boot/vmlinuz", "imgbuild/disk.data.zst", "imgbuild/seed/user-data"):
        files[place] = folder / place.replace("/", "-")
        files[place].write_bytes(place.encode())
        files[place].chmod(0o600)
    return Medium("IMGBUILD", files, "set timeout=0\n", secret)


def _xorriso(iso: Path, *words: str) -> str:
    argv = ["xorriso", "-indev", str(iso), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("secret", [True, False])
def test_an_iso_for_both_firmwares(tmp_path: Path, secret: bool) -> None:
    iso = tmp_path / "medium.iso"
    write_iso(_medium(tmp_path, secret=secret), iso)
    assert iso.stat().st_mode & 0o777 == (0o600 if secret else 0o644)
    told = _xorriso(iso, "-report_el_torito", "plain", "-report_system_area", "plain")
    assert "BIOS" in told
    assert "UEFI" in told
    assert "GPT" in told  # the same bytes on a USB disk
    listed = _xorriso(iso, "-lsl", "/imgbuild/seed", "--")
    mode = next(line for line in listed.splitlines() if "user-data" in line).split()[0]
    assert mode == ("-r--------" if secret else "-r--r--r--")
    kind = subprocess.run(
        ["blkid", "-p", "-s", "LABEL", "-o", "value", iso], capture_output=True, text=True, check=True
    )
    assert kind.stdout == "IMGBUILD\n"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_failure_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iso = tmp_path / "medium.iso"
    iso.write_text("old")
    broken = _medium(tmp_path, secret=True)
    with pytest.raises(HostError, match="cannot write the medium"):
        write_iso(Medium("L", {**broken.files, "boot/none": tmp_path / "none"}, "", secret=True), iso)
    assert iso.read_text() == "old"
    monkeypatch.setattr(module, "_MODULES", ("no-such-platform",))
    with pytest.raises(HostError, match="GRUB for no-such-platform is missing"):
        write_iso(broken, iso)
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name.startswith(".")) == []
