"""kubeadm's preflight checks, by the names that ignorePreflightErrors goes by. All errors come at once."""

from __future__ import annotations

import ipaddress
import os
import pkgutil
import shutil
import socket
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster.standins import place
from tests.support.cluster.standins.schema import Config, Refused

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
    yield from _places("init", init["localAPIEndpoint"]["bindPort"])
    networking = cluster["networking"]
    cidrs = ",".join(str(networking.get(key) or "") for key in ("serviceSubnet", "podSubnet")).split(",")
    addresses = [cidr.partition("/")[0] for cidr in cidrs if cidr]
    yield from _common(init["nodeRegistration"], [*addresses, init["localAPIEndpoint"]["advertiseAddress"]])


def for_join(join: Config) -> Iterator[Finding]:
    """Before anything of the cluster is known. The endpoint's family decides which sysctls are looked at."""
    yield from _places("join")
    if "controlPlane" not in join:
        yield from _places("worker")
    endpoint = str(join["discovery"]["bootstrapToken"]["apiServerEndpoint"])
    yield from _common(join["nodeRegistration"], [endpoint.rpartition(":")[0].strip("[]")])


def for_control_plane_join(join: Config) -> Iterator[Finding]:
    yield from _machine()
    yield from _places("control-plane", join["controlPlane"]["localAPIEndpoint"]["bindPort"])


def rows(section: str) -> list[Any]:
    """The table's rows that this kubeadm has."""
    return [
        row
        for row in _table()[section]
        if _number(row.get("since", "1.0")) <= place.minor() < _number(row.get("until", "1.99"))
    ]


@cache
def _table() -> dict[str, Any]:
    data = pkgutil.get_data("tests.support.cluster.standins", "kubeadm-preflight.yaml")
    assert data is not None
    table: dict[str, Any] = yaml.safe_load(data)
    return table


def _number(minor: str) -> int:
    return int(minor.partition(".")[2])


def _label(kind: str, path: Path | str) -> str:
    return f"{kind}-{str(path).replace('/', '-')}"


def _places(verb: str, api: int = 0) -> Iterator[Finding]:
    """Ports, files and folders that must be free."""
    for row in rows("ports"):
        if verb in row["verbs"]:
            yield from _port(api if row["port"] == "api" else row["port"])
    for row in rows("files"):
        if verb in row["verbs"] and Path(row["path"]).exists():
            yield _label("FileAvailable", row["path"]), f"{row['path']} already exists"
    for row in rows("folders"):
        folder = Path(row["path"])
        if verb in row["verbs"] and folder.is_dir() and any(folder.iterdir()):
            yield _label("DirAvailable", folder), f"{folder} is not empty"


def _machine() -> Iterator[Finding]:
    wanted = _table()["machine"]
    cpus = len(os.sched_getaffinity(0))
    if cpus < wanted["cpus"]:
        yield "NumCPU", f"the number of available CPUs {cpus} is less than the required {wanted['cpus']}"
    kib = int(next(x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemTotal")).split()[1])
    if kib // 1024 < wanted["memory_mib"]:
        yield "Mem", f"the system RAM ({kib // 1024} MB) is less than the minimum {wanted['memory_mib']} MB"


def _port(number: int) -> Iterator[Finding]:
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("::", number))
        except OSError:
            yield f"Port-{number}", f"Port {number} is in use"


def _common(registration: Config, addresses: list[str]) -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield "IsPrivilegedUser", "user is not running as root"
    yield from _runtime(registration["criSocket"])
    yield from _swap()
    if rows("cgroup_v1") and Path("/sys/fs/cgroup/memory").is_dir():
        yield "SystemVerification", "cgroups v1 support is deprecated and will be removed in a future release"
    for row in rows("programs"):
        name = row["name"]
        if shutil.which(name) is None and row.get("warning"):
            print(f"\t[WARNING FileExisting-{name}]: {name} not found in system path")
        elif shutil.which(name) is None:
            yield f"FileExisting-{name}", f"{name} not found in system path"
    _hostname(registration["name"])
    yield from _kubelet()
    families = {ipaddress.ip_address(text).version for text in addresses if _is_address(text)}
    for row in rows("sysctls"):
        if row.get("family", 4) in families:
            yield from _content(Path("/proc/sys") / row["key"].replace(".", "/"), row["value"])


def _swap() -> Iterator[Finding]:
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        if any(row.get("warning") for row in rows("swap")):
            print("\t[WARNING Swap]: swap is supported for cgroup v2 only")
        else:
            yield "Swap", "running with swap on is not supported. Please disable swap"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _hostname(name: str) -> None:
    """Does the name resolve? Only a warning, in the real one too."""
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        print(f'\t[WARNING Hostname]: hostname "{name}" could not be reached: {error}')


def _content(path: Path, wanted: str) -> Iterator[Finding]:
    if not path.exists():
        yield _label("FileContent", path), f"{path} does not exist"
    elif path.read_text()[: len(wanted)] != wanted:
        yield _label("FileContent", path), f"{path} contents are not set to {wanted}"


def _runtime(endpoint: str) -> Iterator[Finding]:
    path = endpoint.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(4)
            probe.connect(path)
    except OSError as error:
        yield "CRI", f'container runtime is not running: validate CRI v1 runtime API for endpoint "{endpoint}": {error}'
        if place.minor() >= 35:  # kubernetes#134906
            yield "ContainerRuntimeVersion", f"could not connect to the container runtime: {error}"


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
