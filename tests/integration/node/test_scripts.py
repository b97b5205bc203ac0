"""apply and report, with stand-ins for what they call."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path

import pytest

from imgbuild.machine.report import Lines, parse_plot, parse_verify
from imgbuild.machine.times import parse_times
from tests.support.deadline import HUNG
from tests.support.node.fakenode import Node
from tests.support.node.power import Power
from tests.support.profiles import CASES, HOST, resolved

FSTAB = """\
UUID=1 / ext4 defaults 0 1
# /dev/old swap swap defaults 0 0
UUID=2 none swap sw 0 0
/swap.img\tswap\tswap\tdefaults\t0\t0
"""


def _stock(tmp_path: Path, name: str, layers: list[str]) -> Node:
    """A node as cloud-init's write_files leaves it: files, but no links; swap in fstab."""
    node = Node(tmp_path, resolved(name, layers))
    for link in ("etc/localtime", "usr/bin/imgbuild-verify"):
        (node.root / link).unlink()
    (node.root / "opt/cni/bin").mkdir(parents=True, exist_ok=True)
    for plugin in (node.root / "opt/cni/bin").iterdir():
        plugin.unlink()
    node.write("/etc/fstab", FSTAB)
    (node.root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
    return node


@pytest.mark.parametrize(("name", "layers"), CASES)
def test_apply_makes_links_masks_and_starts_in_order(tmp_path: Path, name: str, layers: list[str]) -> None:
    node = _stock(tmp_path, name, layers)
    done = node.run("apply")
    assert done.returncode == 0, done.stderr
    zone = node.profile.time.zone
    assert (node.root / "etc/localtime").readlink() == Path(f"../usr/share/zoneinfo/{zone}")
    assert (node.root / "usr/bin/imgbuild-verify").resolve() == node.root / "usr/libexec/imgbuild/verify"
    for unit in ("swap.target", *node.target.services.updaters):
        assert (node.root / "etc/systemd/system" / unit).readlink() == Path("/dev/null")
    for unit in node.target.services.updaters:
        assert node.log.index(f"systemctl stop {unit}") < node.log.index("systemctl daemon-reload")
    fstab = (node.root / "etc/fstab").read_text().splitlines()
    assert [line for line in fstab if not line.startswith("#")] == ["UUID=1 / ext4 defaults 0 1"]
    assert "# imgbuild: UUID=2 none swap sw 0 0" in fstab
    log = node.log
    started = [line for line in log if line.startswith("systemctl start")]
    if started[0] == "systemctl start imgbuild-boot-entries.service":  # a node with a BLS menu: before any kernel
        started.pop(0)
    assert started[0] == f"systemctl start {node.target.services.chrony}"
    assert started[-1] == "systemctl start --no-block imgbuild-report.timer"
    assert "systemctl start containerd.service" in started
    if "systemctl start stargz-snapshotter.service" in started:
        assert started.index("systemctl start stargz-snapshotter.service") < started.index(
            "systemctl start containerd.service"
        )
    for unit in (line.split()[-1] for line in started):
        assert f"systemctl enable --quiet {unit}" in log
    assert log.index("modprobe br_netfilter") < log.index("systemctl restart systemd-sysctl.service")
    assert "swapoff -a" in log


def test_a_power_cut_costs_no_line_of_fstab(tmp_path: Path) -> None:
    """Without it the root file system stays read-only."""
    node = _stock(tmp_path, "centos7-efi", [])
    power = Power(node.root / "etc", node.stand_ins / "bin", tmp_path / "power")
    for number in power.cuts(lambda: node.write("/etc/fstab", FSTAB), lambda: node.run("apply")):
        fstab = (node.root / "etc/fstab").read_text().splitlines()
        assert [line for line in fstab if not line.startswith("#")] == ["UUID=1 / ext4 defaults 0 1"], number
        assert len(fstab) == 4, number
    assert not (node.root / "etc/fstab.imgbuild").exists()
    node.write("/etc/fstab", FSTAB.splitlines(keepends=True)[0])
    before = (node.root / "etc/fstab").stat()
    assert node.run("apply").returncode == 0
    assert (node.root / "etc/fstab").stat().st_ino == before.st_ino  # nothing to change: not written


def test_apply_again_restarts_nothing_until_a_file_changes(tmp_path: Path) -> None:
    node = _stock(tmp_path, "centos8-efi", [])
    assert node.run("apply").returncode == 0
    before, fstab = len(node.log), (node.root / "etc/fstab").read_bytes()
    assert node.run("apply").returncode == 0
    again = node.log[before:]
    assert not [line for line in again if "restart" in line and "systemd-sysctl" not in line]
    assert (node.root / "etc/fstab").read_bytes() == fstab
    node.write("/etc/containerd/config.toml", "version = 2\n")
    before = len(node.log)
    assert node.run("apply").returncode == 0
    assert [line for line in node.log[before:] if "restart" in line] == [
        "systemctl restart systemd-sysctl.service",
        "systemctl restart containerd.service",
    ]


def test_apply_mounts_further_disks_before_what_uses_them(tmp_path: Path) -> None:
    node = _stock(tmp_path, "debian12-efi", [])
    node.write("/etc/imgbuild/disks.conf", "disks=()\n")
    program = node.write("/usr/libexec/imgbuild/disks", '#!/bin/bash\necho disks >> "$STAND_INS/log"\nexit 0\n')
    program.chmod(0o755)
    assert node.run("apply").returncode == 0
    assert node.log.index("disks") < node.log.index("systemctl restart containerd.service")
    # What setup tries again, and what it does not.
    for code in (75, 1):
        program.write_text(f"#!/bin/bash\necho 'imgbuild: error: /data: no disk' >&2\nexit {code}\n")
        before = len(node.log)
        done = node.run("apply")
        assert (done.returncode, b"imgbuild: error: /data: no disk" in done.stderr) == (code, True)
        assert "systemctl start containerd.service" not in node.log[before:]


def test_apply_forgets_that_a_masked_timer_failed(tmp_path: Path) -> None:
    node = _stock(tmp_path, "debian12-efi", [])
    node.inactive("apt-daily.timer")
    assert node.run("apply").returncode == 0
    assert "systemctl reset-failed apt-daily.timer" in node.log
    assert "systemctl stop apt-daily.timer" not in node.log


def test_apply_stops_what_must_not_run_and_leaves_enforcing(tmp_path: Path) -> None:
    node = _stock(tmp_path, "centos7-efi", [])
    node.answer("systemctl,is-active --quiet firewalld.service", "")
    node.answer("getenforce", "Enforcing\n")
    assert node.run("apply").returncode == 0
    assert "systemctl stop firewalld.service" in node.log
    assert "systemctl stop ntpd.service" not in node.log
    assert "setenforce 0" in node.log


def test_apply_restarts_what_runs_and_no_unit_that_is_not_there(tmp_path: Path) -> None:
    """CentOS 7's cloud image has no NetworkManager, and systemd's try-restart fails on a unit that is not there."""
    node = _stock(tmp_path, "centos7-efi", [])
    node.inactive("NetworkManager.service")
    for verb in ("restart", "try-restart"):
        node.answer(f"systemctl,{verb} NetworkManager.service", "", 5)
    done = node.run("apply")
    assert done.returncode == 0, done.stderr
    node = _stock(tmp_path / "another", "centos7-efi", [])
    assert node.run("apply").returncode == 0
    assert "systemctl restart NetworkManager.service" in node.log


def test_apply_keeps_quiet_about_no_error(tmp_path: Path) -> None:
    node = _stock(tmp_path, "centos7-efi", [])
    node.answer("modprobe,br_netfilter", "modprobe: FATAL\n", 1)
    done = node.run("apply")
    assert done.returncode != 0
    assert b"failed at: kernel modules" in done.stderr
    assert "systemctl restart systemd-sysctl.service" not in node.log


def test_apply_refuses_to_replace_a_folder_with_files(tmp_path: Path) -> None:
    node = _stock(tmp_path, "debian12-efi", HOST)
    node.write("/opt/cni/bin/mine", "")
    done = node.run("apply")
    assert done.returncode == 1
    assert b"/opt/cni/bin is a folder with files" in done.stderr
    (node.root / "opt/cni/bin/mine").unlink()
    assert node.run("apply").returncode == 0
    assert (node.root / "opt/cni/bin").readlink() == Path("/usr/lib/cni")


def test_apply_refuses_an_unknown_zone_and_a_unit_of_the_user(tmp_path: Path) -> None:
    node = _stock(tmp_path, "debian12-efi", HOST)
    (node.root / "usr/share/zoneinfo/UTC").unlink()
    assert b"there is no time zone UTC" in node.run("apply").stderr
    node.write("/usr/share/zoneinfo/UTC", "")
    node.write("/etc/systemd/system/ufw.service", "[Service]\n")
    assert b"ufw.service is a file that imgbuild did not create" in node.run("apply").stderr


def _report(node: Node, port: Path, finish: str, wait: str = "0") -> subprocess.CompletedProcess[bytes]:
    node.answer("systemctl,show --property=FinishTimestampMonotonic", f"FinishTimestampMonotonic={finish}\n")
    node.answer("systemd-analyze,plot", "<svg>boot</svg>\n")
    env = {
        "PATH": f"{node.stand_ins / 'bin'}:/usr/bin:/bin",
        "IMGBUILD_ROOT": str(node.root),
        "STAND_INS": str(node.stand_ins),
        "IMGBUILD_REPORT_PORT": str(port),
        "IMGBUILD_REPORT_WAIT": wait,
    }
    argv = [node.root / "usr/libexec/imgbuild/report"]
    return subprocess.run(argv, env=env, capture_output=True, timeout=HUNG)


def test_report_is_what_the_host_reads(tmp_path: Path) -> None:
    node, port = Node(tmp_path, resolved("debian12-efi", HOST)), tmp_path / "port"
    done = _report(node, port, "12345678")
    assert done.returncode == 0, done.stderr
    checks, plot = Lines().feed(port.read_bytes())
    assert all(check.ok for check in parse_verify(checks))
    assert checks.body["kernel"] == node.release
    assert parse_plot(plot) == b"<svg>boot</svg>\n"
    assert gzip.decompress(base64.b64decode(str(plot.body["data"]))) == b"<svg>boot</svg>\n"


def test_report_tells_where_first_boots_time_went(tmp_path: Path) -> None:
    node, port = Node(tmp_path, resolved("debian12-efi", HOST)), tmp_path / "port"
    node.write("/run/imgbuild/firstboot.times", "other kubeadm 9.5 20.00\nstage kubeadm 8.01 21.5\n")
    assert _report(node, port, "12345678").returncode == 0
    _, message, _ = Lines().feed(port.read_bytes())
    times = parse_times(message)
    assert times.own == pytest.approx(2.99)
    assert times.end == 21.5


def test_report_of_a_failed_check_is_sent_too(tmp_path: Path) -> None:
    node, port = Node(tmp_path, resolved("debian12-efi", HOST)), tmp_path / "port"
    node.write("/proc/swaps", "Filename\n/swap file 1\n")
    assert _report(node, port, "1").returncode == 0
    first = json.loads(port.read_text().splitlines()[0])
    assert [check["name"] for check in first["checks"] if check["ok"] is False] == ["no-swap"]


def test_report_without_a_finished_boot_has_no_plot(tmp_path: Path) -> None:
    node, port = Node(tmp_path, resolved("debian12-efi", HOST)), tmp_path / "port"
    done = _report(node, port, "0", wait="1")
    assert done.returncode == 0
    assert b"not finished yet" in done.stderr
    assert len(port.read_text().splitlines()) == 1
