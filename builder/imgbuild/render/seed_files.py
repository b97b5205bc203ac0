"""Files that travel in the seed in both modes: secrets, and what may differ between clusters or nodes.

Each topic names its files and what reads them. cloud-init writes the files when containerd and others may be running
already, so a script beside them makes those read the files again: once after each change, before cloud-init runs
set-up and the user's commands, and so before first boot. What a later seed no longer has, the script removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from imgbuild.config.cluster import Cluster, Node
from imgbuild.facts.endpoint import Reach
from imgbuild.facts.resolved import Resolved
from imgbuild.render.clock import time_files
from imgbuild.render.logins import login_files
from imgbuild.render.nodefile import NodeFile, SeedFiles
from imgbuild.render.report import report_files
from imgbuild.render.repository_logins import repository_login_files
from imgbuild.render.site import hosts_files, proxy_files, trust_files
from imgbuild.render.templates import render, static

CONF = "/etc/imgbuild/seed-files.conf"
IN_SIGHT = CONF
"""The script looks for this path in user-data, to learn whether the current seed has such files: not in an archive."""
SCRIPT = "/var/lib/cloud/scripts/per-boot/imgbuild-seed-files"
"""cloud-init runs it at each boot, in its last stage, before runcmd. All targets' versions have scripts-per-boot."""


Topic = Callable[[Resolved, Cluster, Node, Reach], Iterator[SeedFiles]]
TOPICS: Sequence[Topic] = (
    trust_files, hosts_files, proxy_files, time_files, login_files, repository_login_files, report_files,
)  # fmt: skip
"""Each gives what a node with these settings needs; nothing if the profile does not use the topic."""


def seed_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> list[NodeFile]:
    """The files of all topics and the script that makes them take effect; none without a topic that has some."""
    parts = [part for topic in TOPICS for part in topic(resolved, cluster, node, where)]
    files = [file for part in parts for file in part.files]
    if not files:
        return []
    # In the order of the topics: the store of certificates comes first.
    commands = {name: _read_by(parts, lambda part: part.commands, name) for part in parts for name in part.commands}
    units = {name: _read_by(parts, lambda part: part.units, name) for part in parts for name in part.units}
    conf = render("node", f"{CONF[1:]}.j2", files=sorted(file.path for file in files), commands=commands, units=units)
    return [*files, NodeFile(CONF, conf), NodeFile(SCRIPT, static("node", SCRIPT[1:]), 0o755)]


def _read_by(parts: Sequence[SeedFiles], readers: Callable[[SeedFiles], Sequence[str]], name: str) -> list[str]:
    """The paths of all files that a command or a unit reads."""
    read = [part for part in parts if name in readers(part)]
    return sorted({path for part in read for path in (*(file.path for file in part.files), *part.also)})
