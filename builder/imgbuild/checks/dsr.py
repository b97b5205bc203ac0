"""Direct server return in clouds: a node answers with another node's address.

A cloud's network drops what a machine sends from an address that is not its own (EC2's source/destination check,
OpenStack's port security, Azure's and Google's), and may drop packets with IP options, by which DSR tells the second
node which client to answer. No check in the cluster can see it: on a node, Cilium answers for a Service in the socket
(bpf/bpf_sock.c), whichever node's address is used.
"""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.checks.context import Context
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.cilium_values import replaces_kube_proxy

_MODE: Path = ("loadBalancer", "mode")


def check(context: Context, leaves: Mapping[Path, object]) -> None:
    """The finding about DSR with cloud providers. ``leaves``: the chart's values by path."""
    providers, mode = context.profile.cloud.providers, leaves.get(_MODE)
    if providers and mode in ("dsr", "hybrid") and replaces_kube_proxy(context.profile):
        context.report(
            "IB670", ("cilium", "values", *_MODE),
            f"{mode}: a node answers with another node's address, which the network of {', '.join(providers)} drops: "
            "clients outside the cluster would get no answer from NodePort and LoadBalancer Services",
            "set cilium.values.loadBalancer.mode: snat; or turn off the check of source addresses on the nodes (EC2: "
            "source/destination check; OpenStack: port security) and test it from outside "
        "(docs/reference/node.md, DSR)",
        )  # fmt: skip
