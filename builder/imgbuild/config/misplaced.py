"""Valid things in the wrong place: a key of another file or section, another tool's name, another kind of file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

from imgbuild.config import astray, declared, kubernetes_names, other_names
from imgbuild.config.flow import flow
from imgbuild.config.layers import value_at
from imgbuild.config.shipped import shipped
from imgbuild.config.source import Document
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path

_FILES = {
    "profile": "the profile",
    "cluster": "the cluster file (--cluster)",
    "secrets": "the secrets file (--secrets)",
    "lock": "imgbuild.lock, which imgbuild lock writes",
}
_NAME = "the host name of a node is its name in the cluster file: nodes: [{name: cp1, …}]"
_NODES = "write nodes: [{name: cp1, role: control-plane}]"
_TOP: Mapping[str, str] = dict.fromkeys(("workers", "machines", "hosts", "servers"), _NODES)
"""Names of other tools that mean something else inside a section."""
_TABLE: Mapping[str, str] = {
    # Names in cloud-init, netplan, kubeadm, k3s, Talos and Kickstart, and what the same thing is called here.
    **dict.fromkeys(("hostname", "host_name", "hostName", "fqdn", "preserve_hostname"), _NAME),
    **dict.fromkeys(("nameservers", "dns_servers", "nameserver", "resolvers"),
                    "name servers are the node's, not an interface's: nodes[].network.dns: [ADDRESS]"),
    **dict.fromkeys(("dhcp4", "dhcp6", "bootproto"), "write dhcp: true or false"),
    **dict.fromkeys(("gateway4", "gateway6", "gw", "default_gateway"), "write gateway: ADDRESS"),
    **dict.fromkeys(("macaddress", "hwaddr", "mac_address", "hardwareAddr"), "write mac: the card's MAC"),
    **dict.fromkeys(("ethernets", "nics", "ifaces"), "write interfaces: [{name: eth0, mac: …}]"),
    **dict.fromkeys(("ip", "ipaddr", "address4", "ipv4", "ip_address", "ips"), "write addresses: [ADDRESS/LENGTH]"),
    "netmask": "write the prefix length after the address: addresses: [10.0.0.5/24]",
    **dict.fromkeys(("slaves", "ports", "members"), "write interfaces: [eth0, eth1]"),
    **dict.fromkeys(("ssh_authorized_keys", "authorized_keys", "ssh-authorized-keys", "sshAuthorizedKeys"),
                    "write ssh_keys: [ssh-ed25519 AAAA…]"),
    **dict.fromkeys(("password", "passwd", "plain_text_passwd", "lock_passwd", "hash"),
                    "write hashed_password: a hash, which `openssl passwd -6` makes"),
    **dict.fromkeys(("write_files", "writeFiles"), "write files: [{path: …, content: …}]"),
    **dict.fromkeys(("runcmd", "bootcmd", "commands", "cmds", "script"), "write run: [COMMAND]"),
    **dict.fromkeys(("timezone", "tz", "time_zone"), "write time: {zone: Asia/Shanghai}"),
    **dict.fromkeys(("ntp", "ntp_server", "ntpServers", "timeservers"), "write time: {ntp_servers: [HOST]}"),
    **dict.fromkeys(("sysctls", "sysctl"), "write kernel: {sysctl: {vm.swappiness: 0}}"),
    **dict.fromkeys(("kernel_args", "kernelArguments", "cmdline", "bootargs"), "write kernel: {arguments: [ARGUMENT]}"),
    **dict.fromkeys(("controlPlaneEndpoint", "control_plane_endpoint", "apiserver", "api_server"),
                    "it is endpoint: HOST:PORT in the cluster file (--cluster)"),
    **dict.fromkeys(("podSubnet", "pod_subnet", "clusterCIDR", "cluster-cidr", "pod-cidr", "podCIDR", "cluster_cidr",
                     "pod_network_cidr", "kube_pods_subnet"),
                    "write kubernetes: {pod_cidr: 10.244.0.0/16}"),
    **dict.fromkeys(("serviceSubnet", "service_subnet", "service-cidr", "serviceCIDR", "service_cidr",
                     "service_cluster_ip_range", "kube_service_addresses"),
                    "write kubernetes: {service_cidr: 10.96.0.0/12}"),
    **dict.fromkeys(("kubernetesVersion", "kubernetes_version", "k8s_version", "kubeVersion", "kube_version"),
                    "write kubernetes: {version: 1.34.11}"),
    **dict.fromkeys(("imageRepository", "image_repo"), "write kubernetes: {image_repository: HOST/PATH}"),
    **dict.fromkeys(("dnsDomain", "cluster_domain", "service_dns_domain"),
                    "write kubernetes: {dns_domain: cluster.local}"),
    **dict.fromkeys(("advertiseAddress", "apiserver_advertise_address"),
                    "write kubernetes: {advertise_address: ADDRESS}"),
    **dict.fromkeys(("apiserver_bind_port", "bind_port", "bindPort", "kube_apiserver_port"),
                    "write kubernetes: {api_port: 6443}"),
    "max_pods": "write kubernetes: {kubelet: {maxPods: 200}}",
    "etcd_data_dir": "write kubernetes: {kubeadm: {etcd: {local: {dataDir: /data/etcd}}}}",
    **dict.fromkeys(("kube_network_plugin", "network_plugin", "cni"),
                    "remove it: Cilium is the network (cilium.enabled)"),
    **dict.fromkeys(("container_manager", "container_runtime", "cri_socket"), "remove it: containerd is the runtime"),
    **dict.fromkeys(("kube_proxy_mode", "proxy_mode"),
                    "remove it: Cilium takes kube-proxy's place; kubernetes.kube_proxy: true keeps kube-proxy"),
    "http_proxy": "write proxy: {http: http://HOST:PORT}",
    "https_proxy": "write proxy: {https: http://HOST:PORT}",
    **dict.fromkeys(("ca_certs", "ca_certificates", "trusted_ca"), "write trust: {certificates: [{file: PATH}]}"),
    **dict.fromkeys(("mounts", "fs_setup", "disk_setup", "data_disks"), "write disks: [{mount: /data, size: 100GB}]"),
    **dict.fromkeys(("growpart", "resize_rootfs"), "remove it: the image grows to its disk at first boot"),
    **dict.fromkeys(("lacp-rate", "lacpRate", "bond-lacp-rate", "bond_lacp_rate"), "write lacp_rate: fast"),
    **dict.fromkeys(("transmit-hash-policy", "xmit-hash-policy", "hash_policy", "bond-xmit-hash-policy"),
                    "write xmit_hash_policy: layer3+4"),
    **dict.fromkeys(("mii-monitor-interval", "bond-miimon"), "write miimon: 100"),
    **dict.fromkeys(("on-link", "onlink"), "write on_link: true beside gateway:"),
    **dict.fromkeys(("use-dns", "PEERDNS", "peerdns"), "write use_dns: false"),
    **dict.fromkeys(("use-routes", "DEFROUTE", "defroute", "never-default", "dhcp4-overrides"),
                    "write default_route: false"),
    **dict.fromkeys(("node_ip", "node-ip", "nodeIP"),
                    "write kubernetes: {node_ip: eth1}, for one node below its settings:"),
    **dict.fromkeys(("certSANs", "apiServerCertSANs", "cert-sans", "tls-san", "tls_san", "apiserver_cert_extra_sans"),
                    "write kubernetes: {cert_sans: [NAME]}"),
    **dict.fromkeys(("kubeletConfiguration", "kubelet_config", "kubeletConfig", "kubelet"),
                    "write kubernetes: {kubelet: {maxPods: 200}}, with the names of KubeletConfiguration"),
    **dict.fromkeys(("clusterConfiguration", "ClusterConfiguration", "apiServer", "controllerManager", "kubeadm"),
                    "write kubernetes: {kubeadm: {apiServer: {extraArgs: {NAME: VALUE}}}}"),
    **dict.fromkeys(("addOns", "add_ons", "manifests", "charts", "helmCharts", "helm_charts"),
                    "write addons: [{name: NAME, chart: …}] or [{name: NAME, manifest: …}]"),
    **dict.fromkeys(("insecure-registries", "registry-mirrors", "registry_mirrors"),
                    "write containerd: {registries: {HOST: {server: https://HOST, mirrors: [URL]}}}"),
    **dict.fromkeys(("binary", "BinaryName", "binary_name", "runtime_path"), "write options: {BinaryName: PATH}"),
    **dict.fromkeys(("default_runtime", "default_runtime_name", "defaultRuntime"),
                    "write runtimes: {NAME: {type: …, default: true}}"),
    **dict.fromkeys(("ssh_deletekeys", "host_keys", "ssh_host_keys", "ssh_genkeytypes"),
                    "remove it: a node keeps its SSH host keys, also when its seed changes"),
    **dict.fromkeys(("cluster_name", "clusterName"), "it is name: in the cluster file (--cluster)"),
    **dict.fromkeys(("bootloader", "boot", "uefi", "bios"), "write firmware: efi or bios"),
    **dict.fromkeys(("disk", "disk_size", "size", "disk_gb", "size_gb"), "write image: {size_mib: 8192}"),
    **dict.fromkeys(("sector_size", "sectorsize", "logical_sector_size", "logical_block_size", "block_size"),
                    "remove it: images are for disks with logical sectors of 512 bytes, 512e disks among them; a 4Kn "
                    "disk has to be switched to 512 (docs/how-to/hypervisors.md)"),
    **dict.fromkeys(("output_format", "output_formats", "disk_format", "image_format", "image_formats"),
                    "write image: {formats: [qcow2]}"),
    **dict.fromkeys(("os", "distro", "distribution", "release"),
                    f"write target: NAME (one of {', '.join(shipped('targets'))})"),
    **dict.fromkeys(("masters", "controlplanes", "control_planes"), _NODES),
    **dict.fromkeys(("node_labels", "nodeLabels"), "write labels: {KEY: VALUE}"),
}  # fmt: skip


def advice(model: type[BaseModel], path: Path, data: Mapping[str, Any], above: Path = ()) -> str:
    """Where an unknown key belongs, or what it is called here; empty if unknown.

    ``above``: where its settings are in a cluster file, if it is in some.
    """
    word = str(path[-1])
    kind = next((kind for kind, other in declared.documents().items() if issubclass(other, model)), "")
    key = astray.Key(kind, path, data, above)
    if found := other_names.advice(key) or astray.advice(key):
        return found
    top = next(
        (k for k, m in declared.documents().items() if len(path) == 1 and k != kind and word in m.model_fields), ""
    )
    if top == "profile" and kind == "cluster" and declared.nearest(declared.documents()[top], (word,)).cluster_wide:
        return f"{word} of all nodes goes below settings: settings: {{{word}: …}}; or set it in the profile"
    if top:
        return f"{word} belongs in {_FILES[top]}"
    if kind == "cluster" and len(path) == 3 and path[0] == "nodes" and word in _tops("profile"):
        return f"a node's own values of the profile go below settings: settings: {{{word}: …}}"
    opposite = _opposite(word, declared.keys_at(model, path[:-1]))
    if opposite:
        return f"write {opposite}: {_turned(data, path)}"
    known = [place for other, place in _named(word) if other == kind]
    above = path[:-1]
    near = [place for place in known if _near(place, above)]
    table = _TABLE if len(path) > 1 else {**_TABLE, **_TOP}
    text = (
        (not near and table.get(word))
        or kubernetes_names.advice(key)
        or (not near and table.get(astray.snake(word)))
        or ""
    )
    if text:
        if kind == "cluster" or key.above:
            text = text.replace(" in the cluster file (--cluster)", " at the top of this file")
        return astray.with_value(text, key)
    beside = [name for name in declared.keys_at(model, path[:-1]) if word in name.split("_")] if len(path) > 1 else []
    if len(beside) == 1:  # sandbox in containerd: sandbox_image
        return f"did you mean {format_path((*path[:-1], beside[0]))}?"
    if len(near) == 1 or (not near and len(known) == 1):
        return f"did you mean {(near or known)[0].key}?"
    if 1 < len(near or known) <= 4:
        return f"did you mean {' or '.join(place.key for place in near or known)}?"
    other = [(k, place) for k, place in _named(word) if k != kind]
    if len(path) > 1:  # network.interfaces, of those of bonds and VLANs too
        inner = [part for part in path if isinstance(part, str)]
        other = [each for each in other if _names(each[1])[-len(inner) :] == inner] or other
    if len(other) == 1 and not known:
        return f"{other[0][1].key} belongs in {_FILES[other[0][0]]}"
    return ""


def _opposite(word: str, keys: Sequence[str]) -> str:
    """The key beside it that means the opposite, or an empty string."""
    for one, other in (("enabled", "disabled"), ("disabled", "enabled")):
        if word in (one, one.removesuffix("d")) and other in keys and one not in keys:
            return other
    return ""


def _turned(data: Mapping[str, Any], path: Path) -> str:
    """The opposite of the value at a key."""
    value = value_at(data, path)
    if not isinstance(value, bool):
        return "true or false, which is the opposite"
    return flow(not value)


def _near(place: declared.Place, above: Path) -> bool:
    """Whether a key is one of a section that encloses the place, or that is just below it."""
    section = _names(place)[:-1]
    here = [part for part in above if isinstance(part, str)]
    return section == here[: len(section)] or section[:-1] == here


def _names(place: declared.Place) -> list[str]:
    """Its path without items of lists and the user's own names."""
    return [part for part in place.path if part not in (declared.ITEM, declared.NAME)]


