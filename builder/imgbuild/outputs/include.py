"""User-data that fetches its node files: for a cloud whose limit they exceed.

cloud-init's own ``#include`` checks nothing, so it is not used. The user puts one archive, the same for every node and
without a secret in it, at ``cloud.include_url``; a small user-data (cloudinit/include.sh, run by bootcmd) fetches it,
compares its sha256 and unpacks it at the moment when write_files would have written the files. All else (users, this
node's own files, commands) stays in user-data.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from imgbuild.config.cluster import Cluster, Node
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.cloud import gzipped
from imgbuild.render.nodefile import NodeTree
from imgbuild.render.userdata import Include, user_data


def include_archive(trees: Sequence[NodeTree], epoch: int) -> bytes:
    """The files of ``trees`` as tar.gz, the same bytes on every run.

    Raises:
        ValueError: one of them is secret.
    """
    import tarfile  # only for `cloud.include_url`

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for file in sorted((f for tree in trees for f in tree.files), key=lambda f: f.path):
            if file.secret:
                raise ValueError(f"{file.path} is secret: it must not be on a web server")
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.size, info.mode, info.mtime = len(file.content), file.mode, epoch
            info.uname = info.gname = "root"
            archive.addfile(info, io.BytesIO(file.content))
    return gzipped(out.getvalue())


def public(trees: Sequence[NodeTree]) -> NodeTree:
    """The part of ``trees`` that may be on a web server."""
    return NodeTree(files=tuple(f for tree in trees for f in tree.files if not f.secret))


def private(trees: Sequence[NodeTree]) -> NodeTree:
    """The part of ``trees`` that stays in user-data."""
    return NodeTree(files=tuple(f for tree in trees for f in tree.files if f.secret))


def small_user_data(
    resolved: Resolved,
    cluster: Cluster,
    node: Node,
    shared: Sequence[NodeTree],
    own: NodeTree,
    sha256: str,
) -> bytes | None:
    """One node's user-data without the public files of ``shared``; None if the profile sets no address for them.

    ``sha256`` is that of ``include_archive([public(shared)], epoch)``.
    """
    url = resolved.profile.cloud.include_url
    if url is None or resolved.profile.mode != "stock":
        return None
    return user_data(resolved, cluster, node, [private(shared), own], Include(url, sha256))
