"""The cluster's secrets: whose they are, whether keys and certificates match, what has expired or will soon."""

from __future__ import annotations

import shlex
from pathlib import Path as FilePath

from imgbuild.checks import early
from imgbuild.checks.context import Context
from imgbuild.config.clouds import LIMITS
from imgbuild.config.cluster import Cluster
from imgbuild.config.fields import duration_seconds
from imgbuild.config.kept_secrets import Kept, default_path
from imgbuild.diagnostics.findings import Findings, Mark, Path, format_path
from imgbuild.facts.derive import key_kind, minor, since


def check(context: Context, kept: Kept) -> None:
    """All findings about the secrets file."""
    check_keys(context.cluster, kept, context.findings)
    _old_kubeadm(context, kept)
    _token(context, kept)
    _metadata(context)


def check_keys(cluster: Cluster, kept: Kept, findings: Findings) -> None:
    """Whose secrets they are, whether they match, and whether the authorities are valid."""
    secrets = kept.secrets
    if secrets.cluster != cluster.name:
        _say(
            findings, kept, "IB903", ("cluster",),
            f"these are the secrets of the cluster {secrets.cluster}, not of {cluster.name}",
            "give each cluster its own file: --secrets FILE",
        )  # fmt: skip
    for name, authority in secrets.authorities.items():
        if not authority.matches:
            _say(
                findings, kept, "IB904", (name, "private_key"), f"the key of {name} does not match its certificate",
                "restore the file as imgbuild wrote it",
            )  # fmt: skip
    since, until = secrets.valid
    if not since <= kept.now < until:
        when = "no longer valid" if kept.now >= until else "not valid yet: check this machine's clock"
        hint = (
            "a cluster cannot outlive its CA: renew it in the cluster, and make new secrets with another --secrets FILE"
        )
        _say(findings, kept, "IB905", ("ca",), f"a certificate authority of the cluster is {when}", hint)


def _old_kubeadm(context: Context, kept: Kept) -> None:
    """Secrets of a later Kubernetes, used with one whose kubeadm joins no control plane with such a key."""
    release = context.profile.kubernetes.version
    planes = [node for node in context.cluster.nodes if node.role == "control-plane"]
    if key_kind(release) == "ecdsa" or len(planes) < 2 or kept.secrets.service_account_is_rsa:
        return
    first = since("kubernetes", "ecdsa_keys")
    _say(
        context.findings, kept, "IB547", ("service_account_private_key",),
        f"the service account key is ECDSA: some kubeadm of {minor(release)} let no control plane join with it",
        f"use Kubernetes {first} or later. If no node of the cluster has booted yet, move {kept.path} away instead: "
        "the next run makes RSA keys",
    )  # fmt: skip


def _token(context: Context, kept: Kept) -> None:
    left = kept.secrets.token_end - kept.now
    if left >= min(early.TOKEN.total_seconds(), duration_seconds(context.cluster.token_ttl) // 2):
        return
    state = "has expired" if left <= 0 else f"expires in {left // 3600} hours"
    command = f"imgbuild token {_options(context, kept)}"
    hint = (
        f"{command} | kubectl apply -f -\n"
        f"then render the seeds again. While no node of the cluster has booted yet, {command} alone is enough: "
        "first boot makes the token"
    )
    _say(
        context.findings, kept, "IB906", ("bootstrap_token_expires",),
        f"the bootstrap token {state}: nodes that boot after that do not join", hint, lesser=left > 0,
    )  # fmt: skip


def _options(context: Context, kept: Kept) -> str:
    root = context.cluster_layered.root if context.cluster_layered is not None else None
    cluster = root.file if root is not None else "FILE"
    words = ["--cluster", cluster]
    if kept.path != default_path(FilePath(cluster)):
        words += ["--secrets", str(kept.path)]
    return shlex.join(words)


def _metadata(context: Context) -> None:
    providers = context.profile.cloud.providers
    if not providers:
        return
    names = " and ".join(LIMITS[provider].title for provider in providers)
    gives = "gives" if len(providers) == 1 else "give"
    context.report(
        "IB911", ("cloud", "providers"),
        f"{names} {gives} user-data to anything that requests it on the machine, pods included: on a control plane "
        "that is the keys of the cluster's CAs, on a worker the bootstrap token",
        'keep pods from the instance metadata: docs/how-to/clouds.md, "Keep pods from the keys"; and let the token '
        "expire soon (token_ttl in the cluster file)",
    )  # fmt: skip


def _say(findings: Findings, kept: Kept, code: str, path: Path, what: str, hint: str, *, lesser: bool = False) -> None:
    mark = kept.layered.mark(path) if kept.layered is not None else Mark(str(kept.path), 1, 1)
    findings.add(code, what, hint=hint, key=format_path(path), mark=mark, lesser=lesser)
