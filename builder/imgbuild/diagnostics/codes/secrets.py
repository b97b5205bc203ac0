"""The cluster's secrets."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB547",
        WARNING,
        "The cluster's keys are ECDSA, its kubeadm is older",
        why=(
            "Secrets that are made for Kubernetes 1.26 or later have ECDSA keys. Some kubeadm before that let no "
            "further control plane join with one."
        ),
        fix="Use Kubernetes 1.26 or later, or make new secrets if no node of the cluster has booted yet.",
        setup="The secrets file was made with another version of Kubernetes.",
    ),
    Code(
        "IB901",
        ERROR,
        "The secrets file cannot be read",
        why="Without it new keys would be made, and its nodes would belong to another cluster.",
        fix="Check that the file is readable, or pass `--secrets FILE`.",
        setup="The secrets file is in a folder whose name is too long.",
    ),
    Code(
        "IB902",
        ERROR,
        "Others can read the secrets file",
        why="Whoever has it is the administrator of the cluster.",
        fix="Run `chmod 600` on it, and use new keys if others may have read it.",
        setup="The secrets file has the mode 0644.",
    ),
    Code(
        "IB903",
        ERROR,
        "The secrets are another cluster's",
        why="Nodes of both clusters would trust each other.",
        fix="Use a file for each cluster, with `--secrets`.",
        setup="The secrets file was made for another cluster.",
    ),
    Code(
        "IB904",
        ERROR,
        "A key does not belong to its certificate",
        why="The file was changed or put together from two, and no component could start with it.",
        fix="Use the file as imgbuild wrote it.",
        setup="Two keys of the secrets file have been swapped.",
    ),
    Code(
        "IB905",
        ERROR,
        "A certificate authority has expired",
        why="It no longer makes anything in the cluster trusted; or this machine's clock is wrong.",
        fix="Renew it in the cluster.",
        setup="Eleven years after the secrets file was made.",
    ),
    Code(
        "IB906",
        ERROR,
        "The bootstrap token has expired, or will soon",
        why="Nodes that boot after that do not join. Soon is 7 days, or the second half of the token's life.",
        fix="Run `imgbuild token` with the options that are named.",
        lesser=WARNING,
        when="it has not expired yet",
        setup="A month after the secrets file was made.",
    ),
    Code(
        "IB907",
        ERROR,
        "`--secrets` without `--cluster`",
        why="Without a cluster file there are no secrets.",
        fix="Use both.",
        bad_options=(
            "--secrets",
            "lab.secrets.yaml",
        ),
    ),
    Code(
        "IB910",
        ERROR,
        "`imgbuild token` without a secrets file",
        why="There is no cluster yet that a token could be for.",
        fix="Build first, which makes the file; or use `--secrets`.",
        setup="`imgbuild token` before the first build.",
    ),
)
"""The rows of this family."""
