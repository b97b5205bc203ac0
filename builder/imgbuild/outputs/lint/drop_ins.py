"""The user's drop-ins of containerd, compared with the configuration that imports them."""

from __future__ import annotations

import tomllib

from imgbuild.config.layers import report
from imgbuild.diagnostics.findings import Findings, few
from imgbuild.facts.derive import version
from imgbuild.facts.drop_ins import MAIN, drop_ins, lost
from imgbuild.facts.resolved import Resolved
from imgbuild.render.nodefile import NodeTree


def lint(resolved: Resolved, node: NodeTree, findings: Findings) -> None:
    """An error for each drop-in that removes settings of imgbuild's own configuration."""
    release = resolved.containerd
    files = drop_ins(resolved.profile)
    if not files or release is None or MAIN in node.replaced:
        return
    main = tomllib.loads(node.by_path()[MAIN].content.decode())
    for file, plugin, gone in lost(main, files, version(release)):
        report(
            findings, resolved.layered, "IB530", ("files", file.index, resolved.profile.files[file.index].key_of_text),
            f'containerd {release} replaces the whole section plugins."{plugin}" by the one in {file.path}, and loses '
            f"{few(gone, 4)}",
            "write these keys there too (imgbuild diff shows config.toml), or use containerd.runtimes or containerd 2",
        )  # fmt: skip
