"""imgbuild-verify on a fake root with stand-in commands: sound nodes pass, and each check fails for its reason."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbuild.machine.report import parse_line, parse_verify
from imgbuild.render.verify import CILIUM, CLUSTER, UNREQUIRED, check_list, check_names
from tests.support.deadline import HUNG
from tests.support.node.certificates import kubeconfig, pem, written
from tests.support.node.fakenode import BROKEN_HEALTH, CLUSTER_CONF, ENDPOINTS, RESULT, SERVICES, STATUS, Node
from tests.support.profiles import CASES, HOST, resolved

pytestmark = pytest.mark.usefixtures("awk")

USER = ["users=[{name: ops, ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vqjJd0N5k0y3sY9bJ8e3V me@x]}]"]


@pytest.mark.parametrize(("name", "layers"), CASES)
def test_a_sound_node_passes(tmp_path: Path, name: str, layers: list[str]) -> None:
    found = resolved(name, layers)
    checks = Node(tmp_path, found).checks()
    assert {n: c["found"] for n, c in checks.items() if c["ok"] is not True} == {}
    assert list(checks) == check_list(found)
    assert check_names(found) == set(checks) - UNREQUIRED


READY = 'get node node1 --output jsonpath={.status.conditions[?(@.type=="Ready")].status}'
COREDNS = "get deployment coredns --namespace kube-system --output jsonpath={.status.availableReplicas}"


def told(old: str, new: str) -> str:
    """What the agent says of a sound node, with one thing in it changed."""
    assert STATUS.count(old) == 1
    return STATUS.replace(old, new)


def unheard(node: Node, at: str) -> None:
    """Nothing answers at this address."""
    words = f'#!/bin/sh\ncase "$*" in *{at}*) echo "curl: (7) Failed to connect to {at}" >&2; exit 7 ;; esac\n'
    (node.stand_ins / "bin/curl").write_text(words)


DISK = """\
disks=(
    /data id x ext4 0-1 data no '' 90 no
    /more size 1000 xfs 0-2 more no noatime 90 no
)
folders=(/data /var/lib/kubelet)
sizes=(1)
"""


def seed(node: Node, text: str) -> None:
    """Add lines to the node's seed.conf."""
    place = node.root / "etc/imgbuild/seed.conf"
    place.write_text(f"{place.read_text()}{text}\n")


def routed(node: Node) -> None:
    """A default route where the seed has none."""
    seed(node, "seed_no_default=(eth1)")
    node.answer("ip,-4 route show default dev eth1", "default via 192.0.2.1 dev eth1 proto dhcp\n")


