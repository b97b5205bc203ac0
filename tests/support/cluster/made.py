"""Disk images of a Kubernetes node by the real command, with stand-ins for what no registry has, for tests in QEMU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from imgbuild.outputs.manifest import read_manifest
from tests.support.cluster.world import make_layer
from tests.support.mirror import serving

IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))
PROFILE = "debian12-bios"
_PORT = 38_123


@dataclass(frozen=True)
class Made:
    """What one run of imgbuild wrote, and the layer it was made with."""

    folder: Path
    layer: Path

    @property
    def disk(self) -> Path:
        """The image, which each machine gets an overlay of."""
        return self.folder / "image" / f"{PROFILE}.qcow2"

    def seed(self, node: str) -> Path:
        """The node's seed."""
        return self.folder / "nodes" / node / "seed.iso"

    @property
    def checks(self) -> frozenset[str]:
        """The names of the checks that every node must report."""
        return frozenset(read_manifest(self.folder)["groups"]["nodes"]["checks"])

    def seeds(self, cluster: Mapping[str, Any], folder: Path) -> Callable[[str], Path]:
        """The seeds of a cluster file's nodes for this image, written below ``folder``, by the node's name."""
        path = folder / "demo.yaml"
        path.write_text(yaml.safe_dump(dict(cluster)))
        imgbuild(self.layer, folder, "--cluster", str(path), "--no-image")
        return Made(folder / PROFILE, self.layer).seed


@contextmanager
def make_image(folder: Path) -> Iterator[Made]:
    """The image, and the seed of one control plane by DHCP, below ``folder``: what comes without a cluster file."""
    with serving(folder / "mirror", _PORT) as mirror:
        layer = make_layer(mirror, folder / "world.yaml")
        imgbuild(layer, folder)
        yield Made(folder / PROFILE, layer)


def imgbuild(layer: Path, folder: Path, *words: str) -> None:
    """The real command, with the layers that the tests' machines need."""
    layers = ("--layer", "distro-containerd", "--layer", str(layer))
    done = subprocess.run(
        [IMGBUILD, "--profile", PROFILE, *layers, *words, "--output", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
