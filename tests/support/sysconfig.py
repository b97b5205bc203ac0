"""The sysconfig renderers of cloud-init 19.4 (CentOS 7) and 21.1 (CentOS 8), run as they are upstream.

recorded/cloud-init-sysconfig.tar.xz has what the renderer imports, unchanged from the tags 19.4 and 21.1 of
github.com/canonical/cloud-init (Apache 2.0 or GPL 3, its LICENSE files are in it), and an empty
cloudinit/distros/__init__.py in place of one that imports every data source. Debian's Python runs it: it has the
libraries of Debian's own cloud-init. The distributions' packages differ in one point: a patch of theirs leaves out
NM_CONTROLLED=no.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.places import TESTS

RELEASES = {"centos7": "19.4", "centos8": "21.1"}
"""The cloud-init of each target."""
SCRIPTS = "etc/sysconfig/network-scripts"

_DRIVER = """
import sys
root, config, target = sys.argv[1:]
sys.path.insert(0, root)
import yaml
from cloudinit.net import network_state, sysconfig
files = {"control": "etc/sysconfig/network", "iface_templates": "%(base)s/network-scripts/ifcfg-%(name)s"}
route = "%(base)s/network-scripts/route{}-%(name)s"
files["route_templates"] = {"ipv4": route.format(""), "ipv6": route.format("6")}
with open(config) as file:
    state = network_state.parse_net_config_data(yaml.safe_load(file))
sysconfig.Renderer(files).render_network_state(state, target=target)
"""


@cache
def _unpacked() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory()
    with tarfile.open(TESTS / "recorded/cloud-init-sysconfig.tar.xz") as archive:
        archive.extractall(folder.name, filter="data")
    return folder


def write(release: str, config: bytes, root: Path) -> None:
    """Write below ``root`` what that cloud-init makes of a network-config."""
    (root.parent / "network-config").write_bytes(config)
    root.mkdir()
    places = [Path(_unpacked().name) / release, root.parent / "network-config", root]
    done = subprocess.run(
        ["/usr/bin/python3", "-B", "-c", _DRIVER, *places],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def ifcfg(root: Path, name: str) -> dict[str, str]:
    """The keys of an interface's file."""
    text = (root / SCRIPTS / f"ifcfg-{name}").read_text()
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key: json.loads(value) if value.startswith('"') else value for key, _, value in pairs}