Break = Callable[[Node], object]
BREAKS: list[tuple[str, str, Break]] = [
    ("debian12-efi", "kernel", lambda n: n.answer("uname", "6.1.0-9-amd64\n")),
    ("debian12-efi", "kernel", lambda n: n.answer("dpkg", "nothing: /x\n")),
    ("debian12-efi", "kernel", lambda n: n.write("/boot/vmlinuz-6.13.0-amd64", "")),
    ("centos7-bios", "kernel", lambda n: n.answer("rpm", "kernel\n")),
    ("debian12-efi", "boot-default", lambda n: n.write("/boot/grub/grub.cfg", "")),
    ("centos8-efi", "boot-default", lambda n: n.write("/boot/loader/entries/zz.conf", "linux /vmlinuz-9\n") and
        n.write("/boot/grub2/grubenv", "")),
    ("debian12-efi", "cloud-init", lambda n: (n.root / "run/cloud-init/result.json").unlink()),
    ("debian12-efi", "cloud-init", lambda n: n.write("/run/cloud-init/result.json", RESULT % "DataSourceNone")),
    ("debian12-efi", "cloud-init", lambda n: n.write(
        "/run/cloud-init/result.json", '{"v1": {"datasource": "DataSourceNoCloud", "errors": ["a \\"b\\" [c]"]}}')),
    ("debian12-efi", "hostname", lambda n: n.write("/proc/sys/kernel/hostname", "localhost\n")),
    ("debian12-efi", "network", lambda n: seed(n, "seed_dns=(192.0.2.53)")),
    ("centos8-efi", "network", routed),
    ("debian12-efi", "root-grown", lambda n: n.write("/sys/devices/pci0/block/vda/size", "80000000\n")),
    ("debian12-efi", "root-grown", lambda n: n.answer("df", "x\n4000000000\n")),
    ("debian12-efi", "time-zone", lambda n: (n.root / "usr/share/zoneinfo/UTC").unlink()),
    ("debian12-efi", "chrony", lambda n: n.inactive("chrony.service")),
    ("debian12-efi", "chrony", lambda n: n.answer("systemctl,is-active --quiet systemd-timesyncd.service", "")),
    ("centos7-efi", "chrony", lambda n: n.write("/etc/chrony.conf", "server evil.example.com\n")),
    ("debian12-efi", "modules", lambda n: (n.root / "sys/module/overlay").rmdir()),
    ("centos7-efi", "sysctl:net.ipv4.ip_forward", lambda n: n.write("/proc/sys/net/ipv4/ip_forward", "0\n")),
    ("centos7-efi", "sysctl:net.bridge.bridge-nf-call-iptables",
        lambda n: (n.root / "proc/sys/net/bridge/bridge-nf-call-iptables").unlink()),
    ("centos7-efi", "rp-filter", lambda n: n.write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1\n")),
    ("centos7-efi", "bpffs", lambda n: n.write("/proc/mounts", "")),
    ("debian12-efi", "disks", lambda n: n.write("/etc/imgbuild/disks.conf", DISK)),
    ("centos7-efi", "disks", lambda n: n.write("/etc/imgbuild/disks.conf", "disks=(")),
    ("centos8-efi", "cgroup", lambda n: n.answer("stat", "tmpfs\n")),
    ("centos8-efi", "no-swap", lambda n: n.write("/proc/swaps", "Filename Type\n/dev/vda3 partition 1 0 -2\n")),
    ("centos8-efi", "selinux", lambda n: n.answer("getenforce", "Enforcing\n")),
    ("centos8-efi", "selinux", lambda n: n.write("/etc/selinux/config", "SELINUX=enforcing\n")),
    ("centos8-efi", "firewall", lambda n: n.answer("systemctl,is-active --quiet firewalld.service", "")),
    ("centos8-efi", "network-manager", lambda n: n.answer("NetworkManager", "unmanaged-devices=interface-name:lxc*\n")),
    ("debian12-efi", "networkd", lambda n: n.answer("systemd-analyze", "ManageForeignRoutes=yes\n")),
    ("debian12-efi", "containerd", lambda n: n.inactive("containerd.service")),
    ("debian12-efi", "containerd", lambda n: n.answer("ctr,version", "Server:\n  Version: 1.5.0\n")),
    ("debian12-efi", "containerd-plugins", lambda n: n.answer("ctr,plugins", "x cri linux/amd64 error\n")),
    ("debian12-efi", "containerd-config", lambda n: n.dump("version = 2\n")),
    ("debian12-efi", "containerd-config", lambda n: n.answer("containerd", "", 1)),
    ("debian12-efi", "cni", lambda n: (n.root / "opt/cni/bin/bridge").unlink()),
    ("debian12-efi", "registries", lambda n: (n.root / "etc/containerd/certs.d/quay.io/hosts.toml").unlink()),
    ("debian12-efi", "stargz", lambda n: n.inactive("stargz-snapshotter.service")),
    ("debian12-efi", "buildkit",
        lambda n: n.answer("systemctl,show --property=ExecStart buildkit.service", "argv[]=buildkitd ;")),
    ("debian12-efi", "crictl", lambda n: n.write("/etc/crictl.yaml", "")),
    ("debian12-efi", "kubelet", lambda n: n.answer("systemctl,is-enabled", "", 1)),
    ("debian12-efi", "kubeadm", lambda n: n.answer("kubeadm", "v1.2.3\n")),
    ("debian12-efi", "kubectl", lambda n: n.answer("kubectl,version --client", "v1.2.3\n")),
    ("debian12-efi", "helm", lambda n: n.answer("helm", "", 1)),
    ("debian12-efi", "node-ready", lambda n: n.inactive("kubelet.service")),
    ("debian12-efi", "node-ready", lambda n: n.kubectl(READY, "False")),
    ("debian12-efi", "node-ready", lambda n: n.kubectl(READY, "", 1)),
    ("debian12-efi", "certificates", lambda n: n.write("/etc/kubernetes/pki/apiserver.crt", pem(59))),
    ("debian12-efi", "certificates", lambda n: n.write("/etc/kubernetes/pki/etcd/peer.crt", pem(-1))),
    ("debian12-efi", "certificates", lambda n: n.write("/etc/kubernetes/admin.conf", kubeconfig(59))),
    ("debian12-efi", "certificates", lambda n: n.write("/etc/kubernetes/pki/ca.crt", pem(59, 3650))),
    ("debian12-efi", "certificates", lambda n: n.write("/etc/kubernetes/pki/apiserver.crt", "no certificate")),
    ("debian12-efi", "certificates", lambda n: n.write("/etc/kubernetes/pki/apiserver.crt", pem(4.5, 30))),
    ("debian12-efi", "vip", lambda n: unheard(n, "10.0.0.100:6443")),
    ("debian12-efi", "balancer", lambda n: unheard(n, "127.0.0.1:7443")),
    *(("debian12-efi", "no-kube-proxy", lambda n, c=chain: n.answer("nft", f"chain {c} {{\n")) for chain in (
        "KUBE-SVC-ABCDEF", "KUBE-SEP-ABC", "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-PROXY-CANARY")),
    ("debian12-efi", "no-kube-proxy", lambda n: n.answer("iptables-save", ":KUBE-SERVICES - [0:0]\n")),
    ("debian12-efi", "no-kube-proxy", lambda n: n.no_netfilter()),
    ("debian12-efi", "cilium",
        lambda n: n.cilium("status", told('" (v-)",\n    "state": "Ok"', '"", "state": "Failure"'))),
    ("debian12-efi", "cilium-services", lambda n: n.cilium("service list", "[]")),
    ("debian12-efi", "cilium-services", lambda n: n.cilium("service list", "", 1)),
    ("debian12-efi", "cilium-datapath",
        lambda n: n.cilium("status", told('intra-host-routing-mode": "BPF"', 'intra-host-routing-mode": "Legacy"'))),
    ("debian12-efi", "cilium-datapath",
        lambda n: n.cilium("status", told('inter-host-routing-mode": "Native"', 'inter-host-routing-mode": "Tunnel"'))),
    ("debian12-efi", "cilium-datapath",
        lambda n: n.cilium("status", told('"mode": "True"', '"mode": "False"'))),
    ("debian12-efi", "cilium-endpoints", lambda n: n.cilium("endpoint list", "", 1)),
    ("debian12-efi", "cilium-health", lambda n: n.health(BROKEN_HEALTH)),
    ("debian12-efi", "cilium-bandwidth",
        lambda n: n.write("/etc/imgbuild/cluster.conf", CLUSTER_CONF.replace("'off'", "'on, with BBR'"))),
    ("debian12-efi", "coredns", lambda n: n.kubectl(COREDNS, "")),
    ("debian12-efi", "addons", lambda n: (n.root / "var/lib/imgbuild/addons/ingress").unlink()),
    ("debian12-efi", "failed-units", lambda n: n.answer("systemctl,list-units", "● a.service loaded failed failed\n")),
    ("debian12-efi", "failed-units", lambda n: n.answer("systemctl,list-units", "", 1)),
    ("debian12-efi", "ordering-cycles", lambda n: n.answer("journalctl", "", 1)),
    ("centos7-efi", "ordering-cycles", lambda n: n.answer("journalctl", "")),
    ("debian12-efi", "ordering-cycles",
        lambda n: n.answer("journalctl", "sysinit.target: Found ordering cycle on x.service/start\n")),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "check", "spoil"), BREAKS)
