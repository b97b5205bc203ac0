"""A file as it is placed on a node: rendered once, then copied into an image, sent by cloud-init, or shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgbuild.config.profile import File


@dataclass(frozen=True)
class NodeFile:
    """One regular file on the node, owned by root:root.

    ``mode`` is the permission bits (0o644). A file that not every account may read is ``secret``: its content
    must never be logged, shown, put on a web server or written for others to read. ``public``: it is not secret,
    although the program that reads it requires such a mode (sudo).
    """

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    public: bool = False

    @property
    def secret(self) -> bool:
        """Whether its mode hides secrets from other accounts."""
        return not self.public and not self.mode & 0o004

    def __post_init__(self) -> None:
        root, *parts = self.path.split("/")
        if root or not parts or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"a node file needs a plain absolute path, not {self.path!r}")


def own_file(file: File) -> NodeFile:
    """A file of the user's profile."""
    return NodeFile(file.path, file.data, int(file.mode, 8))


@dataclass(frozen=True)
class SeedFiles:
    """Files of the seed, and what has to be done when one of them has changed or is gone (render/seed_files.py).

    A file with a secret has the mode 0600. A file of the image at the same path is replaced, and is not restored if a
    later seed lacks it.
    """

    files: Sequence[NodeFile]
    commands: Sequence[str] = ()
    """Shell commands that make the system read them, such as ``update-ca-trust``."""
    units: Sequence[str] = ()
    """Units that read them when they start; they are restarted after the commands, if they run at all."""
    also: Sequence[str] = ()
    """The paths of other files after whose change the commands and the units are due."""


@dataclass(frozen=True)
class NodeLink:
    """One symbolic link on the node (cloud-init cannot write one: stock mode makes it in apply)."""

    path: str
    target: str


@dataclass(frozen=True)
class NodeTree:
    """Everything imgbuild places on a node besides packages.

    ``enable`` and ``mask`` name systemd units. A unit in ``enable`` that does not exist on the node is an
    error there, never skipped. ``replaced`` are the paths where a user's file replaces imgbuild's own.
    """

    files: tuple[NodeFile, ...] = ()
    links: tuple[NodeLink, ...] = ()
    enable: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def __add__(self, other: NodeTree) -> NodeTree:
        both = {f.path for f in self.files} & {f.path for f in other.files}
        if both:
            raise ValueError(f"two sources for {', '.join(sorted(both))}")
        return NodeTree(
            tuple(sorted((*self.files, *other.files), key=lambda f: f.path)),
            tuple(sorted((*self.links, *other.links), key=lambda n: n.path)),
            tuple(dict.fromkeys((*self.enable, *other.enable))),
            tuple(dict.fromkeys((*self.mask, *other.mask))),
            tuple(sorted({*self.replaced, *other.replaced})),
        )

    def by_path(self) -> Mapping[str, NodeFile]:
        """The files, by their path on the node."""
        return {f.path: f for f in self.files}


def without(tree: NodeTree, path: str) -> NodeTree:
    """``tree`` without the file at ``path``."""
    return replace(tree, files=tuple(file for file in tree.files if file.path != path))


def digest(tree: NodeTree, *more: bytes) -> str:
    """The sha256 (hex) of a tree and of ``more``: the same input gives the same digest on every host."""
    sha = hashlib.sha256()
    for part in _parts(tree):
        sha.update(len(part).to_bytes(8, "big") + part)
    for part in more:
        sha.update(len(part).to_bytes(8, "big") + part)
    return sha.hexdigest()


def _parts(tree: NodeTree) -> Iterable[bytes]:
    for f in sorted(tree.files, key=lambda f: f.path):
        yield from (f.path.encode(), oct(f.mode).encode(), f.content)
    for link in sorted(tree.links, key=lambda n: n.path):
        yield from (link.path.encode(), link.target.encode())
    yield from (u.encode() for u in (*tree.enable, "--", *tree.mask))
