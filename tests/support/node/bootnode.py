"""A fake root with the real programs of first boot, a seed as the contract of issue 4 has it, and stand-in commands."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgbuild.facts.resolved import Resolved
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.userdata import travelling
from tests.support.deadline import HUNG
from tests.support.places import ROOT
from tests.support.profiles import SECURE_PATH, resolved, write_tree

STANDIN = Path(__file__).parent / "standins/node.py"
IPTABLES = [f"{family}{way}{save}" for family in ("iptables", "ip6tables") for way in ("", "-nft", "-legacy")
            for save in ("", "-save")]  # fmt: skip
COMMANDS = ["kubeadm", "kubectl", "curl", "helm", "ip", "tc", "ctr", "chronyc", "ps", "systemctl", "uname",
            "crictl", "ipset", *IPTABLES]  # fmt: skip
# Nobody waits, and what waits without end has its power cut after so many times.
SLEEP = """#!/bin/bash
echo >>"$WORLD/sleeps"
slept=$(wc -l <"$WORLD/sleeps")
((slept <= SLEEPS)) && exit
leader=$(ps -o sid= $$)
others=$(ps -o pid= -s $leader)
kill -9 $leader # first, or it would see the others end
kill -9 $others
"""
STAGES = ["clock", "kernel", "disks", "containerd", "images", "kubeadm", "kubeconfig", "cilium", "addons", "verify"]
CONF = {
    "cluster_name": "c1", "node_name": "cp1", "node_role": "init", "endpoint": "10.0.0.10:6443", "api_port": "6443",
    "node_ip": "", "node_interface": "", "node_family": "4", "vip": "", "ca_hash": "sha256:00",
    "valid_from": "0", "valid_until": "9999999999",
    "token_expires": "9999999999", "kubernetes_version": "1.34.11", "kube_proxy": "no", "schedulable": "yes",
    "cri_socket": "unix:///run/containerd/containerd.sock", "cilium": "yes", "cilium_version": "1.19.6",
    "cilium_repository": "https://helm.cilium.io", "cilium_routing": "native", "cilium_host_routing": "bpf",
    "cilium_kpr": "yes",
}  # fmt: skip
KEYS = [
    "ca.crt",
    "ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
    "sa.key",
    "sa.pub",
]
# As many looks as there are bytes in the file "bad" fail; without the file "good" each does.
VERIFY = r"""#!/bin/bash
printf 'verify %s\n' "$*" >> "$WORLD/calls"
if [ -s "$WORLD/bad" ]; then
    truncate --size -1 "$WORLD/bad"
elif [ -e "$WORLD/good" ]; then
    exit 0
