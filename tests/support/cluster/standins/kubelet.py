"""The kubelet: static pods, its Node and its certificate. Only the API server is really run, and in no container."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from tests.support.cluster.standins import balancer, bootstrap, kubeadm, node, place, reset
from tests.support.cluster.standins.client import ApiError, Client
from tests.support.cluster.standins.schema import Config, Refused, read

_GONE = {"container-runtime": 27, "network-plugin": 24, "pod-infra-container-image": 35}
"""Flags that a kubelet refuses, from which minor on."""


def main(arguments: list[str]) -> int:
    """Run until killed. Raises Refused where the real one ends by itself."""
    if arguments == ["--version"]:
        print(f"Kubernetes v{place.version()}")
        return 0
    flags = _flags(arguments)
    config = _config(Path(flags.config))
    if not flags.node_ip:
        flags.node_ip = kubeadm.place_of_default_route()
    pair = flags.node_ip.split(",")  # with dual stack one of each family, the main one first
    if len(pair) > 1 and [":" in address for address in pair] not in ([True, False], [False, True]):
        raise Refused(f'invalid --node-ip "{flags.node_ip}": must be a dual-stack pair')
    for address in pair:
        _require_address(address)
    flags.node_ip, flags.node_ips = pair[0], pair
    with contextlib.ExitStack() as ports:
        ports.enter_context(_listening(flags))
        health = ThreadingHTTPServer(("127.0.0.1", config.get("healthzPort", 10248)), _Health)
        threading.Thread(target=health.serve_forever, daemon=True).start()
        _run(flags, config)
    return 0


def _flags(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubelet", allow_abbrev=False)
    for name in (
        "bootstrap-kubeconfig",
        "kubeconfig",
        "container-runtime-endpoint",
        "hostname-override",
        "node-ip",
        "node-labels",
        "register-with-taints",
        "cgroup-driver",
    ):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--config", required=True)
    for name, until in _GONE.items():
        if place.minor() < until:
            parser.add_argument(f"--{name}", default="")
    try:
        flags = parser.parse_args(arguments)
    except SystemExit:
        raise Refused("failed to parse kubelet flag") from None
    flags.name = flags.hostname_override or socket.gethostname().lower()
    return flags


def _config(path: Path) -> Config:
    try:
        text = path.read_text()
    except OSError as error:
        raise Refused(
            f'"command failed" err="failed to load kubelet config file, path: {path}, error: {error}"'
        ) from error
    config = read(text, place.minor()).get("KubeletConfiguration")
    if config is None:
        raise Refused(f"{path} holds no KubeletConfiguration")
    if config.get("cgroupDriver", "cgroupfs") not in ("systemd", "cgroupfs"):
        raise Refused(f"invalid configuration: cgroupDriver {config['cgroupDriver']}")
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists() or not Path("/sys/fs/cgroup").is_mount()
    if not unified and config.get("failCgroupV1", place.minor() >= 35):
        raise Refused("kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported")
    if config.get("failSwapOn", True) and len(Path("/proc/swaps").read_text().splitlines()) > 1:
        raise Refused("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false")
    return config


def _require_address(address: str) -> None:
    try:
        wanted = ipaddress.ip_address(address)
        with socket.socket(socket.AF_INET6 if wanted.version == 6 else socket.AF_INET) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError) as error:
        raise Refused(
            f"failed to validate nodeIP: node IP: {address!r} not found in the host's network interfaces"
        ) from error


def _listening(flags: argparse.Namespace) -> socket.socket:
    """The kubelet's own port. A runtime that does not answer ends it, as systemd sees."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(flags.container_runtime_endpoint.removeprefix("unix://"))
        except OSError as error:
            raise Refused(f"failed to run Kubelet: validate service connection: {error}") from error
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", 10250))
    listener.listen()
    return listener


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def _run(flags: argparse.Namespace, config: Config) -> None:
    client: Client | None = None
    said = ""
    while True:
        _static_pods()
        try:
            if client is None:
                client = bootstrap.client(flags)
            node.sync(client, flags, config)
            said = ""
        except (ApiError, OSError) as error:
            if str(error) != said:
                said = str(error)
                print(f"no API server: {said}", file=sys.stderr)
        time.sleep(1)


def _static_pods() -> None:
    """The API server runs while its manifest and etcd's are there. It outlives the kubelet, as a container does."""
    balancer.run()
    manifest = place.MANIFESTS / "kube-apiserver.yaml"
    running = reset.apiserver()
    if not manifest.exists() or not (place.MANIFESTS / "etcd.yaml").exists():
        if running is not None:
            reset.end_containers()
        return
    if running is not None:
        return
    try:
        command: list[str] = yaml.safe_load(manifest.read_text())["spec"]["containers"][0]["command"]
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        return  # half written: the next look sees it whole
    keep = ("--advertise-address", "--secure-port", "--tls-", "--client-ca-file", "--service-cluster-ip-range")
    words = [word for word in command[1:] if word.startswith(keep)]
    log = Path("/var/log/pods/kube-apiserver.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.argv[0], "standin-kube-apiserver", f"--etcd-data-dir={place.ETCD}", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    _own_cgroup(process.pid)
    place.write(place.APISERVER_PID, str(process.pid))
    threading.Thread(target=process.wait, daemon=True).start()


def _own_cgroup(pid: int) -> None:
    """Out of the kubelet's, or systemd ends it together with the kubelet."""
    for root in (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup")):
        if (root / "cgroup.procs").exists():
            with contextlib.suppress(OSError):
                (root / "standin-pods").mkdir(exist_ok=True)
                (root / "standin-pods" / "cgroup.procs").write_text(str(pid))
                return
