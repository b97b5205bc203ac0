"""kubeadm's preflight checks, by the names that ignorePreflightErrors goes by. All errors come at once."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.standins import place
from tests.cluster.standins.schema import Config, Refused

Finding = tuple[str, str]
"""The check's name and what it found."""


def run(findings: Iterator[Finding], ignore: list[str]) -> None:
    """Raise Refused with all findings that are not ignored."""
    ignored = {name.lower() for name in ignore}
    errors = []
    for name, text in findings:
        if name.lower() in ignored or "all" in ignored:
            print(f"\t[WARNING {name}]: {text}")
        else:
            errors.append(f"\t[ERROR {name}]: {text}")
    if errors:
        raise Refused(
            "error execution phase preflight: [preflight] Some fatal errors occurred:\n"
            + "\n".join(errors)
            + "\n[preflight] If you know what you are doing, you can make a check non-fatal with "
            "`--ignore-preflight-errors=...`"
        )


def for_init(init: Config, cluster: Config) -> Iterator[Finding]:
    yield from _machine()
    yield from _control_plane(init["localAPIEndpoint"]["bindPort"])
    yield from _common(init["nodeRegistration"], cluster["networking"])


def for_join(join: Config) -> Iterator[Finding]:
    """Before anything of the cluster is known."""
    yield from _common(join["nodeRegistration"], {})
    if "controlPlane" not in join:
        if place.MANIFESTS.is_dir() and any(place.MANIFESTS.iterdir()):
            yield _label("DirAvailable", place.MANIFESTS), f"{place.MANIFESTS} is not empty"
        yield from _available(place.PKI / "ca.crt")
    yield from _available(place.KUBERNETES / "kubelet.conf")
    yield from _available(place.KUBERNETES / "bootstrap-kubelet.conf")


def for_control_plane_join(join: Config) -> Iterator[Finding]:
    yield from _machine()
    yield from _control_plane(join["controlPlane"]["localAPIEndpoint"]["bindPort"])


def _label(kind: str, path: Path) -> str:
    return f"{kind}-{str(path).replace('/', '-')}"


def _available(path: Path) -> Iterator[Finding]:
    if path.exists():
        yield _label("FileAvailable", path), f"{path} already exists"


def _machine() -> Iterator[Finding]:
    cpus = os.cpu_count() or 0
    if cpus < 2:
        yield "NumCPU", f"the number of available CPUs {cpus} is less than the required 2"
    kib = int(next(x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemTotal")).split()[1])
    if kib < 1700 * 1000:
        yield "Mem", f"the system RAM ({kib // 1024} MB) is less than the minimum 1700 MB"


def _control_plane(port: int) -> Iterator[Finding]:
    for number in (port, 10259, 10257, 2379, 2380):
        yield from _port(number)
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"):
        yield from _available(place.MANIFESTS / f"{name}.yaml")
    if place.ETCD.is_dir() and any(place.ETCD.iterdir()):
        yield _label("DirAvailable", place.ETCD), f"{place.ETCD} is not empty"


def _port(number: int) -> Iterator[Finding]:
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("::", number))
        except OSError:
            yield f"Port-{number}", f"Port {number} is in use"


def _common(registration: Config, networking: Config) -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield "IsPrivilegedUser", "user is not running as root"
    yield from _runtime(registration["criSocket"])
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        yield "Swap", "running with swap on is not supported. Please disable swap"
    minor = place.minor()
    # kubeadm's own lists: conntrack went with 1.32; crictl, ip, iptables and nsenter later.
    wanted = ["mount", "cp", "losetup"] + (["conntrack"] if minor < 32 else [])
    for name in wanted + (["crictl", "ip", "iptables", "nsenter"] if minor < 35 else []):
        if shutil.which(name) is None:
            yield f"FileExisting-{name}", f"{name} not found in system path"
    yield from _kubelet()
    yield from _port(10250)
    families = {ipaddress.ip_network(c).version for c in ",".join(networking.values()).split(",") if "/" in c} or {4}
    proc = Path("/proc/sys/net")
    if 4 in families:
        yield from _content(proc / "ipv4/ip_forward")
        if minor < 30:
            yield from _content(proc / "bridge/bridge-nf-call-iptables")
    if 6 in families:
        yield from _content(proc / "ipv6/conf/default/forwarding")


def _content(path: Path) -> Iterator[Finding]:
    name = _label("FileContent-", path).replace("--", "-", 1)
    if not path.exists():
        yield name, f"{path} does not exist"
    elif path.read_text().strip() != "1":
        yield name, f"{path} contents are not set to 1"


def _runtime(endpoint: str) -> Iterator[Finding]:
    path = endpoint.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(4)
            probe.connect(path)
    except OSError as error:
        yield "CRI", f'container runtime is not running: validate CRI v1 runtime API for endpoint "{endpoint}": {error}'


def _kubelet() -> Iterator[Finding]:
    try:
        said = subprocess.run(["kubelet", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        yield "KubeletVersion", "couldn't get kubelet version: kubelet not found in system path"
        return
    version = said.strip().removeprefix("Kubernetes v")
    if version != place.version():
        yield "KubeletVersion", f"kubelet {version} beside kubeadm {place.version()}: the tests have one version"
    state = subprocess.run(["systemctl", "is-enabled", "kubelet"], capture_output=True, text=True, check=False)
    if state.returncode != 0:
        print(
            "\t[WARNING Service-Kubelet]: kubelet service is not enabled, please run 'systemctl enable kubelet.service'"
        )
