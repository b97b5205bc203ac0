"""imgbuild-verify's checks of Cilium, against what a real agent answers (tests/support/cilium_status)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.node.fakenode import (
    BROKEN_HEALTH,
    CLUSTER_CONF,
    ENDPOINTS,
    HEALTH,
    NATIVE_XDP,
    SERVICES,
    STATUS,
    TWO_SUBNETS,
    Node,
)  # fmt: skip
from tests.support.profiles import resolved

LINK = "crictl,exec 0123abc ip -o link show dev eth0"
CHECKS = ["cilium", "cilium-endpoints", "cilium-services", "cilium-datapath", "cilium-health"]


@pytest.fixture
def node(tmp_path: Path, awk: str) -> Node:
    node = Node(tmp_path, resolved("debian12-efi"))
    (node.stand_ins / "bin/sleep").symlink_to("/bin/true")
    return node


def failed(node: Node, *words: str) -> dict[str, str]:
    checks = node.checks(*(words or CHECKS))
    return {name: one["found"] for name, one in checks.items() if one["ok"] is False}


def first_boot(node: Node, way: str) -> None:
    """As first boot asks in its last stage, on the node that made the cluster or on one that joined."""
    (node.root / "var/lib/imgbuild/firstboot.done").unlink()
    node.write("/var/lib/imgbuild/kubeadm.way", f"{way}\n")
    node.environment["IMGBUILD_FIRSTBOOT"] = "verify"


def test_what_a_real_agent_says_of_sound_nodes_passes(node: Node) -> None:
    assert failed(node) == {}
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}cilium_acceleration='native'\n")
    node.cilium("status", NATIVE_XDP)
    node.answer(LINK, "2: eth0: <UP> mtu 1500 xdp qdisc mq state UP\\    prog/xdp id 97\n")
    assert failed(node) == {}


def test_two_subnets_fail(node: Node) -> None:
    """The agent's own status says Ok."""
    node.cilium("status", TWO_SUBNETS)
    node.health(BROKEN_HEALTH)
    found = failed(node)
    assert list(found) == ["cilium-health"]
    assert found["cilium-health"].startswith("pods cannot be reached on worker1: Get ")
    assert "no route to host" in found["cilium-health"]
    assert "cp1" not in found["cilium-health"]


def health(change: Callable[[dict[str, Any]], object], base: str = HEALTH) -> str:
    found = json.loads(base)
    change(found)
    return json.dumps(found)


def peer(found: dict[str, Any]) -> dict[str, Any]:
    (one,) = (one for one in found["nodes"] if one["name"] == "worker1")
    return dict(one)


def off(found: dict[str, Any]) -> None:
    """The other node is switched off: nothing of it answers."""
    for node in found["nodes"]:
        if node["name"] == "worker1":
            for path in (node["host"]["primary-address"], node["health-endpoint"]["primary-address"]):
                for kind in ("http", "icmp"):
                    path[kind] = {"status": "no route to host"}


def unprobed(found: dict[str, Any]) -> None:
    for node in found["nodes"]:
        if node["name"] == "worker1":
            node["host"]["primary-address"] = {"ip": "10.9.0.21"}
            node["health-endpoint"]["primary-address"] = node["endpoint"] = {"ip": "10.244.1.251"}


def alone(found: dict[str, Any]) -> None:
    found["nodes"] = [node for node in found["nodes"] if node["name"] == "cp1"]


def nobody(found: dict[str, Any]) -> None:
    found["nodes"] = None


def no_ping(found: dict[str, Any]) -> None:
    """A network that drops ICMP: agents ask by HTTP, too, and so do pods."""
    for node in found["nodes"]:
        node["host"]["primary-address"]["icmp"] = {"status": "Connection timed out"}
        node["health-endpoint"]["primary-address"]["icmp"] = {"status": "Connection timed out"}


def second_family(found: dict[str, Any]) -> None:
    for node in found["nodes"]:
        down = {"ip": "fd00::5", "http": {"status": "timed out"}}
        node["health-endpoint"]["secondary-addresses"] = [down] if node["name"] == "worker1" else []


