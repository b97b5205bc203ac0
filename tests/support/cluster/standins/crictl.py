"""crictl: ps, exec and info, in the words of cri-tools' cmd/crictl.

Inside of Cilium's agent the programs cilium-dbg (from 1.15) or cilium, and cilium-health, are known. They answer as a
real agent did.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

from tests.support.cluster.standins import balancer, place
from tests.support.cluster.standins.schema import Refused


def main(arguments: list[str]) -> int:
    """Run crictl. Raises Refused."""
    if arguments in (["--version"], ["version"]):
        print(f"crictl version v{place.version()}")
        return 0
    parser = argparse.ArgumentParser(prog="crictl", allow_abbrev=False)
    parser.add_argument("--runtime-endpoint", "-r", default="")
    parser.add_argument("--timeout", "-t", default="")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("ps", allow_abbrev=False)
    listing.add_argument("--all", "-a", action="store_true")
    listing.add_argument("--quiet", "-q", action="store_true")
    listing.add_argument("--name", default="")
    listing.add_argument("--state", "-s", default="Running")
    listing.add_argument("--output", "-o", choices=["table", "json"], default="table")
    run = commands.add_parser("exec", allow_abbrev=False)
    run.add_argument("--sync", "-s", action="store_true")
    run.add_argument("--timeout", default="")
    run.add_argument("id")
    run.add_argument("words", nargs=argparse.REMAINDER)
    images = commands.add_parser("images", allow_abbrev=False)
    images.add_argument("--quiet", "-q", action="store_true", required=True)
    images.add_argument("name")
    pull = commands.add_parser("pull", allow_abbrev=False)
    pull.add_argument("name")
    info = commands.add_parser("info", allow_abbrev=False)
    info.add_argument("--output", "-o", choices=["json"], default="json")
    told = parser.parse_args(arguments)
    if told.command == "ps":
        return _list(told)
    if told.command == "images":
        if told.name in _pulled():
            print(f"sha256:{hashlib.sha256(told.name.encode()).hexdigest()}")
        return 0
    if told.command == "pull":
        with place.PULLED.open("a") as out:
            out.write(f"{told.name}\n")
        print(f"Image is up to date for {told.name}")
        return 0
    if told.command == "info":
        ready = place.CNI.is_dir() and any(place.CNI.glob("*.conf*"))
        missing = "Network plugin returns error: cni plugin not initialized"
        conditions = [
            {"type": "RuntimeReady", "status": True, "reason": "", "message": ""},
            {
                "type": "NetworkReady",
                "status": ready,
                "reason": "" if ready else "NetworkPluginNotReady",
                "message": "" if ready else missing,
            },
        ]
        print(json.dumps({"status": {"conditions": conditions}}, indent=2))
        return 0
    return _exec(told.id, told.words)


def _pulled() -> list[str]:
    return place.PULLED.read_text().splitlines() if place.PULLED.exists() else []


def _all() -> dict[str, dict[str, Any]]:
    """Containers by id."""
    found = {}
    for path in sorted(place.CONTAINERS.iterdir()) if place.CONTAINERS.is_dir() else ():
        if not path.name.startswith("."):
            found[hashlib.sha256(path.name.encode()).hexdigest()] = json.loads(path.read_text())
    if balancer.process() is not None:
        about = {"name": "balancer", "pod": "balancer", "namespace": "kube-system", "image": "haproxy"}
        found[hashlib.sha256(b"balancer").hexdigest()] = about
    return found


def _list(told: argparse.Namespace) -> int:
    import re

    chosen = {i: c for i, c in _all().items() if re.search(told.name, c["name"])}  # crictl's --name is an expression
    if told.state.lower() != "running":
        chosen = {}
    if told.output == "json":
        print(json.dumps({"containers": [_container(i, c) for i, c in chosen.items()]}, indent=2))
    elif told.quiet:
        for name in chosen:
            print(name)
    else:
        print("CONTAINER      IMAGE          CREATED          STATE      NAME   ATTEMPT   POD ID   POD   NAMESPACE")
        for name, found in chosen.items():
            row = [name[:13], found["image"], "1 minute ago", "Running", found["name"], "0"]
            print("   ".join([*row, _pod(found)[:13], found["pod"], found["namespace"]]))
    return 0


def _pod(container: dict[str, Any]) -> str:
    return hashlib.sha256(f"{container['namespace']}/{container['pod']}".encode()).hexdigest()


def _container(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """A Container of the CRI (cri-api, runtime/v1/api.proto), as crictl prints it: all fields, int64 as a string."""
    return {
        "id": name,
        "podSandboxId": _pod(found),
        "metadata": {"name": found["name"], "attempt": 0},
        "image": {
            "image": found["image"],
            "annotations": {},
            "userSpecifiedImage": found["image"],
            "runtimeHandler": "",
        },
        "imageRef": found["image"],
        "state": "CONTAINER_RUNNING",
        "createdAt": "1780000000000000000",
        "labels": {
            "io.kubernetes.container.name": found["name"],
            "io.kubernetes.pod.name": found["pod"],
            "io.kubernetes.pod.namespace": found["namespace"],
        },
        "annotations": {},
        "imageId": found["image"],
    }


def _exec(name: str, words: list[str]) -> int:
    found = next((c for i, c in _all().items() if len(name) >= 5 and i.startswith(name)), None)
    if found is None:
        raise Refused(f'execing command in container: rpc error: code = NotFound desc = container "{name}": not found')
    program = words[0] if words else ""
    if found["name"] != "cilium-agent" or program not in ("cilium-dbg", "cilium", "cilium-health"):
        print(f'OCI runtime exec failed: exec: "{program}": executable file not found in $PATH', file=sys.stderr)
        return 1
    answers: dict[str, Callable[[], Any]] = {
        "status": lambda: _status(found["config"]),
        "service list": lambda: _services(found["services"]),
        "endpoint list": lambda: _said("endpoints"),
    }
    call = " ".join(words[1:-2])
    if words[0] == "cilium-health":
        answers = {"status": lambda: _health(found["node"], found["nodes"])}
    if words[-2:] not in (["-o", "json"], ["--output", "json"]) or call not in answers:
        print(f"stand-in {program}: not known: {' '.join(words[1:])}", file=sys.stderr)
        return 64
    print(json.dumps(answers[call](), indent=2))
    return 0


def _said(name: str) -> Any:
    """What a real agent answered (tests/support/cilium_status/README.md)."""
    text = pkgutil.get_data("tests.support.cilium_status", f"{name}.json")
    assert text is not None
    return json.loads(text)


def _health(own: str, nodes: dict[str, str]) -> dict[str, Any]:
    """Every node is reached."""
    found: dict[str, Any] = _said("health")
    found["local"]["name"] = own
    (well,) = (node for node in found["nodes"] if node["name"] == "cp1")
    found["nodes"] = []
    for name, address in nodes.items():
        node = copy.deepcopy(well)
        node["name"], node["host"]["primary-address"]["ip"] = name, address
        found["nodes"].append(node)
    return found


def _status(config: dict[str, str]) -> dict[str, Any]:
    """A real agent's answer, with what follows from its ConfigMap."""
    replaced = config.get("kube-proxy-replacement", "false") in ("true", "strict")
    native = config.get("routing-mode", "tunnel") == "native" or config.get("tunnel") == "disabled"
    masquerade = config.get("enable-bpf-masquerade") == "true"
    bpf = replaced and masquerade and config.get("enable-host-legacy-routing") != "true"
    found: dict[str, Any] = _said("default")
    found["kube-proxy-replacement"]["mode"] = "True" if replaced else "False"
    node_port = found["kube-proxy-replacement"]["features"]["nodePort"]
    node_port["mode"] = config.get("bpf-lb-mode", "snat").upper()
    node_port["acceleration"] = config.get("bpf-lb-acceleration", "disabled").title()
    found["masquerading"]["mode"] = "BPF" if masquerade else "Iptables"
    found["routing"] = {
        "inter-host-routing-mode": "Native" if native else "Tunnel",
        "intra-host-routing-mode": "BPF" if bpf else "Legacy",
        **({} if native else {"tunnel-protocol": config.get("tunnel-protocol", "vxlan")}),
    }
    for family in (4, 6):
        found[f"ipv{family}-big-tcp"].pop("enabled", None)
        if config.get(f"enable-ipv{family}-big-tcp") == "true":
            found[f"ipv{family}-big-tcp"]["enabled"] = True
    if config.get("enable-bandwidth-manager") == "true":
        control = "bbr" if config.get("enable-bbr") == "true" else "cubic"
        found["bandwidth-manager"] = {"congestionControl": control, "devices": ["eth0"], "enabled": True}
    return found


def _services(services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    listed = []
    for at, (service, port) in enumerate(((s, p) for s in services if s["address"] for p in s["ports"]), 1):
        one = _said("services")[0]
        for part in (one["spec"], one["status"]["realized"]):
            part["id"], part["backend-addresses"] = at, []
            part["frontend-address"] |= {"ip": service["address"], "port": port["port"]}
            part["frontend-address"]["protocol"] = port.get("protocol", "TCP")
            part["flags"] |= {"name": service["name"], "namespace": service["namespace"]}
        listed.append(one)
    return listed
