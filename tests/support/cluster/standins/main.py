"""Which of the programs this is: by its name."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.cluster.standins.schema import Refused


def main() -> int:
    """Run the program that was called."""
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        if name == "kubeadm":
            from tests.support.cluster.standins import kubeadm

            return kubeadm.main(arguments)
        if name == "crictl":
            from tests.support.cluster.standins import crictl

            return crictl.main(arguments)
        if name == "kubelet" and arguments[:1] == ["standin-kube-apiserver"]:
            from tests.support.cluster.standins.api import server

            return server.main(arguments[1:])
        if name == "kubelet":
            from tests.support.cluster.standins import kubelet

            return kubelet.main(arguments)
    except Refused as error:
        print(error, file=sys.stderr)
        if name == "kubeadm":
            print("To see the stack trace of this error execute with --v=5 or higher", file=sys.stderr)
        return 1
    print(f"stand-in: no program of the name {name}", file=sys.stderr)
    return 64
