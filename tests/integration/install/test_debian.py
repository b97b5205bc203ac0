"""The real thing on Debian 12: mmdebstrap, then install with real apt and the host's own mirror. Slow: minutes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.deadline import HUNG
from tests.support.install.room import tree

_MIRROR = "$(RELEASE) $(REPO_URI)"
_BASE = "systemd-sysv,dbus,udev,kmod,netbase,python3,sudo"
_RUN = """
set -e
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
cat /etc/resolv.conf > "$1/etc/resolv.conf.new"
mv -f "$1/etc/resolv.conf.new" "$1/etc/resolv.conf"
exec chroot "$1" env IMGBUILD_IN_IMAGE=1 /usr/libexec/imgbuild/install
"""


def install(root: Path) -> subprocess.CompletedProcess[str]:
    argv: list[str | Path] = ["unshare", "--mount", "--propagation", "private", "bash", "-c", _RUN, "install", root]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=HUNG)


@pytest.mark.image
@pytest.mark.slow
def test_a_bare_debian_becomes_a_container_host(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a chroot needs root")
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", _MIRROR, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    mirrors = [line.split()[1] for line in targets.stdout.splitlines() if line.startswith("bookworm ")]
    if not mirrors:
        pytest.skip("the host has no mirror of Debian 12")
    root = tmp_path / "root"
    subprocess.run(
        ["mmdebstrap", "--variant=minbase", f"--include={_BASE}", "--skip=check/qemu", "bookworm", root, mirrors[0]],
        check=True,
        capture_output=True,
    )
    for file in tree("debian12-efi", "distro-containerd", "container-host").files:
        place = root / file.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content)
        place.chmod(file.mode)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)

    for _ in range(2):  # the second run finds everything in place
        done = install(root)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        release = (root / "usr/share/imgbuild/kernel").read_text().strip()
        assert [p.name for p in (root / "boot").glob("vmlinuz-*")] == [f"vmlinuz-{release}"]
        assert (root / "boot" / f"initrd.img-{release}").stat().st_size > 1 << 20
    for program in (
        "usr/bin/containerd",
        "usr/sbin/runc",
        "usr/bin/cloud-init",
        "usr/sbin/sshd",
        "usr/sbin/update-grub",
    ):
        assert (root / program).exists(), program
    for folder in ("usr/lib/grub/i386-pc", "usr/lib/grub/x86_64-efi"):
        assert (root / folder / "moddep.lst").exists()
    assert (root / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service").is_symlink()
    assert (root / "etc/machine-id").read_text() == ""
    assert str((root / "etc/resolv.conf").readlink()) == "../run/systemd/resolve/stub-resolv.conf"
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert not list((root / "var/lib/apt/lists").iterdir())
    assert not list((root / "var/cache/apt/archives").glob("*.deb"))
    assert not (root / "var/cache/imgbuild").exists()
