"""kubeadm: its command line and its configuration. Only what first boot calls is known, all else is refused."""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
import sys
from pathlib import Path
from typing import Any

from tests.support.cluster.standins import initialise, join, phases, pki, place, reset
from tests.support.cluster.standins.schema import Config, Refused, read

_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SOCKET = "unix:///run/containerd/containerd.sock"


def main(arguments: list[str]) -> int:
    """Run kubeadm. Raises Refused."""
    match arguments:
        case ["version", "-o", "short"]:
            print(f"v{place.version()}")
        case ["init", "--config", path, *skip] if skip in ([], ["--skip-token-print"]):
            initialise.run(
                *_init(_documents(path, "InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"))
            )
        case ["join", "--config", path]:
            join.run(_join(_documents(path, "JoinConfiguration")))
        case ["init", "phase", "kubeconfig", "admin", *words]:
            _admin_kubeconfig(words)
        case ["init", "phase", "certs", "etcd-healthcheck-client", "--cert-dir", path, "--kubernetes-version", version]:
            _cluster({"kubernetesVersion": version})
            _etcd_client(Path(path) / "etcd")
        case ["reset", "--force", "--cri-socket", path]:
            reset.run(path)
        case ["init" | "join", *words] if "--config" in words:
            rest = [word for word in words if word.startswith("-") and word != "--config"]
            raise Refused(f"can not mix '--config' with arguments [{' '.join(rest)}]")
        case _:
            print(f"stand-in kubeadm: not known: {' '.join(arguments)}", file=sys.stderr)
            return 64
    return 0