fi
printf 'FAIL  node-ready  no\n      expected: True\nok    kernel  6.12\nFAIL  sysctl:vm.swappiness  60\n'
exit 1
"""
JOIN = (
    "kind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    token: abcdef\n    apiServerEndpoint: 10.0.0.10:6443\n"
)


class BootNode:
    """One node. ``conf`` overrides cluster.conf; without secrets there are no keys and nothing to join with."""

    def __init__(self, folder: Path, *, secrets: bool = True, **conf: str) -> None:
        self.root, self.world = folder / "root", folder / "world"
        (folder / "bin").mkdir(parents=True)
        self.world.mkdir()
        for name in COMMANDS:
            (folder / "bin" / name).symlink_to(STANDIN)
        self.bin = folder / "bin"
        for name, text in {"sleep": SLEEP, "sync": "#!/bin/bash\n"}.items():
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        found = resolved("debian12-efi")
        self.conf = {**CONF, **conf}
        role = self.conf["node_role"]
        if not secrets:
            self.conf |= dict.fromkeys(("ca_hash", "valid_from", "valid_until", "token_expires"), "")
        text = "".join(f"{name}='{value}'\n" for name, value in self.conf.items())
        write_tree(self._tree(found), self.root)
        self.write("etc/imgbuild/cluster.conf", text)
        # verify has tests of its own
        self.write("usr/libexec/imgbuild/verify", VERIFY, 0o755)
        self.write("usr/share/imgbuild/kernel", "6.12\n")
        self.write("dev/console", "")
        for name, text in {
            "kernel": "6.12",
            "role": role,
            "name": self.conf["node_name"],
            "good": "",
            "alone": "",
        }.items():
            (self.world / name).write_text(text)
        if role == "init":
            self.write(
                "etc/imgbuild/kubeadm-init.yaml", "kind: InitConfiguration\nadvertiseAddress: @NODE_IP@\n", 0o600
            )
        if role != "worker":
            self.write("etc/imgbuild/cilium-values.yaml", "k8sServiceHost: '@NODE_IP@'\n")
        if secrets:
            own = JOIN.replace("10.0.0.10:6443", self.conf["endpoint"] or "10.0.0.10:6443")
            self.write("etc/imgbuild/kubeadm-join.yaml", own, 0o600)
            for name in KEYS if role != "worker" else KEYS[:1]:
                self.write(f"etc/imgbuild/pki/{name}", f"the {name}", 0o600)

    def _tree(self, found: Resolved) -> NodeTree:
        return node_tree(found)

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def set(self, **files: str) -> None:
        """Facts of the world: kill, api, wait …"""
        for name, text in files.items():
            (self.world / name).write_text(text)

    def start(self) -> subprocess.Popen[bytes]:
        """First boot, in a session of its own, until somebody ends it."""
        argv = [str(self.root / "usr/libexec/imgbuild/firstboot")]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(argv, env=self._env, start_new_session=True, stdout=nowhere, stderr=nowhere)

    @property
    def _env(self) -> dict[str, str]:
        path = f"{self.bin}:{SECURE_PATH}"
        return {"PATH": path, "IMGBUILD_ROOT": str(self.root), "WORLD": str(self.world)}

    def run(self, program: str = "firstboot", *words: str, sleeps: int = 200) -> subprocess.CompletedProcess[str]:
        """One of the programs; -9 if power was cut."""
        (self.world / "sleeps").unlink(missing_ok=True)
        argv = [str(self.root / "usr/libexec/imgbuild" / program), *words]
        env = self._env | {"SLEEPS": str(sleeps)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=HUNG, start_new_session=True)
        wrong = self.world / "unexpected"
        assert not wrong.exists(), wrong.read_text()
        return done

    def real_verify(self, *names: str) -> subprocess.CompletedProcess[str]:
        """These checks of imgbuild-verify, by its own program: ``run`` has a stand-in for it."""
        program = self.root / "usr/libexec/imgbuild/verify-real"
        program.write_bytes((ROOT / "node/usr/libexec/imgbuild/verify").read_bytes())
        program.chmod(0o755)
        return self.run("verify-real", *names)

    def power_cut(self) -> None:
        """What /run held is gone."""
        subprocess.run(["rm", "-rf", self.root / "run/imgbuild"], check=True)

    def calls(self, name: str) -> list[str]:
        """The calls of a command since the last look at any, without its name; kubectl's first words left out."""
        file = self.world / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]

    def forget(self) -> None:
        (self.world / "calls").unlink(missing_ok=True)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "run/imgbuild/status.json").read_text())
        return found

    @property
    def console(self) -> list[str]:
        return (self.root / "dev/console").read_text().splitlines()

    def has(self, path: str) -> bool:
        return (self.root / path).exists()


class StockNode(BootNode):
    """The same with the scripts as they reach a stock node with that cluster.conf."""

    def _tree(self, found: Resolved) -> NodeTree:
        self.conf = {"group": "", "balancer": "", "others": "", "cilium_acceleration": "", **self.conf}
        text = "".join(f"{name}='{value}'\n" for name, value in self.conf.items())
        own = NodeTree((NodeFile("/etc/imgbuild/cluster.conf", text.encode()),))
        tree = node_tree(found)
        return replace(tree, files=tuple(travelling(found, [tree], own)))