def test_each_check_fails_alone(tmp_path: Path, profile: str, check: str, spoil: Break) -> None:
    node = Node(tmp_path, resolved(profile))
    spoil(node)
    failed = {name: one for name, one in node.checks().items() if one["ok"] is not True}
    # A kernel that does not run is not the default entry either.
    assert set(failed) - {"boot-default"} == {check} - {"boot-default"}
    assert check in failed
    assert "" != failed[check]["expected"] != failed[check]["found"] != ""


# nerdctl-full 2.3's ctr, which writes piece by piece. What comes after the server's version is more than a pipe holds:
# a reader that goes early ends ctr with SIGPIPE each time, not only where it is quick.
CTR_VERSION = """\
Client:
  Version:  v{0}
  Revision: 1c4457e00facac03ce1d75f7b6777a7a851e5c41
  Go version: go1.24.6

Server:
  Version:  v{0}
  Revision: 1c4457e00facac03ce1d75f7b6777a7a851e5c41
  UUID: 2cf1d3e0-6ad3-4e37-93bb-a4b8f1ab2d7c
"""


@pytest.mark.parametrize("profile", ["centos7-efi", "centos8-efi", "debian12-efi"])
def test_ctr_is_heard_to_the_end(tmp_path: Path, profile: str) -> None:
    found = resolved(profile)
    node = Node(tmp_path, found)
    release = found.containerd or ""
    node.answer("ctr,version", CTR_VERSION.format(release) + "\n" * 200_000)
    check = node.checks("containerd")["containerd"]
    assert (check["ok"], check["found"]) == (True, release)


