"""A diskless node of Debian 12, from power on: the guest's own checks, and one container that runs."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.outputs.signature import read_sums
from tests.support.cri.pause_image import pause_image
from tests.support.deadline import HUNG
from tests.support.machine import live, netboot
from tests.support.machine.live import MAC, checks_of, probes
from tests.support.machine.netboot import SERVER, NetMachine, boot

pytestmark = [*netboot.MARKS, pytest.mark.image]
IMAGE = "example.test/pause:1"
PROBE = f"""
curl -fsS -o /run/pause.tar http://{SERVER}/pause.tar
ctr images import /run/pause.tar > /dev/null
ctr run -d --net-host {IMAGE} probe
{{
  echo "PROBE container $(ctr tasks ls | awk '$1 == "probe" {{ print $3 }}')"
  echo "PROBE root $(findmnt -no FSTYPE /) $(findmnt -no FSTYPE --target /var/lib/containerd)"
  echo "PROBE machine $(cat /etc/machine-id)"
  echo "PROBE key $(cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub)"
  echo "PROBE addresses $(ip -4 -o addr show dev eth0 | awk '{{ print $4 }}' | tr '\\n' ' ')"
  echo "PROBE memory $(awk '/^(MemAvailable|Unevictable)/ {{ printf "%s %d MiB ", $1, $2 / 1024 }}' /proc/meminfo)"
  echo "PROBE seconds $(cut -d ' ' -f 1 /proc/uptime)"
}} > /dev/ttyS0
"""
PXE = f'{{live: true, url: "http://{SERVER}/"}}'


@pytest.fixture(scope="module")
def tree(live_debian12: Callable[[Firmware], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without an image into one that has it."""
    folder = live.copied(live_debian12("efi"), tmp_path_factory.mktemp("live") / "build")
    return live.build(folder, "efi", PXE, PROBE, "--no-image")


def give_host_key(web: Path, folder: Path) -> str:
    """Put the host key that this node has in a cluster with Kubernetes into its seed; gives the public part.

    Only a cluster's secrets make one, and this image has no Kubernetes.
    """
    folder.mkdir()
    (folder / "cluster.yaml").write_text(
        "name: lab\nendpoint: 10.77.0.9:6443\nnodes:\n"
        "  - {name: node0, role: control-plane, mac: '52:54:00:00:00:02'}\n"
        f"  - {{name: node1, role: worker, mac: '{MAC}'}}\n"
    )
    argv: list[str | Path] = [Path(sys.executable).with_name("imgbuild"), "--profile", "debian12-efi"]
    argv += ["--set", "pxe.live=true", "--cluster", "cluster.yaml", "--no-image"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=HUNG)
    seed = f"pxe-private/mac-{MAC.replace(':', '-')}/user-data"
    found = re.search(r"^ssh_keys:\n(?:  .*\n)+", (folder / "out/debian12-efi" / seed).read_text(), re.MULTILINE)
    assert found is not None
    path = web / seed
    given = path.read_text().replace("resize_rootfs: false\n", f"resize_rootfs: false\n{found[0]}")
    assert found[0] in given
    path.write_text(given)
    return found[0].split('ed25519_public: "ssh-ed25519 ')[1].split()[0]


@pytest.fixture
def rack(tree: Path, tmp_path: Path) -> Iterator[netboot.Network]:
    web = live.served(tree, tmp_path / "web")
    (tmp_path / "host-key").write_text(give_host_key(web, tmp_path / "keys"))
    pause_image(web / "pause.tar", IMAGE)
    with netboot.network(tmp_path) as net:
        net.serve(web)
        net.dnsmasq("dnsmasq", (web / "dhcp/dnsmasq.conf").read_text().replace("enable-tftp", ""))
        yield net


def booted(net: netboot.Network, machine: NetMachine, folder: Path) -> str:
    said = boot(net, machine, folder, ["PROBE seconds", '"checks"'], 1500)
    assert '"checks"' in said and "PROBE seconds" in said, said[-4000:]
    return said


def test_the_tree_has_what_a_machine_fetches(tree: Path) -> None:
    sums = read_sums(tree / "pxe")
    assert {"vmlinuz", "initrd.img", "root.squashfs"} <= sums.keys()
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tree / "pxe", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        ["unsquashfs", "-l", tree / "pxe/root.squashfs"], capture_output=True, text=True, check=True
    )
    names = {line.removeprefix("squashfs-root/") for line in listed.stdout.splitlines()}
    assert {"proc", "sys", "dev", "run", "tmp", "boot", "usr/share/imgbuild/live"} <= names
    assert not [name for name in names if name.startswith(("boot/", "proc/", "dev/", "usr/share/imgbuild/live-"))]
    table = subprocess.run(
        ["unsquashfs", "-cat", tree / "pxe/root.squashfs", "etc/fstab"], capture_output=True, check=True
    )
    assert table.stdout == b""


def test_a_run_without_an_image_keeps_it(tree: Path, live_debian12: Callable[[Firmware], Path]) -> None:
    before, now = (read_sums(folder / "pxe") for folder in (live_debian12("efi"), tree))
    kept = ("vmlinuz", "initrd.img", "root.squashfs")
    assert [now[name] for name in kept] == [before[name] for name in kept]
    assert (tree / "pxe/root.squashfs").stat().st_size > 100 << 20


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_it_is_a_node_and_runs_a_container(firmware: Firmware, rack: netboot.Network, tmp_path: Path) -> None:
    begun = time.monotonic()
    said = booted(rack, NetMachine(firmware, [MAC]), tmp_path / "machine")
    found, checks = probes(said), checks_of(said)
    print(f"{firmware}: {time.monotonic() - begun:.0f} s", found)
    assert found["container"] == "RUNNING", said[-4000:]
    assert found["root"] == "overlay tmpfs"
    assert {name: check["found"] for name, check in checks.items() if check["ok"] is False} == {}
    assert {"kernel", "cloud-init", "hostname", "containerd", "failed-units"} <= {
        n for n, c in checks.items() if c["ok"]
    }
    assert found["key"] == (tmp_path / "host-key").read_text()
    assert f"systemd.machine_id={found['machine']}" in said
