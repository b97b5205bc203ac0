"""Keys in the wrong place: the fix names the right one with its value, and a file with it is read."""

# ruff: noqa: E501  (tables)

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.config.astray import _RULES, Key, advice
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import load
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.facts.node_settings import settle

_DNS = " in nodes[0].network, beside interfaces: name servers are the node's, not a card's"
_TOP = " at the top of this file, not below settings"
_OWN = "it is a key of the node itself: set {} beside settings, not in it"
_R = "containerd: {{registries: {{{}: {{server: https://registry-1.docker.io, mirrors: {}}}}}}}"
_M = _R.format("docker.io", "[https://harbor.corp]")
_URL = "write a URL: http://, https:// or file://, in ASCII, without spaces, quotes, $ and #; encode others as %20"

PROFILES: list[tuple[str, str, str | None]] = [
    ("network: {interfaces: [{name: eth0}]}", "nodes[].network.interfaces belongs in the cluster file (--cluster)", None),
    ("kubernetes: {endpoint: '10.0.0.1:6443'}", "write endpoint: 10.0.0.1:6443 in the cluster file (--cluster)", None),
    ("kubernetes: {endpoint: hunter2}", "write endpoint: … in the cluster file (--cluster)", None),
    ("containerd: {registries: {quay.io: {server: https://quay.io, endpoint: [https://a.corp, b.corp]}}}", "write mirrors: [https://a.corp, https://b.corp]",
     "containerd: {registries: {quay.io: {server: https://quay.io, mirrors: [https://a.corp, https://b.corp]}}}"),
    ("containerd: {registries: {quay.io: {server: https://quay.io, endpoint: ['https://u:hunter2@a.corp']}}}", "write mirrors: [URL]", None),
    ("containerd: {registries: {quay.io: {server: https://quay.io, mirrors: [{url: https://a.corp/v2/x, override_path: true}]}}}",
     "remove it: a path in the URL is read as with override_path, with or without /v2",
     "containerd: {registries: {quay.io: {server: https://quay.io, mirrors: [{url: https://a.corp/v2/x}]}}}"),
    ("containerd: {registries: {quay.io: {server: https://quay.io, mirrors: [{url: https://a.corp, insecure: true}]}}}", "write skip_verify: true",
     "containerd: {registries: {quay.io: {server: https://quay.io, mirrors: [{url: https://a.corp, skip_verify: true}]}}}"),
    ("containerd: {version: 2.3.3}", "remove it: nerdctl-full 2.3.5, where containerd comes from, has containerd 2.3.3", "swap: {enabled: false}"),
    ("containerd: {version: 2.3.1}", "write nerdctl_full: {version: 2.3.1}, where containerd 2.3.1 comes from, and run imgbuild lock, which finds its address and checksum", None),
    ("containerd: {version: 1.5.0}", "remove it: containerd comes from nerdctl-full 2.3.5, which has containerd 2.3.3; another archive is nerdctl_full", None),
    ("containerd: {SystemdCgroup: true}", "write cgroup_driver: systemd", "containerd: {cgroup_driver: systemd}"),
    ("trust: {ca: corp.pem}", "write certificates: [{file: corp.pem}]", None),
    ("trust: {ca: hunter2}", "write certificates: [{file: PATH}]", None),
    ("kubernetes: {maxPods: 200}", "write kubelet: {maxPods: 200}", "kubernetes: {kubelet: {maxPods: 200}}"),
    ("maxPods: 200", "write kubernetes: {kubelet: {maxPods: 200}}", "kubernetes: {kubelet: {maxPods: 200}}"),
    ("kubernetes: {certificatesDir: /etc/pki/k8s}", "remove it: there is nothing to set", None),
    ("kubernetes: {encryptionAlgorithm: RSA-3072}", "write kubeadm: {encryptionAlgorithm: RSA-3072}", "kubernetes: {kubeadm: {encryptionAlgorithm: RSA-3072}}"),
    ("kubernetes: {etcd: {local: {}}}", "write kubeadm: {etcd: …}", None),
    ("kubernetes: {networking: {podSubnet: 10.2.0.0/16, dnsDomain: a.local}}", "write pod_cidr: 10.2.0.0/16, dns_domain: a.local in kubernetes, in its place",
     "kubernetes: {pod_cidr: 10.2.0.0/16, dns_domain: a.local}"),
    ("kubernetes: {clusterDomain: a.local}", "did you mean kubernetes.dns_domain?", None),
    ("kubernetes: {cgroupDriver: systemd}", "did you mean containerd.cgroup_driver?", None),
    ("kubernetes: {podSubnet: 10.2.0.0/16}", "write pod_cidr: 10.2.0.0/16", "kubernetes: {pod_cidr: 10.2.0.0/16}"),
    ("podSubnet: 10.2.0.0/16", "write kubernetes: {pod_cidr: 10.2.0.0/16}", "kubernetes: {pod_cidr: 10.2.0.0/16}"),
    ("podSubnet: hunter2", "write kubernetes: {pod_cidr: 10.244.0.0/16}", None),
    ("timezone: Asia/Tokyo", "write time: {zone: Asia/Tokyo}", "time: {zone: Asia/Tokyo}"),
    ("time: {tz: UTC}", "write zone: UTC", "time: {zone: UTC}"),
    ("disk_size: 20G", "write image: {size_mib: 20480}", "image: {size_mib: 20480}"),
    ("kernel_args: quiet", "write kernel: {arguments: [quiet]}", "kernel: {arguments: [quiet]}"),
    ("sysctls: {vm.swappiness: 1}", "write kernel: {sysctl: {vm.swappiness: 1}}", "kernel: {sysctl: {vm.swappiness: 1}}"),
    ("os: hunter2", "write target: NAME (one of centos7, centos8, debian12)", None),
    ("kubernetes: {apiServer: {extraArgs: {v: '2'}}}", "write kubeadm: {apiServer: {extraArgs: {NAME: VALUE}}}", None),
    ("kubernetes: {pod-network-cidr: 10.2.0.0/16}", "write pod_cidr: 10.2.0.0/16", "kubernetes: {pod_cidr: 10.2.0.0/16}"),
    ("kubernetes: {apiserver-advertise-address: 10.0.0.1}", "write advertise_address: 10.0.0.1", "kubernetes: {advertise_address: 10.0.0.1}"),
    ("kubernetes: {control-plane-endpoint: 'a:6443'}", "it is endpoint: HOST:PORT in the cluster file (--cluster)", None),
    ("kubernetes: {token: abcdef.0123456789abcdef}", "remove it: imgbuild makes the cluster's keys and its token, and keeps them in the secrets file (--secrets)", None),
    ("kubernetes: {node_labels: {a: b}}", "it belongs in the cluster file (--cluster), beside the name of the node: labels: {KEY: VALUE}", None),
    ("kubernetes: {kube_proxy_mode: ipvs}", "remove it: Cilium takes kube-proxy's place; kubernetes.kube_proxy: true keeps kube-proxy", None),
    ("kube_pods_subnet: 10.2.0.0/16", "write kubernetes: {pod_cidr: 10.2.0.0/16}", "kubernetes: {pod_cidr: 10.2.0.0/16}"),
    ("proxy: {http_proxy: 'http://u:hunter2@a.corp:3128'}", "did you mean proxy.http?", None),
    ("proxy: 'http://u:hunter2@a.corp:3128'", "write {http: URL, https: URL}, with the proxy's address in both", None),
    ("http_proxy: 'http://u:hunter2@a.corp:3128'", "write proxy: {http: http://HOST:PORT}", None),
    ("users: [{name: ops, password: hunter2}]", "write hashed_password: a hash, which `openssl passwd -6` makes", None),
    ("disks: [{device: /dev/disk/by-path/x, mount: /data}]", "write path: /dev/disk/by-path/x", "disks: [{path: /dev/disk/by-path/x, mount: /data}]"),
    ("disks: [{size: 1TB, mount: /data, fstype: xfs}]", "write filesystem: xfs", "disks: [{size: 1TB, mount: /data, filesystem: xfs}]"),
    ("mounts: [[/dev/vdb, /data]]", "write disks: [{mount: /data, size: 100GB}]", "disks: [{mount: /data, size: 100GB}]"),
    ("ca_certs: {trusted: [corp.pem]}", "write trust: {certificates: [{file: PATH}]}", None),
    ("addons: [{name: a, chart: a, version: 1.0.0, repo: 'https://a.corp'}]", "write repository: https://a.corp", None),
    ("addons: [{name: a, file: ./a.yaml}]", "write manifest: {file: ./a.yaml}", None),
    ("image: {size: 40G}", "write size_mib: 40960", "image: {size_mib: 40960}"),
    ("time: {ntp: true}", "write ntp_servers: [HOST]", None),
    ("kubernetes: 1.35.8", "write {version: 1.35.8}", "kubernetes: {version: 1.35.8}"),
    ("network: {ethernets: {eth0: {}}}", "a node's addresses belong in the cluster file (--cluster): nodes[].network", None),
    ("runcmd: [echo a]", "write run: [COMMAND]", None),
    ("write_files: [{path: /etc/x, content: y}]", "write files: [{path: …, content: …}]", None),
    ("files: [{path: /etc/x, content: y, permissions: '0640'}]", 'write mode: "0640"', 'files: [{path: /etc/x, content: y, mode: "0640"}]'),
    ("helm_version: 4.3.0", "write version: 4.3.0 in helm", "helm: {version: 4.3.0}"),
    ("kubernetes: {podCidr: 10.2.0.0/16}", "write pod_cidr: 10.2.0.0/16", "kubernetes: {pod_cidr: 10.2.0.0/16}"),
    ("cilium: false", "write {enabled: false}", "cilium: {enabled: false}"),
    ("cilium: disabled", "write {enabled: false}", "cilium: {enabled: false}"),
    ("cilium: 1.19", "write {version: 1.19.6}", "cilium: {version: 1.19.6}"),
    ("kubernetes: 1.35", "write {version: 1.35.8}", "kubernetes: {version: 1.35.8}"),
    ("kubernetes: hunter2", "write its keys below it, or remove it to use the defaults", None),
    ("firewall: disabled", "write {disabled: true}", "firewall: {disabled: true}"),
    ("firewall: false", "write {disabled: true}", "firewall: {disabled: true}"),
    ("firewall: enabled", "write {disabled: false}", "firewall: {disabled: false}"),
    ("swap: 'off'", "write {enabled: false}", "swap: {enabled: false}"),
    ("images: true", "write {preload: true}", "images: {preload: true}"),
    ("kernel: kernel-ml", "write {flavour: kernel-ml}", "kernel: {flavour: kernel-ml}"),
    ("trust: corp.pem", "write {certificates: [{file: corp.pem}]}", None),
    (_R.format("docker.io", "[harbor.corp]"), "write https://harbor.corp", _R.format("docker.io", "[https://harbor.corp]")),
    (_R.format("docker.io", "[harbor.corp/hub, https://b.corp]"), "write https://harbor.corp/hub", None),
    (_R.format("docker.io", "['harbor:5000']"), "write https://harbor:5000", None),
    (_R.format("docker.io", "harbor.corp"), "write [https://harbor.corp]", None),
    (_R.format("docker.io", "https://harbor.corp"), "put it in square brackets: [https://harbor.corp]", None),
    (_R.format("docker.io", "[hunter2]"), _URL, None),
    (_R.format("docker.io", "['u:hunter2@harbor.corp']"), _URL, None),
    (_R.format("'https://docker.io'", "[]"), "write docker.io", _R.format("docker.io", "[]")),
    ("containerd: {registries: {'https://docker.io/': {mirrors: [https://a.corp]}}}", "write docker.io", "containerd: {registries: {docker.io: {mirrors: [https://a.corp]}}}"),
    (_R.format("'https://u:hunter2@quay.io'", "[]"), "write quay.io", None),
    ("containerd: {registries: {quay.io: {server: harbor.corp}}}", "write https://harbor.corp", "containerd: {registries: {quay.io: {server: https://harbor.corp}}}"),
    ("containerd: {registries: {docker.io: https://harbor.corp}}", "write {server: https://registry-1.docker.io, mirrors: [https://harbor.corp]}", _R.format("docker.io", "[https://harbor.corp]")),
    ("containerd: {registries: {quay.io: [harbor.corp]}}", "write {server: https://quay.io, mirrors: [https://harbor.corp]}", None),
    ("containerd: {registries: {quay.io: hunter2}}", "write its keys below it, or remove it to use the defaults", None),
    ("mirrors: [harbor.corp]", f"write {_M} for images; mirrors of files have their origins: {{https://get.helm.sh/: [URL]}}", _M),
    ("mirrors: https://harbor.corp", f"write {_M} for images; mirrors of files have their origins: {{https://get.helm.sh/: [URL]}}", None),
    ("mirrors: {docker.io: [https://harbor.corp]}", f"images have {_M}: write that in its place", _M),
    ("mirrors: {docker.io: {endpoint: [https://harbor.corp]}}", f"images have {_M}: write that in its place", None),
    ("repositories: {logins: {'https://m.example': {username: a}}}", "write m.example", None),
    ("repositories: {logins: {'https://m.example:8443/x': {username: a}}}", "write m.example:8443", None),
    ("repositories: {logins: {'https://u:hunter2@m.example/x': {username: a}}}", "write m.example", None),
    ("network: dhcp", "remove it: a node without network in the cluster file uses DHCP", None),
]  # fmt: skip
CP = "nodes: [{name: cp1, role: control-plane"
CARD = f"{CP}, network: {{interfaces: [{{name: eth0, addresses: [10.0.0.5/24], gateway: 10.0.0.1"
CLUSTERS: list[tuple[str, str, str | None]] = [
    (f"{CARD}, dns: [10.0.0.2]}}]}}}}]", f"write dns: [10.0.0.2]{_DNS}", f"{CARD}}}], dns: [10.0.0.2]}}}}]"),
    (f"{CARD}, dns: 10.0.0.2}}]}}}}]", f"write dns: [10.0.0.2]{_DNS}", None),
    (f"{CARD}, search: [a.org]}}]}}}}]", f"write search: [a.org]{_DNS}", f"{CARD}}}], search: [a.org]}}}}]"),
    (f"{CARD}, nameservers: {{addresses: [10.0.0.2], search: [a.org]}}}}]}}}}]", f"write dns: [10.0.0.2], search: [a.org]{_DNS}",
     f"{CARD}}}], dns: [10.0.0.2], search: [a.org]}}}}]"),
    (f"{CARD}}}], vlans: [{{name: v, id: 2, link: eth0, dhcp: true, dns: [10.0.0.2]}}]}}}}]", f"write dns: [10.0.0.2]{_DNS}", None),
    (f"{CP}, network: {{interfaces: [{{name: eth0, address: 10.0.0.5/24}}]}}}}]", "write addresses: [10.0.0.5/24]", None),
    (f"{CP}, network: {{interfaces: [{{name: eth0, ip: 10.0.0.5}}]}}}}]", "write addresses: [10.0.0.5/24], with the prefix length of your network", None),
    (f"{CP}, network: {{interfaces: [{{name: eth0, match: {{macaddress: '52:54:00:00:00:01'}}, dhcp: true}}]}}}}]", "write mac: 52:54:00:00:00:01",
     f"{CP}, network: {{interfaces: [{{name: eth0, mac: '52:54:00:00:00:01', dhcp: true}}]}}}}]"),
    (f"{CP}, network: {{interfaces: [{{name: eth0, set-name: eth0, dhcp: true}}]}}}}]", "remove it: name is there already",
     f"{CP}, network: {{interfaces: [{{name: eth0, dhcp: true}}]}}}}]"),
    (f"{CP}, network: {{interfaces: [{{name: eth0, address: hunter2}}]}}}}]", "write addresses: [ADDRESS/LENGTH]", None),
    (f"{CP}, ip: 10.0.0.11/24}}]", "write network: {interfaces: [{name: eth0, addresses: [10.0.0.11/24], gateway: ADDRESS}], dns: [ADDRESS]}", None),
    (f"{CP}, address: 10.0.0.11}}]", "write network: {interfaces: [{name: eth0, addresses: [10.0.0.11/24], gateway: ADDRESS}], dns: [ADDRESS]}, with the prefix length of your network", None),
    (f"{CP}, node_labels: {{rack: a}}}}]", "write labels: {rack: a}", f"{CP}, labels: {{rack: a}}}}]"),
    (f"{CP}, network: {{interfaces: [{{name: eth0, dhcp4: 'yes'}}]}}}}]", "write dhcp: true", f"{CP}, network: {{interfaces: [{{name: eth0, dhcp: true}}]}}}}]"),
    (f"{CP}, label: {{rack: a}}}}]", "write labels: {rack: a}", f"{CP}, labels: {{rack: a}}}}]"),
    (f"{CP}, label: rack=a}}]", "write labels: {rack: a}", f"{CP}, labels: {{rack: a}}}}]"),
    ("nodes: [{name: cp1, type: master}]", "write role: control-plane", "nodes: [{name: cp1, role: control-plane}]"),
    ("nodes: [{name: cp1, type: hunter2}]", "write role: control-plane or worker", None),
    (f"vip: {{ip: 10.0.0.10}}\n{CP}}}]", "write address: 10.0.0.10", f"vip: {{address: 10.0.0.10}}\n{CP}}}]"),
    (f"vip: {{ip: 10.0.0.10/24}}\n{CP}}}]", "write address: 10.0.0.10", None),
    (f"vip: 10.0.0.10/24\n{CP}}}]", "write {address: 10.0.0.10}", f"vip: {{address: 10.0.0.10}}\n{CP}}}]"),
    (f"vip_interface: eth0\n{CP}}}]", "write vip: {interface: eth0}", None),
    (f"vip: {{address: 10.0.0.10}}\nvip_interface: eth0\n{CP}}}]", "write interface: eth0 in vip", f"vip: {{address: 10.0.0.10, interface: eth0}}\n{CP}}}]"),
    (f"{CP}, network: dhcp}}]", "remove it: a node without network in the cluster file uses DHCP", f"{CP}}}]"),
    (f"settings: {{endpoint: '10.0.0.1:6443'}}\n{CP}}}]", f"write endpoint: 10.0.0.1:6443{_TOP}", f"endpoint: 10.0.0.1:6443\n{CP}}}]"),
    (f"settings: {{name: x}}\n{CP}}}]", "remove it: name is set at the top of this file", f"{CP}}}]"),
    (f"settings: {{nodes: []}}\n{CP}}}]", "remove it: nodes is set at the top of this file", None),
    (f"settings: {{labels: {{a: b}}}}\n{CP}}}]", "it is a key of each node: write it there, as nodes[].labels", None),
    (f"settings: {{network: {{dns: [10.0.0.2]}}}}\n{CP}}}]", "it is a key of each node: write it there, as nodes[].network.dns", None),
    (f"{CP}, settings: {{labels: {{a: b}}}}}}]", _OWN.format("labels: {a: b}"), f"{CP}, labels: {{a: b}}}}]"),
    (f"{CP}, settings: {{labels: {{a: hunter 2}}}}}}]", _OWN.format("labels: …"), None),
    (f"{CP}, settings: {{mac: '52:54:00:00:00:01'}}}}]", _OWN.format("mac: 52:54:00:00:00:01"), f"{CP}, mac: 52:54:00:00:00:01}}]"),
    (f"{CP}, settings: {{network: {{interfaces: [{{name: eth0}}]}}}}}}]", _OWN.format("network: {interfaces: [{name: eth0}]}"), None),
    (f"{CP}, settings: {{endpoint: '10.0.0.1:6443'}}}}]", f"write endpoint: 10.0.0.1:6443{_TOP}", None),
    (f"{CP}, settings: {{kubernetes: {{endpoint: '10.0.0.1:6443'}}}}}}]", f"write endpoint: 10.0.0.1:6443{_TOP}", None),
    (f"cluster_name: lab\n{CP}}}]", "it is name: at the top of this file", None),
    (f"settings: {{controlPlaneEndpoint: '10.0.0.1:6443'}}\n{CP}}}]", "it is endpoint: HOST:PORT at the top of this file", None),
    (f"{CP}, settings: {{settings: {{time: {{zone: UTC}}}}}}}}]", "remove the inner settings, and write its keys one level up", None),
]  # fmt: skip