@cache
def _named(word: str) -> Sequence[tuple[str, declared.Place]]:
    """Every declared key with this name, with the kind of its file."""
    return [(k, p) for k in ("profile", "cluster") for p in _places(k) if p.path[-1] == word]


@cache
def _places(kind: str) -> Sequence[declared.Place]:
    return list(declared.places(declared.documents()[kind]))


def missing(model: type[BaseModel], path: Path) -> str:
    """How a key that must be there is written, with an example of its declaration."""
    place = declared.place(model, path)
    setting = place.setting if place is not None else None
    if setting is None or setting.example is None:
        return ""
    return f"add it, for example {path[-1]}: {flow(setting.example)}"


def file_kind(data: Mapping[str, Any], kind: str, *, cloud_config: bool = False) -> tuple[str, str] | None:
    """What a file is instead of ``kind`` (profile, layer, cluster or secrets), and the fix; None if it is of that kind.

    ``cloud_config``: whether its first line is that of a cloud-config.
    """
    for known, (what, fix) in _kinds(data, cloud_config=cloud_config):
        if known != kind and not (known == "profile" and kind == "layer"):
            return what, fix
        return None
    return None


def _kinds(data: Mapping[str, Any], *, cloud_config: bool) -> Iterator[tuple[str, tuple[str, str]]]:
    profile, cluster = _tops("profile"), _tops("cluster")
    if {"apiVersion", "kind"} <= data.keys():
        said = f" (kind: {data['kind']})" if isinstance(data["kind"], str) and data["kind"].isalnum() else ""
        fix = "give a profile and a cluster file: imgbuild writes kubeadm's configuration from them"
        yield "kubernetes", (f"a Kubernetes manifest{said}", fix)
    if {"bootstrap_token", "ca"} & data.keys() and "service_account_private_key" in data:
        yield "secrets", ("a file of a cluster's secrets", "pass it with --secrets")
    network = data.get("network")
    own = data.keys() & _OWN
    if isinstance(network, dict) and {"ethernets", "version", "renderer"} & network.keys() and not own:
        fix = "give a node's network in the cluster file: nodes[].network (docs/reference/cluster.md)"
        yield "netplan", ("a netplan file", fix)
    keys = {"runcmd", "write_files", "bootcmd", "ssh_authorized_keys"} & data.keys()
    if (keys or cloud_config) and not own:
        yield "cloud-config", ("a cloud-config of cloud-init", "set these in a profile: users, files and run")
    if {"format", "profiles"} <= data.keys():
        yield "lock", ("a lock file", "pass the profile: a build finds the lock beside it")
    if "nodes" in data and not {"extends", "target"} & data.keys() and not data.keys() & (profile - cluster):
        yield "cluster", ("a cluster file", "pass it with --cluster")
    if "nodes" not in data and (data.keys() & (profile - cluster)):
        yield "profile", ("a profile", "pass it with --profile")


_OWN = frozenset({"extends", "target", "firmware", "mode"})


@cache
def _tops(kind: str) -> frozenset[str]:
    return frozenset(declared.documents()[kind].model_fields)


def report(document: Document, kind: str, findings: Findings) -> bool:
    """Add a finding if a file is of another kind than ``kind``; return whether it is."""
    # The data no longer has extends.
    data = {**document.data, "extends": None} if ("extends",) in document.marks else document.data
    found, file = file_kind(data, kind, cloud_config=document.cloud_config), document.name
    if found is not None:
        what, fix = found
        wanted = {"cluster": "a cluster file", "secrets": "a file of a cluster's secrets"}.get(kind, f"a {kind}")
        findings.add("IB116", f"{file} is {what}, not {wanted}", hint=fix, mark=Mark(file, 1, 1))
    return found is not None
