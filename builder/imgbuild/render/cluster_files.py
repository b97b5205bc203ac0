"""What comes from the cluster file and from one of its nodes. It is part of the seed, in both modes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.profile import Profile
from imgbuild.config.secrets import Secrets
from imgbuild.facts.cilium_values import replaces_kube_proxy
from imgbuild.facts.derive import device_names
from imgbuild.facts.endpoint import Reach, families, node_interface, own_address, reach
from imgbuild.facts.kubeadm import FILES, etcd
from imgbuild.facts.resolved import Resolved
from imgbuild.render import addons, balancer, disks, kubeadm, kubevip
from imgbuild.render.cilium import values_yaml
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.paths import CLUSTER_CONF
from imgbuild.render.seed_files import seed_files
from imgbuild.render.templates import render

PKI = "/etc/imgbuild/pki"
"""The folder of the cluster's own keys: `kubeadm reset` empties /etc/kubernetes/pki."""


def seed_tree(
    resolved: Resolved,
    cluster: Cluster,
    node: Node,
    secrets: Secrets | None = None,
    where: Reach | None = None,
    everyone: Resolved | None = None,
) -> NodeTree:
    """The node's own files: what verify expects, and what first boot needs to make the cluster or to join it.

    ``resolved`` has the node's own settings, ``everyone`` is the profile of all nodes, and ``where`` follows from that
    one; by default they are those of this node, which is the same where no node has settings.
    """
    profile = resolved.profile
    where = where or reach(profile, cluster)
    files = [NodeFile("/etc/imgbuild/seed.conf", _seed_conf(profile, node))]
    if profile.disks:
        files.append(disks.conf(profile, cluster, node))
    if profile.kubernetes.enabled:
        files += _kubernetes(resolved, everyone or resolved, cluster, node, where, secrets)
    files += seed_files(resolved, cluster, node, where)
    return NodeTree(tuple(sorted(files, key=lambda f: f.path)))


def _kubernetes(
    resolved: Resolved, everyone: Resolved, cluster: Cluster, node: Node, where: Reach, secrets: Secrets | None
) -> Iterator[NodeFile]:
    profile = resolved.profile
    yield NodeFile(f"/{CLUSTER_CONF}", _cluster_conf(resolved, cluster, node, where, secrets))
    if node == cluster.first:
        yield from addons.files(profile)
    yield from kubeadm.files(resolved, everyone, cluster, node, where, secrets)
    if secrets is not None:
        for name, text in secrets.files.items():
            if node.role == "control-plane" or name == "ca.crt":
                mode = 0o600 if name.endswith(".key") else 0o644
                yield NodeFile(f"{PKI}/{name}", text.encode(), mode)
    if cluster.balancer is not None:
        yield NodeFile(f"{balancer.FOLDER}/haproxy.cfg", balancer.configuration(cluster, where))
        yield NodeFile(balancer.MANIFEST, balancer.manifest(cluster))
    if node.role != "control-plane":
        return
    for name, text in profile.kubernetes.control_plane_files.items():
        yield NodeFile(f"{FILES}/{name}", text.encode(), 0o600)
    if profile.cilium.enabled:
        # The values may have passwords and keys.
        yield NodeFile("/etc/imgbuild/cilium-values.yaml", values_yaml(profile, cluster, node, where), 0o600)
    if cluster.vip is not None:
        yield NodeFile("/etc/imgbuild/kube-vip.yaml", kubevip.manifest(profile, cluster, node, cluster.vip))
        yield NodeFile(kubevip.HOSTS, kubevip.hosts())


