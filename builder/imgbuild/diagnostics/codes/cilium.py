"""Codes: Cilium and Helm."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB601", ERROR, "Cilium without Kubernetes", fix="`cilium.enabled: false`"),
    Code("IB602", ERROR, "Cilium without helm", fix="`helm.enabled: true`"),
    Code("IB603", ERROR, "helm's version, URLs and sha256 are not of one release", fix="Give all three"),
    Code("IB604", WARNING, "A chart that was not tried (1.14 to 1.20 were)", fix="One of those"),
    Code("IB605", ERROR, "helm is too old for the chart", fix="A later helm"),
    Code("IB606", ERROR, "The kernel is too old for this Cilium", fix="Another `kernel.flavour`, or an older Cilium"),
    Code(
        "IB607",
        ERROR,
        "BBR on a kernel without it: the agent refuses to start; BIG TCP: the agent leaves it off. IPv4 BIG TCP alone on kernels from 6.7 to before 6.11.3: it does nothing",
        fix="False, or another kernel",
    ),
    Code("IB610", ERROR, "A key with dots, as for helm's `--set`", fix="Write it nested"),
    Code(
        "IB611",
        WARNING,
        "A key, at any depth, that no chart is known to have, or not this one; helm says nothing",
        fix="The nearest one is named, or the charts that have it",
    ),
    Code("IB612", ERROR, "A key that this chart does not have yet", fix="The older key, or a later chart"),
    Code("IB613", ERROR, "A key that this chart refuses, or ignores without a word", fix="The key to write instead"),
    Code(
        "IB614",
        WARNING,
        "A key that does nothing any more or not without another one, or an old name",
        fix="Take it out, or the new name",
    ),
    Code("IB615", ERROR, "A word that the chart renders and the agent dies of", fix="One of those named"),
    Code("IB616", ERROR, "true or false, a number or a mapping is wanted", fix="Write that"),
    Code(
        "IB617",
        ERROR,
        "The native routing network does not hold the pods': their traffic would be masqueraded",
        fix="Take it out: imgbuild sets it",
    ),
    Code("IB618", ERROR, "Cilium's pool is not `kubernetes.pod_cidr`", fix="Take it out: imgbuild sets it"),
    Code(
        "IB619", ERROR, "`-generic` at the end of the operator's image: the chart adds it once more", fix="Without it"
    ),
    Code("IB620", WARNING, "A mirror's image with quay.io's digest", fix="`useDigest: false`"),
    Code(
        "IB621",
        ERROR,
        "The chart's URL is of another version than `cilium.version`",
        fix="The chart of that version, with its sha256",
    ),
    Code("IB622", WARNING, "A chart, and `cilium.enabled` is false", fix="Take it out"),
    Code(
        "IB623",
        WARNING,
        "`bpf.tproxy` from Cilium 1.19.6 on: DNS and HTTP policies, L7 load balancing, Ingress and Gateway API time out (cilium#47896)",
        fix="`bpf.tproxy: false`",
    ),
    Code(
        "IB624",
        ERROR,
        "`cilium.values.cluster.id` is not one that the agent takes: 0 to 255, or to 511 with `clustermesh.maxConnectedClusters`",
        fix="One of those",
    ),
    Code(
        "IB625",
        ERROR,
        "A number in Cilium's values that the agent refuses: sizes of BPF maps, their ratio, the MTU",
        fix="One in the range that is named",
    ),
)
