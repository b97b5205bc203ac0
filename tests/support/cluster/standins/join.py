"""kubeadm join: discovery by token and pinned CA, TLS bootstrap of the kubelet, and a further control plane."""

from __future__ import annotations

import base64
import hmac
import time
import urllib.parse
from typing import Any

import yaml

from tests.support.cluster.standins import initialise, kubeletconf, phases, pki, place, preflight
from tests.support.cluster.standins.api.controllers import jws
from tests.support.cluster.standins.api.store import Store
from tests.support.cluster.standins.client import ApiError, Client, kubeconfig
from tests.support.cluster.standins.schema import Config, Refused

_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"


def run(join: Config) -> None:
    """Join the cluster. Raises Refused at the first phase that fails; what earlier ones wrote stays."""
    registration = join["nodeRegistration"]
    ignore = registration.get("ignorePreflightErrors") or []
    print("[preflight] Running pre-flight checks")
    preflight.run(preflight.for_join(join), ignore)
    token = join["discovery"]["bootstrapToken"]
    ca, server = _discover(token, _seconds(join, "discovery", 5))
    client = Client(server, ca, token=token["token"])
    print('[preflight] Reading configuration from the "kubeadm-config" ConfigMap in namespace "kube-system"...')
    cluster, kubelet = _configuration(client)
    control_plane = join.get("controlPlane")
    if control_plane is not None:
        preflight.run(preflight.for_control_plane_join(join), ignore)
        if not cluster.get("controlPlaneEndpoint"):
            raise Refused(
                "One or more conditions for hosting a new control plane instance is not satisfied.\n\n[unable to "
                "add a new control plane instance to a cluster that doesn't have a stable "
                "controlPlaneEndpoint address]"
            )
        if pki.pin(_read_ca()) != pki.pin(ca):
            raise Refused(f"{place.PKI}/ca.crt is not the CA of the cluster at {server}")
        local = control_plane["localAPIEndpoint"]
        phases.certificates(registration["name"], local, cluster, make=False)
        phases.kubeconfigs(registration["name"], local, cluster, kubelet_too=False, super_admin=False)
        phases.manifests(local, cluster, phases.PODS[1:])
    _refuse_known(client, registration["name"])
    _start_kubelet(join, server, ca, kubelet, cluster)
    if control_plane is not None:
        _member(server, ca, local)
        phases.manifests(local, cluster, phases.PODS[:1])
        initialise.wait_healthy(local, _seconds(join, "controlPlaneComponentHealthCheck", 4))
        phases.mark_control_plane(Client.of(place.KUBERNETES / "admin.conf"), registration)
    print("\nThis node has joined the cluster:")


def _seconds(join: Config, name: str, default: float) -> float:
    if name == "discovery" and "timeout" in join["discovery"]:  # v1beta3
        join = {"timeouts": {"discovery": join["discovery"]["timeout"]}}
    return initialise.minutes(join, name, default)


def _read_ca() -> bytes:
    path = place.PKI / "ca.crt"
    if not path.exists():
        raise Refused(
            "failure loading certificate for CA: couldn't load the certificate file "
            f"{path}: open {path}: no such file or directory"
        )
    return path.read_bytes()


def _discover(token: Config, seconds: float) -> tuple[bytes, str]:
    """CA and URL, after the token's signature and the pin have both been compared. Tries for ``seconds``."""
    until = time.monotonic() + seconds
    while True:
        try:
            return _cluster_info(token)
        except (OSError, ApiError) as error:
            if time.monotonic() > until:
                raise Refused(
                    f"error execution phase preflight: couldn't validate the identity of the API Server: "
                    f"failed to request the cluster-info ConfigMap: {error}"
                ) from error
            time.sleep(1)


