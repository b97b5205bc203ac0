"""setup on a stock cloud image: its stages, what a failure or a power cut leaves, and its one reboot."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.install.room import Room, tree
from tests.support.places import ROOT

KERNEL = "6.12.1-amd64"
ARGUMENT = next(word for word in Path("/proc/cmdline").read_text().split() if word.isalnum() or "=" in word)
SETUP = "/usr/libexec/imgbuild/setup"
DONE = "var/lib/imgbuild/setup.done"
REBOOT = "run/imgbuild/reboot-needed"


@pytest.fixture
def node(room: Room) -> Room:
    """A stock node whose install and apply are stand-ins that write down that they ran."""
    room.lay(tree("debian12-efi", "distro-containerd", "container-host", mode="stock"))
    kernel = "/usr/libexec/imgbuild/lib/kernel.sh"  # a node file, as imgbuild-verify needs it too
    room.write(kernel, (ROOT / f"node{kernel}").read_text())
    room.stand_in("systemctl", "uname")
    for name in ("install", "apply", "boot-arguments"):
        room.write(
            f"/usr/libexec/imgbuild/{name}", f"#!/bin/bash\necho {name} >> /standin/ran\n. /standin/{name}\n", 0o755
        )
        room.write(f"/standin/{name}", "")
    room.world(running=KERNEL, ran="")
    room.write("/usr/share/imgbuild/kernel", KERNEL + "\n")
    room.write("/etc/imgbuild/setup.conf", f"KERNEL_ARGUMENTS=({ARGUMENT!r})\n")
    return room


def setup(node: Room, *arguments: str) -> subprocess.CompletedProcess[str]:
    return node.run("bash", SETUP, *arguments, image=False)


def ran(node: Room) -> list[str]:
    said = node.read("/standin/ran").split()
    node.world(ran="")
    return said


def status(node: Room) -> dict[str, Any]:
    found = json.loads(node.read("/run/imgbuild/status.json"))
    assert isinstance(found, dict)
    return found


def power_cut(node: Room) -> None:
    """What /run held is gone."""
    for path in (node.upper / "run/imgbuild").iterdir():
        path.unlink()


def test_the_right_kernel_runs_already(node: Room) -> None:
    done = setup(node)
    assert done.returncode == 0, done.stderr
    assert ran(node) == ["install", "boot-arguments", "apply"]
    assert (status(node)["stage"], status(node)["state"]) == ("finished", "ok")
    assert (node.upper / DONE).exists()
    assert not (node.upper / REBOOT).exists()
    assert node.calls()[-1] == "systemctl disable --quiet imgbuild-setup.service"
    assert "this node is set up" in node.read("/var/log/imgbuild/setup.log")
    assert setup(node, "--boot").returncode == 0
    assert ran(node) == []


def test_boot_entries_come_before_a_new_kernel(node: Room) -> None:
    """Where the target has them (CentOS 8): the official image's have the id of the machine that built it."""
    assert not (node.upper / "usr/libexec/imgbuild/boot-entries").exists()  # Debian has none
    node.write("/usr/libexec/imgbuild/boot-entries", "#!/bin/bash\necho boot-entries >> /standin/ran\n", 0o755)
    assert setup(node).returncode == 0
    assert ran(node) == ["boot-entries", "install", "boot-arguments", "apply"]


def test_waiting_for_the_network_is_said(node: Room) -> None:
    node.write("/usr/local/sbin/ip", "#!/bin/sh\ncp /run/imgbuild/status.json /standin/seen\n", 0o755)
    assert setup(node).returncode == 0
    seen = json.loads(node.read("/standin/seen"))
    assert (seen["stage"], seen["state"]) == ("network", "running")


def test_one_reboot_into_another_kernel(node: Room) -> None:
    node.world(running="6.1.0-old")
    assert setup(node).returncode == 0
    assert ran(node) == ["install", "boot-arguments"]
    assert (node.upper / REBOOT).exists()
    assert status(node)["state"] == "rebooting"
    assert "systemctl enable --quiet imgbuild-setup.service" in node.calls()
    assert "systemctl reboot" not in node.calls()  # cloud-init's power_state does it
    power_cut(node)
    node.world(running=KERNEL)
    assert setup(node, "--boot").returncode == 0
    assert ran(node) == ["apply"]
    assert (node.upper / DONE).exists()


