"""`make demo`: a whole control plane where everything that it needs can be fetched, else a node without Kubernetes.

    python -m tools.demo

ACCEL=kvm boots it with KVM. A proxy is used as http_proxy, https_proxy and no_proxy say.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.fetch.ask import ask
from imgbuild.fetch.limits import Limits

PROFILE, TARGET = "debian12-efi", "debian12"
LAYERS = ("--layer", "distro-containerd", "--layer", "container-host")
FOLDER = f"out/{PROFILE}"
_QUICK = Limits(
    connect_seconds=5.0, stall_seconds=5.0, stall_bytes=1, total_seconds=8.0, max_bytes=1 << 20, tries=1, redirects=5
)
_FOUND = frozenset({200, 204, 401})
"""401: what a registry answers to whoever has not logged in yet."""
_KUBECTL = "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf"
_STEPS = (
    "sudo cloud-init status --wait || true",
    "sudo imgbuild-status --wait 7200",
    f"{_KUBECTL} wait --for=condition=Ready node --all --timeout=1800s",
    f"{_KUBECTL} get nodes -o wide",
    f"{_KUBECTL} --namespace kube-system exec daemonset/cilium --container cilium-agent -- cilium-dbg status --brief",
)


def places() -> dict[str, str]:
    """Where a control plane's parts come from, by the name that people know; one file of each."""
    minor = ".".join(str(load_target(TARGET).defaults["kubernetes"]["version"]).split(".")[:2])
    return {
        "GitHub": "https://github.com/containerd/nerdctl/releases/latest",
        "pkgs.k8s.io": f"https://pkgs.k8s.io/core:/stable:/v{minor}/deb/Release",
        "get.helm.sh": "https://get.helm.sh/helm3-latest-version",
        "helm.cilium.io": "https://helm.cilium.io/index.yaml",
        "registry.k8s.io": "https://registry.k8s.io/v2/",
        "quay.io": "https://quay.io/v2/",
    }


def silent(asked: Mapping[str, str], limits: Limits = _QUICK) -> list[str]:
    """The names of the places that do not answer, all asked at once."""

    def answers(url: str) -> bool:
        try:
            return ask(url, method="HEAD", limits=limits).status in _FOUND
        except ImgbuildError:
            return False

    with ThreadPoolExecutor(len(asked)) as pool:
        found = dict(zip(asked, pool.map(answers, asked.values()), strict=True))
    return [name for name, there in found.items() if not there]


def proxied() -> list[str]:
    """Options that give the node the proxy of the environment.

    Raises:
        LoopbackProxyError: it is on this machine's loopback interface, which a guest does not reach.
    """
    options = []
    for scheme in ("http", "https"):
        name = next((n for n in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY") if os.environ.get(n)), None)
        if name is None:
            continue
        host = urlsplit(os.environ[name]).hostname or ""
        if host == "localhost" or host.startswith("127.") or host == "::1":
            raise LoopbackProxyError(f"a guest does not reach the proxy at {host}")
        options += ["--set", f"proxy.{scheme}={{env: {name}}}"]
    around = [entry.strip() for entry in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")]
    if options and (named := [entry for entry in around if entry and "*" not in entry]):
        options += ["--set", f"proxy.no_proxy={json.dumps(named)}"]
    return options


class LoopbackProxyError(Exception):
    """A proxy that only this machine reaches."""


def main(asked: Mapping[str, str] | None = None, limits: Limits = _QUICK) -> int:
    """Run the demo that is possible here; returns its exit code."""
    accel = ("--accel", os.environ["ACCEL"]) if os.environ.get("ACCEL") else ()
    imgbuild = str(Path(sys.executable).with_name("imgbuild"))
    missing = silent(asked or places(), limits)
    why = f"{', '.join(missing)} cannot be reached from here" if missing else ""
    try:
        proxy = proxied()
    except LoopbackProxyError as error:
        why = why or str(error)
    if why:
        say(f"{why}: a node with containerd, without Kubernetes")
        say("building it: a Debian root file system takes two to four minutes the first time")
        if code := run([imgbuild, "--profile", PROFILE, *LAYERS]):
            return code
        say("booting it, two to four minutes under emulation")
        return run([imgbuild, "boot", FOLDER, "--check", *accel])
    say("everything that Kubernetes needs can be reached: a whole control plane, with Cilium")
    say("building it")
    if code := run([imgbuild, "--profile", PROFILE, *proxy]):
        return code
    say("booting it; ACCEL=kvm is many times faster than emulation")
    boot = [imgbuild, "boot", FOLDER, "--ssh", "--online", "--memory", "4096", "--format", "json"]
    return control_plane([*boot, "--seconds", "1800", "--stay", "14400", *accel])


def control_plane(command: Sequence[str]) -> int:
    """Boot, wait in the guest until the cluster is there, and show it."""
    code = 3
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - asked for in the line above
        for event in events(process.stdout):
            if event.get("event") in ("note", "error", "start"):
                print(event.get("text") or event.get("message"), flush=True)
            elif event.get("event") == "ssh":
                code = steps(shlex.split(event["command"]))
                process.send_signal(signal.SIGINT)
    return code or process.returncode


def steps(login: Sequence[str]) -> int:
    """Run every step in the guest; the exit code of the first that fails."""
    for step in _STEPS:
        print(f"$ {step}", flush=True)
        if code := run([*login, step]):
            say(f"this failed with status {code}; the console is in {FOLDER}/image/{PROFILE}.boot/console.log")
            return code
    return 0


def events(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """The JSON events of a command, as they come."""
    for line in stream:
        yield json.loads(line)


def say(text: str) -> None:
    print(f"== {text}", flush=True)


def run(command: Sequence[str]) -> int:
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
