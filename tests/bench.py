"""`make bench`: the figures that issues set, measured on this machine. Times are medians of paired runs.

Figures are printed with their bound; a missed bound ends with 1. None of this is a test: machines are noisy.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.cli import cache_dir
from builder.image.rootfs import build_rootfs
from builder.steps import PlainSteps
from tests.el.made import build, make_image
from tests.image.plan import shared_plan

IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))
LAYERS = ("--layer", "distro-containerd", "--layer", "container-host")
# The qcow2 of stock diskimage-builder, same packages: see docs/explanation/figures.md for how it was made.
STOCK_QCOW2_BYTES: int | None = 383_346_176  # 2026-11-23


@dataclass(frozen=True)
class Figure:
    """One measured number and the bound it must stay under."""

    name: str
    found: float
    bound: float
    unit: str

    @property
    def ok(self) -> bool:
        return self.found < self.bound

    def __str__(self) -> str:
        mark = "ok    " if self.ok else "MISSED"
        return f"{mark} {self.name}: {self.found:.2f} {self.unit} (bound {self.bound:g} {self.unit})"


def seconds(command: Sequence[str]) -> float:
    """Wall time of one whole process."""
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def median(measure: Callable[[], float], runs: int) -> float:
    return statistics.median(measure() for _ in range(runs))


def figures() -> list[Figure]:
    out = []
    with tempfile.TemporaryDirectory() as name:
        render = [IMGBUILD, "--profile", "centos7-efi", "--no-image", "--output", name]
        bare = [sys.executable, "-c", "import click, jinja2, pydantic, yaml"]
        seconds(render)
        pairs = [(seconds(render), seconds(bare)) for _ in range(7)]
        whole = statistics.median(r for r, _ in pairs)
        ratio = statistics.median(r / b for r, b in pairs)
        out.append(Figure("centos7-efi --no-image, whole process", whole, 1.0, "s"))
        print(f"       ... {ratio:.1f} times a process that only imports click, jinja2, pydantic and yaml")

        first = [IMGBUILD, "--profile", "debian12-efi", *LAYERS, "--output", name]
        begun = seconds([*first, "--fresh"])
        print(f"       debian12-efi with a new root file system: {begun:.0f} s")
        other = [IMGBUILD, "--profile", "debian12-bios", *LAYERS, "--output", name]
        out.append(Figure("second image, other firmware, from the cached root", seconds(other), 30.0, "s"))
        changed = [*first, "--set", 'kernel.sysctl."vm.swappiness"=10']
        out.append(Figure("second image, a changed sysctl, from the cached root", seconds(changed), 30.0, "s"))
        size = next(Path(name).glob("debian12-efi/image/*.qcow2")).stat().st_size
        print(f"       debian12-efi.qcow2: {size / 2**20:.1f} MiB")
        if STOCK_QCOW2_BYTES is not None:
            out.append(Figure("qcow2, as part of stock diskimage-builder's", size / STOCK_QCOW2_BYTES, 1.0, ""))
    return [*out, *centos()]


def centos() -> list[Figure]:
    """From the tests' stand-in base and packages: what they weigh is not what CentOS' own do."""
    rootfs = build_rootfs(shared_plan(), cache_dir(), PlainSteps(sys.stderr))
    with tempfile.TemporaryDirectory() as name, make_image(rootfs, "8", "efi", Path(name)) as made:
        begun = time.monotonic()
        build(made.world, "bios", Path(name))
        took = time.monotonic() - begun
    return [Figure("centos8: second image, other firmware, from the cached root", took, 30.0, "s")]


def main() -> int:
    print(f"cache: {cache_dir()}")
    missed = 0
    for figure in figures():
        print(figure)
        missed += not figure.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