def _profile(text: str, folder: Path) -> list[Finding]:
    file, findings = folder / "p.yaml", Findings()
    file.write_text(f"extends: centos8-efi\n{text}\n")
    load(str(file), (), (), None, findings)
    return findings.items


def _cluster(text: str, folder: Path) -> list[Finding]:
    file, findings = folder / "lab.yaml", Findings()
    file.write_text(f"name: lab\n{text}\n")
    read, loaded = load_cluster(file, findings), load("centos8-efi", (), (), "stock", findings)
    assert read is not None and loaded is not None
    settle(loaded, read.cluster, read.layered, findings)
    return findings.items


@pytest.mark.parametrize(("text", "hint", "fixed"), PROFILES, ids=[row[0][:50] for row in PROFILES])
def test_a_key_in_the_wrong_place_of_a_profile(text: str, hint: str, fixed: str | None, tmp_path: Path) -> None:
    (found,) = _profile(text, tmp_path)
    assert found.hint == hint and "hunter" not in found.message
    assert fixed is None or _profile(fixed, tmp_path) == []


@pytest.mark.parametrize(("text", "hint", "fixed"), CLUSTERS, ids=[row[0][:90] for row in CLUSTERS])
def test_a_key_in_the_wrong_place_of_a_cluster_file(text: str, hint: str, fixed: str | None, tmp_path: Path) -> None:
    (found,) = _cluster(text, tmp_path)
    assert found.hint == hint and "hunter" not in found.message
    assert fixed is None or _cluster(fixed, tmp_path) == []


