"""Installing against `qemu-img convert` with its download: the same image, to the same disk, in turn."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from imgbuild.image.disk.extents import write_extents
from imgbuild.image.disk.layout import DiskLayout
from tests.support.node.installnode import PROGRAM, InstallNode, served

SIZE_MIB = 4096
_TIMED = "sync; a=$(date +%s%N); {program}; b=$(date +%s%N); echo took $(((b - a) / 1000000))"
_QEMU = (
    "curl -sSf -o /run/disk.qcow2 {url}disk.qcow2; openssl dgst -sha256 /run/disk.qcow2 > /run/sum; "
    "qemu-img convert -n -t none -f qcow2 -O raw /run/disk.qcow2 /dev/vda; "
    "dd if=/dev/null of=/dev/vda conv=notrunc,fsync status=none"
)


def against_qemu(disk: Path, layout: DiskLayout, folder: Path, runs: int = 3) -> float:
    """How many times as long an installation takes; medians of pairs are printed in seconds.

    ``disk`` is a raw disk whose files are made in ``folder``. Both fetch from the loopback interface and write through
    to the same loop device. qemu-img's qcow2 is hashed; the installer hashes what it fetches, and reads all of it back.
    """
    subprocess.run(
        ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk, folder / "disk.qcow2"], check=True
    )  # fmt: skip
    write_extents(disk, layout, folder, "zstd")
    pairs = []
    with served(folder) as server, tempfile.TemporaryDirectory(dir=folder) as name:
        for number in range(runs):
            node = InstallNode(Path(name) / str(number), server.url)
            target = node.disk("vda", SIZE_MIB)
            firmware = "mkdir -p /sys/firmware/efi/efivars" if layout.firmware == "efi" else ""
            qemu = _took(node, _QEMU.format(url=server.url), firmware)
            own = _took(node, f"IMGBUILD_PAUSE=0 {PROGRAM}", firmware)
            target.unlink()
            pairs.append((own, qemu))
    own, qemu = (statistics.median(pair[which] for pair in pairs) for which in (0, 1))
    print(f"       installing {own:.1f} s, qemu-img with its download {qemu:.1f} s")
    return statistics.median(own / qemu for own, qemu in pairs)


def _took(node: InstallNode, program: str, before: str) -> float:
    with (node.work / "disks/vda").open("r+b") as disk:
        disk.truncate(0)
        disk.truncate(SIZE_MIB << 20)
    done = node.install("imgbuild.install=/dev/vda", before=before, program=_TIMED.format(program=program))
    if done.code or "took " not in done.output:
        raise RuntimeError(done.output)
    return int(done.output.rpartition("took ")[2].split()[0]) / 1000
