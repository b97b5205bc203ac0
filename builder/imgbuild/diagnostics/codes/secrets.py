"""Codes: The cluster's secrets."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB901", ERROR, "The secrets file cannot be read", fix="What is named"),
    Code("IB902", ERROR, "Others can read the secrets file", fix="`chmod 600`, and new keys if they may have"),
    Code("IB903", ERROR, "The secrets are another cluster's", fix="A file for each cluster: `--secrets`"),
    Code("IB904", ERROR, "A key is not that of its certificate", fix="The file as imgbuild wrote it"),
    Code(
        "IB905",
        ERROR,
        "A certificate authority has expired, or this machine's clock is wrong",
        fix="Renew it in the cluster",
    ),
    Code(
        "IB906",
        ERROR,
        "The bootstrap token has expired, or will within 7 days or the second half of its life",
        fix="`imgbuild token`, with the options that are named",
        lesser=WARNING,
    ),
    Code("IB907", ERROR, "`--secrets` without `--cluster`", fix="Both"),
    Code(
        "IB908", INFO, "Which nodes' user-data holds which secrets", fix="Keep seeds where only the nodes can read them"
    ),
    Code(
        "IB910",
        ERROR,
        "`imgbuild token` without a secrets file: there is no cluster yet",
        fix="Build first, which makes it; or `--secrets`",
    ),
    Code(
        "IB911",
        WARNING,
        "A cloud's instance metadata hands the keys in user-data to pods",
        fix="[Keep pods from the keys](../how-to/clouds.md#keep-pods-from-the-keys)",
    ),
)
