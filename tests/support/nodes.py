"""Nodes and profiles that the tests of cloud-init, seeds, clouds and PXE share."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.load import Loaded, load
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.outputs.rendered import seed_files
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeTree

PROFILES = ("centos7-bios", "centos7-efi", "centos8-bios", "centos8-efi", "debian12-bios", "debian12-efi")
MODES = ("baked", "stock")
MACS = ("52:54:00:12:34:56", "52:54:00:12:34:57", "52:54:00:12:34:58")
HASH = "$6$imgbuildtest$" + "Zb" * 43  # nobody's: no password has this hash
RUN = (
    "printf '%s' \"it's $((6 * 7))\" > /var/lib/ran-quoting",
    "# two lines, a trailing space and ünïcode 😀 \ncat > /var/lib/ran-text <<'END'\n  $HOME `id` \\n ✓\nEND",
    "echo MIME-Version: 1.0 > /var/lib/ran-mime",
)
RESULTS = {
    "/var/lib/ran-quoting": b"it's 42",
    "/var/lib/ran-text": "  $HOME `id` \\n ✓\n".encode(),
    "/var/lib/ran-mime": b"MIME-Version: 1.0\n",
}

DHCP = Node.model_validate({"name": "dhcp1", "role": "control-plane", "mac": MACS[0]})
BARE = Node.model_validate({"name": "bare1", "role": "control-plane"})
STATIC = Node.model_validate(
    {
        "name": "static1",
        "role": "worker",
        "network": {
            "interfaces": [
                {
                    "name": "eth0",
                    "mac": MACS[0],
                    "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
                    "gateway": "192.0.2.1",
                    "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.7", "metric": 50}],
                    "mtu": 1400,
                }
            ],
            "dns": ["192.0.2.53", "192.0.2.54"],
            "search": ["lab.example"],
        },
    }
)
BOND = Node.model_validate(
    {
        "name": "bond1",
        "role": "control-plane",
        "network": {
            "interfaces": [
                {"name": "eth0", "mac": MACS[0]},
                {"name": "eth1", "mac": MACS[1]},
                {"name": "eth2", "mac": MACS[2], "dhcp": True},
            ],
            "bonds": [{"name": "bond0", "interfaces": ["eth0", "eth1"], "mode": "802.3ad", "mtu": 9000}],
            "vlans": [
                {"name": "bond0.20", "id": 20, "link": "bond0", "addresses": ["192.0.2.20/24"], "gateway": "192.0.2.1"}
            ],
            "dns": ["192.0.2.53"],
        },
    }
)
NODES = {"dhcp": DHCP, "static": STATIC, "bond": BOND}


@cache
def ssh_key() -> str:
    """A fresh public key, made by the real ssh-keygen."""
    with TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "imgbuild test key", "-f", key], check=True
        )
        return key.with_suffix(".pub").read_text().strip()


def resolved(profile: str, mode: str, sets: Sequence[str] = (), run: Sequence[str] = RUN) -> Resolved:
    """A shipped profile with a user, a key, a hash and commands of its own."""
    findings = Findings()
    found = load(profile, [], sets, mode, findings)
    assert found is not None, findings.items
    users = [
        {"name": "admin", "ssh_keys": [ssh_key()], "sudo": True, "groups": ["adm", "operators"]},
        {"name": "console", "hashed_password": HASH, "shell": "/bin/sh"},
    ]
    typed = type(found.profile).model_validate(found.profile.model_dump() | {"users": users, "run": list(run)})
    return resolve(Loaded(found.name, typed, found.target, found.layered))


def cluster_of(*nodes: Node) -> Cluster:
    """A cluster of these nodes."""
    return Cluster(name="lab", nodes=list(nodes))


def trees_of(given: Resolved, node: Node) -> list[NodeTree]:
    """What the node's seed carries."""
    own = seed_tree(given, cluster_of(node), node)
    if given.profile.mode == "baked":
        return [own]
    return [install_tree(given), node_tree(given), own]


def seed_of(given: Resolved, node: Node, extra: NodeTree | None = None) -> dict[str, bytes]:
    """The NoCloud files of a node; ``extra`` is laid beside its own files."""
    *shared, own = trees_of(given, node)
    return seed_files(given, cluster_of(node), node, shared, own + extra if extra else own)
