"""Runs inside the guest: asks what imgbuild-verify, a part of imgbuild, should not be the only one to ask.

It lies on the test's disk beside cri.pyz and pause.tar, and on the one for the kernel's upgrade beside
kernel.deb and grub.deb. Started at the end of cloud-init, it tells the host what it finds, one JSON object a
line on the port that imgbuild-report uses; with kernel.deb there it installs both packages, reboots, and tells
again. The last line is {"kind": "probe", "name": "done"}.

Python's own library and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

PORT = Path("/dev/virtio-ports/org.imgbuild.report.0")
HERE = Path(__file__).resolve().parent
UNIT = Path("/etc/systemd/system/imgbuildtest.service")

# No ordering against cloud-init: Debian's runs after multi-user.target. The probe waits by itself.
_UNIT_TEXT = """[Service]
Type=exec
ExecStartPre=udevadm settle
ExecStartPre=mkdir -p /run/imgbuildtest
ExecStartPre=mount -o ro /dev/disk/by-label/IMGBUILDT /run/imgbuildtest
ExecStart=python3 /run/imgbuildtest/probe.py

[Install]
WantedBy=multi-user.target
"""


def say(name: str, **values: object) -> None:
    """One line to the host. The port has room for one writer at a time, so this waits its turn."""
    line = json.dumps({"kind": "probe", "name": name, **values}) + "\n"
    deadline = time.monotonic() + 600
    while True:
        try:
            port = os.open(PORT, os.O_WRONLY)
            break
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    data = line.encode()
    try:
        while data:
            data = data[os.write(port, data) :]
    finally:
        os.close(port)


def run(*command: str, seconds: float = 600) -> tuple[int, str]:
    """The command's exit code and the end of its output. Nothing can be typed in: a question is an error."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment, timeout=seconds, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(errors="replace")[-4000:]


def wait_for_report() -> None:
    """cloud-init is done, and so is imgbuild's own report: what follows would disturb it."""
    run("cloud-init", "status", "--wait")
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        # When it last ended is no sign: systemd may have forgotten the unit since, times and all.
        timer, service = _properties("imgbuild-report.timer"), _properties("imgbuild-report.service")
        shown = json.dumps([timer, service])
        triggered = timer.get("LastTriggerUSecMonotonic", "0") != "0"
        waiting = service.get("Job", "0") not in ("", "0")
        if service.get("LoadState") == "not-found":
            return
        if triggered and not waiting and service.get("ActiveState") in ("inactive", "failed"):
            return
        time.sleep(1)
    say("no-report", text=shown)


def _properties(unit: str) -> dict[str, str]:
    _, shown = run("systemctl", "show", unit)
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def tell_system() -> None:
    """What every boot must be like."""
    _, failed = run("systemctl", "--failed", "--no-legend", "--plain")
    _, journal = run("journalctl", "-b", "--no-pager", "-g", "ordering cycle|Breaking ordering")
    root = os.statvfs("/")
    say(
        "system",
        release=os.uname().release,
        version=os.uname().version,
        failed=failed.split("\n")[:-1],
        cycles=[line for line in journal.splitlines() if "cycle" in line and not line.startswith("--")],
        swaps=Path("/proc/swaps").read_text().splitlines()[1:],
        root_gib=round(root.f_blocks * root.f_frsize / 2**30, 1),
        bpffs=any(
            line.split()[1:3] == ["/sys/fs/bpf", "bpf"] for line in Path("/proc/mounts").read_text().splitlines()
        ),
        datasource=_datasource(),
        gateway=_gateway(),
    )


def _gateway() -> str:
    """The default route, and what answers there to ARP."""
    _, route = run("ip", "-4", "route", "show", "default")
    words = route.split()
    if words[1:2] != ["via"]:
        return route
    with contextlib.suppress(OSError):  # nothing listens there: it is asked for its address
        socket.create_connection((words[2], 9), 3).close()
    return route + run("ip", "neighbour", "show", words[2])[1]


def _datasource() -> str:
    try:
        result = json.loads(Path("/run/cloud-init/result.json").read_text())
    except (OSError, ValueError) as error:
        return str(error)
    return f"{result['v1']['datasource']} errors={result['v1']['errors']}"


def tell_cri() -> None:
    """The runtime answers, and its own configuration decides where a sandbox's process lives."""
    socket = "/run/containerd/containerd.sock"
    client = ["python3", str(HERE / "cri.pyz"), socket]
    _, text = run(*client)
    answer = json.loads(text)
    image = answer.get("sandbox_image", "")
    # The archive's image is called pause:test; it gets the name that this runtime wants.
    imported = run("ctr", "-n", "k8s.io", "images", "import", str(HERE / "pause.tar"))
    tagged = run("ctr", "-n", "k8s.io", "images", "tag", "--force", "imgbuild.test/pause:test", image)
    _, text = run(*client, "--sandbox")
    say("cri", before=answer, imported=imported, tagged=tagged, answer=json.loads(text))


def upgrade() -> None:
    """Install the packages as an administrator would, without a terminal."""
    before = {path.name for path in Path("/boot").glob("vmlinuz-*")}
    if (HERE / "quick").exists():
        # The initramfs is most of the work: minutes under emulation with every module that there is.
        Path("/etc/initramfs-tools/conf.d/imgbuildtest").write_text("MODULES=dep\n")
    steps, times = [], []
    for deb in sorted(HERE.glob("*.deb")):
        begun = time.monotonic()
        steps.append((deb.name, *run("dpkg", "--install", str(deb), seconds=1200)))
        times.append(round(time.monotonic() - begun))
    new = {path.name for path in Path("/boot").glob("vmlinuz-*")} - before
    _, configuration = run("sh", "-c", "cat /boot/grub/grub.cfg | grep -m1 -E '^\\s*linux'")
    say(
        "upgrade",
        running=os.uname().release,
        new=[name[len("vmlinuz-") :] for name in new],
        steps=steps,
        seconds=times,
        first_entry=re.sub(r"\s+", " ", configuration).strip(),
    )
    UNIT.write_text(_UNIT_TEXT)
    run("systemctl", "enable", UNIT.name)
    run("sync")
    run("systemctl", "reboot")


def main() -> int:
    second = UNIT.exists()
    wait_for_report()
    tell_system()
    if not second:
        tell_cri()
        if (HERE / "kernel.deb").exists():
            upgrade()
            return 0
    say("done", boots=2 if second else 1)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        say("error", text=f"{type(error).__name__}: {error}")
        raise
