"""The bootstrap token that nodes join with: its permissions, and the Secret that makes it known to a cluster.

The Secret is what `kubeadm token create` writes (cmd/kubeadm/app/apis/bootstraptoken/v1, BootstrapTokenToSecret, with
the keys of k8s.io/cluster-bootstrap, token/api), so that it can be made without a network and applied by kubectl.
"""

from __future__ import annotations

import json

from imgbuild.config.secrets import Secrets

DESCRIPTION = "imgbuild: nodes of this cluster join by it"
USAGES = ("signing", "authentication")
GROUPS = ("system:bootstrappers:kubeadm:default-node-token",)
"""kubeadm gives this group what a joining node needs: it may request a certificate, which is granted for any name."""


def secret_name(token: str) -> str:
    """The Secret's name in kube-system: the token authenticator looks only for this name."""
    return f"bootstrap-token-{token.partition('.')[0]}"


def secret_document(secrets: Secrets) -> dict[str, object]:
    """The Secret of the cluster's token, for `kubectl apply`."""
    identity, _, secret = secrets.bootstrap_token.partition(".")
    data = {
        "token-id": identity,
        "token-secret": secret,
        "description": DESCRIPTION,
        "expiration": secrets.bootstrap_token_expires,
        **{f"usage-bootstrap-{usage}": "true" for usage in USAGES},
        "auth-extra-groups": ",".join(GROUPS),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(secrets.bootstrap_token), "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }


def secret_text(secrets: Secrets) -> str:
    """`secret_document` as YAML. Every value is in quotes: Go's YAML reads the id 12e456 as a number."""
    lines = []
    for key, value in secret_document(secrets).items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {json.dumps(text)}" for name, text in value.items())]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join([*lines, ""])
