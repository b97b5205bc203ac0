"""Memory for the files of a diskless node, with real mounts in a namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
SCRIPT = ROOT / "node/usr/libexec/imgbuild/diskless"
FOLDERS = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/containerd/below")


def node(tmp_path: Path, size: str = "8m") -> Path:
    root = tmp_path / "root"
    (root / "etc/imgbuild").mkdir(parents=True)
    (root / "etc/imgbuild/diskless.conf").write_text(f"size={size}\nfolders=({' '.join(FOLDERS)})\n")
    (root / "var/lib/kubelet").mkdir(parents=True, mode=0o750)
    (root / "var/lib/kubelet").chmod(0o750)
    (root / "var/lib/kubelet/kept").write_text("kept\n")
    return root


def run(root: Path, after: str, before: str = "true") -> subprocess.CompletedProcess[str]:
    """The script as often as a node might, and shell commands around it; R is the root."""
    code = f"set -e; R=$1; {before}; IMGBUILD_ROOT=$R bash $2; IMGBUILD_ROOT=$R bash $2; {after}"
    argv: list[str | Path] = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "bash",
        "-c",
        code,
        "bash",
        root,
        SCRIPT,
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_the_folders_are_in_memory_with_what_the_image_has_there(tmp_path: Path) -> None:
    root = node(tmp_path)
    show = "stat -f -c %T $R/var/lib/containerd; stat -c %a $R/var/lib/kubelet; cat $R/var/lib/kubelet/kept; "
    count = f"grep -c {root}/var /proc/mounts"
    done = run(root, show + count)
    assert done.returncode == 0, done.stderr
    # A folder below another one is in memory already, and the second run mounts nothing.
    assert done.stdout.splitlines()[-4:] == ["tmpfs", "750", "kept", "2"]


def test_together_they_have_one_limit(tmp_path: Path) -> None:
    fill = "! dd if=/dev/zero of=$R/var/lib/containerd/big bs=1M count=9 2>&1"
    done = run(node(tmp_path), f"{fill}; ! dd if=/dev/zero of=$R/var/lib/kubelet/big bs=1M count=1 2>&1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("No space left on device") == 2


def test_a_disk_of_the_profile_is_used_instead(tmp_path: Path) -> None:
    root = node(tmp_path)
    before = "mkdir -p $R/var/lib/containerd; mount -t ramfs disk $R/var/lib/containerd"
    done = run(root, "stat -f -c %T $R/var/lib/containerd $R/var/lib/kubelet", before)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["ramfs", "tmpfs"]
    assert "/var/lib/containerd: on ramfs already" in done.stdout
