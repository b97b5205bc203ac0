"""What tests of several folders share: images built once by the real command, and the order that keeps cores busy."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from imgbuild.config.moment import RELEASED
from imgbuild.config.secrets import Secrets, make
from tests.support.machine.testdisk import RUN

# Other work on the machine makes examples slow, and nothing here is about time.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
# Every run of every test is on one day, in this process and in those that it starts: nothing ends or expires meanwhile.
os.environ["SOURCE_DATE_EPOCH"] = str(RELEASED + 12 * 3600)
# A shell starts what it puts into the background with Ctrl-C ignored, and every child would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LAYERS = ("--layer", "distro-containerd", "--layer", "container-host")
USER_LAYER = """\
users:
  - name: ops
    sudo: true
    ssh_keys: ["{key}"]
run: ['{run}']
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which pytest-xdist's workers take the tests, so that two cores stay busy with five workers.

    Chains of minutes start first. What waits, for a lock of the image build or for a cluster, and what computes come in
    turn after them: several images at once would wait for one root file system, and clusters alone leave cores idle.
    """
    first = ("test_debian12_boots_and_all_checks_pass[efi", "[centos8-efi]@", "[centos7]@")
    chains: list[list[pytest.Item]] = [[] for _ in first]
    waiting: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        name = f"{item.name}@" if item.get_closest_marker("xdist_group") and "/el/" in item.nodeid else item.name
        chain = next((number for number, part in enumerate(first) if part in name), None)
        if chain is not None:
            chains[chain].append(item)
        else:
            waits = item.get_closest_marker("image") or "/cluster/" in item.nodeid
            (waiting if waits else others).append(item)
    each = len(others) * 3 // 4 // (len(waiting) or 1) + 1  # the last ones to start compute, and end at once
    items[:] = [item for chain in chains for item in chain]
    while waiting or others:
        items += [*waiting[:1], *others[:each]]
        del waiting[:1], others[:each]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run's that all workers see."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    """Secrets of a cluster "lab", made once: four keys take half a second."""
    return make("lab", 1_800_000_000)


@pytest.fixture(scope="session")
def debian12_image(shared_folder: Path) -> Callable[[str], Path]:
    """Build debian12-FIRMWARE with the real command, once a run, and give its output folder."""

    def build(firmware: str) -> Path:
        with (shared_folder / "images.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            out = shared_folder / "out" / f"debian12-{firmware}"
            if not list(out.glob("image/*.qcow2")):
                layer = shared_folder / "user.yaml"
                layer.write_text(USER_LAYER.format(key=_public_key(shared_folder), run=RUN))
                imgbuild = str(Path(sys.executable).with_name("imgbuild"))
                command = [imgbuild, "--profile", f"debian12-{firmware}", *LAYERS, "--layer", str(layer)]
                done = subprocess.run(
                    [*command, "--output", str(out.parent)], capture_output=True, text=True, timeout=1500
                )
                assert done.returncode == 0, done.stdout + done.stderr
        return out

    return build


def _public_key(folder: Path) -> str:
    key = folder / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(key)], check=True)
    return key.with_suffix(".pub").read_text().strip()
