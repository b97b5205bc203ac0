"""The root file system: built by diskimage-builder, once for each hash of its input."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.cache import (
    Unfit,
    discard,
    locked,
    open_cache,
    open_store,
    recorded,
    store,
    subfolder,
    take,
    verified,
)
from imgbuild.image.rootfs.dibcache import discard_packages
from imgbuild.image.rootfs.dibrun import run_dib
from imgbuild.image.rootfs.locked import refuse_others
from imgbuild.image.rootfs.packages import LIST, Package, read_list
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.image.rootfs.shared import pull, push
from imgbuild.image.rootfs.supply import Supply
from imgbuild.image.tool import no_space, run


@dataclass(frozen=True)
class Rootfs:
    """A finished root file system in the cache."""

    tar: Path
    key: str
    packages: tuple[Package, ...] = ()
    sha256: str = ""
    """The tar's, as recorded."""
    verified: bool = True
    """Whether this run has compared the tar with it."""
    name: str = ""


def build_rootfs(
    plan: RootfsPlan, cache_dir: Path, steps: Steps, *, fresh: bool = False, supply: Supply | None = None
) -> Rootfs:
    """The root file system of ``plan``: from the cache, or built now (two to three minutes, root, a network).

    ``fresh``: built now, from nothing that an earlier build has kept except the base and the store. ``supply``: what
    the install scripts need; by default they fetch it themselves. However the run ends, kill -9 included, no mount
    remains.

    Raises:
        HostError: it failed; with the cause, picked from diskimage-builder's log, and the log's path.
    """
    plan_key = plan.key
    place = open_cache(cache_dir)
    if not fresh and (found := cached(plan_key, place)):
        steps.note(f"root file system {plan_key[:12]} is in the cache")
        return found
    supply = supply or Supply(open_store(place))
    if supply.store.offline and plan.packages is None:
        raise HostError(
            f"the root file system {plan_key[:12]} is not in the cache, and --offline builds none",
            "build the image once with a network",
        )
    if os.geteuid() != 0:
        raise HostError("a root file system can only be built as root", "run imgbuild with sudo, or with --no-image")
    tar = _tar(plan_key, place)
    try:
        subfolder(place, "rootfs")
        with locked(place / "lock", f"waiting for another imgbuild that builds in {place}", steps) as lock:
            if fresh:
                discard(tar)
                discard_packages(place)
            # Another run may have built it in the meantime.
            elif (kept := take(tar, "the root file system", steps)) and (found := _read(plan_key, tar, kept)):
                return found
            shared = supply.store.shared
            if shared is not None and not fresh and pull(plan_key, tar, shared, place / "work", steps):
                kept = take(tar, "the root file system", steps)
                if kept and (found := _read(plan_key, tar, kept)):
                    return found
            if plan.base is not None and plan.base.prepare is not None:
                plan.base.prepare()
            supply.fetch(steps)
            made = _build(plan, plan_key, place, lock, supply, steps)
            if shared is not None:
                push(plan_key, tar, shared, place / "work", steps)
            return made
    except OSError as err:
        if err.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise no_space("build the root file system") from err
        raise


def cached(key: str, cache_dir: Path) -> Rootfs | None:
    """The cache's entry, if its content matches its record."""
    tar = _tar(key, cache_dir)
    try:
        kept = verified(tar)
    except Unfit:
        return None
    return _read(key, tar, kept) if kept else None


def looked_up(key: str, cache_dir: Path) -> Rootfs | None:
    """The cache's entry as its record tells, without reading its content."""
    tar = _tar(key, cache_dir)
    try:
        about = recorded(tar)
    except Unfit:
        return None
    return _read(key, tar, about, verified=False) if about is not None else None


def kept_tar(key: str, cache_dir: Path) -> Path:
    """Where the cache has the root file system of that key, if it has one."""
    return _tar(key, cache_dir)


def is_kept(key: str, cache_dir: Path) -> bool:
    """Whether the cache has an entry of that key, right or not."""
    return _tar(key, cache_dir).is_file()


def _read(key: str, tar: Path, kept: Mapping[str, Any], *, verified: bool = True) -> Rootfs | None:
    try:
        packages = tuple(Package(**p) for p in kept["packages"])
        return Rootfs(tar, key, packages, kept["sha256"], verified, kept.get("name", ""))
    except (ValueError, TypeError, KeyError):
        return None


def _build(plan: RootfsPlan, key: str, cache_dir: Path, lock: int, supply: Supply, steps: Steps) -> Rootfs:
    run_dir = cache_dir / "build"
    if run_dir.exists():  # whoever holds the cache's lock knows that no other build uses it
        shutil.rmtree(run_dir)
        steps.note("removed what a killed build had left")
    tar = _tar(key, cache_dir)
    with steps.step(f"Build the root file system of {plan.target} with diskimage-builder"):
        try:
            with supply.folder(cache_dir / "work", steps) as folder:
                made = run_dib(plan, key, cache_dir, run_dir, lock, folder, steps)
            packages = _packages(made)
            if plan.packages is not None:
                refuse_others(plan.packages, packages)
            sha256 = sha256_of(made)
            store(made, tar, sha256, {"name": plan.target, "packages": [asdict(p) for p in packages]})
        finally:
            shutil.rmtree(run_dir, ignore_errors=True)
    return Rootfs(tar, key, packages, sha256, name=plan.target)


def _packages(tar: Path) -> tuple[Package, ...]:
    """The list that the install script wrote at its end."""
    out = run(["tar", "--extract", "--to-stdout", "--file", tar, f"./{LIST}"], what="read the list of packages")
    return read_list(out.decode())


def _tar(key: str, cache_dir: Path) -> Path:
    return cache_dir / "rootfs" / f"{key}.tar"
