"""crictl: ps, exec and info. Inside of Cilium's agent the programs cilium-dbg (from 1.15) or cilium are known."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from typing import Any

from tests.cluster.standins import place
from tests.cluster.standins.schema import Refused


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
    info = commands.add_parser("info", allow_abbrev=False)
    info.add_argument("--output", "-o", choices=["json"], default="json")
    told = parser.parse_args(arguments)
    if told.command == "ps":
        return _list(told)
    if told.command == "info":
        ready = place.CNI.is_dir() and any(place.CNI.glob("*.conf*"))
        conditions = [{"type": "RuntimeReady", "status": True}, {"type": "NetworkReady", "status": ready}]
        print(json.dumps({"status": {"conditions": conditions}}, indent=2))
        return 0
    return _exec(told.id, told.words)


def _all() -> dict[str, dict[str, Any]]:
    """Containers by id."""
    found = {}
    for path in sorted(place.CONTAINERS.iterdir()) if place.CONTAINERS.is_dir() else ():
        if not path.name.startswith("."):
            found[hashlib.sha256(path.name.encode()).hexdigest()] = json.loads(path.read_text())
    return found


def _list(told: argparse.Namespace) -> int:
    import re

    chosen = {i: c for i, c in _all().items() if re.search(told.name, c["name"])}  # crictl's --name is an expression
    if told.state.lower() != "running":
        chosen = {}
    if told.output == "json":
        listed = [
            {
                "id": i,
                "metadata": {"name": c["name"], "attempt": 0},
                "state": "CONTAINER_RUNNING",
                "labels": {
                    "io.kubernetes.container.name": c["name"],
                    "io.kubernetes.pod.name": c["pod"],
                    "io.kubernetes.pod.namespace": c["namespace"],
                },
            }
            for i, c in chosen.items()
        ]
        print(json.dumps({"containers": listed}, indent=2))
    elif told.quiet:
        for name in chosen:
            print(name)
    else:
        print("CONTAINER           IMAGE       CREATED     STATE     NAME      ATTEMPT   POD ID   POD")
        for name, found in chosen.items():
            print(
                f"{name[:13]}       {found['image']}   1 min ago   Running   {found['name']}   0   0   {found['pod']}"
            )
    return 0


def _exec(name: str, words: list[str]) -> int:
    found = next((c for i, c in _all().items() if len(name) >= 5 and i.startswith(name)), None)
    if found is None:
        raise Refused(f'execing command in container: rpc error: code = NotFound desc = container "{name}": not found')
    program = words[0] if words else ""
    if found["name"] != "cilium-agent" or program not in ("cilium-dbg", "cilium"):
        print(f'OCI runtime exec failed: exec: "{program}": executable file not found in $PATH', file=sys.stderr)
        return 1
    config = found["config"]
    if words[1:] in (["status", "-o", "json"], ["status", "--output", "json"]):
        print(json.dumps(_status(config)))
    elif words[1:] in (["service", "list", "-o", "json"], ["service", "list", "--output", "json"]):
        print(json.dumps(_services(found["services"])))
    elif words[1:] == ["service", "list"]:
        print("ID   Frontend   Service Type   Backend")
        for at, service in enumerate(_services(found["services"]), 1):
            front = service["spec"]["frontend-address"]
            print(f"{at}   {front['ip']}:{front['port']}   ClusterIP   ")
    else:
        print(f"stand-in {program}: not known: {' '.join(words[1:])}", file=sys.stderr)
        return 64
    return 0


def _status(config: dict[str, str]) -> dict[str, Any]:
    """The fields of Cilium's StatusResponse that say which data path is in force."""
    replaced = config.get("kube-proxy-replacement", "false") in ("true", "strict")
    native = config.get("routing-mode", "tunnel") == "native" or config.get("tunnel") == "disabled"
    bpf = replaced and config.get("enable-host-legacy-routing") != "true"
    bpf = bpf and config.get("enable-bpf-masquerade") == "true"
    tunnel = config.get("tunnel-protocol") or "vxlan"
    return {
        "cilium": {"state": "Ok", "msg": "1.0.0 (stand-in)"},
        "kubernetes": {"state": "Ok"},
        "kube-proxy-replacement": {"mode": "True" if replaced else "False"},
        "host-routing": {"mode": "BPF" if bpf else "Legacy"},
        "routing": {
            "intra-host-routing-mode": "BPF" if bpf else "Legacy",
            "inter-host-routing-mode": "Native" if native else "Tunnel",
            "tunnel-protocol": "" if native else tunnel,
        },
        "masquerading": {
            "enabled": True,
            "mode": "BPF" if config.get("enable-bpf-masquerade") == "true" else "iptables",
        },
        "bandwidth-manager": {
            "enabled": config.get("enable-bandwidth-manager") == "true",
            "congestion-control": "bbr" if config.get("enable-bbr") == "true" else "cubic",
        },
    }


def _services(services: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "spec": {
                "id": at,
                "frontend-address": {"ip": s["address"], "port": port["port"], "protocol": port.get("protocol", "TCP")},
                "flags": {"name": s["name"], "namespace": s["namespace"], "type": "ClusterIP"},
                "backend-addresses": [],
            }
        }
        for at, (s, port) in enumerate(((s, port) for s in services if s["address"] for port in s["ports"]), 1)
    ]
