"""The real iPXE (QEMU's network card has it) runs boot.ipxe: there is no other checker of its language."""

from __future__ import annotations

import selectors
import shutil
import subprocess
from pathlib import Path

import pytest

from imgbuild.outputs.pxe import INITRD, KERNEL
from tests.support.deadline import Deadline
from tests.support.machine.tinyguest import tiny_guest
from tests.support.nodes import STATIC, cluster_of, resolved
from tests.unit.outputs.test_pxe import OTHER, files_of

pytestmark = [
    pytest.mark.boot,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs qemu-system-x86"),
]


def boot(folder: Path, mac: str, until: str) -> str:
    """Boot over the network from ``folder`` (TFTP) and give the console up to ``until``."""
    command = [
        "qemu-system-x86_64", "-m", "512", "-machine", "pc,graphics=off", "-display", "none", "-nodefaults",
        "-serial", "stdio", "-no-reboot", "-netdev", f"user,id=n,tftp={folder},bootfile=boot.ipxe",
        "-device", f"virtio-net-pci,netdev=n,mac={mac},bootindex=0",
    ]  # fmt: skip
    out = b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        assert run.stdout is not None
        try:
            ready = selectors.DefaultSelector()
            ready.register(run.stdout, selectors.EVENT_READ)
            deadline = Deadline(120)
            while until.encode() not in out and not deadline.passed():
                if ready.select(timeout=1):
                    more = run.stdout.read1()  # type: ignore[attr-defined]
                    if not more:
                        break
                    out += more
        finally:
            run.kill()
    return out.decode(errors="replace")


def served(folder: Path) -> Path:
    given = resolved("debian12-bios", "baked")
    for name, content in files_of(given, cluster_of(STATIC, OTHER)).items():
        place = folder / "pxe" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    guest = tiny_guest(folder)
    shutil.copy(guest.kernel, folder / "pxe" / KERNEL)
    shutil.copy(guest.initrd, folder / "pxe" / INITRD)
    return folder / "pxe"


def test_a_node_gets_its_kernel_its_seed_and_its_network(tmp_path: Path) -> None:
    said = boot(served(tmp_path), STATIC.boot_mac or "", "Kernel command line:")
    line = said.rpartition("Command line: ")[2]
    assert " ds=nocloud-net;s=http://10.0.2.2/pxe-private/mac-52-54-00-12-34-56/ " in line, said
    assert " ip=192.0.2.10::192.0.2.1:255.255.255.0:static1:eth0:none" in line
    assert " network-config=" in line


@pytest.mark.slow
def test_another_node_gets_another_seed(tmp_path: Path) -> None:
    said = boot(served(tmp_path), OTHER.boot_mac or "", "Kernel command line:")
    assert " ds=nocloud-net;s=http://10.0.2.2/pxe-private/mac-52-54-00-aa-bb-cc/" in said, said
    assert "network-config=" not in said


@pytest.mark.slow
def test_an_unknown_card_is_told_so(tmp_path: Path) -> None:
    said = boot(served(tmp_path), "52:54:00:00:00:99", "cluster file")
    assert "has the MAC 52:54:00:00:00:99: add it to the cluster file" in said
