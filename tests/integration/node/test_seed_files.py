"""The script that makes files of the seed take effect, run with stand-ins for systemctl and what reads the files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgbuild.render.seed_files import CONF, SCRIPT
from imgbuild.render.templates import render, static
from tests.support.node.power import Power

SYSTEMCTL = """#!/bin/bash
printf '%s\\n' "$*" >> "$LOG"
case $1 in
    show) cat "$STATES/${!#}" 2> /dev/null || echo ActiveState=inactive ;;
esac
"""
PIN, DROP_IN = "/etc/pet/pin", "/etc/systemd/system/pet.service.d/10.conf"


class Machine:
    def __init__(self, folder: Path) -> None:
        self.root, self.log, self.states = folder / "root", folder / "log", folder / "states"
        self.bin = folder / "bin"
        for made in (self.root, self.states, self.bin):
            made.mkdir()
        self.log.touch()
        systemctl = self.bin / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)

    def put(self, path: str, text: str) -> None:
        place = self.root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def state(self, unit: str, state: str) -> None:
        (self.states / unit).write_text(f"ActiveState={state}\n")

    def seed(self, files: dict[str, str], commands: dict[str, list[str]], units: dict[str, list[str]]) -> None:
        """As cloud-init leaves it."""
        for path, text in files.items():
            self.put(path, text)
        conf = render("node", f"{CONF[1:]}.j2", files=sorted(files), commands=commands, units=units)
        self.put(CONF, conf.decode())
        self.put(SCRIPT, static("node", SCRIPT[1:]).decode())
        self.put("/var/lib/cloud/instance/cloud-config.txt", f"write_files:\n- path: {CONF}\n")

    def run(self) -> list[str]:
        """What it did, without its questions."""
        before = len(self.log.read_text().splitlines())
        environment = {
            "PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "IMGBUILD_ROOT": str(self.root),
            "LOG": str(self.log), "STATES": str(self.states),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", str(self.root / SCRIPT[1:])], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [line for line in self.log.read_text().splitlines()[before:] if not line.startswith("show")]


FEED = 'printf "feed\\n" >> "$LOG"'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.state("pet.service", "active")
    made.state("kubelet.service", "activating")
    made.seed(
        {PIN: "4711\n", DROP_IN: "[Service]\n"},
        {FEED: [PIN]},
        {"pet.service": [PIN, DROP_IN], "kubelet.service": [DROP_IN], "not-here.service": [PIN]},
    )
    return made


FIRST = ["feed", "daemon-reload", "restart pet.service", "restart kubelet.service"]


def test_what_runs_already_is_restarted_once(machine: Machine) -> None:
    assert machine.run() == FIRST
    assert machine.run() == []
    state = machine.root / "var/lib/imgbuild/seed-files"
    assert state.stat().st_mode & 0o777 == 0o700


def test_after_a_change_only_its_readers_are(machine: Machine) -> None:
    machine.run()
    machine.put(PIN, "0815\n")
    assert machine.run() == ["feed", "daemon-reload", "restart pet.service"]
    assert machine.run() == []


def test_a_failure_is_done_again(machine: Machine) -> None:
    machine.seed({PIN: "4711\n"}, {"test -e /nowhere": [PIN]}, {"pet.service": [PIN]})
    with pytest.raises(AssertionError, match="failed in line"):
        machine.run()
    machine.seed({PIN: "4711\n"}, {FEED: [PIN]}, {"pet.service": [PIN]})
    assert machine.run() == ["feed", "daemon-reload", "restart pet.service"]


def test_a_later_seed_with_fewer_files_removes_the_rest(machine: Machine) -> None:
    machine.run()
    machine.seed({PIN: "4711\n"}, {FEED: [PIN]}, {})
    assert machine.run() == ["daemon-reload", "restart pet.service", "restart kubelet.service"]
    assert not (machine.root / DROP_IN[1:]).exists() and (machine.root / PIN[1:]).exists()
    assert machine.run() == []


def test_names_are_kept_in_etc_hosts(machine: Machine) -> None:
    own, update = "/etc/imgbuild/hosts", static("node", "etc/imgbuild/hosts-update").decode()
    machine.put("/etc/hosts", "127.0.0.1 localhost\n")
    block = "# imgbuild: hosts\n10.0.0.{} a.example\n# imgbuild: end of hosts\n"
    for number in (1, 2):
        machine.seed({own: block.format(number)}, {update: [own, "/etc/hosts"]}, {})
        machine.run()
        assert (machine.root / "etc/hosts").read_text() == "127.0.0.1 localhost\n" + block.format(number)
    machine.put("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 a\n")  # another program has rewritten it
    machine.run()
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 a\n" + block.format(2)
    machine.put("/var/lib/cloud/instance/cloud-config.txt", "hostname: a\n")
    machine.run()
    assert (machine.root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 a\n"


def test_a_power_cut_costs_no_line_of_etc_hosts(machine: Machine, tmp_path: Path) -> None:
    own, update = "/etc/imgbuild/hosts", static("node", "etc/imgbuild/hosts-update").decode()
    block = "# imgbuild: hosts\n10.0.0.1 a.example\n# imgbuild: end of hosts\n"
    power = Power(machine.root, machine.bin, tmp_path / "power")
    environment = {"PATH": f"{machine.bin}:/usr/bin:/bin", "IMGBUILD_ROOT": str(machine.root)}

    def prepare() -> None:
        machine.put("/etc/hosts", "127.0.0.1 localhost\n")
        machine.put(own, block)

    def script() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", update], env=environment, capture_output=True, text=True, check=False, start_new_session=True
        )

    for number in power.cuts(prepare, script):
        assert (machine.root / "etc/hosts").read_text() == "127.0.0.1 localhost\n" + block, number
    assert sorted(path.name for path in (machine.root / "etc").iterdir() if path.is_file()) == ["hosts"]


IP = """#!/bin/bash
[ "$*" = "-o address show scope global" ] || exit 1
echo "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic eth0\\       valid_lft 8600sec"
echo "2: eth0    inet6 fd00::15/64 scope global \\       valid_lft forever preferred_lft forever"
"""


def test_a_nodes_own_addresses_are_added_to_no_proxy(machine: Machine) -> None:
    own, script = "/etc/imgbuild/proxy.env", static("node", "etc/imgbuild/proxy-own").decode()
    (machine.bin / "ip").write_text(IP)
    (machine.bin / "ip").chmod(0o755)
    text = "https_proxy=http://bob:a%40b@proxy:3128\nNO_PROXY=localhost,10.0.2.1\nno_proxy=localhost,10.0.2.1\n"
    machine.state("containerd.service", "active")
    machine.seed({own: text}, {script: [own]}, {"containerd.service": [own]})
    (machine.root / own[1:]).chmod(0o600)
    assert machine.run() == ["daemon-reload", "restart containerd.service"]
    place = machine.root / own[1:]
    whole = text.replace("10.0.2.1\n", "10.0.2.1,10.0.2.15,fd00::15\n")
    assert place.read_text() == whole and place.stat().st_mode & 0o777 == 0o600
    for _ in range(2):  # the second boot finds the file changed, by this script
        assert machine.run() == [] and place.read_text() == whole
    machine.put("/var/lib/cloud/instance/cloud-config.txt", "hostname: a\n")
    machine.run()
    assert not place.exists()


def test_a_later_seed_without_any_removes_everything_and_the_script(machine: Machine) -> None:
    machine.run()
    machine.put("/var/lib/cloud/instance/cloud-config.txt", "hostname: a\n")
    assert machine.run() == FIRST
    left = sorted(str(path.relative_to(machine.root)) for path in machine.root.rglob("*") if path.is_file())
    assert left == ["var/lib/cloud/instance/cloud-config.txt"]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize(
    "name", [SCRIPT[1:], "etc/imgbuild/hosts-update", "etc/imgbuild/proxy-own", "etc/profile.d/imgbuild-proxy.sh"]
)
def test_shellcheck(name: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(static("node", name))
    done = subprocess.run(["shellcheck", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    conf = render(
        "node", f"{CONF[1:]}.j2", files=["/a b"], commands={"echo 'x'\n# y": ["/a"]}, units={"u": ["/a", "/b"]}
    )
    subprocess.run(["bash", "-n"], input=conf, capture_output=True, check=True)