def test_a_kernel_of_another_flavour_is_no_newer_one(tmp_path: Path) -> None:
    """Debian's cloud images have the cloud flavour's, which stays beside the one that stock mode installs."""
    node = Node(tmp_path, resolved("debian12-efi"))
    assert node.checks("kernel")["kernel"]["ok"] is True
    for flavour in ("cloud-amd64", "rt-amd64", "amd64-unsigned"):
        name = f"6.99.0-1-{flavour}"
        node.write(f"/boot/vmlinuz-{name}", "")
        node.answer(f"dpkg,-S /boot/vmlinuz-{name}", f"linux-image-{name}: /boot/vmlinuz-{name}\n")
    assert node.checks("kernel")["kernel"]["ok"] is True
    name = "6.99.0-1-amd64"
    node.write(f"/boot/vmlinuz-{name}", "")
    node.answer(f"dpkg,-S /boot/vmlinuz-{name}", f"linux-image-{name}: /boot/vmlinuz-{name}\n")
    assert node.checks("kernel")["kernel"]["ok"] is False


@pytest.mark.parametrize("name", ["centos7-efi", "centos8-efi", "debian12-efi"])
def test_guest_agents_run_where_they_are_needed(tmp_path: Path, name: str) -> None:
    node = Node(tmp_path, resolved(name, sets=["guest_agents=[vmware, qemu, hyperv]"]))
    units = {agent: facts.unit for agent, facts in node.target.guest_agents.items()}
    node.answer("systemd-detect-virt", "none\n", 1)
    for unit in units.values():
        node.inactive(unit)
    check = node.checks("guest-agents")["guest-agents"]
    assert (check["ok"], check["found"]) == (True, "vmware: not here, qemu: not here, hyperv: not here")
    for agent, virtualization, place in (
        ("vmware", "vmware", None),
        ("qemu", "kvm", "/dev/virtio-ports/org.qemu.guest_agent.0"),
        ("hyperv", "microsoft", "/dev/vmbus/hv_kvp"),
    ):
        node.answer("systemd-detect-virt", f"{virtualization}\n")
        if place is not None:
            node.write(place, "")
        check = node.checks("guest-agents")["guest-agents"]
        assert check["ok"] is False
        assert f"{agent}: {units[agent]} does not run" in check["found"]
        node.answer(f"systemctl,is-active --quiet {units[agent]}", "")
        check = node.checks("guest-agents")["guest-agents"]
        assert check["ok"] is True, check


