"""Whole boots of Debian 12 images: the image's own checks, CRI, and a kernel that is installed later."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.diagnostics.progress import Steps
from imgbuild.machine import BootResult, MachineSpec, boot
from imgbuild.machine.report import Message, parse_verify
from imgbuild.machine.verdict import all_ok
from imgbuild.outputs.manifest import read_manifest
from tests.conftest import LAYERS
from tests.support.machine.testdisk import make_test_disk

pytestmark = [pytest.mark.boot, pytest.mark.image]

Debian12Image = Callable[[Firmware], Path]
"""The folder that ``imgbuild --profile debian12-FIRMWARE`` wrote, with testdisk.RUN among the profile's ``run``."""

# What the issue asks of every image; the manifest lists these and more.
REQUIRED = frozenset(
    {
        "kernel",
        "boot-default",
        "cloud-init",
        "hostname",
        "users",
        "ssh-keys",
        "root-grown",
        "failed-units",
        "ordering-cycles",
        "disks",
        "time-zone",
        "chrony",
        "modules",
        "bpffs",
        "no-swap",
        "containerd",
        "containerd-config",
    }
)
# Two boots and the packages' installation take some five minutes under emulation on an idle host.
SECONDS = 1500.0


def _probes(messages: Sequence[Message], name: str) -> list[Mapping[str, Any]]:
    return [m.body for m in messages if m.kind == "probe" and m.body["name"] == name]


def _told(messages: Sequence[Message]) -> bool:
    return bool(_probes(messages, "done") or _probes(messages, "error"))


DISKS = """
disks:
  - {mount: /srv/blank, size: 100MiB, folders: [/var/lib/containerd]}
  - {mount: /srv/kept, id: virtio-kept, label: kept, options: [noatime]}
"""
MISSING = """
disks:
  - {mount: /srv/blank, size: 100MiB}
  - {mount: /var/lib/containerd, id: virtio-none, wait: 5}
"""


ON_LINK = """
name: lab
nodes:
  - name: edge1
    role: control-plane
    network:
      dns: [10.0.2.3]
      interfaces:
        - {name: net0, mac: "52:54:00:00:00:01", addresses: [10.0.2.15/32], gateway: 10.0.2.2, on_link: true}
"""


