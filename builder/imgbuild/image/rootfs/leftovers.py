"""What a killed build can leave behind on the host, and how it is removed.

Mounts live in the build's own mount namespace and end with it. A loop device does not: diskimage-builder
attaches one even for a tar, and the kernel keeps it until it is detached.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.tool import run

STATE = "state.json"
_DETACH_SECONDS = 20.0
_IMAGE = "/image0.raw"


@dataclass(frozen=True)
class BuildState:
    """Written before a build attaches anything: how its loop devices are recognised.

    ``device`` is the tmpfs ("major:minor") that its files are on, empty if they are below ``folder`` on a
    disk. A tmpfs whose namespace is gone has no path any longer, but it keeps its number as long as a loop
    device uses it; ``boot`` distinguishes this boot's numbers from those of the previous one.
    """

    folder: str
    device: str
    boot: str

    def write(self, run_dir: Path) -> None:
        """Write it to the run's folder, where the next run looks."""
        (run_dir / STATE).write_text(json.dumps(asdict(self)))


def boot_id() -> str:
    """This boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def loops(state: BuildState) -> list[str]:
    """The loop devices that belong to the build."""
    argv = ["losetup", "--json", "--list", "--output", "NAME,BACK-MAJ:MIN,BACK-FILE"]
    out = run(argv, what="list the loop devices")
    listed = json.loads(out)["loopdevices"] if out.strip() else []
    return [
        str(loop["name"])
        for loop in listed
        # The number alone could now be another tmpfs's: diskimage-builder's file has a distinct name.
        if (state.device and loop["back-maj:min"].strip() == state.device and _IMAGE in (loop["back-file"] or ""))
        or (loop["back-file"] or "").startswith(f"{state.folder}/")
    ]


def detach(state: BuildState) -> None:
    """Detach the build's loop devices and wait until they are gone. Raises HostError if one remains."""
    end = time.monotonic() + _DETACH_SECONDS
    while names := loops(state):
        if time.monotonic() > end:
            raise HostError(
                f"the loop device {names[0]} of an earlier build cannot be detached",
                f"find what still uses it (lsof {names[0]}) and run: losetup --detach {names[0]}",
            )
        for name in names:
            run(["losetup", "--detach", name], what=f"detach {name}")
        time.sleep(0.1)


def clear(run_dir: Path) -> bool:
    """Remove what a killed build left in ``run_dir``, and the folder. Return whether there was anything.

    Use it only while holding the cache's lock: then it cannot be another run's build.
    """
    if not run_dir.exists():
        return False
    try:
        state = BuildState(**json.loads((run_dir / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        state = BuildState(str(run_dir), "", "")
    if state.boot != boot_id():
        state = BuildState(state.folder, "", state.boot)
    detach(state)
    shutil.rmtree(run_dir)
    return True


def device_of(folder: Path) -> str:
    """The file system that ``folder`` is on, as losetup writes it."""
    number = folder.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"
