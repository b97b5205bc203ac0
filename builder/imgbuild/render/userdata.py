"""user-data: what cloud-init does on a node, in a form that this target's cloud-init understands.

Deliberately unused: ``ntp``, ``ca_certs``, ``mounts``, ``swap`` and ``write_files.defer``, which some
versions of cloud-init ignore or misread (tests/support/cloudinit/modules.yaml); node files do that work instead.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgbuild.config.cluster import Cluster, Node
from imgbuild.config.openpgp import verifying
from imgbuild.config.profile import Profile
from imgbuild.config.profile.extras import ROOT
from imgbuild.facts.resolved import Resolved
from imgbuild.render.hostkey import HostKey
from imgbuild.render.ifcfg import ifcfg
from imgbuild.render.needed import SCRIPTS, needed, outside_image
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.packed import Packed, pack
from imgbuild.render.paths import LIBEXEC
from imgbuild.render.site import PROXY
from imgbuild.render.stripped import bare
from imgbuild.render.templates import environment, static
from imgbuild.render.uncommented import uncommented
from imgbuild.render.verify import check_list
from imgbuild.render.yamltext import block, content, quote

SETUP = f"/{LIBEXEC}/setup"
"""The node script that does the whole recipe on a stock cloud image (stock mode)."""


def _script(name: str) -> str:
    """A script of user-data itself."""
    return bare(static("cloudinit", name).decode())


@dataclass(frozen=True)
class Include:
    """Node files that the node fetches itself, because with them user-data would exceed a cloud's limit."""

    url: str
    sha256: str

    @property
    def script(self) -> str:
        """The shell commands that fetch, check and unpack; their arguments are URL and sha256."""
        return _script("include.sh")


@dataclass(frozen=True)
class Diskless:
    """What a node without a disk is told besides. ``key``: its SSH host key; None: it makes one at each boot."""

    key: HostKey | None = None


def user_data(
    resolved: Resolved,
    cluster: Cluster,
    node: Node,
    trees: Sequence[NodeTree],
    include: Include | None = None,
    packed: Packed | None = None,
    diskless: Diskless | None = None,
) -> bytes:
    """The ``#cloud-config`` of one node, with the archive ``packed``, and the other files of ``trees`` as text.

    ``diskless``: the node's root file system is in memory.
    """
    made = environment("cloudinit")
    made.filters.setdefault("quote", quote)
    made.filters.setdefault("plain", plain)
    files = sorted(sent(resolved, [file for tree in trees for file in tree.files]), key=lambda f: f.path)
    inside = packed.paths if packed else frozenset()
    context: dict[str, Any] = {
        "block": block,
        "boot_script": _script("boot.sh"),
        "cluster": cluster,
        "content": content,
        "diskless": diskless is not None,
        "files": [file for file in files if file.path not in inside],
        "ifcfg": ifcfg(resolved, node),
        "ifcfg_script": _script("ifcfg.sh"),
        "guard": _script("guard.sh"),
        "host_key": diskless.key if diskless is not None else None,
        "include": include,
        "packed": packed.text if packed else None,
        "unpack": shlex.quote(_script("files.sh")),
        "node": node,
        "phone_home": resolved.profile.report.url if resolved.profile.report.phone_home else None,
        "proxy": _proxy(files),
        "quote": quote,
        "owners": _owners(resolved.profile),
        "run": _marked(resolved.profile.run),
        "setup": SETUP if resolved.profile.mode == "stock" else None,
        "target": resolved.target,
        "users": resolved.profile.users,
        "version": resolved.cloud_init,
    }
    return made.get_template("user-data.j2").render(context).encode()


def _proxy(files: Sequence[NodeFile]) -> list[str]:
    """The proxy's variables as NAME=value, if the node has any: for what cloud-init runs before there is a file."""
    text = next((file.content.decode() for file in files if file.path == PROXY), "")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _marked(commands: Sequence[str]) -> list[tuple[str, str]]:
    """The commands, each with the name of its mark: the same command twice in the list has two."""
    out = []
    for index, command in enumerate(commands):
        before = commands[:index].count(command)
        out.append((command, hashlib.sha256(f"{before} {command}".encode()).hexdigest()[:16]))
    return out


def _owners(profile: Profile) -> list[dict[str, object]]:
    """The files that are not root's. cloud-init writes files before it makes users, and an image has none of them."""
    return [
        {
            "number": number,
            "path": file.path,
            "owner": file.owner,
            "mode": f"{int(file.mode, 8):04o}",
            "special": bool(int(file.mode, 8) & 0o6000),  # chown clears these bits
        }
        for number, file in enumerate(profile.files)
        if file.owner != ROOT
    ]


_NO_FILES = NodeTree()


def packed_files(resolved: Resolved, trees: Sequence[NodeTree], own: NodeTree = _NO_FILES) -> Packed | None:
    """What of ``trees``, which every node of the profile gets, a node with the files ``own`` needs, as it travels."""
    return pack(travelling(resolved, trees, own))


def travelling(resolved: Resolved, trees: Sequence[NodeTree], own: NodeTree) -> list[NodeFile]:
    """The files of ``trees`` as they travel to a node with the files ``own``: what it never runs stays behind.

    All of it travels if a file of the user's is among the scripts: it may call any of their functions.
    """
    files = [file for tree in trees for file in tree.files]
    if any(file.path.startswith(SCRIPTS) for file in resolved.profile.files):
        return sent(resolved, files)
    files = sent(resolved, [outside_image(file) for file in files])
    return needed(files, own, check_list(resolved), bls=resolved.target.boot.menu == "bls")


def sent(resolved: Resolved, files: Sequence[NodeFile]) -> list[NodeFile]:
    """Files as they travel: imgbuild's own without what no program reads. With an image, there is room for comments."""
    users = {file.path for file in resolved.profile.files}
    # The target's keys; those of the profile travel as they are.
    keys = {key.path for shipped in resolved.target.repositories.key_files.values() for key in shipped}
    baked = resolved.profile.mode == "baked"

    def one(file: NodeFile) -> NodeFile:
        if file.path in users:
            return file
        if file.path in keys:
            return replace(file, content=verifying(file.content.decode()).encode())
        content = uncommented(file.path, file.content, scripts_only=baked)
        return file if content is file.content else replace(file, content=content)

    return [one(file) for file in files]


def plain(key: str) -> str:
    """An SSH key with an ASCII comment: cloud-init 19.4 on Python 2 (CentOS 7) fails on others and adds no users."""
    return key.encode("ascii", "replace").decode("ascii")