def _seed(folder: Path, layer: str, tmp_path: Path, cluster: str | None = None) -> Path:
    """Another seed for this image's node: with a further layer, and of a cluster file's node."""
    (tmp_path / "disks.yaml").write_text(layer)
    command: list[str | Path] = [Path(sys.executable).with_name("imgbuild"), "--profile", folder.name, *LAYERS]
    command += ["--layer", folder.parent.parent / "user.yaml", "--layer", tmp_path / "disks.yaml"]
    command += ["--no-image", "--output", tmp_path / "seeds"]
    if cluster is not None:
        (tmp_path / "lab.yaml").write_text(cluster)
        command += ["--cluster", tmp_path / "lab.yaml"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (seed,) = (tmp_path / "seeds" / folder.name / "nodes").glob("*/seed.iso")
    return seed


def _disks(tmp_path: Path) -> tuple[tuple[str, Path], ...]:
    """A disk with somebody's data, a blank one, one with data to keep."""
    out = []
    for name, label in (("foreign", "foreign"), ("blank", None), ("kept", "kept")):
        image = tmp_path / f"{name}.raw"
        with image.open("wb") as file:
            file.truncate(150 << 20)
        if label is not None:
            subprocess.run(["mkfs.ext4", "-q", "-L", label, image], check=True)
        out.append((name, image))
    return tuple(out)


def _boot(folder: Path, firmware: Firmware, tmp_path: Path, steps: Steps, *, upgrade: bool) -> BootResult:
    (disk,) = (folder / "image").glob("*.qcow2")
    seed = _seed(folder, DISKS, tmp_path)
    disks = _disks(tmp_path)
    foreign = disks[0][1].read_bytes()
    listed = frozenset(read_manifest(folder)["groups"]["nodes"]["checks"])
    assert listed >= REQUIRED
    spec = MachineSpec(
        firmware=firmware,
        disk=disk,
        seed=seed,
        extra_disks=(make_test_disk(tmp_path, upgrade=firmware if upgrade else None, quick=firmware == "bios"),),
        data_disks=disks,
    )
    result = boot(
        spec,
        steps,
        tmp_path / "boot",
        check=True,
        required=listed,
        expected={"hostname": seed.parent.name},
        until=_told,
        seconds=SECONDS,
        temp=tmp_path,
    )
    assert not _probes(result.messages, "error"), _probes(result.messages, "error")
    assert result.ok, result.failure()
    assert disks[0][1].read_bytes() == foreign
    return result


def _check_system(system: Mapping[str, Any]) -> None:
    assert system["failed"] == []
    assert system["cycles"] == []
    assert system["swaps"] == []
    assert system["root_gib"] > 9
    assert system["bpffs"] is True
    assert system["datasource"].startswith("DataSourceNoCloud ")
    assert system["datasource"].endswith(" errors=[]")


def _check_cri(cri: Mapping[str, Any]) -> None:
    shown = json.dumps(cri, indent=1)
    answer = cri["answer"]
    assert "error" not in answer, shown
    assert answer["version"]["name"] == "containerd"
    assert answer["conditions"]["RuntimeReady"]["ok"] is True
    assert answer["systemd_cgroup"] is True, shown
    assert answer["cni_bin_dir"] == "/opt/cni/bin"
    assert answer["registry_config_path"] == "/etc/containerd/certs.d"
    assert cri["before"]["sandbox_image_present"] is False  # what follows is run from the test's own image
    sandbox = answer["sandbox"]
    assert sandbox["ready"] is True
    assert sandbox["command"] == ["/pause"]
    assert sandbox["host_network"] is True
    # systemd made it, not containerd: a scope below the slice
    assert any(
        line.endswith(f"/imgbuildtest.slice/cri-containerd-{sandbox['id']}.scope") for line in sandbox["cgroup"]
    ), shown


def _check_upgrade(result: BootResult) -> None:
    (upgrade,) = _probes(result.messages, "upgrade")
    shown = json.dumps(upgrade, indent=1)
    assert [code for _, code, _ in upgrade["steps"]] == [0, 0], shown
    (new,) = upgrade["new"]
    first, second = _probes(result.messages, "system")
    assert first["release"] == upgrade["running"]
    assert new != first["release"]
    assert second["release"] == new, shown
    assert new in upgrade["first_entry"], shown
    assert result.boots == 2
    _check_system(second)
    # The image's own checks must hold after the upgrade as before it.
    reports = [parse_verify(message) for message in result.messages if message.kind == "verify"]
    assert len(reports) == 2
    assert all_ok(reports[0])


@pytest.mark.parametrize(
    ("firmware", "upgrade"),
    [("efi", False), *(pytest.param(firmware, True, marks=pytest.mark.slow) for firmware in ("bios", "efi"))],
)
def test_debian12_boots_and_all_checks_pass(
    debian12_image: Debian12Image, firmware: Firmware, upgrade: bool, tmp_path: Path, steps: Steps
) -> None:
    result = _boot(debian12_image(firmware), firmware, tmp_path, steps, upgrade=upgrade)
    _check_system(_probes(result.messages, "system")[0])
    (cri,) = _probes(result.messages, "cri")
    _check_cri(cri)
    if upgrade:
        _check_upgrade(result)
    assert result.powered_off
    assert (tmp_path / "boot/screenshot.png").is_file()
    assert (tmp_path / "boot/boot-plot.svg").is_file()


@pytest.mark.slow
def test_a_node_without_one_of_its_disks_comes_up_without_containerd(
    debian12_image: Debian12Image, tmp_path: Path, steps: Steps
) -> None:
    folder = debian12_image("efi")
    (disk,) = (folder / "image").glob("*.qcow2")
    spec = MachineSpec(
        firmware="efi", disk=disk, seed=_seed(folder, MISSING, tmp_path), data_disks=_disks(tmp_path),
        extra_disks=(make_test_disk(tmp_path, upgrade=None),),
    )  # fmt: skip
    result = boot(spec, steps, tmp_path / "boot", check=True, seconds=SECONDS, temp=tmp_path)
    checks = {check.name: check for check in result.checks}
    assert {name for name, check in checks.items() if check.ok is False} >= {"disks", "containerd", "failed-units"}
    assert "/srv/blank: ext4" in checks["disks"].found
    assert "/var/lib/containerd: not mounted" in checks["disks"].found
    assert "imgbuild-disks.service" in checks["failed-units"].found
    assert checks["users"].ok is True and checks["ordering-cycles"].ok is True


@pytest.mark.slow
def test_a_gateway_outside_of_the_nodes_own_network_answers(
    debian12_image: Debian12Image, tmp_path: Path, steps: Steps
) -> None:
    """QEMU's user network: the node has one address and no network, and its gateway is asked for by ARP on the link."""
    folder = debian12_image("efi")
    (disk,) = (folder / "image").glob("*.qcow2")
    spec = MachineSpec(
        firmware="efi", disk=disk, seed=_seed(folder, "{}", tmp_path, ON_LINK),
        extra_disks=(make_test_disk(tmp_path, upgrade=None),),
    )  # fmt: skip
    result = boot(spec, steps, tmp_path / "boot", check=True, until=_told, seconds=SECONDS, temp=tmp_path)
    gateway = _probes(result.messages, "system")[0]["gateway"]
    assert "default via 10.0.2.2 dev net0" in gateway and "onlink" in gateway and " lladdr " in gateway, gateway
    checks = {check.name: check for check in result.checks}
    assert checks["network"].ok is True and checks["hostname"].ok is True
