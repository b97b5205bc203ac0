"""The cluster's secrets: whose they are, whether keys and certificates belong together, what has expired or will."""

from __future__ import annotations

import datetime

from builder.checks.context import Context
from builder.cluster_secrets import TOKEN_DAYS, Kept
from builder.findings import Mark, Path, Severity, format_path

_DAY = 86400
_SOON_DAYS = 7


def check(context: Context, kept: Kept) -> None:
    """All findings about the secrets file."""
    secrets = kept.secrets
    if secrets.cluster != context.cluster.name:
        _say(
            context, kept, "IB903", ("cluster",),
            f"these are the secrets of the cluster {secrets.cluster}, not of {context.cluster.name}",
            "give each cluster a file of its own: --secrets FILE",
        )  # fmt: skip
    for name, authority in secrets.authorities.items():
        if not authority.matches:
            _say(
                context, kept, "IB904", (name, "private_key"), f"the key of {name} is not that of its certificate",
                "put back the file as imgbuild wrote it",
            )  # fmt: skip
    since, until = secrets.valid
    if not since <= kept.now < until:
        when = "no longer valid" if kept.now >= until else "not valid yet: look at this machine's clock"
        hint = "a cluster cannot outlive its CA: renew it there, and make new secrets with another --secrets FILE"
        _say(context, kept, "IB905", ("ca",), f"a certificate authority of the cluster is {when}", hint)
    _token(context, kept)
    _carried(context, kept)


def _token(context: Context, kept: Kept) -> None:
    left = kept.secrets.token_end - kept.now
    if left >= _SOON_DAYS * _DAY:
        return
    state = "has expired" if left <= 0 else f"expires in {left // 3600} hours"
    end = datetime.datetime.fromtimestamp(kept.now + TOKEN_DAYS * _DAY, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    hint = (
        f"on a control plane run: kubeadm token create --ttl {TOKEN_DAYS * 24}h\n"
        f"then write at {_place(kept, 'bootstrap_token')}  bootstrap_token: what it printed\n"
        f"and at {_place(kept, 'bootstrap_token_expires')}  bootstrap_token_expires: {end}\n"
        "If no node of the cluster has booted yet, the second line alone does: first boot makes the token"
    )
    severity = Severity.ERROR if left <= 0 else Severity.WARNING
    _say(
        context, kept, "IB906", ("bootstrap_token_expires",),
        f"the bootstrap token {state}: nodes that boot after that do not join", hint, severity,
    )  # fmt: skip


def _place(kept: Kept, key: str) -> str:
    mark = kept.layered.mark((key,)) if kept.layered is not None else None
    return f"{kept.path}:{mark.line}" if mark is not None else str(kept.path)


def _carried(context: Context, kept: Kept) -> None:
    masters = [node.name for node in context.cluster.nodes if node.role == "control-plane"]
    _say(
        context, kept, "IB908", ("ca",),
        f"the user-data of {', '.join(masters[:5])}{' …' if len(masters) > 5 else ''} holds the private keys of the "
        "cluster's CAs and the bootstrap token, that of workers the token",
        "keep seeds and PXE files where only the nodes can read them; take the seed off the machine when it has joined",
        Severity.INFO,
    )  # fmt: skip


def _say(
    context: Context, kept: Kept, code: str, path: Path, what: str, hint: str, severity: Severity = Severity.ERROR
) -> None:
    mark = kept.layered.mark(path) if kept.layered is not None else Mark(str(kept.path), 1, 1)
    context.findings.add(code, what, hint=hint, key=format_path(path), mark=mark, severity=severity)