def test_a_reboot_that_changed_nothing_is_no_circle(node: Room) -> None:
    node.world(running="6.1.0-old")
    setup(node)
    power_cut(node)
    done = setup(node, "--boot")
    assert done.returncode == 1
    assert "still" in done.stderr or "runs 6.1.0-old" in done.stderr
    assert not (node.upper / REBOOT).exists()
    assert "systemctl reboot" not in node.calls()
    assert status(node)["stage"] == "kernel"


def test_a_kernel_that_was_updated_since_takes_no_reboot(node: Room) -> None:
    newer = "6.12.30-amd64"
    node.world(running=newer)
    owner = f"[ \"$1 $2\" = '-S /boot/vmlinuz-{newer}' ] && echo 'linux-image-{newer}: /boot/vmlinuz-{newer}'"
    node.write("/usr/local/sbin/dpkg", f"#!/bin/sh\n{owner}\n", 0o755)
    node.write("/etc/imgbuild/verify.conf", "packages=dpkg\nkernel_owner='linux-image-[0-9]*[0-9]-amd64'\n")
    assert setup(node).returncode == 0
    assert ran(node) == ["install", "boot-arguments", "apply"]
    assert not (node.upper / REBOOT).exists()


def test_a_missing_kernel_argument_takes_the_reboot_too(node: Room) -> None:
    node.write("/etc/imgbuild/setup.conf", "KERNEL_ARGUMENTS=(systemd.unified_cgroup_hierarchy=1)\n")
    done = setup(node)
    assert done.returncode == 0
    assert "new arguments: systemd.unified_cgroup_hierarchy=1" in done.stderr
    assert (node.upper / REBOOT).exists()


def test_what_failed_is_gone_on_with_at_the_next_boot(node: Room) -> None:
    node.write("/standin/install", "echo 'imgbuild: error: no \"mirror\" \\ answers' >&2; exit 4\n")
    done = setup(node)
    assert done.returncode == 1
    assert ran(node) == ["install"]
    found = status(node)
    assert (found["stage"], found["state"]) == ("packages", "failed")
    assert found["error"] == 'no "mirror" \\ answers (exit code 4)'
    assert "systemctl enable --quiet imgbuild-setup.service" in node.calls()
    power_cut(node)
    node.write("/standin/install", "")
    node.world(running="6.1.0-old")
    assert setup(node, "--boot").returncode == 0
    assert ran(node) == ["install", "boot-arguments"]
    assert node.calls()[-1] == "systemctl reboot"  # no cloud-init here to do it


def test_a_mirror_that_comes_back_is_waited_for(node: Room) -> None:
    """75 of the real install, of a step of it; any other code is final."""
    install = (ROOT / "node/usr/libexec/imgbuild/install").read_text()
    node.write("/usr/libexec/imgbuild/install", install, 0o755)
    for step in (node.upper / "usr/libexec/imgbuild/install.d").iterdir():
        step.unlink()
    text = """echo step >> /standin/ran
cp /run/imgbuild/status.json /standin/seen
echo 'imgbuild: error: no mirror answers' >&2
[ "$(wc -l < /standin/ran)" -gt 3 ] || exit 75
"""
    node.write("/usr/libexec/imgbuild/install.d/20-packages", text)
    done = node.run("bash", SETUP, image=False, IMGBUILD_PAUSE="0")
    assert done.returncode == 0, done.stderr
    assert ran(node) == ["step"] * 4 + ["boot-arguments", "apply"]
    lines = [line for line in done.stderr.splitlines() if "failed, retrying" in line]
    pauses = [line.split(" in ")[1].partition(":")[0] for line in lines]
    assert pauses == ["10 s", "20 s", "40 s"]
    seen = json.loads(node.read("/standin/seen"))
    assert (seen["stage"], seen["state"], seen["attempt"], seen["error"]) == (
        "packages", "retrying", 4, "no mirror answers"
    )  # fmt: skip
    node.write("/usr/libexec/imgbuild/install.d/20-packages", "echo 'imgbuild: error: no such package' >&2; exit 1\n")
    node.write("/etc/imgbuild/install.conf", node.read("/etc/imgbuild/install.conf") + "# changed\n")
    assert setup(node).returncode == 1
    assert (status(node)["state"], status(node)["error"]) == ("failed", "no such package")