def test_the_network_of_the_seed(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("centos7-efi"))
    seed(node, "seed_dns=(192.0.2.53 2001:db8::53) seed_no_default=(eth1)")
    node.write("/etc/resolv.conf", "search lab.example\nnameserver 192.0.2.53\nnameserver 192.0.2.1\n")
    node.answer("ip,-4 route show default dev eth1", "")
    check = node.checks("network")["network"]
    assert (check["ok"], check["found"]) == (False, "2001:db8::53 is not in resolv.conf")
    node.write("/run/systemd/resolve/resolv.conf", "nameserver 2001:db8::53\n")
    check = node.checks("network")["network"]
    assert (check["ok"], check["found"]) == (
        True, "name servers 192.0.2.53 2001:db8::53, no default route on eth1",
    )  # fmt: skip


def test_images_of_the_disk_image(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", sets=["images.preload=true"]))
    assert "images" not in check_names(node.resolved)
    assert node.checks("images")["images"]["ok"] is None, "elements of one's own lay no images"
    pause, digest = "registry.k8s.io/pause:3.10.1", f"sha256:{'a' * 64}"
    node.write("/usr/share/imgbuild/preload/images.list", f"{pause} {digest}\n{pause}.2 {digest}\n")
    rows = f"REF TYPE DIGEST SIZE\n{pause} application/x {digest} 1\n"
    node.answer("ctr,-n k8s.io images list", rows)
    check = node.checks("images")["images"]
    assert (check["ok"], check["found"]) == (False, f"missing: {pause}.2")
    node.answer("ctr,-n k8s.io images list", f"{rows}{pause}.2 application/x sha256:{'b' * 64} 1\n")
    assert node.checks("images")["images"]["ok"] is False, "another digest is another image"
    node.answer("ctr,-n k8s.io images list", f"{rows}{pause}.2 application/x {digest} 1\n")
    assert node.checks("images")["images"]["ok"] is True
    (node.root / "var/lib/imgbuild/firstboot.done").unlink()
    assert node.checks("images")["images"]["ok"] is None


def test_further_disks(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    node.write("/etc/imgbuild/disks.conf", DISK)
    for link, target in (("by-id/x", "../../vdb"), ("by-uuid/0-2", "../../vdc")):
        place = node.root / "dev/disk" / link
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for name in ("vdb", "vdc", "vdd"):
        node.write(f"/dev/{name}", "")
    mounts = node.root / "proc/mounts"
    before = mounts.read_text()
    right = "/dev/vdb /data ext4 rw 0 0\n/dev/vdb /var/lib/kubelet ext4 rw 0 0\n/dev/vdc /more xfs rw 0 0\n"
    mounts.write_text(before + right)
    check = node.checks("disks")["disks"]
    assert check["ok"] is True, check
    for wrong, found in (
        (right.replace("vdc /more", "vdd /more"), "/more: xfs on /dev/vdd"),
        (right.replace("/more xfs", "/more ext4"), "/more: ext4 on /dev/vdc"),
        (right.replace("/dev/vdb /var/lib/kubelet", "/dev/vdc /var/lib/kubelet"), "/var/lib/kubelet: on /dev/vdc"),
        (right.replace("/data", "/dat"), "/data: not mounted"),
        (right + "/dev/vdd /data ext4 rw 0 0\n", "/data: ext4 on /dev/vdd"),
    ):
        mounts.write_text(before + wrong)
        check = node.checks("disks")["disks"]
        assert check["ok"] is False
        assert found in check["found"], check


def test_every_check_has_a_test_that_breaks_it() -> None:
    names = {name for case in CASES for name in check_list(resolved(*case))}
    kinds = {name.partition(":")[0] for name in names}
    assert kinds - {check.partition(":")[0] for _, check, _ in BREAKS} == {"clock", "first-boot", "users", "ssh-keys"}


def test_before_first_boot_is_done_the_cluster_is_no_failure(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    (node.root / "var/lib/imgbuild/firstboot.done").unlink()
    checks = node.checks()
    assert {name: checks[name]["ok"] for name in CLUSTER} == dict.fromkeys(CLUSTER)
    status = '{"program": "firstboot", "stage": "kubeadm", "state": "%s", "attempt": 1, "done": [], "time": "", '
    status += '"error": "no route"}\n'
    node.write("/run/imgbuild/status.json", status % "waiting")
    checks = node.checks()
    assert checks["first-boot"]["ok"] is None
    assert checks["node-ready"]["found"] == "no cluster yet: first boot is kubeadm: waiting"
    # One that failed is a failure, and the only one.
    node.write("/run/imgbuild/status.json", status % "failed")
    failed = {name: one["found"] for name, one in node.checks().items() if one["ok"] is False}
    assert failed == {"first-boot": "kubeadm: failed: no route"}
    (node.root / "etc/imgbuild/cluster.conf").unlink()
    assert node.checks()["first-boot"]["ok"] is None


def test_certificates_that_have_time_left(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    for file, text in {"pki/apiserver.crt": pem(61), "pki/etcd/server.crt": pem(6, 30)}.items():
        node.write(f"/etc/kubernetes/{file}", text)
    found = node.checks("certificates")["certificates"]
    assert found["ok"] is True and found["found"].startswith("the first, pki/etcd/server.crt expires on 2")
    (node.root / "etc/kubernetes/pki/apiserver.crt").unlink()
    assert node.checks("certificates")["certificates"]["ok"] is None  # a worker


def test_certificates_of_a_month_that_begin_with_their_ca(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    for file, text in {"ca.crt": pem(3000, 3650), "apiserver.crt": pem(25, 675)}.items():
        node.write(f"/etc/kubernetes/pki/{file}", text)
    written(node.root / "etc/kubernetes/pki/apiserver.crt", 5)
    assert node.checks("certificates")["certificates"]["ok"] is True


def test_who_holds_the_virtual_address(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    assert node.checks("vip")["vip"]["found"] == "10.0.0.100:6443 answers, held by this node"
    node.answer("ip", "2: eth0    inet 10.0.0.10/24 scope global eth0\n")  # not 10.0.0.100
    lease = "get lease plndr-cp-lock --namespace kube-system --output jsonpath={.spec.holderIdentity}"
    node.kubectl(lease, "cp2")
    assert node.checks("vip")["vip"]["found"] == "10.0.0.100:6443 answers, held by cp2"
    (node.root / "etc/kubernetes/admin.conf").unlink()
    assert node.checks("vip")["vip"]["found"] == "10.0.0.100:6443 answers"
    (asked,) = {line for line in node.log if line.startswith("curl ")}
    assert asked.endswith(f"--cacert {node.root}/etc/kubernetes/pki/ca.crt https://10.0.0.100:6443/livez")
    config = (node.root / "etc/imgbuild/cluster.conf").read_text()
    node.write("/etc/imgbuild/cluster.conf", config.replace("10.0.0.100", "fd00::9"))
    node.checks("vip")
    assert any(line.endswith("https://[fd00::9]:6443/livez") for line in node.log)
    node.write("/etc/imgbuild/cluster.conf", config.replace("10.0.0.100", ""))
    assert node.checks("vip")["vip"]["ok"] is None


def test_the_balancer_names_control_planes_that_do_not_answer(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    assert node.checks("balancer")["balancer"]["found"] == "127.0.0.1:7443 answers"
    unheard(node, "10.0.0.12:6443")
    found = node.checks("balancer")["balancer"]
    assert found["ok"] is True and found["found"] == "127.0.0.1:7443 answers; no answer from 10.0.0.12:6443"
    config = (node.root / "etc/imgbuild/cluster.conf").read_text()
    node.write("/etc/imgbuild/cluster.conf", config.replace("127.0.0.1:7443", ""))
    assert node.checks("balancer")["balancer"]["ok"] is None


def test_with_dual_stack_a_ready_node_has_an_address_of_each_family(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    config = (node.root / "etc/imgbuild/cluster.conf").read_text()
    node.write("/etc/imgbuild/cluster.conf", f"{config}second_family='6'\n")
    addresses = (
        'get node node1 --output jsonpath={range .status.addresses[?(@.type=="InternalIP")]}{.address}{" "}{end}'
    )
    node.kubectl(addresses, "10.0.0.10 fd00::10 ")
    assert node.checks("node-ready")["node-ready"]["ok"] is True
    node.kubectl(addresses, "10.0.0.10 ")
    assert "10.0.0.10" in node.checks("node-ready")["node-ready"]["found"]
    assert node.checks("node-ready")["node-ready"]["ok"] is False


def test_cilium_by_its_old_name(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    for call, text in (("status", STATUS), ("service list", SERVICES), ("endpoint list", ENDPOINTS)):
        node.cilium(call, "OCI runtime exec failed\n", 126)
        node.answer(f"crictl,exec 0123abc cilium {call} -o json", text)
    assert all(node.checks()[name]["ok"] for name in CLUSTER)
    node.answer("crictl,ps --name ^cilium-agent$ --state Running --quiet", "")
    checks = node.checks()
    assert [checks[name]["ok"] for name in CILIUM] == [False] * len(CILIUM)


def test_a_worker_asks_what_its_kubelet_may(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    (node.root / "etc/kubernetes/admin.conf").unlink()
    checks = node.checks()
    assert checks["coredns"]["ok"] is None
    assert checks["node-ready"]["ok"] is True


@pytest.mark.parametrize(("link", "file", "told"), [
    ("nameserver 192.0.2.1\n", "nameserver 127.0.0.53\n", False),
    ("# No DNS servers known.\nsearch .\n", "nameserver 192.0.2.1\n", True),
    (None, "search lab\nnameserver 2001:db8::1\n", False),
    (None, "nameserver ::1\nnameserver 127.0.0.1\n", True),
    (None, "", True),
    (None, None, True),
])  # fmt: skip
def test_coredns_without_a_dns_server(tmp_path: Path, link: str | None, file: str | None, told: bool) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    node.kubectl(COREDNS, "")
    for path, text in (("/run/systemd/resolve/resolv.conf", link), ("/etc/resolv.conf", file)):
        if text is not None:
            node.write(path, text)
    check = node.checks()["coredns"]
    assert check["ok"] is False
    assert ("this node has no DNS server" in check["found"]) == told
    assert ("set dns: of the network to any address" in check["hint"]) == told


def test_users_and_keys(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", sets=USER))
    node.answer("getent", "ops:x:1000:1000::/home/ops:/bin/bash\n")
    node.write("/home/ops/.ssh/authorized_keys", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vqjJd0N5k0y3sY9bJ8e3V\n")
    checks = node.checks()
    assert checks["users"]["ok"] is True
    assert checks["ssh-keys"]["ok"] is True
    node.write("/home/ops/.ssh/authorized_keys", "ssh-ed25519 AAAAC3 other\n")
    assert node.checks()["ssh-keys"]["ok"] is False
    node.answer("getent", "", 2)
    assert node.checks()["users"]["ok"] is False


def test_a_seed_without_users(tmp_path: Path) -> None:
    checks = Node(tmp_path, resolved("debian12-efi")).checks()
    assert [(checks[name]["ok"], checks[name]["found"]) for name in ("users", "ssh-keys")] == [
        (True, "none"), (True, "0 keys"),
    ]  # fmt: skip


def test_without_a_seed_nothing_is_claimed(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", sets=USER))
    (node.root / "etc/imgbuild/seed.conf").unlink()
    checks = node.checks()
    assert [checks[name]["ok"] for name in ("hostname", "users", "ssh-keys", "network")] == [None] * 4


@pytest.mark.parametrize(
    ("default", "saved", "wanted"),
    [
        ("0", "", "R"),
        ("2", "", "2.6.32"),
        ("1>1", "", "3.10.0"),
        ("Old", "", "2.6.32"),
        ("gnulinux-3.10.0-advanced-1", "", "3.10.0"),
        ("gnulinux-advanced-1>gnulinux-3.10.0-advanced-1", "", "3.10.0"),
        ("${saved_entry}", "Advanced options>Debian, with Linux 3.10.0", "3.10.0"),
        ("${saved_entry}", "2", "2.6.32"),
        ("${saved_entry}", "", "R"),
        ("nobody", "", "no entry found"),
    ],
)
def test_default_entry_of_a_grub_menu(tmp_path: Path, default: str, saved: str, wanted: str) -> None:
    node = Node(tmp_path, resolved("debian12-efi"))
    config = node.root / "boot/grub/grub.cfg"
    config.write_text(config.read_text().replace('set default="0"', f'set default="{default}"'))
    node.write("/boot/grub/grubenv", f"# GRUB Environment Block\nsaved_entry={saved}\n######")
    assert node.checks()["boot-default"]["found"] == wanted.replace("R", node.release)


def test_default_entry_of_a_grub_menu_on_the_esp(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("centos7-efi"))
    esp = (node.root / "boot/grub2/grub.cfg").read_text()
    node.write("/sys/firmware/efi/runtime", "")
    node.write("/boot/efi/EFI/centos/grub.cfg", esp.replace('"0"', '"Old"'))
    assert node.checks()["boot-default"]["found"] == "2.6.32"
    # One that only goes on to /boot does not count.
    node.write("/boot/efi/EFI/centos/grub.cfg", "configfile /boot/grub2/grub.cfg\n")
    assert node.checks()["boot-default"]["ok"] is True


NASTY = 'a"b\\c\td\x01\x1f\x7f\x1b[31m $(touch /tmp/x) `id` {{ x }} é 日本'


def test_json_survives_nasty_values(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", HOST))
    node.write("/proc/sys/kernel/hostname", NASTY.encode() + b"\xff\xfe\n")
    done = node.run("verify", "--json")
    assert json.loads(done.stdout)["hostname"] == NASTY
    (check,) = (c for c in parse_verify(parse_line(done.stdout)) if c.name == "hostname")
    assert check.ok is False
    text = node.run("verify").stdout
    assert b"\x1b" not in text
    assert b"\x01" not in text


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", HOST))
    node.answer("journalctl", "ordering cycle é\n" * 5000)
    assert len(node.checks()["ordering-cycles"]["found"]) <= 2000


def test_a_containerd_that_hangs_is_a_failed_check(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("centos7-efi"))
    commands = node.stand_ins / "bin"
    (node.root / "usr/local/bin/ctr").write_text("#!/bin/bash\nexec sleep 50\n")
    # The others have their time on a busy machine.
    (commands / "timeout").write_text(
        '#!/bin/bash\nif [[ $2 == *ctr ]]; then set -- 0.2 "${@:2}"; fi\nexec /usr/bin/timeout "$@"\n'
    )
    (commands / "timeout").chmod(0o755)
    failed = [name for name, one in node.checks().items() if one["ok"] is False]
    assert failed == ["containerd", "containerd-plugins"]


def test_table_and_colours(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", HOST))
    done = node.run("verify")
    assert done.returncode == 0
    assert b"checks, 0 failed" in done.stdout
    node.write("/proc/swaps", "Filename\n/swap file 1\n")
    done = node.run("verify")
    assert done.returncode == 1
    assert b"FAIL  no-swap" in done.stdout
    assert b"swapoff -a" in done.stdout
    main, other = pty.openpty()
    env = {"PATH": f"{node.stand_ins / 'bin'}:/usr/bin:/bin", "IMGBUILD_ROOT": str(node.root), "TERM": "xterm"}
    env["STAND_INS"] = str(node.stand_ins)
    subprocess.run([node.root / "usr/libexec/imgbuild/verify"], env=env, stdout=other, timeout=HUNG)
    assert b"\x1b[31mFAIL" in os.read(main, 65536)
    assert node.run("verify", "--jason").returncode == 2


def test_single_checks_by_name(tmp_path: Path) -> None:
    node = Node(tmp_path, resolved("debian12-efi", HOST))
    assert list(node.checks("no-swap", "sysctl:net.ipv4.ip_forward")) == ["no-swap", "sysctl:net.ipv4.ip_forward"]
    done = node.run("verify", "no-swap")
    assert done.stdout.decode().splitlines()[-1] == "1 checks, 0 failed"
    done = node.run("verify", "no-swap", "swap", "sysctl:")
    assert done.returncode == 2
    assert b"unknown check swap; available checks: kernel boot-default" in done.stderr
