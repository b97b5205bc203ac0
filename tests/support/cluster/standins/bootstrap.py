"""The kubelet's own certificate: kubelet.conf when it is there, else one by the bootstrap token."""

from __future__ import annotations

import argparse
import base64
import uuid
from pathlib import Path

import yaml

from tests.support.cluster.standins import pki, place
from tests.support.cluster.standins.client import Client, kubeconfig
from tests.support.cluster.standins.schema import Refused


def client(flags: argparse.Namespace) -> Client:
    """Raises Refused when neither file is there, ApiError and OSError when the server refuses or is away."""
    own, first = Path(flags.kubeconfig), Path(flags.bootstrap_kubeconfig)
    if own.exists():
        return Client.of(own)
    if not first.exists():
        raise Refused(
            f"failed to run Kubelet: unable to load bootstrap kubeconfig: stat {first}: no such file or directory"
        )
    key = pki.new_key()
    subject = f"/O=system:nodes/CN=system:node:{flags.name}"
    request = pki.openssl("req", "-new", "-key", "/proc/self/fd/0", "-subj", subject, data=key)
    answer = Client.of(first).call(
        "POST",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": f"node-csr-{uuid.uuid4().hex[:12]}"},
            "spec": {
                "request": base64.b64encode(request).decode(),
                "usages": ["digital signature", "client auth"],
                "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            },
        },
    )
    pem = place.KUBELET / "pki" / "kubelet-client-current.pem"
    pki.keep(pem, base64.b64decode(answer["status"]["certificate"]) + key)
    cluster = yaml.safe_load(first.read_text())["clusters"][0]["cluster"]
    ca = base64.b64decode(cluster["certificate-authority-data"])
    user = {"client-certificate": str(pem), "client-key": str(pem)}
    place.write(own, kubeconfig(cluster["server"], ca, "default-auth", user, "default-cluster"))
    return Client.of(own)