def test_its_lock_is_for_root_alone(node: Room) -> None:
    assert setup(node).returncode == 0
    assert (node.upper / "run/imgbuild/setup.lock").stat().st_mode & 0o777 == 0o600


def test_a_power_cut_in_the_middle(node: Room) -> None:
    node.write("/standin/boot-arguments", "kill -9 $PPID $$\n")
    assert setup(node).returncode != 0
    power_cut(node)
    ran(node)
    node.write("/standin/boot-arguments", "")
    assert setup(node, "--boot").returncode == 0
    assert ran(node) == ["boot-arguments", "apply"]


def test_other_settings_install_again(node: Room) -> None:
    setup(node)
    ran(node)
    node.write("/etc/imgbuild/install.conf", node.read("/etc/imgbuild/install.conf") + "# changed\n")
    assert setup(node).returncode == 0
    assert ran(node) == ["install", "boot-arguments", "apply"]


def test_a_new_instance_applies_its_files_again(node: Room) -> None:
    setup(node)
    ran(node)
    assert setup(node).returncode == 0
    assert ran(node) == ["apply"]


def seed(node: Room, name: str, *, again: bool) -> None:
    """cloud-init's current seed; ``again``: cloud-init repeats what it has begun (cloudinit/boot.sh)."""
    link = node.upper / "var/lib/cloud/instance"
    (node.upper / "var/lib/cloud/instances" / name).mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"/var/lib/cloud/instances/{name}")
    if again:
        node.write("/run/imgbuild/seed-again", "")


def test_what_cloud_init_repeats_continues_with_set_up(node: Room) -> None:
    """And does not begin with it again, which would allow one more reboot each time."""
    seed(node, "one", again=False)
    node.world(running="6.1.0-old")
    assert setup(node).returncode == 0
    power_cut(node)
    ran(node)
    seed(node, "one", again=True)
    assert setup(node).returncode == 1, "it was rebooted for the kernel once"
    assert ran(node) == []
    node.world(running=KERNEL)
    assert setup(node).returncode == 0
    assert ran(node) == ["apply"]
    assert setup(node).returncode == 0
    assert ran(node) == []
    seed(node, "two", again=True)
    assert setup(node).returncode == 0
    assert ran(node) == ["apply"], "a new seed whose first boot was cut before set-up"


def test_the_users_commands_wait_for_the_service(node: Room) -> None:
    seed(node, "one", again=False)
    setup(node)
    ran(node)
    (node.upper / DONE).unlink()
    seed(node, "one", again=True)
    service = f"sleep 2; echo service >> /standin/ran; touch /{DONE}"
    hold = f"flock /run/imgbuild/setup.lock sh -c '{service}' & sleep 1; bash {SETUP}"
    assert node.run("bash", "-c", hold, image=False).returncode == 0
    assert ran(node) == ["service"]


def test_only_one_at_a_time(node: Room) -> None:
    hold = f"mkdir -p /run/imgbuild; flock /run/imgbuild/setup.lock bash {SETUP}"
    done = node.run("bash", "-c", hold, image=False)
    assert done.returncode == 0
    assert "running already" in done.stderr
    assert ran(node) == []


def test_the_unit(tmp_path: Path) -> None:
    files = tree("centos7-bios", mode="stock").by_path()
    unit = tmp_path / "imgbuild-setup.service"
    text = files["/etc/systemd/system/imgbuild-setup.service"].content.decode()
    unit.write_text(text.replace("/usr/libexec/imgbuild/setup --boot", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "imgbuild-setup" not in done.stderr
