"""A small bundle of every kind of file, and a key that signs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from imgbuild.bundle.layout import BLOBS, Contents
from imgbuild.bundle.write import Part, part_of, write_bundle
from imgbuild.outputs.signature import Signer
from tests.support.publishers import sha256

LARGE = bytes(range(256)) * 9000
"""More than two blocks of the reader."""
SMALL = b"a package"


def about() -> Contents:
    return Contents(
        format=1, imgbuild="1", profile="node", options=("--profile", "node.yaml"), python="", images=(), charts={},
        left_out=(), files=(),
    )  # fmt: skip


def parts(folder: Path) -> list[Part]:
    """Files in memory and on the disk, an empty one and one with a long name among them."""
    file = folder / "large"
    file.write_bytes(LARGE)
    return [
        part_of("oci-layout", "layout", b"{}"),
        part_of("profile/node.yaml", "profile", b"extends: debian12-efi\n"),
        part_of("profile/empty", "profile", b""),
        part_of("profile/" + "long/" * 30 + "n\u00e4me", "profile", b"x"),
        part_of("wheels/a.whl", "wheel", b"wheel"),
        part_of(f"{BLOBS}{sha256(SMALL)}", "package", SMALL, "a.deb"),
        Part(f"{BLOBS}{sha256(LARGE)}", "file", len(LARGE), sha256(LARGE), file, "helm"),
    ]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / "key")], check=True
    )  # fmt: skip
    return tmp_path / "key"


@pytest.fixture
def signers(tmp_path: Path, key: Path) -> Path:
    file = tmp_path / "signers"
    public = key.with_suffix(".pub").read_text().strip()
    file.write_text(f'builds@example.com namespaces="imgbuild" {public}\n')
    return file


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    """A signed bundle."""
    write_bundle(tmp_path / "node.bundle", about(), parts(tmp_path), Signer(key))
    return tmp_path / "node.bundle"
