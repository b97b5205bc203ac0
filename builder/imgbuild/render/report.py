"""What makes a node report how far it is: files of its seed, so any image can, and none needs to."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.config.cluster import Cluster, Node
from imgbuild.facts.endpoint import Reach
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, SeedFiles
from imgbuild.render.paths import LIBEXEC, SYSTEM
from imgbuild.render.templates import render, static

CONF = "/etc/imgbuild/report.conf"
UNIT = "imgbuild-tell.service"
_SCRIPT, _UNIT = f"{LIBEXEC}/tell", f"{SYSTEM}/{UNIT}"


def reporter() -> list[NodeFile]:
    """The program and its unit."""
    return [
        NodeFile(f"/{_SCRIPT}", static("node", _SCRIPT), 0o755, public=True),
        NodeFile(f"/{_UNIT}", static("node", _UNIT), public=True),
    ]


def report_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """The address, and the program that reports to it. The address may have a key in its path: only root reads it."""
    url = resolved.profile.report.url
    if url is None:
        return
    name, mac = ("", "") if node.shared else (node.name, node.boot_mac or "")
    content = render("node", f"{CONF[1:]}.j2", url=url, node=name, mac=mac)
    files = [NodeFile(CONF, content, 0o600), *reporter()]
    # The text, not a file: it also runs for the last time, when the files of the seed are gone.
    yield SeedFiles(files, [static("node", "etc/imgbuild/report-update").decode()])
