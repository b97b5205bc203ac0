"""A fake root and stand-in commands around the real verify and apply: each answers from a file, none does a thing.

``Node`` starts as a sound Debian or CentOS node by its profile; a test then breaks one thing and looks at one check.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from imgbuild.config.cluster import DEFAULT
from imgbuild.facts.kernel_settings import modules, sysctls
from imgbuild.facts.resolved import Resolved
from imgbuild.render import containerd
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.node import node_tree
from tests.support.deadline import HUNG
from tests.support.node.certificates import kubeconfig, pem
from tests.support.places import SUPPORT
from tests.support.profiles import SECURE_PATH, write_tree

RELEASE = {"centos7": "6.9.7-1.el7.elrepo.x86_64", "centos8": "7.1.9-1.el8.elrepo.x86_64", "debian12": "6.12.9-amd64"}
# Every stand-in writes down its call; what it prints and how it ends lies in answers/NAME[,ARGUMENT].
NETFILTER = ("nft", "iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save")
STAND_IN = """#!/bin/bash
printf '%s\\n' "${0##*/} $*" >>"$STAND_INS/log"
for key in "${0##*/},$*" "${0##*/},${1-}" "${0##*/}"; do
    key=${key//\\//_}
    if [[ -e $STAND_INS/answers/$key ]]; then
        cat "$STAND_INS/answers/$key" || exit # of SIGPIPE: nobody listens any more
        [[ ! -e $STAND_INS/codes/$key ]] || exit "$(<"$STAND_INS/codes/$key")"
        exit 0
    fi
done
exit "${STAND_IN_CODE:-0}"
"""
COMMANDS = """systemctl journalctl uname rpm dpkg ctr containerd chronyc getenforce setenforce stat df findmnt getent
kubelet kubeadm kubectl helm crictl curl ip NetworkManager systemd-analyze systemd-detect-virt modprobe
udevadm swapoff"""


@functools.cache
def system_tools() -> Path:
    """The host's own programs in sudo's folders on EL, without any that a node has a stand-in for."""
    folder = Path(tempfile.mkdtemp(prefix="imgbuild-tools-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    hidden = {*COMMANDS.split(), *NETFILTER, "awk"}
    for program in (p for part in SECURE_PATH.split(":") for p in Path(part).iterdir()):
        link = folder / program.name
        if program.name not in hidden and not link.is_symlink():
            link.symlink_to(program)
    return folder


class Node:
    """A node below ``root``."""

    def __init__(self, tmp_path: Path, found: Resolved) -> None:
        self.root, self.stand_ins = tmp_path / "root", tmp_path / "stand-ins"
        self.resolved, self.profile, self.target = found, found.profile, found.target
        self.release = RELEASE[found.target.id]
        self.environment: dict[str, str] = {}
        for folder in ("answers", "codes", "bin"):
            (self.stand_ins / folder).mkdir(parents=True)
        for name in (*COMMANDS.split(), *NETFILTER):
            program = (self.root / "usr/local/bin" if name in self._archives() else self.stand_ins / "bin") / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(STAND_IN)
            program.chmod(0o755)
        (self.stand_ins / "bin/awk").symlink_to(os.environ.get("TEST_AWK") or shutil.which("awk") or "")
        tree = node_tree(found)
        write_tree(tree, self.root)
        write_tree(seed_tree(found, DEFAULT, DEFAULT.nodes[0]), self.root)
        self._system()
        self._containerd()
        if found.profile.kubernetes.enabled:
            self._cluster()

    def _archives(self) -> set[str]:
        """What comes from archives, into /usr/local: an admin's sudo does not look there on EL."""
        found = {"helm"}
        if self.profile.containerd.source == "nerdctl-full":
            found |= {"ctr", "containerd"}
        if self.profile.kubernetes.source == "binaries":
            found |= {"kubelet", "kubeadm", "kubectl"}
        return found

    def write(self, path: str, content: str | bytes) -> Path:
        """A file of the fake root."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def answer(self, call: str, output: str, code: int = 0) -> None:
        """What a stand-in says: ``call`` is its name, or name,first-argument, or name,all arguments."""
        key = call.replace("/", "_")
        (self.stand_ins / "answers" / key).write_text(output)
        (self.stand_ins / "codes" / key).write_text(str(code))

    def inactive(self, unit: str) -> None:
        """Let ``systemctl is-active`` say no."""
        self.answer(f"systemctl,is-active --quiet {unit}", "", 3)
        self.answer(f"systemctl,is-active {unit}", "inactive\n", 3)

    @property
    def log(self) -> list[str]:
        """The calls of stand-ins since the start."""
        file = self.stand_ins / "log"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, *argv: str, bash: str | None = None) -> subprocess.CompletedProcess[bytes]:
        """One of the node's programs, by its name, as EL's sudo runs it: nothing of /usr/local is on PATH."""
        program = str(self.root / "usr/libexec/imgbuild" / argv[0])
        path = f"{self.stand_ins / 'bin'}:{system_tools()}"
        env = {"PATH": path, "IMGBUILD_ROOT": str(self.root), "STAND_INS": str(self.stand_ins), "HOME": "/root"}
        env |= {k: v for k, v in os.environ.items() if k == "IMGBUILD_REPORT_PORT"} | self.environment
        command = [*([bash] if bash else []), program, *argv[1:]]
        return subprocess.run(command, env=env, capture_output=True, timeout=HUNG, start_new_session=True)

    def checks(self, *words: str) -> dict[str, dict[str, Any]]:
        """verify --json, by name."""
        done = self.run("verify", "--json", *words)
        assert done.returncode in (0, 1), done.stderr
        assert not done.stderr, done.stderr
        lines = done.stdout.decode().splitlines()
        assert len(lines) == 1
        report = json.loads(lines[0])
        assert report["imgbuild"] == 1
        assert report["kind"] == "verify"
        failed = [check["name"] for check in report["checks"] if check["ok"] is False]
        assert bool(failed) == (done.returncode == 1), (failed, done.returncode)
        return {check["name"]: check for check in report["checks"]}

    def _system(self) -> None:
        profile, target = self.profile, self.target
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.answer("systemctl,is-active", "")
        for unit in (*target.services.ntp_rivals, *target.services.firewall):
            self.inactive(unit)
        self.answer("uname", f"{self.release}\n")
        kernel = target.kernels[profile.kernel.flavour]
        owner = kernel.owner.replace("[0-9]*[0-9]", "6.12.9")
        self.answer("rpm", f"{owner}\n")
        self.answer("dpkg", f"{owner}: /boot/vmlinuz-{self.release}\n")
        self.write(f"/boot/vmlinuz-{self.release}", "")
        self.write("/boot/vmlinuz-3.10.0-1160.el7.x86_64", "")
        self.grub()
        self.write("/run/cloud-init/result.json", RESULT % "DataSourceNoCloud [seed=/dev/vdb][dsmode=net]")
        self.write("/proc/sys/kernel/hostname", "node1\n")
        self.write("/proc/sys/kernel/random/boot_id", "0d5ac0f2-7d0b-4c3e-9a38-0b8ad0a5a4a1\n")
        self.write(f"/usr/share/zoneinfo/{profile.time.zone}", "")
        self.answer("chronyc", "Leap status     : Normal\n")
        for module in modules(profile):
            (self.root / "sys/module" / module.replace("-", "_")).mkdir(parents=True)
        for _, path, value in sysctls(self.resolved):
            self.write(f"/proc/sys/{path}", value.replace(" ", "\t") + "\n")
        for name in ("all", "default", "eth0", "lo"):
            self.write(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", f"{profile.network.rp_filter}\n")
        self.write("/proc/mounts", "sysfs /sys sysfs rw 0 0\nbpffs /sys/fs/bpf bpf rw,mode=700 0 0\n")
        self.answer("stat", "cgroup2fs\n" if target.id != "centos7" else "tmpfs\n")
        self.write("/proc/swaps", "Filename\t\tType\tSize\tUsed\tPriority\n")
        self.answer("getenforce", "Permissive\n")
        self.answer("findmnt", "/dev/vda2\n")
        self.answer("df", "1B-blocks\n20000000000\n")
        disk = "/sys/devices/pci0/block/vda"
        for name, number in {"size": 41943040, "vda1/size": 204800, "vda1/partition": 1, "vda2/size": 41730000}.items():
            self.write(f"{disk}/{name}", f"{number}\n")
        self.write(f"{disk}/vda2/partition", "2\n")
        (self.root / "sys/class/block").mkdir(parents=True)
        (self.root / "sys/class/block/vda2").symlink_to("../../devices/pci0/block/vda/vda2")
        unmanaged = ";".join(f"interface-name:{name}" for name in profile.network.unmanaged)
        self.answer("NetworkManager", f"[keyfile]\nunmanaged-devices={unmanaged}\n")
        self.answer("journalctl", "systemd 219 running in system mode.\nReached target Multi-User System.\n")
        self.answer("systemd-analyze", "ManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n")

    def grub(self) -> None:
        """The default entry is the running kernel."""
        boot = self.target.boot
        if boot.menu == "bls":
            self.write(f"{boot.grub_dir}/grubenv", f"# GRUB Environment Block\nsaved_entry=abc-{self.release}\n####")
            entry = f"title x\nversion {self.release}\nlinux /boot/vmlinuz-{self.release}\n"
            self.write(f"/boot/loader/entries/abc-{self.release}.conf", entry)
        else:
            self.write(f"{boot.grub_dir}/grub.cfg", GRUB_CFG.replace("RELEASE", self.release))

    def _containerd(self) -> None:
        profile = self.profile
        release = self.resolved.containerd or ""
        self.answer("ctr,version", f"Client:\n  Version:  0\n\nServer:\n  Version:  v{release}~ds1\n  Revision: 1\n")
        rows = "".join(f"io.containerd.x.v1  {name}  -  ok\n" for name in ("cri", "overlayfs", "native", "stargz"))
        self.answer("ctr,plugins", "TYPE ID PLATFORMS STATUS\n" + rows)
        self.dump(containerd.config(self.resolved).decode())
        bin_dir = self.root / "opt/cni/bin"
        if bin_dir.is_symlink():
            bin_dir.unlink()
        for name in ("bridge", "host-local", "loopback", "portmap"):
            self.write(f"/opt/cni/bin/{name}", "").chmod(0o755)
        options = profile.containerd
        command = f"ExecStart={{ argv[]=x --root {options.stargz.root} --log-level=info ; }}\n"
        self.answer("systemctl,show --property=ExecStart stargz-snapshotter.service", command)
        command = f"ExecStart={{ argv[]=x --root {options.buildkit.root} --containerd-worker-snapshotter=stargz ; }}\n"
        self.answer("systemctl,show --property=ExecStart buildkit.service", command)
        version = f"v{profile.kubernetes.version}\n"
        self.answer("kubelet", f"Kubernetes {version}")
        self.answer("kubeadm", version)
        self.answer("kubectl", f"Client Version: {version}Kustomize Version: v5.7.1\n")
        self.answer("helm", f"v{profile.helm.version}+gabcdef\n")

    def _cluster(self) -> None:
        """First boot is done, and all is well: what kubectl, nft and Cilium's agent say then."""
        self.write("/etc/imgbuild/cluster.conf", CLUSTER_CONF)
        self.write("/etc/imgbuild/addons.conf", "addon name=ingress kind=manifest\n")
        self.write("/var/lib/imgbuild/kubeadm.way", "init\n")
        self.write("/var/lib/imgbuild/addons/ingress", "")
        self.write("/etc/kubernetes/admin.conf", "")
        self.write("/var/lib/imgbuild/firstboot.done", "2026-01-01T00:00:00Z\n")
        ready = 'get node node1 --output jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        self.kubectl(ready, "True")
        self.kubectl(
            "get deployment coredns --namespace kube-system --output jsonpath={.status.availableReplicas}", "2"
        )
        for command in NETFILTER:
            self.answer(command, "chain KUBE-FIREWALL {\n}\nchain KUBE-KUBELET-CANARY {\n}\n")
        self.answer("crictl,ps --name ^cilium-agent$ --state Running --quiet", "0123abc\n")
        self.write("/etc/kubernetes/admin.conf", kubeconfig(300))
        self.write("/etc/kubernetes/pki/apiserver.crt", pem(280))
        self.write("/etc/kubernetes/pki/ca.crt", pem(3000, 3650))
        self.answer("curl", "")
        self.answer("ip", "2: eth0    inet 10.0.0.100/32 scope global eth0\n")
        self.cilium("status", STATUS)
        self.cilium("service list", SERVICES)
        self.cilium("endpoint list", ENDPOINTS)
        self.health(HEALTH)

    def no_netfilter(self) -> None:
        """Neither nft nor iptables can tell."""
        for command in NETFILTER:
            self.answer(command, "", 1)

    def kubectl(self, call: str, output: str, code: int = 0) -> None:
        """What kubectl says to a call."""
        self.answer(f"kubectl,--request-timeout=10s {call}", output, code)

    def cilium(self, call: str, output: str, code: int = 0) -> None:
        """What the agent's own program says."""
        self.answer(f"crictl,exec 0123abc cilium-dbg {call} -o json", output, code)

    def health(self, output: str, code: int = 0) -> None:
        """What the agent's prober says."""
        self.answer("crictl,exec 0123abc cilium-health status -o json", output, code)

    def dump(self, content: str) -> None:
        """What ``containerd config dump`` says."""
        self.answer("containerd", content)


CLUSTER_CONF = """\
node_name='node1'
node_role='init'
cilium='yes'
cilium_routing='native'
cilium_host_routing='bpf'
cilium_kpr='yes'
cilium_bandwidth='off'
vip='10.0.0.100'
balancer='127.0.0.1:7443'
balancer_members='10.0.0.11:6443 10.0.0.12:6443'
api_port='6443'
"""
# What a real agent answered, but for the endpoints (tests/support/cilium_status/README.md)
AGENT = SUPPORT / "cilium_status"
STATUS, NATIVE_XDP, TWO_SUBNETS, SERVICES, ENDPOINTS, BROKEN_HEALTH = (
    (AGENT / f"{name}.json").read_text()
    for name in ("default", "native-xdp", "two-subnets", "services", "endpoints", "health")
)
# The same with every node reached
HEALTH = re.sub(r'"status": ".*"(?=\n)', '"latency": 140486', BROKEN_HEALTH)
RESULT = '{\n "v1": {\n  "datasource": "%s",\n  "errors": []\n }\n}\n'
GRUB_CFG = """\
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
else
   set default="0"
fi
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  fi
}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1' {
\tload_video
\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
\tif [ x$feature_platform_search_hint = xy ]; then
\t  search --no-floppy
\tfi
\tlinux\t/boot/vmlinuz-RELEASE root=UUID=1 ro
\tinitrd\t/boot/initrd.img-RELEASE
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
\tmenuentry 'Debian, with Linux RELEASE' --class debian $menuentry_id_option 'gnulinux-RELEASE-advanced-1' {
\t\tlinux\t/boot/vmlinuz-RELEASE root=UUID=1 ro
\t}
\tmenuentry 'Debian, with Linux 3.10.0' --class debian $menuentry_id_option 'gnulinux-3.10.0-advanced-1' {
\t\tlinux16\t/boot/vmlinuz-3.10.0 root=UUID=1 ro
\t}
}
menuentry 'Old' {
\tlinuxefi\t/vmlinuz-2.6.32 root=UUID=1 ro
}
"""
