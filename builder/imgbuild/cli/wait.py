"""`imgbuild wait`: until all nodes of a cluster file are Ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click

from imgbuild.cli.options import Place
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.cluster_file import load_cluster
from imgbuild.diagnostics.errors import HostError, InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.serve.client import Where, running, state_of
from imgbuild.serve.kubernetes import api

INTERVAL = 3.0
"""Seconds between two questions."""


@dataclass(frozen=True)
class Known:
    """What is known of a node. ``why`` is empty if it is ready."""

    state: str
    why: str = ""


Ask = Callable[[], Mapping[str, Known]]


@click.command("wait", cls=Command)
@ends_well
@click.option("--cluster", metavar="FILE", type=Place(), required=True, help="The cluster file, which lists the nodes.")
@click.option(
    "--serve", "link", metavar="LINK", help="Ask a running imgbuild serve: the link to its page, with its key."
)
@click.option(
    "--state", metavar="DIR", type=Place(), help="Ask the imgbuild serve on this host with this state folder."
)
@click.option("--kubeconfig", metavar="FILE", type=Place(), help="Ask the cluster's API server, with this kubeconfig.")
@click.option("--ca", metavar="FILE", type=Place(), help="The certificate authority of an imgbuild serve with HTTPS.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 604800),
    default=3600,
    show_default=True,
    help="Time limit.",
)
def command(
    says: Says, cluster: Path, link: str | None, state: Path | None, kubeconfig: Path | None, ca: Path | None,
    timeout: int,
) -> int:  # fmt: skip
    """Wait until all nodes of a cluster file are Ready, or report which are not and why."""
    if sum(each is not None for each in (link, state, kubeconfig)) != 1:
        raise click.UsageError(
            "pass one of --serve, --state and --kubeconfig, to choose what reports whether the nodes are ready"
        )
    names = _names(says, cluster)
    with _asking(link, state, kubeconfig, ca) as ask:
        last = wait(names, ask, _teller(says), timeout)
    missing = {name: known.why for name, known in last.items() if known.why}
    if says.json:
        says.result(ready=[name for name in names if name not in missing], missing=missing)
    for name, why in missing.items():
        says.note(f"{name} is not ready after {timeout} s: {why}")
    return 3 if missing else 0


def wait(
    names: list[str],
    ask: Ask,
    tell: Callable[[str, Known], None],
    timeout: float,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Known]:
    """What is known of each node at the end: all are ready, or the time is over. ``tell`` gets what changes.

    Who is asked may be away for a while, as the API server of a cluster that comes up is.
    """
    end, last = time.monotonic() + timeout, {name: Known("", "nothing is known of it") for name in names}
    while True:
        try:
            found = ask()
        except HostError as error:
            found = {name: Known(known.state, str(error)) for name, known in last.items()}
        for name in names:
            known = found.get(name, Known("unknown", "it is not there yet"))
            if known != last[name]:
                tell(name, known)
            last[name] = known
        left = end - time.monotonic()
        if left <= 0 or not any(known.why for known in last.values()):
            return last
        pause(min(INTERVAL, left))


def _names(says: Says, path: Path) -> list[str]:
    findings = Findings()
    found = load_cluster(path, findings)
    if found is None or findings.errors:
        raise InvalidInput(findings)
    shared = [node.name for node in found.cluster.nodes if node.shared]
    if shared:
        says.note(f"not waited for, because their number is not known: the machines of {', '.join(shared)}")
    return [node.name for node in found.cluster.nodes if not node.shared]


def _teller(says: Says) -> Callable[[str, Known], None]:
    def tell(name: str, known: Known) -> None:
        if says.json:
            says.event("node", node=name, ready=not known.why, state=known.state, why=known.why)
        else:
            says.out.print(
                f"{name}: {known.state}{f': {known.why}' if known.why else ''}", markup=False, soft_wrap=True
            )

    return tell


@contextmanager
def _asking(link: str | None, state: Path | None, kubeconfig: Path | None, ca: Path | None) -> Iterator[Ask]:
    if kubeconfig is not None:
        with api(kubeconfig) as server:
            yield lambda: {name: Known("NotReady" if why else "Ready", why) for name, why in server.not_ready().items()}
        return
    if link is not None:
        parts = urlsplit(link)
        keys = parse_qs(parts.query).get("key", [])
        if parts.scheme not in ("http", "https") or not keys:
            raise click.BadParameter("not the link that imgbuild serve printed, with ?key=…", param_hint="'--serve'")
        where = Where(f"{parts.scheme}://{parts.netloc}/", keys[0], ca)
    else:
        found = running(state or Path())
        if found is None:
            raise HostError(f"no imgbuild serve runs with the state in {state}", "start it, or pass --serve LINK")
        where = found
    state_of(where)  # a wrong key is an error now, not a node that is not ready
    yield lambda: {node["name"]: _of_serve(node) for node in state_of(where)["nodes"]}


def _of_serve(node: Mapping[str, Any]) -> Known:
    """What serve has of a node, in a few words."""
    if node["ready"]:
        return Known("ready")
    if node["waiting"]:
        return Known("waiting", "it waits for your confirmation on the page")
    state = f"first boot, stage {node['stage']}" if node["stage"] else str(node["state"])
    if node["error"]:
        return Known(state, str(node["error"]))
    if not node["first"] and not node["seen"]:
        return Known(state, "it has not booted over the network yet")
    return Known(state, "it has not reported that it is ready")