def test_an_address_with_its_mask_gateway_and_name_server(tmp_path: Path) -> None:
    found = _cluster(f"{CP}, ip: 10.0.0.5, netmask: 255.255.0.0, gw: 10.0.0.1, dns: 10.0.0.2}}]", tmp_path)
    (hint,) = {each.hint for each in found}
    assert len(found) == 4
    right = "network: {interfaces: [{name: eth0, addresses: [10.0.0.5/16], gateway: 10.0.0.1}], dns: [10.0.0.2]}"
    assert hint == f"write {right}" and _cluster(f"{CP}, {right}}}]", tmp_path) == []
    card = "network: {interfaces: [{name: eth0, ip: 10.0.0.5, netmask: 255.255.0.0}]}"
    assert {each.hint for each in _cluster(f"{CP}, {card}}}]", tmp_path)} == {
        "write addresses: [10.0.0.5/16] in place of both"
    }


ODD: list[object] = [
    None,
    True,
    7,
    1.5,
    "",
    "x",
    [],
    {},
    [None],
    ["x", 1],
    {"x": None},
    {"addresses": 1},
    {"file": [1]},
    [{"file": {}}],
]


@pytest.mark.parametrize("value", ODD, ids=map(str, ODD))
def test_any_value_gets_a_fix(value: object, tmp_path: Path) -> None:
    """Beside odd values too: what is invalid is not yet known to have a type."""
    for section, word in _RULES:
        path = tuple(0 if part == "0" else part for part in section.replace("[]", ".0").split("."))
        inner: object = {word: value, "nerdctl_full": value, "addresses": value, "gateway": value, "dns": value}
        data: object = inner
        for part in reversed(path):
            data = [data] if isinstance(part, int) else {part: data}
        assert isinstance(data, dict)
        kind = "cluster" if path[0] in ("nodes", "vip") else "profile"
        for above in ((), ("settings",), ("nodes", 3, "settings")):
            assert advice(Key(kind, (*path, word), data, above if kind == "profile" else ()))


def test_two_nodes_with_one_common_mistake_report_it_once(tmp_path: Path) -> None:
    nodes = ", ".join(f"{{name: n{n}, role: worker, settings: {{kernel: {{cgroup: v{n}}}}}}}" for n in (1, 2))
    found = _cluster(f"settings: {{endpoint: '10.0.0.1:6443'}}\nnodes: [{nodes}]", tmp_path)
    assert [each.hint for each in found] == [f"write endpoint: 10.0.0.1:6443{_TOP}"]