def _cluster_info(token: Config) -> tuple[bytes, str]:
    """The real kubeadm asks again for a token that it does not know, until its timeout; this one says so at once."""
    server = f"https://{token['apiServerEndpoint']}"
    info = Client(server, None).get(_INFO)["data"]
    token_id, _, secret = token["token"].partition(".")
    signature = info.get(f"jws-kubeconfig-{token_id}")
    refused = "error execution phase preflight: couldn't validate the identity of the API Server: "
    if signature is None:
        raise Refused(
            f'{refused}could not find a JWS signature in the cluster-info ConfigMap for token ID "{token_id}"'
        )
    if not hmac.compare_digest(signature, jws(info["kubeconfig"], token_id, secret)):
        raise Refused(
            f"{refused}failed to verify JWS signature of received cluster info object, can't trust this API Server"
        )
    cluster = yaml.safe_load(info["kubeconfig"])["clusters"][0]["cluster"]
    ca = base64.b64decode(cluster["certificate-authority-data"])
    pins = token.get("caCertHashes") or []
    if pins and pki.pin(ca) not in pins:
        raise Refused(
            f'{refused}cluster CA found in cluster-info ConfigMap is invalid: none of the public keys "{pki.pin(ca)}" '
            "are pinned"
        )
    again = Client(server, ca).get(_INFO)["data"]["kubeconfig"]  # now over a verified connection
    if again != info["kubeconfig"]:
        raise Refused(f"{refused}the second kubeconfig from the cluster-info ConfigMap is different from the first")
    return ca, cluster["server"]


def _configuration(client: Client) -> tuple[Config, Config]:
    out = []
    for name, key in (("kubeadm-config", "ClusterConfiguration"), ("kubelet-config", "kubelet")):
        try:
            found = client.get(f"/api/v1/namespaces/kube-system/configmaps/{name}")
        except (ApiError, OSError) as error:
            raise Refused(f"error execution phase preflight: unable to fetch the {name} ConfigMap: {error}") from error
        out.append(yaml.safe_load(found["data"][key]) or {})
    return out[0], out[1]


def _refuse_known(client: Client, name: str) -> None:
    try:
        node = client.get(f"/api/v1/nodes/{name}")
    except ApiError as error:
        if error.code == 404:
            return
        raise Refused(f"error execution phase kubelet-start: {error}") from error
    ready = [c for c in node.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
    if ready and ready[0]["status"] == "True":
        raise Refused(
            f'error execution phase kubelet-start: a Node with name "{name}" and status "Ready" already exists in '
            "the cluster. You must delete the existing Node or change the name of this new joining Node"
        )


def _start_kubelet(join: Config, server: str, ca: bytes, kubelet: Config, cluster: Config) -> None:
    user: dict[str, Any] = {"token": join["discovery"]["bootstrapToken"]["token"]}
    bootstrap = place.KUBERNETES / "bootstrap-kubelet.conf"
    place.write(bootstrap, kubeconfig(server, ca, "tls-bootstrap-token-user", user))
    if not (place.PKI / "ca.crt").exists():
        pki.keep(place.PKI / "ca.crt", ca, 0o644)
    kubeletconf.write(kubelet, join["nodeRegistration"], cluster)
    phases.start_kubelet()
    print("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap")
    until = time.monotonic() + _seconds(join, "tlsBootstrap", 5)
    while not (place.KUBERNETES / "kubelet.conf").exists():
        if time.monotonic() > until:
            raise Refused("error execution phase kubelet-start: timed out waiting for the condition")
        time.sleep(0.5)
    bootstrap.unlink()


def _member(server: str, ca: bytes, local: Config) -> None:
    """A new member: this node's address to the others, their objects to this node."""
    print("[etcd] Announced new etcd member joining to the existing etcd cluster")
    own = Client.of(place.KUBERNETES / "controller-manager.conf")
    own.server = urllib.parse.urlsplit(server)
    try:
        data = own.call("POST", "/standin/etcd", {"join": f"https://{phases.authority(local)}"})
    except (OSError, ApiError) as error:
        raise Refused(f"error execution phase control-plane-join/etcd: {error}") from error
    Store(place.ETCD).load(data)
    place.write(place.ETCD / "member" / "wal" / "0.wal", "")
