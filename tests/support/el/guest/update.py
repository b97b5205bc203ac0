"""Runs inside the guest, from the test's disk: what an administrator of a CentOS node does with kernels.

One act a boot: a newer kernel-ml by the package manager and a new boot menu; then the older kernel as the default
again. Each is told to the host, one JSON object a line (probe.py, which lies beside it); the host then switches the
machine off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from probe import HERE, run, say, wait_for_report  # type: ignore[import-not-found] # beside it on the disk

STATE = Path("/var/lib/imgbuildtest")
BLS = Path("/usr/bin/kernel-install").exists()
UNIT = Path("/etc/systemd/system/imgbuildtest.service")
_UNIT_TEXT = """[Service]
ExecStartPre=/bin/mkdir -p /run/imgbuildtest
ExecStartPre=/bin/mount -o ro /dev/disk/by-label/IMGBUILDT /run/imgbuildtest
ExecStart=/usr/bin/python3 /run/imgbuildtest/update.py
[Install]
WantedBy=multi-user.target
"""
_REPOSITORY = f"""[newer]
name=newer
baseurl=file://{STATE}/repository
gpgcheck=1
enabled=0
"""


def must(*command: str) -> str:
    """What a command says that has to end with 0."""
    code, said = run(*command, seconds=1200)
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}: {said[-1500:]}")
    return str(said)


def newer_kernel(manager: str) -> None:
    """The repository is the test's; the key was imported when the image was made."""
    STATE.mkdir()
    must("tar", "-xf", str(HERE / "repository.tar"), "-C", str(STATE))
    Path("/etc/yum.repos.d/newer.repo").write_text(_REPOSITORY)
    # Minutes under emulation with every module that there is; this machine's will do here.
    Path("/etc/dracut.conf.d/zzzz-imgbuildtest.conf").write_text('hostonly="yes"\n')
    UNIT.write_text(_UNIT_TEXT)
    must("systemctl", "enable", UNIT.name)
    must(manager, "-y", "--disablerepo=*", "--enablerepo=newer", "update", "kernel-ml")
    menu = "/boot/efi/EFI/centos/grub.cfg" if Path("/sys/firmware/efi").exists() else "/boot/grub2/grub.cfg"
    must("grub2-mkconfig", "-o", menu)


def main() -> None:
    # The first boot is also looked at: what follows would disturb that. After it nobody looks.
    if STATE.exists():
        must("cloud-init", "status", "--wait")
    else:
        wait_for_report()
    running, default = os.uname().release, must("grubby", "--default-kernel").strip()
    if not STATE.exists():
        newer_kernel("dnf" if BLS else "yum")
    elif not (STATE / "first").exists():
        (STATE / "first").touch()
        (older,) = [p for p in Path("/boot").glob("vmlinuz-*") if p.name != f"vmlinuz-{running}"]
        must("grubby", f"--set-default={older}")
    kernels = sorted(p.name.removeprefix("vmlinuz-") for p in Path("/boot").glob("vmlinuz-*"))
    must("sync")
    own, entries = Path("/etc/machine-id").read_text().strip(), Path("/boot/loader/entries")
    foreign = sorted(p.name for p in entries.glob("*.conf") if not p.name.startswith(f"{own}-")) if BLS else []
    say(
        "kernels",
        foreign=foreign,
        running=running,
        default=default,
        installed=kernels,
        next=must("grubby", "--default-kernel").strip(),
    )


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        say("error", text=f"{type(error).__name__}: {error}")
        sys.exit(1)
