"""What kubeadm writes for the kubelet: config.yaml and kubeadm-flags.env."""

from __future__ import annotations

import yaml

from tests.support.cluster.standins import place
from tests.support.cluster.standins.schema import Config


def write(kubelet: Config, registration: Config, cluster: Config) -> None:
    """``kubelet`` is what the configuration says, over kubeadm's own defaults."""
    services = cluster.get("networking", {})
    defaults = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "clusterDomain": services.get("dnsDomain", "cluster.local"),
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "staticPodPath": str(place.MANIFESTS),
        "rotateCertificates": True,
    }
    print(f'[kubelet-start] Writing kubelet configuration to file "{place.KUBELET}/config.yaml"')
    place.write(place.KUBELET / "config.yaml", yaml.safe_dump(defaults | kubelet), 0o644)
    given = registration.get("kubeletExtraArgs") or {}
    extra = given if isinstance(given, dict) else {item["name"]: item["value"] for item in given}
    flags = {
        "container-runtime-endpoint": registration["criSocket"],
        "hostname-override": registration["name"],
        **extra,
    }
    if place.minor() < 35:
        flags.setdefault("pod-infra-container-image", "registry.k8s.io/pause:3.10")
    taints = registration.get("taints")
    if taints:
        flags["register-with-taints"] = ",".join(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints)
    words = " ".join(f"--{key}={value}" for key, value in sorted(flags.items()))
    print(f'[kubelet-start] Writing kubelet environment file with flags to file "{place.KUBELET}/kubeadm-flags.env"')
    place.write(place.KUBELET / "kubeadm-flags.env", f'KUBELET_KUBEADM_ARGS="{words}"\n', 0o644)
