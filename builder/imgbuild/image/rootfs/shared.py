"""Root file systems in the store of a registry: what one machine has built, others take from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.oci import Repository
from imgbuild.image.cache import store
from imgbuild.image.scratch import scratch
from imgbuild.image.tool import run

_KIND = "application/vnd.imgbuild.rootfs.v1"
_TAR, _RECORD = "rootfs.tar.zst", "rootfs.json"


def pull(key: str, tar: Path, shared: Repository, work: Path, steps: Steps) -> bool:
    """Take the root file system of that key into the cache; whether the registry has it and it is whole.

    Raises:
        FetchError: the registry cannot be used.
    """
    with scratch(work, "shared") as room, steps.step(f"Look for the root file system {key[:12]} in {shared}"):
        files = shared.pull(_tag(key), room / "pulled")
        if files is None:
            steps.note("it is not there")
            return False
        try:
            about: dict[str, Any] = json.loads(files[_RECORD].read_text())
            wanted = str(about["sha256"])
            packed = files[_TAR]
        except (OSError, ValueError, TypeError, KeyError):
            steps.note("its record there cannot be read: building it")
            return False
        made = room / "root.tar"
        run(["zstd", "--quiet", "--decompress", "-o", made, packed], what="unpack the root file system")
        found = sha256_of(made)
        if found != wanted:
            steps.note(f"it has the sha256 {found} there, its record {wanted}: building it")
            return False
        store(made, tar, found, {name: about[name] for name in about if name not in {"entry", "bytes", "sha256"}})
        return True


def push(key: str, tar: Path, shared: Repository, work: Path, steps: Steps) -> None:
    """Give a new root file system to the others. A registry that refuses it is reported.

    Raises:
        HostError: tar or zstd fails.
    """
    if not shared.writable:
        return
    with scratch(work, "shared") as room, steps.step(f"Store the root file system {key[:12]} in {shared}"):
        packed = room / _TAR
        run(["zstd", "--quiet", "-T0", "-3", "-o", packed, tar], what="pack the root file system")
        refused = shared.push(_tag(key), _KIND, {_TAR: packed, _RECORD: tar.with_suffix(".json")}, room / "pushed")
        if refused:
            steps.note(f"the store {shared} does not take it, and is only read: {refused}")


def _tag(key: str) -> str:
    return f"rootfs-{key}"
