"""Debian 12 from `imgbuild serve`, diskless and installed, and what serve sees of it from power on to the end."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from tests.support.deadline import HUNG
from tests.support.machine import live, netboot
from tests.support.machine.live import MAC, checks_of, probes
from tests.support.machine.netboot import Disk, NetMachine, boot
from tests.support.machine.served import DHCP, URL, Served, serve

pytestmark = [*netboot.MARKS, pytest.mark.image]
PROBE = """
{
  echo "PROBE root $(findmnt -no FSTYPE /) $(findmnt -no FSTYPE --target /var/lib/containerd)"
  echo "PROBE seconds $(cut -d ' ' -f 1 /proc/uptime)"
} > /dev/ttyS0
"""


LiveDebian12 = Callable[[Firmware], Path]


@contextmanager
def serving(made: Path, folder: Path, pxe: str) -> Iterator[Served]:
    """serve with the output folder ``made``, whose node boots as ``pxe`` says."""
    tree = live.build(live.copied(made, folder / "build"), "efi", pxe, PROBE, "--no-image")
    with netboot.network(folder) as net:
        yield serve(net, tree, *DHCP)


@pytest.fixture
def server(live_debian12: LiveDebian12, tmp_path: Path) -> Iterator[Served]:
    with serving(live_debian12("efi"), tmp_path, "{live: true}") as made:
        yield made


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_the_node_is_ready_and_every_step_was_seen(firmware: Firmware, server: Served, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def watch() -> bool:
        node = server.node("node1")
        if (down := node["download"]) is not None:
            seen.append((down["file"], down["done"] * 100 // down["total"]))
        return bool(node["ready"])

    ends = ["PROBE seconds", '"checks"']
    said = boot(server.net, NetMachine(firmware, [MAC]), tmp_path / "machine", ends, 1500, watch)
    node = server.node("node1")
    assert node["ready"], (node, server.log.read_text()[-2000:], said[-4000:])
    print(firmware, probes(said), node)
    assert probes(said)["root"] == "overlay tmpfs"
    assert {name: check["found"] for name, check in checks_of(said).items() if check["ok"] is False} == {}
    steps = ("first", "script", "kernel", "live", "seed", "phone", "ready")
    assert sorted(steps, key=lambda step: float(node[step])) == list(steps)
    assert [share for file, share in seen if file == "root.squashfs" and 0 < share < 100], seen
    assert (node["takers"], node["error"], node["state"]) == ([], "", "live")
    console = server.get(f"console/{MAC}")
    assert re.search(r"diskless\[\d+\]: imgbuild: /var/lib/containerd: in memory", console), console
    (seed,) = re.findall(rf"ds=nocloud-net;s={URL}(t/\S+)", said)[:1]
    taken = server.net.inside(["curl", "-s", "-m", "60", "-w", "%{http_code}", f"{URL}{seed}user-data"])
    answer = subprocess.run(taken, capture_output=True, text=True, timeout=HUNG, check=True).stdout
    assert answer.endswith("403") and "cloud-config" not in answer
    assert [taker["what"] for taker in server.node("node1")["takers"]] == ["asked for its seed with its token"]
    token = seed.split("/")[1]
    assert token not in server.log.read_text() + server.get("state.json") + console


def test_an_installation_is_seen_with_its_progress(live_debian12: LiveDebian12, tmp_path: Path) -> None:
    """Until the machine starts again. test_install_debian12.py goes on from there."""
    target = tmp_path / "target.raw"
    with target.open("wb") as out:
        out.truncate(8 << 30)
    seen: list[tuple[str, int | None]] = []
    with serving(live_debian12("efi"), tmp_path, "{live: true, boot: install}") as server:

        def watch() -> bool:
            node = server.node("node1")
            if (install := node["install"]) is not None:
                seen.append((install["stage"], install["progress"]))
            return bool(node["installed"])

        machine = NetMachine("efi", [MAC], disks=[Disk(target, "TARGET")])
        said = boot(server.net, machine, tmp_path / "machine", ["node1 is installed on /dev/vda"], 1500, watch)
        node = server.node("node1")
        told = (node, seen, server.log.read_text()[-2000:], said[-4000:])
        print(node, dict(seen))
        assert node["installed"] and node["state"] == "installed" and not node["seed_open"], told
        assert [share for stage, share in seen if stage == "write" and share is not None and 0 < share < 100], told
        assert (node["error"], node["takers"]) == ("", []), told
        console = server.get(f"console/{MAC}")
        assert re.search(r"install-disk\[\d+\]: imgbuild: install: zero what the image leaves empty", console), console
        assert "/t/" not in console and "/r/" not in console
