"""A whole image without a network: in a network namespace that has not even a loopback device, and without a socket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgbuild.image.rootfs.build import Rootfs
from tests.support.deadline import HUNG
from tests.support.places import ROOT

pytestmark = [pytest.mark.image, pytest.mark.skipif(os.geteuid() != 0, reason="builds an image")]


@pytest.mark.slow
def test_a_build_offline_opens_no_socket(rootfs: Rootfs, tmp_path: Path) -> None:
    """From the root file system that the tests share; a proxy with a login would otherwise be listened for."""
    imgbuild = str(Path(sys.executable).with_name("imgbuild"))
    words = ["-p", "debian12-efi", "-l", "distro-containerd", "-l", "container-host", "-o", str(tmp_path / "out")]
    words += ["--offline", "--set", "image.formats=[raw]"]
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=socket", "-e", "signal=none", "-o", str(trace)]
    done = subprocess.run(
        ["unshare", "--net", *strace, imgbuild, *words], cwd=ROOT, capture_output=True, text=True, timeout=HUNG
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/debian12-efi/image/debian12-efi.raw").exists()
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []
