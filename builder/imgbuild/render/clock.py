"""chrony's configuration beside its own file: the time that a node serves, as a file of its seed."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.target import Target
from imgbuild.facts.endpoint import Reach
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeFile, SeedFiles
from imgbuild.render.templates import render


def chrony_folder(target: Target) -> str:
    """The folder that chrony.conf includes. Debian's AppArmor profile lets chronyd read /etc/chrony only."""
    folder, _, name = target.paths.chrony.rpartition("/")
    return f"{folder}/conf.d" if folder.endswith("chrony") else f"{folder}/{name.removesuffix('.conf')}.d"


def time_files(resolved: Resolved, cluster: Cluster, node: Node, where: Reach) -> Iterator[SeedFiles]:
    """What chronyd serves to other machines."""
    time = resolved.profile.time
    if time.allow or time.local_stratum is not None:
        name = "imgbuild-serve.conf"
        content = render("node", f"etc/chrony.d/{name}.j2", allow=time.allow, local_stratum=time.local_stratum)
        path = f"{chrony_folder(resolved.target)}/{name}"
        yield SeedFiles([NodeFile(path, content)], units=[resolved.target.services.chrony])