def no_endpoints(found: dict[str, Any]) -> None:
    """endpointHealthChecking.enabled: false"""
    for node in found["nodes"]:
        del node["endpoint"], node["health-endpoint"]


def other_cluster_name(found: dict[str, Any]) -> None:
    found["local"]["name"] = ""
    for node in found["nodes"]:
        node["name"] = f"prod/{'node1' if node['name'] == 'cp1' else node['name']}"


def own_pods(found: dict[str, Any]) -> None:
    for node in found["nodes"]:
        if node["name"] == "cp1":
            node["health-endpoint"]["primary-address"]["http"] = {"status": "timed out"}


def by_order(found: dict[str, Any]) -> None:
    """Keys in another order."""
    found["nodes"] = [dict(reversed(node.items())) for node in found["nodes"]]


@pytest.mark.parametrize(
    ("change", "later", "joining", "making"),
    [
        (lambda found: None, True, True, True),
        (by_order, True, True, True),
        (alone, True, False, True),  # one that joined has another node by definition
        (nobody, None, False, None),  # no report yet
        (unprobed, True, False, True),
        (off, False, False, True),
        (no_ping, True, True, True),
        (second_family, False, False, False),
        (no_endpoints, True, True, True),
        (other_cluster_name, True, True, True),
        (own_pods, False, False, False),
    ],
)  # fmt: skip
def test_health(
    node: Node, change: Callable[[dict[str, Any]], object], later: bool | None, joining: bool | None, making: bool
) -> None:
    node.health(health(change))
    assert node.checks("cilium-health")["cilium-health"]["ok"] is later
    first_boot(node, "join")
    assert node.checks("cilium-health")["cilium-health"]["ok"] is joining
    node.write("/var/lib/imgbuild/kubeadm.way", "init\n")
    assert node.checks("cilium-health")["cilium-health"]["ok"] is making


def test_nodes_are_named(node: Node) -> None:
    node.health(health(off))
    assert failed(node) == {"cilium-health": "1 reached; without any answer: worker1: no route to host"}
    node.health(health(unprobed))
    assert node.checks("cilium-health")["cilium-health"]["found"] == "1 reached; not probed yet: worker1"
    other = json.loads(BROKEN_HEALTH)
    other["nodes"] = [{**peer(other), "name": f"worker{number}"} for number in range(8)]
    node.health(json.dumps(other))
    assert failed(node)["cilium-health"].endswith("; and 3 more")


@pytest.mark.parametrize("output", ["", "Cannot get status: is the agent running?\n"])
def test_no_health(node: Node, output: str) -> None:
    node.health(output, 1)
    assert failed(node) == {"cilium-health": "no answer from cilium-health"}


def test_a_network_of_one_node_is_no_failure(node: Node) -> None:
    node.health(health(alone))
    first_boot(node, "init")
    assert failed(node) == {}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"state": "ready"\n    }\n  }\n]', '"state": "waiting-for-identity"}}]',
         "kube-system/coredns-668d6bf9bc-7xk2p is waiting-for-identity"),
        ('"interface-name": "lxc_health"\n      },\n      "state": "ready"',
         '"interface-name": "lxc_health"\n      },\n      "state": "not-ready"', "reserved:health is not-ready"),
        ('"state": "ready"\n    }\n  }\n]', '"state": "disconnecting"}}]', None),
        ("", "[]", "there is none"),
        ("", "", "no answer from cilium-agent"),
        ("", '[{"status": {"state": "regenerating"}, "id": 7}]', "endpoint 7 is regenerating"),
    ],
)  # fmt: skip
def test_endpoints(node: Node, old: str, new: str, found: str | None) -> None:
    assert not old or ENDPOINTS.rstrip().count(old) == 1
    node.cilium("endpoint list", ENDPOINTS.rstrip().replace(old, new) if old else new)
    assert failed(node) == ({"cilium-endpoints": found} if found else {})


