"""First boot in QEMU, from the disk image and seeds that imgbuild made.

Real: the image, GRUB, systemd, cloud-init, containerd, kubectl, helm, and everything of imgbuild's. Stand-ins:
kubeadm, kubelet, crictl and the API server (tests/support/cluster/standins), and a small chart under Cilium's name.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.machine import BootResult, MachineSpec, boot
from imgbuild.machine.process import running
from imgbuild.machine.spec import Wire
from imgbuild.render.verify import CLUSTER
from tests.support.cluster.acting import SECONDS, act, said
from tests.support.cluster.ground import wait
from tests.support.cluster.made import PROFILE, Made, imgbuild, make_image
from tests.support.cluster.plain import debian_and, plain_image
from tests.support.cluster.world import make_layer
from tests.support.places import SUPPORT

# On one worker: they share the image, two cores are enough for two machines, and a node that is too slow to tell of
# itself is not Ready.
pytestmark = [pytest.mark.slow, pytest.mark.image, pytest.mark.boot, pytest.mark.xdist_group("cluster-boot")]

STAGES = ("clock", "kernel", "disks", "containerd", "images", "kubeadm", "kubeconfig", "cilium", "addons", "verify")
UNFLUSHED = STAGES[:4]
"""They only inspect: their marks are on the disk once a later stage has set its own."""
IN_CLUSTER = set(CLUSTER) - {"vip", "balancer", "addons"}
"""Checks that a node skips until it is in a cluster; this one has no virtual address, no balancer and no addons."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The image, with the seed of one control plane by DHCP: no cluster file."""
    with make_image(tmp_path_factory.mktemp("cluster")) as image:
        yield image


@dataclass(frozen=True)
class Cut:
    """Where this commit's power cut is."""

    stage: str
    seconds: float
    """After the stage began."""


def this_commits_cut() -> Cut:
    """Another stage and another moment each commit, the same ones for the same commit."""
    here = SUPPORT / "cluster"
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    number = int(done.stdout.strip() or "4", 16)  # no git: the middle of kubeadm
    stage, moment = STAGES[number % len(STAGES)], number // len(STAGES) % 8 / 8
    # Emulated, kubeadm takes half a minute; the other stages must not be over by then.
    return Cut(stage, moment * (20 if stage == "kubeadm" else 1.5))


async def cut_in(spec: MachineSpec, cut: Cut) -> str:
    """Boot, and take the power away in the middle of the stage. Gives the console up to there."""
    before = STAGES.index(cut.stage)
    began = rf"\[{before}/{len(STAGES)}\] {STAGES[before - 1]}: " if before else r"Cloud-init v\. .* finished"
    console = b""
    async with running(spec) as machine, asyncio.timeout(SECONDS):
        await machine.qmp("cont")
        while not re.search(began.encode(), console):
            data = await machine.console.read(65536)
            assert data, f"the machine ended by itself: {console[-2000:].decode(errors='replace')}"
            console += data
            assert b"Kernel panic" not in console, console[-4000:].decode(errors="replace")
        await asyncio.sleep(cut.seconds)
        os.kill(machine.pid, signal.SIGKILL)
        await machine.wait()
    return console.decode(errors="replace")


@dataclass(frozen=True)
class Up:
    """A control plane that has come up, switched off."""

    spec: MachineSpec
    result: BootResult
    cut: Cut
    console: str
    """Of the boot that was cut off."""


