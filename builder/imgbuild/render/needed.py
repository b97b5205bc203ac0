"""What of imgbuild's scripts a stock node can run at all: the rest does not travel in its user-data.

The scripts are the same for every node, and ask cluster.conf and the list of checks what applies. What those rule out
for this node is replaced by what it would do there, and a function that nothing names any more is left out.
Images and the archive for `cloud.include_url` have the whole scripts.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.paths import ADDONS_CONF, CLUSTER_CONF, INSTALL_CONF, LIBEXEC

SCRIPTS = f"/{LIBEXEC}/"

_FUNCTION = re.compile(r"(?m)^(\w+)\(\) (?:\{ .*\}|\{\n(?:.*\n)*?\})\n")
_WORD = re.compile(r"\w+")
_ELSEWHERE = re.compile(
    r"(?m)^( *)if (?:in_image|solving|live_root)(?:;| && .*;) then\n(?:(?!\1(?:else|elif|fi)\b).*\n)*\1fi\n"
)
_SET_FOR_IMAGE = re.compile(r"(?m)^(?:IMAGE_PACKAGES|IMAGE_UNITS|REMOVE_PACKAGES)=.*\n")
_REST_ELSEWHERE = re.compile(r"(?m)^in_image \|\| exit 0\n[\s\S]*")
_BY_NAME = re.compile(r"check_|\w+_is_whole$")
"""Functions that are called by a name which is put together: verify's checks and 50-kubeadm's ${way}_is_whole."""

_NOTHING, _NO = ":", "return 1"


def _skip(expected: str, why: str) -> str:
    """What a check of verify does that has nothing to look at."""
    return f'in_cluster "{expected}" || return 0; skip "{expected}" "{why}"'


@dataclass(frozen=True)
class _Ruled:
    """What a node never runs if ``out`` is true of its cluster.conf.

    ``instead`` has for some functions the command that is all that is left of each: what the function itself does there
    (its first lines ask the same), or, for one that is not called there, ``return 1``.
    """

    out: Callable[[Mapping[str, str]], bool]
    instead: Mapping[str, str]


def _is_alone(conf: Mapping[str, str]) -> bool:
    """It makes its cluster, which nobody can join: first boot never asks whether there is one."""
    return conf["node_role"] == "init" and not conf["ca_hash"]


_RULED: Sequence[_Ruled] = (
    _Ruled(
        lambda conf: not conf["balancer"],
        {
            "start_balancer": _NOTHING, "place_balancer": _NOTHING, "end_lone_balancer": _NO,
            "check_balancer": _skip("an answer at this node's balancer", "the cluster has none"),
        },
    ),
    _Ruled(
        lambda conf: not conf["vip"],
        {
            "place_vip": _NOTHING, "drop_vip": _NOTHING,
            "check_vip": _skip("an answer at the virtual address", "the cluster has none"),
        },
    ),
    _Ruled(lambda conf: conf["bls"] == "yes", {"grub_cfg_default": _NO}),
    _Ruled(
        lambda conf: conf["cilium_acceleration"] not in ("native", "best-effort"),
        {"xdp_problems": _NO, "xdp_row": _NO},
    ),
    _Ruled(
        lambda conf: not conf["others"] and not conf["balancer"],
        {"take_detour": _NOTHING, "leave_detour": _NOTHING},
    ),
    _Ruled(lambda conf: not conf["group"], {"settle_name": _NOTHING}),
    _Ruled(_is_alone, {"cluster_is_there": _NO, "join": _NO}),
    _Ruled(
        lambda conf: conf["node_role"] != "init",
        {"init": _NO, "cluster_is_there": _NO, "spread_coredns": _NOTHING},
    ),
    _Ruled(
        lambda conf: conf["node_role"] == "worker",
        {"copy_keys": _NOTHING, "place_vip": _NOTHING, "name_is_free": _NOTHING},
    ),
)  # fmt: skip


def outside_image(file: NodeFile) -> NodeFile:
    """``file`` without what is done, or told, only while an image is built or a lock made, or on a live root.

    A script must have its indentation, which tells where a block ends.
    """
    if file.path == f"/{INSTALL_CONF}":
        return replace(file, content=_SET_FOR_IMAGE.sub("", file.content.decode()).encode())
    if not file.path.startswith(SCRIPTS):
        return file
    return replace(file, content=_ELSEWHERE.sub("", _REST_ELSEWHERE.sub("", file.content.decode())).encode())


def needed(files: Iterable[NodeFile], own: NodeTree, checks: Iterable[str], *, bls: bool) -> list[NodeFile]:
    """``files`` without what this node never runs. ``own`` are the node's own files, ``checks`` those of its verify.

    ``bls``: whether its boot menu is in files of the Boot Loader Specification and not in grub.cfg.
    """
    found, mine = tuple(files), own.by_path()
    if f"/{CLUSTER_CONF}" not in mine:
        return list(found)
    conf = _values(mine[f"/{CLUSTER_CONF}"].content.decode()) | {"bls": "yes" if bls else "no"}
    instead = {name: command for ruled in _RULED if ruled.out(conf) for name, command in ruled.instead.items()}
    left_out = [f"{SCRIPTS}install.d/80-list"]  # it lists an image's packages
    if f"/{ADDONS_CONF}" not in mine:
        instead |= {"apply_addons": _NOTHING, "check_addons": 'skip "applied" "the seed has no addons"'}
        left_out.append(f"{SCRIPTS}firstboot.d/75-addons")
    if conf["node_role"] == "worker":  # its unit's condition is a control plane's manifest
        left_out.append(f"{SCRIPTS}upkeep")
    known = frozenset(f"check_{name.partition(':')[0].replace('-', '_')}" for name in checks)
    kept = tuple(file for file in found if file.path not in left_out)
    scripts = _reduced(
        tuple((file.path, file.content.decode()) for file in kept if file.path.startswith(SCRIPTS)),
        tuple(sorted(instead.items())),
        known,
    )
    return [replace(file, content=scripts.get(file.path, file.content)) for file in kept]


def _values(text: str) -> dict[str, str]:
    """The values of a file that bash reads."""
    words = (word for line in text.splitlines() for word in shlex.split(line, comments=True))
    return {name: value for name, _, value in (word.partition("=") for word in words)}


@dataclass(frozen=True)
class _Part:
    """A function, or the text between two."""

    text: str
    words: Counter[str]
    name: str | None = None


@lru_cache(maxsize=32)  # the same few for all nodes of a cluster
def _reduced(
    scripts: tuple[tuple[str, str], ...], instead: tuple[tuple[str, str], ...], checks: frozenset[str]
) -> dict[str, bytes]:
    short = dict(instead)
    parts = {path: _parts(text, short) for path, text in scripts}
    total: Counter[str] = Counter()
    for each in parts.values():
        for part in each:
            total.update(part.words)
    while True:
        unnamed = {
            part.name
            for each in parts.values()
            for part in each
            if part.name is not None and _unused(part.name, part.words[part.name], total, checks)
        }
        if not unnamed:
            return {path: "".join(part.text for part in each).encode() for path, each in parts.items()}
        for path, each in parts.items():
            for part in each:
                if part.name in unnamed:
                    total.subtract(part.words)
            parts[path] = [part for part in each if part.name not in unnamed]


def _unused(name: str, by_itself: int, total: Counter[str], checks: frozenset[str]) -> bool:
    if name.startswith("check_") and not name.startswith("check_deep_"):
        return name not in checks and total[name] == by_itself
    return _BY_NAME.match(name) is None and total[name] == by_itself


def _parts(text: str, instead: Mapping[str, str]) -> list[_Part]:
    out, at = [], 0
    for found in _FUNCTION.finditer(text):
        out.append(_Part(text[at : found.start()], Counter(_WORD.findall(text[at : found.start()]))))
        body = f"{found[1]}() {{ {instead[found[1]]}; }}\n" if found[1] in instead else found[0]
        out.append(_Part(body, Counter(_WORD.findall(body)), found[1]))
        at = found.end()
    out.append(_Part(text[at:], Counter(_WORD.findall(text[at:]))))
    return out
