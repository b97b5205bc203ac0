"""`imgbuild boot --disk`: blank disks for the guest."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from imgbuild.cli import boot
from imgbuild.machine.arguments import qemu_command
from imgbuild.machine.spec import MachineSpec


def test_what_the_guest_gets(tmp_path: Path) -> None:
    wanted = [boot._disk(text) for text in ("20GB", "100MiB:data")]
    disks = tuple(boot._blank(tmp_path, wanted))
    assert [(serial, path.stat().st_size) for serial, path in disks] == [
        ("imgbuild-data0", 20_000_000_000),
        ("data", 100 << 20),
    ]
    assert all(path.stat().st_blocks == 0 for _, path in disks)
    spec = MachineSpec(firmware="bios", disk=tmp_path / "image", data_disks=disks)
    words = qemu_command(spec, overlay=tmp_path / "o", ovmf=None, qmp_fd=3, console_fd=4, report_fd=5)
    assert "virtio-blk-pci,drive=data1,serial=data" in words
    (node,) = [word for word in words if "disk1.raw" in word]
    assert '"read-only": true' not in node


@pytest.mark.parametrize("text", ["20", "0GB", "20GB:", "20GB:a b", "20GB:" + "x" * 21])
def test_what_is_no_disk(text: str) -> None:
    with pytest.raises(click.BadParameter, match="20GB:SERIAL"):
        boot._disk(text)