def test_an_endpoint_that_is_just_regenerated_is_no_failure(node: Node) -> None:
    """Another one at each look."""
    looks = [ENDPOINTS.replace('"ready"\n    }\n  },', f'"regenerating"\n    }}\n  }},{" " * n}', 1) for n in range(2)]
    other = ENDPOINTS.rstrip().removesuffix('"ready"\n    }\n  }\n]') + '"regenerating"}}]'
    state = node.stand_ins / "looks"
    for number, text in enumerate([looks[0], other, looks[1], other, other, other]):
        (node.stand_ins / f"look{number}").write_text(text)
    (node.stand_ins / "bin/crictl").unlink()
    (node.stand_ins / "bin/crictl").write_text(
        "#!/bin/bash\n[[ $1 == exec ]] || { echo 0123abc; exit; }\n"
        f'echo >>"{state}"; cat "$STAND_INS/look$(($(wc -l <"{state}") - 1))"\n'
    )
    (node.stand_ins / "bin/crictl").chmod(0o755)
    assert failed(node, "cilium-endpoints") == {}
    assert len(state.read_text().splitlines()) == 2


ROWS = [
    ("cilium_balancer='dsr'", '"mode": "DSR"', '"mode": "SNAT"', "load balancing snat"),
    ("cilium_balancer='hybrid'", '"mode": "DSR"', '"mode": "Hybrid"', None),
    ("cilium_masquerading='bpf'", '"mode": "BPF"', '"mode": "Iptables"', "masquerading iptables"),
    ("cilium_masquerading='off'", '"enabled": true,\n    "enabledProtocols"', '"enabledProtocols"', None),
    ("cilium_big_tcp='IPv4'", '"ipv4-big-tcp": {\n    "enabled": true,', '"ipv4-big-tcp": {', "BIG TCP off"),
    ("cilium_big_tcp='IPv4'", '196608\n  },\n  "ipv6', '65536\n  },\n  "ipv6', "BIG TCP off"),  # a card refused
    (
        "cilium_big_tcp='IPv4 IPv6'",
        '"ipv6-big-tcp": {\n    "maxGRO": 65536,\n    "maxGSO": 65536',
        '"ipv6-big-tcp": {"enabled": true, "maxGRO": 196608, "maxGSO": 196608',
        None,
    ),
]


@pytest.mark.parametrize(("conf", "old", "new", "found"), ROWS)
def test_every_property_of_the_data_path_is_looked_at(
    node: Node, conf: str, old: str, new: str, found: str | None
) -> None:
    assert STATUS.count(old) == 1
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}{conf}\n")
    node.cilium("status", STATUS.replace(old, new))
    check = node.checks("cilium-datapath")["cilium-datapath"]
    assert check["ok"] is (found is None)
    assert (found or conf.partition("=")[2].strip("'").rpartition(" ")[2]) in check["found"]


@pytest.mark.parametrize(
    ("wanted", "said", "found"),
    [
        ("on, with BBR", '{"enabled": true, "congestionControl": "bbr", "devices": ["eth0"]}', None),
        ("on", '{"enabled": true, "congestionControl": "cubic", "devices": ["eth0"]}', None),
        ("on, with BBR", '{"enabled": true, "congestionControl": "cubic", "devices": ["eth0"]}', "on"),
        ("on, with BBR", None, "off"),  # as the real one said, where net.core.default_qdisc was missing
    ],
)  # fmt: skip
def test_bandwidth_manager(node: Node, wanted: str, said: str | None, found: str | None) -> None:
    node.write("/etc/imgbuild/cluster.conf", f"{CLUSTER_CONF}cilium_bandwidth='{wanted}'\n")
    if said:
        node.cilium("status", STATUS.replace('{\n    "devices": null\n  }', said, 1))
    assert failed(node, "cilium-bandwidth") == ({"cilium-bandwidth": found} if found else {})


def test_each_service_counts_once(node: Node) -> None:
    found = json.loads(SERVICES)
    for port, name in ((53, "kube-dns"), (9153, "kube-dns"), (80, "web")):
        one = json.loads(SERVICES)[0]
        for part in (one["spec"], one["status"]["realized"]):
            part["flags"] |= {"name": name, "namespace": "kube-system"}
            part["frontend-address"]["port"] = port
        found.append(one)
    node.cilium("service list", json.dumps(found))
    assert node.checks("cilium-services")["cilium-services"]["found"] == "default/kubernetes and 2 more"