def _admin_kubeconfig(words: list[str]) -> None:
    """admin.conf by a CA that lies anywhere, with nothing else made."""
    parser = argparse.ArgumentParser(prog="kubeadm", allow_abbrev=False)
    for name in ("cert-dir", "kubeconfig-dir", "control-plane-endpoint", "apiserver-advertise-address"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--kubernetes-version", required=True)
    told = parser.parse_args(words)
    _cluster({"kubernetesVersion": told.kubernetes_version})
    _endpoint({"localAPIEndpoint": {"advertiseAddress": told.apiserver_advertise_address}})
    _host_port(told.control_plane_endpoint, "controlPlaneEndpoint")
    ca = Path(told.cert_dir) / "ca"
    pki.check_ca(ca)
    text = phases.user_kubeconfig(
        ca, "kubernetes-admin", phases.admins(), f"https://{told.control_plane_endpoint}", "kubernetes"
    )
    print('[kubeconfig] Writing "admin.conf" kubeconfig file')
    place.write(Path(told.kubeconfig_dir) / "admin.conf", text)


def _etcd_client(folder: Path) -> None:
    """A client's certificate by the CA of etcd that lies there."""
    pki.check_ca(folder / "ca")
    print('[certs] Generating "etcd/healthcheck-client" certificate and key')
    certificate, key = pki.sign(folder / "ca", phases.ETCD_CLIENT)
    pki.keep(folder / "healthcheck-client.key", key)
    pki.keep(folder / "healthcheck-client.crt", certificate, 0o644)


def _documents(path: str, *kinds: str) -> dict[str, Config]:
    """What lies in the file. Beside the first kind the others may be missing."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise Refused(f'unable to read config from "{path}": {error}') from error
    documents = read(text, place.minor())
    strange = set(documents) - set(kinds)
    if kinds[0] == "JoinConfiguration" or strange:
        for kind in sorted(strange):
            print(f"[config] WARNING: Ignored YAML document with kind {kind}", file=sys.stderr)
    if kinds[0] not in documents:
        raise Refused(f"no {kinds[0]} found in the YAML files: {path}")
    return documents


def _init(documents: dict[str, Config]) -> tuple[Config, Config, Config]:
    init, cluster = documents["InitConfiguration"], documents.get("ClusterConfiguration", {})
    _registration(init)
    _endpoint(init)
    timeouts(init)
    for token in init.setdefault("bootstrapTokens", []):
        if not _TOKEN.fullmatch(token.get("token", "")):
            raise Refused(f'bootstrapTokens: the bootstrap token "{token.get("token")}" was not of the form')
        if token.get("expires"):  # the real one sets a default ttl first, and then refuses every one
            raise Refused("bootstrapTokens: the BootstrapToken .TTL and .Expires fields are mutually exclusive")
    _cluster(cluster)
    return init, cluster, documents.get("KubeletConfiguration", {})


def _cluster(cluster: Config) -> None:
    wanted = str(cluster.get("kubernetesVersion", ""))
    if not re.fullmatch(r"v?1\.[0-9]+\.[0-9]+", wanted):
        raise Refused(
            f"could not fetch a Kubernetes version from the internet: kubernetesVersion is {wanted or 'stable-1'}"
        )
    minor = int(wanted.split(".")[1])
    if not place.minor() - 1 <= minor <= place.minor():
        raise Refused(
            f"this version of kubeadm only supports deploying clusters with the control plane version >= "
            f"1.{place.minor() - 1}.0 and <= 1.{place.minor()}. Current version: {wanted}"
        )
    if cluster.get("imageRepository", "").endswith("/"):
        raise Refused(f'imageRepository: Invalid value: "{cluster["imageRepository"]}": must not end in a slash')
    networking = cluster.setdefault("networking", {})
    networking.setdefault("serviceSubnet", "10.96.0.0/12")
    networking.setdefault("dnsDomain", "cluster.local")
    for key in ("serviceSubnet", "podSubnet"):
        for cidr in filter(None, str(networking.get(key) or "").split(",")):
            try:
                ipaddress.ip_network(cidr)
            except ValueError as error:
                raise Refused(f'networking.{key}: Invalid value: "{cidr}": couldn\'t parse subnet: {error}') from error
    endpoint = cluster.get("controlPlaneEndpoint")
    if endpoint is not None:
        _host_port(endpoint, "controlPlaneEndpoint")


def _host_port(endpoint: str, field: str) -> None:
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", endpoint):
        raise Refused(f"{field}: Invalid value: {endpoint!r}: hostname or port is not valid")


def _registration(config: Config) -> None:
    registration = config.setdefault("nodeRegistration", {})
    registration.setdefault("name", socket.gethostname().lower())
    registration.setdefault("criSocket", _SOCKET)
    if not _NODE_NAME.fullmatch(registration["name"]):
        raise Refused(f'nodeRegistration.name: Invalid value: "{registration["name"]}"')
    if not registration["criSocket"].startswith("unix:///"):
        raise Refused(f'nodeRegistration.criSocket: Invalid value: "{registration["criSocket"]}"')
    ignored = [name.lower() for name in registration.get("ignorePreflightErrors", [])]
    if "all" in ignored and len(ignored) > 1:
        raise Refused("ignorePreflightErrors: don't specify individual checks if 'all' is used")


def _endpoint(config: Config) -> None:
    endpoint = config.setdefault("localAPIEndpoint", {})
    endpoint["bindPort"] = endpoint.get("bindPort") or 6443
    address = endpoint.get("advertiseAddress") or place_of_default_route()
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise Refused(
            f'couldn\'t use "{address}" as "apiserver-advertise-address", must be ipv4 or ipv6 address'
        ) from None
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
        raise Refused(f'couldn\'t use "{address}" as "apiserver-advertise-address"')
    endpoint["advertiseAddress"] = address


def place_of_default_route() -> str:
    """The source address of the default route. Refused without one."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # documentation's network: no packet is sent
            return str(probe.getsockname()[0])
    except OSError:
        raise Refused("unable to select an IP from default routes") from None


def timeouts(config: Config) -> None:
    """Durations are Go's: 5m0s."""
    values: dict[str, Any] = dict(config.get("timeouts") or {})
    if "timeout" in config.get("discovery", {}):
        values["discovery.timeout"] = config["discovery"]["timeout"]
    for name, value in values.items():
        if not re.fullmatch(r"([0-9.]+(h|m|s|ms))+|0", str(value)):
            raise Refused(f'timeouts.{name}: time: invalid duration "{value}"')


def _join(documents: dict[str, Config]) -> Config:
    config = documents["JoinConfiguration"]
    _registration(config)
    timeouts(config)
    if "controlPlane" in config:
        config["controlPlane"] = config["controlPlane"] or {}
        _endpoint(config["controlPlane"])
    found = (config.get("discovery") or {}).get("bootstrapToken")
    if not found:
        raise Refused('discovery: Invalid value: "": bootstrapToken or file must be set')
    if not _TOKEN.fullmatch(found.get("token", "")):
        raise Refused("discovery.bootstrapToken.token: the bootstrap token was not of the form")
    if not found.get("apiServerEndpoint"):
        raise Refused("discovery.bootstrapToken.apiServerEndpoint: Required value")
    _host_port(found["apiServerEndpoint"], "discovery.bootstrapToken.apiServerEndpoint")
    hashes = found.get("caCertHashes") or []
    if not hashes and not found.get("unsafeSkipCAVerification"):
        raise Refused(
            'discovery.bootstrapToken: Invalid value: "": using token-based discovery without caCertHashes can '
            "be unsafe"
        )
    for value in hashes:
        if not _HASH.fullmatch(value):
            raise Refused(f'invalid public key hash "{value}"')
    return config