def _cluster_conf(resolved: Resolved, cluster: Cluster, node: Node, where: Reach, secrets: Secrets | None) -> bytes:
    profile = resolved.profile
    kubernetes, cilium = profile.kubernetes, profile.cilium
    role = "init" if node == cluster.first else node.role
    since, until = secrets.valid if secrets else ("", "")
    values = resolved.cilium if cilium.enabled else {}
    others, unknown = where.others(node) if node == cluster.first else ([], [])
    replacement = cilium.enabled and replaces_kube_proxy(profile)
    rows: dict[str, object] = {
        "cluster_name": cluster.name,
        "node_name": "" if node.shared else node.name,
        "group": node.name if node.shared else "",
        "node_role": role,
        "node_place": list(where.control_planes).index(node.name) if node.role == "control-plane" else "",
        "endpoint": where.endpoint or "",
        "single_endpoint": _yes(cluster.single_endpoint),
        # For the node that may make the cluster: the nodes to ask whether it exists.
        "others": " ".join(others),
        "others_unknown": " ".join(unknown),
        "api_port": kubernetes.api_port,
        "node_ip": own_address(profile, node) or "",
        "node_interface": node_interface(profile, node) or "",
        "node_family": families(profile)[0],
        "second_family": next(iter(families(profile)[1:]), ""),
        "vip": cluster.vip.address if cluster.vip else "",
        "balancer": where.endpoint if cluster.balancer and where.endpoint else "",
        "balancer_image": cluster.balancer_image if cluster.balancer else "",
        "balancer_members": " ".join(balancer.members(where).values()) if cluster.balancer else "",
        "snapshotter": profile.containerd.snapshotter,
        "ca_hash": secrets.ca_hash if secrets else "",
        "valid_from": since,
        "valid_until": until,
        "token_expires": secrets.token_end if secrets else "",
        "kubernetes_version": kubernetes.version,
        "etcd": "external" if etcd(profile).external else "local",
        "etcd_data": etcd(profile).data,
        "kube_proxy": _yes(kubernetes.kube_proxy),
        "schedulable": _yes(kubernetes.schedulable_control_plane),
        "cri_socket": profile.crictl.endpoint,
        "cilium": _yes(cilium.enabled),
        "cilium_version": cilium.version if cilium.enabled else "",
        "cilium_repository": cilium.repository if cilium.enabled else "",
        "cilium_routing": _routing(values) if cilium.enabled else "",
        "cilium_host_routing": _host_routing(values, replacement=replacement) if cilium.enabled else "",
        "cilium_kpr": _yes(replacement),
        "cilium_masquerading": _masquerading(values) if cilium.enabled else "",
        "cilium_balancer": str(_part(values, "loadBalancer").get("mode") or "snat") if replacement else "",
        "cilium_big_tcp": " ".join(name for name in ("IPv4", "IPv6") if values.get(f"enable{name}BIGTCP")),
        "cilium_bandwidth": _bandwidth(_part(values, "bandwidthManager")),
        "cilium_acceleration": str(_part(values, "loadBalancer").get("acceleration") or ""),
        "cilium_devices": " ".join(device_names(values.get("devices"))),
    }
    return render("node", f"{CLUSTER_CONF}.j2", rows=rows, shared=node.shared)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _part(values: Mapping[str, object], key: str) -> Mapping[str, object]:
    part = values.get(key)
    return part if isinstance(part, dict) else {}


def _masquerading(values: Mapping[str, object]) -> str:
    """bpf, iptables or off: by default the chart masquerades both families, the agent those it has."""
    families = [number for number, has in ((4, True), (6, False)) if _part(values, f"ipv{number}").get("enabled", has)]
    if not any(values.get(f"enableIPv{number}Masquerade", True) for number in families):
        return "off"
    return "bpf" if _part(values, "bpf").get("masquerade") else "iptables"


def _bandwidth(manager: Mapping[str, object]) -> str:
    if not manager.get("enabled"):
        return ""
    return "on, with BBR" if manager.get("bbr") else "on"


def _routing(values: Mapping[str, object]) -> str:
    """The routing mode that the chart derives from its values: by default a tunnel (up to 1.14 by ``tunnel``)."""
    mode = values.get("routingMode") or ("native" if values.get("tunnel") == "disabled" else "tunnel")
    return str(mode)


def _host_routing(values: Mapping[str, object], *, replacement: bool) -> str:
    """BPF host routing requires kube-proxy's replacement and BPF masquerading; else the agent uses legacy routing."""
    bpf = _part(values, "bpf")
    return "bpf" if replacement and bpf.get("masquerade") and not bpf.get("hostLegacyRouting") else "legacy"


def _seed_conf(profile: Profile, node: Node) -> bytes:
    # Only type and key: sshd and cloud-init may write the comment differently.
    keys = [(user.name, " ".join(key.split()[:2])) for user in profile.users for key in user.ssh_keys]
    network = node.network
    return render(
        "node",
        "etc/imgbuild/seed.conf.j2",
        dns=network.dns[:3] if network else [],
        no_default=[each.name for each in network.devices if each.dhcp and not each.default_route] if network else [],
        hostname="" if node.shared else node.name,
        users=[user.name for user in profile.users],
        keys=keys,
    )
