"""Settings of all nodes in a cluster file that would change the image: what only rendering it shows."""

from __future__ import annotations

from dataclasses import replace

from imgbuild.config.load import overlaid
from imgbuild.diagnostics.findings import Findings, Path
from imgbuild.facts.node_settings import Settled, refuse_for_all
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeTree, digest


def lint(settled: Settled, install: NodeTree, node: NodeTree, findings: Findings) -> None:
    """An error for each setting of all nodes that changes what is in the image, given by its two trees."""
    if settled.common is None or settled.profile.profile.mode != "baked":
        return
    image = _image(settled.profile)
    if image == (digest(install), digest(node)):
        return
    changed = settled.changed()
    for path in [path for path in changed if _image(_with(settled, path)) != image] or changed:
        refuse_for_all(settled, path, findings)


def _image(resolved: Resolved) -> tuple[str, str]:
    return digest(install_tree(resolved)), digest(node_tree(resolved))


def _with(settled: Settled, path: Path) -> Resolved:
    """The profile with this setting alone."""
    assert settled.common is not None  # noqa: S101 - checked by the caller
    value: object = settled.common.data
    for part in path:
        value = value[part] if isinstance(value, dict) else None
    for part in reversed(path):
        value = {part: value}
    assert isinstance(value, dict)  # noqa: S101 - a path has a part
    return resolve(overlaid(settled.profile.loaded, replace(settled.common, data=value), Findings()))