@pytest.fixture(scope="module")
def up(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Up:
    """Booted twice: the power fails in the middle of one stage, and comes back."""
    folder = tmp_path_factory.mktemp("up")
    spec = MachineSpec("bios", made.disk, made.seed("node1"), overlay=folder / "kept.qcow2")
    cut = this_commits_cut()
    console = asyncio.run(cut_in(spec, cut))
    result = boot(
        spec,
        PlainSteps(sys.stderr),
        folder / "boot",
        check=True,
        required=made.checks | IN_CLUSTER,
        expected={"hostname": "node1"},
        seconds=SECONDS,
        temp=folder,
    )
    return Up(spec, result, cut, console)


def test_a_control_plane_comes_up_through_every_stage_after_a_power_cut_in_one(up: Up) -> None:
    assert up.result.ok, f"cut {up.cut}: {up.result.failure()}"
    assert up.result.powered_off
    assert up.result.boots == 1
    console = up.result.files["console"].read_text(errors="replace")
    first = STAGES.index(up.cut.stage)
    if up.cut.stage in UNFLUSHED or up.cut.stage == STAGES[len(UNFLUSHED)]:
        first = 0  # the cut may have taken their marks too
    # What was marked before the cut is not done again; all else is, and is said with its time.
    later = re.findall(rf"imgbuild: \[\d+/{len(STAGES)}\] (\w+): \d+ s", console)
    assert later, console[-3000:]
    assert later == list(STAGES[STAGES.index(later[0]) :])
    assert STAGES.index(later[0]) >= first
    assert "imgbuild: first boot is done" in console
    assert "FAILED" not in up.console + console


def test_the_boot_plot_shows_first_boots_stages(up: Up) -> None:
    times = up.result.times
    assert times is not None
    assert [span.name for span in times.stages] == list(STAGES)[-len(times.stages) :]
    assert 0 < times.own < times.end
    plot = up.result.files["plot"].read_text()
    assert "imgbuild's own" in plot
    assert all(f">{span.name}</text>" in plot for span in times.stages)


def test_reset_undoes_a_node_and_first_boot_makes_the_cluster_again(up: Up, tmp_path: Path) -> None:
    heard = said(act(up.spec, "reset", tmp_path))
    before, reset, after = heard["before"], heard["reset"], heard["after"]
    assert before["there"] == after["there"] != []
    assert reset["there"] == [], reset["said"]
    assert before["cluster"] != after["cluster"]
    assert "FAIL" not in after["verify"]


def static(name: str, role: str, number: int) -> Mapping[str, Any]:
    """A node of the cluster file, on a network without a router."""
    card = {"name": "eth0", "mac": mac(number), "addresses": [f"10.0.0.{number}/24"]}
    return {"name": name, "role": role, "network": {"interfaces": [card]}}


def mac(number: int) -> str:
    return f"52:54:00:00:01:{number:02x}"


def test_a_worker_that_was_booted_first_joins_the_control_plane_beside_it(made: Made, tmp_path: Path) -> None:
    nodes = [static("control1", "control-plane", 1), static("worker1", "worker", 2)]
    seeds = made.seeds({"name": "demo", "nodes": nodes}, tmp_path)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool, tempfile.TemporaryDirectory() as sockets:
        ends = [Path(sockets, "1"), Path(sockets, "2")]

        def start(number: int, name: str, what: str) -> Future[BootResult]:
            wire = Wire(mac(number), ends[number - 1], ends[2 - number])
            spec = MachineSpec("bios", made.disk, seeds(name), macs=(), wire=wire)
            (tmp_path / name).mkdir()
            return pool.submit(act, spec, what, tmp_path / name)

        worker = start(2, "worker1", "joined")
        console = tmp_path / "worker1/boot/console.log"
        waits = b"imgbuild: kubeadm waits: the cluster does not answer at 10.0.0.1:6443"
        wait(lambda: worker.done() or (console.exists() and waits in console.read_bytes()), SECONDS, "the worker waits")
        control = start(1, "control1", "made")
        heard = {**said(control.result()), **said(worker.result())}
    assert sorted(heard["made"]["nodes"]) == ["node/control1", "node/worker1"]
    assert "FAIL" not in heard["made"]["verify"] + heard["joined"]["verify"]


def test_stock_mode_makes_a_node_of_a_plain_image_with_one_reboot_for_the_kernel(tmp_path: Path) -> None:
    disk = plain_image(tmp_path, PlainSteps(sys.stderr))
    with debian_and(tmp_path / "mirror") as mirror:
        repositories = {"distribution": [f"{mirror.url}/debian"], "security": [f"{mirror.url}/debian-security"]}
        kernel = tmp_path / "kernel.yaml"
        values = {"enableIPv4BIGTCP": False}  # too new for that kernel
        settings = {"kernel": {"flavour": "distribution"}, "cilium": {"values": values}, "repositories": repositories}
        kernel.write_text(yaml.safe_dump(settings))
        layer = make_layer(mirror, tmp_path / "world.yaml")
        imgbuild(layer, tmp_path, "--layer", str(kernel), "--mode", "stock")
        made = Made(tmp_path / PROFILE, layer)
        port = int(mirror.url.rpartition(":")[2])
        spec = MachineSpec("bios", disk, made.seed("node1"), served=port)
        result = act(spec, "stock", tmp_path)
    assert result.boots == 2
    stock = said(result)["stock"]
    assert stock["kernel"].endswith("-amd64")
    assert "cloud" not in stock["kernel"]
    assert "FAIL" not in stock["verify"]
