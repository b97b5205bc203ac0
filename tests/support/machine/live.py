"""Debian 12 with a live root, built by the real command, and what a node that booted tells of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from imgbuild.config.fields import Firmware
from tests.support.deadline import HUNG

MAC = "52:54:00:00:00:01"
CLUSTER = f"name: lab\nnodes:\n  - {{name: node1, role: worker, mac: '{MAC}'}}\n"
_LAYER = """
kubernetes: {enabled: false}
cilium: {enabled: false}
helm: {enabled: false}
containerd: {source: distribution, buildkit: {enabled: false}, stargz: {enabled: false}}
users:
  - name: admin
    ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvcHktdGhlLWtleS1vZi15b3VyLW93bi1oZXJl you@example]
"""


def build(folder: Path, firmware: Firmware, pxe: str, probe: str, *options: str, cluster: str = CLUSTER) -> Path:
    """Build below ``folder``/out and return the output folder.

    ``pxe`` is the profile's key, ``probe`` what the node runs. Neither changes the image: with --no-image a folder that
    has one keeps it.
    """
    (folder / "cluster.yaml").write_text(cluster)
    (folder / "live.yaml").write_text(f"{_LAYER}pxe: {pxe}\nrun: [{json.dumps(probe)}]\n")
    argv = [
        str(Path(sys.executable).with_name("imgbuild")),
        "--profile",
        f"debian12-{firmware}",
        "--layer",
        "live.yaml",
    ]
    argv += ["--cluster", "cluster.yaml", "--output", "out", *options]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=3 * HUNG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out" / f"debian12-{firmware}"


def copied(made: Path, folder: Path) -> Path:
    """Another folder to build in, with hard links to what the output folder ``made`` has, its image included."""
    (folder / "out").mkdir(parents=True)
    subprocess.run(["cp", "-al", made, folder / "out"], check=True)
    return folder


def served(tree: Path, web: Path) -> Path:
    """Copy an output folder's pxe/ to ``web``, with pxe-private/ below it, as a web server has them."""
    subprocess.run(["cp", "-r", tree / "pxe", web], check=True)
    subprocess.run(["cp", "-r", tree / "pxe-private", web / "pxe-private"], check=True)
    return web


def probes(said: str) -> dict[str, str]:
    """The lines "PROBE NAME VALUE"."""
    lines = [line.partition("PROBE ")[2].strip() for line in said.splitlines() if "PROBE " in line]
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def checks_of(said: str) -> dict[str, Any]:
    """The guest's own checks, by their names."""
    (line,) = [line for line in said.splitlines() if line.startswith("{") and '"checks"' in line]
    return {check["name"]: check for check in json.loads(line)["checks"]}
