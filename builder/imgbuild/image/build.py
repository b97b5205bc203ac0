"""A profile's disk image, from the cached root file system to the group image/ of the output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from imgbuild.config.data import data_dir
from imgbuild.config.lock_packages import Packages
from imgbuild.config.target import Target
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.drivers import boot_drivers
from imgbuild.facts.live import live_image
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.hold import in_use
from imgbuild.fetch.images import Found
from imgbuild.fetch.pinned import node_files
from imgbuild.fetch.store import Store
from imgbuild.image.assemble import assemble
from imgbuild.image.cache import note_use, open_cache, subfolder, write_record
from imgbuild.image.disk.layout import DiskLayout, disk_layout
from imgbuild.image.formats.ova import Appliance
from imgbuild.image.formats.write import DiskRecord, ImageFiles
from imgbuild.image.live.root import LiveParts
from imgbuild.image.preload import Preload, fetch
from imgbuild.image.proof.bootproof import BootProof
from imgbuild.image.requirements import Lack, lacks
from imgbuild.image.rootfs.base import Base, base_of, base_tar, kept_base, named_sha256
from imgbuild.image.rootfs.build import Rootfs, build_rootfs, is_kept, looked_up
from imgbuild.image.rootfs.locked import locked_build, locked_mirrors
from imgbuild.image.rootfs.mirror import DebianMirrors, debian_mirrors, own_archives
from imgbuild.image.rootfs.packages import Package, described
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.image.rootfs.supply import Supply
from imgbuild.image.surroundings import NOWHERE, refuse_logins, surroundings
from imgbuild.image.system import kept
from imgbuild.outputs.elements import elements_of
from imgbuild.outputs.manifest import run_id
from imgbuild.outputs.pxe import INITRD, KERNEL
from imgbuild.outputs.signature import SUMS, Signer, write_sums
from imgbuild.outputs.tree import OutFile, new_group, write_file
from imgbuild.render.nodefile import NodeTree

_SBOM = "imgbuild.image.sbom"  # imported beside the tools of a build: CycloneDX takes 100 ms


@dataclass(frozen=True)
class ImageRecord:
    """The result of the image build."""

    proof: BootProof
    disk: DiskRecord
    rootfs: Rootfs
    sums: Mapping[str, str]
    """The sha256 of each file of the group, by name."""
    preload: Preload | None = None
    """The container images in it."""

    def described(self) -> dict[str, Any]:
        """For the manifest: the disk, what it boots, and every package."""
        return {
            "disk": asdict(self.disk),
            "kernel": self.proof.kernel,
            "command_line": self.proof.command_line,
            "rootfs": self.rootfs.key,
            "packages": described(self.rootfs.packages),
            **({"container_images": self.preload.described()} if self.preload is not None else {}),
        }


def host_problems(resolved: Resolved, folder: Path, cache: Path, *, locked: bool = False) -> Sequence[Lack]:
    """Everything that prevents the disk image from being built here, known before anything is written.

    ``locked``: whether its packages are those of a lock.
    """
    profile, target = resolved.profile, resolved.target
    found = lacks(
        cache,
        folder,
        profile.firmware,
        target.image.element,
        selinux=target.selinux,
        formats=profile.image.formats,
        preload=profile.images.preload,
        live=live_image(profile),
        locked=locked,
    )
    source = profile.base.source
    if source and "://" not in source and not Path(source).exists():
        found.append(
            Lack(f"the base {source} does not exist", "correct base.source; a path is relative to the current folder")
        )
    return found


@dataclass(frozen=True)
class Ingredients:
    """What an image is made of. ``install`` and ``node`` are the profile's package part and its files."""

    resolved: Resolved
    install: NodeTree
    node: NodeTree
    live: NodeTree | None = None
    """The files that only a live root has; None: no live root is made."""
    found: Sequence[Found] = ()
    """The container images that it gets."""
    packages: Packages | None = None
    """The packages of a lock, if there is one."""


def build_image(
    of: Ingredients, run: str, folder: Path, boot: Path, cache: Path, store: Store, steps: Steps, *, fresh: bool,
    signer: Signer | None = None,
) -> ImageRecord:  # fmt: skip
    """Build the disk image and swap it into ``folder``/image, under the id ``run`` (image_id of the same input).

    ``boot``: an empty folder for what a network boot needs: kernel, initramfs, and the live root if one is made, all
    with their checksums. ``store`` has the fetched files. ``fresh``: rebuild everything, whatever is in the cache.
    ``signer`` signs the checksums of the image's files.

    Raises:
        HostError: the host, a mirror or the build failed; the old image is unchanged.
    """
    resolved, profile, target = of.resolved, of.resolved.profile, of.resolved.target
    preload = fetch(profile, of.found, store, steps) if of.found else None
    rootfs, layout = _rootfs(of, cache, store, steps, fresh=fresh)
    with in_use(rootfs.tar), new_group(folder, "image", run) as group, ThreadPoolExecutor(1) as beside:
        bills: list[Future[tuple[str, bytes]]] = []

        def describe(disk: DiskRecord, epoch: int) -> None:
            bills.append(beside.submit(_bill, of, rootfs.packages, disk.blocks_sha256, epoch))

        beside.submit(import_module, _SBOM)
        refuse_logins(profile, rootfs.tar)
        guest = Appliance(profile.firmware, target.name, target.vmware)
        files = ImageFiles(group, resolved.name, profile.image.formats, guest)
        drivers = boot_drivers(profile.kernel.initramfs_drivers)
        parts = LiveParts(target.live, of.live, boot) if of.live is not None else None
        arguments, work = resolved.kernel_arguments, cache / "work"
        made = assemble(
            rootfs, layout, of.node, arguments, files, work, steps, drivers, preload, parts, cache, describe
        )
        with steps.step("Write the bill of materials"):
            name, bill = bills[0].result()
            write_file(group / name, OutFile(bill))
        with steps.step(f"Write {SUMS}"):
            sums = write_sums(group, signer, made.sums)
        write_file(boot / KERNEL, OutFile(made.proof.kernel_file))
        if parts is None:
            write_file(boot / INITRD, OutFile(made.proof.initrd_file))
        write_sums(boot, signer)
    return ImageRecord(made.proof, made.disk, rootfs, sums, preload)


def _bill(of: Ingredients, packages: Sequence[Package], disk: str, epoch: int) -> tuple[str, bytes]:
    """The bill of materials, and the name of its file."""
    from imgbuild.image.sbom import Contents, file_name, sbom

    resolved = of.resolved
    contents = Contents(
        resolved.name, resolved.profile, resolved.target, packages, of.found, disk, epoch, of.packages
    )  # fmt: skip
    return file_name(resolved.name), sbom(contents)


def _rootfs(
    of: Ingredients, cache: Path, store: Store, steps: Steps, *, fresh: bool
) -> tuple[Rootfs, DiskLayout]:  # fmt: skip
    """The root file system, from the cache or built now, and the layout of the disk that gets it."""
    resolved, profile, target = of.resolved, of.resolved.profile, of.resolved.target
    with nullcontext(NOWHERE) if store.offline else surroundings(profile) as site:  # which listens for logins
        plan = rootfs_plan(resolved, of.install, cache, steps, fresh=fresh, store=store, packages=of.packages)
        plan = replace(plan, local=site.local(plan.environment.get("DIB_APT_SOURCES_CONF", "")))
        size, esp = profile.image.size_mib, profile.image.esp_mib
        layout = disk_layout(plan.key, profile.firmware, size, target.boot, esp, selinux=target.selinux)
        known = None if fresh or of.live is not None else looked_up(plan.key, cache)
        if known is not None and kept.there(known, layout, cache):
            # The finished file system is verified instead, which is faster than reading what it was made of.
            steps.note(f"root file system {plan.key[:12]} is in the cache")
            note_use(known.tar)
            return known, layout
        supply = Supply(store, node_files(profile), locked_build(resolved, of.packages) if of.packages else None)
        return build_rootfs(plan, cache, steps, fresh=fresh, supply=supply), layout


def rootfs_plan(
    resolved: Resolved, install: NodeTree, cache: Path, steps: Steps, *, fresh: bool = False,
    store: Store | None = None, packages: Packages | None = None,
) -> RootfsPlan:  # fmt: skip
    """What this profile's root file system is made of: on a base, or from the mirror that answers now.

    No mirror is asked for the root file system in the cache, or with the ``packages`` of a lock.

    Raises:
        HostError: the base cannot be had; no mirror answers. Offline: there is no root file system in the cache.
    """
    base = base_of(resolved, cache, steps, fresh=fresh, files=store)
    if base is not None:
        return _on_base(resolved.target, install, base, packages)
    if packages is not None:
        return _locked_plan(resolved, install, packages)
    if store is not None and store.offline:
        known = kept_plan(resolved, install, cache, steps)
        if known is None:
            raise HostError(
                "there is no root file system of this profile in the cache, and --offline builds none",
                "build the image once with a network",
            )
        return known
    target = resolved.target
    record, own = _mirrors_of(resolved, cache), _own(resolved)
    found = None if fresh else _answered(record)
    if found is not None and found[1] == own:
        plan = _from_mirrors(target, install, found[0])
        if is_kept(plan.key, cache):
            return plan
    mirrors = answering_mirrors(resolved, steps)
    write_record(record, {**asdict(mirrors), "own": own})
    return _from_mirrors(target, install, mirrors)


def _locked_plan(resolved: Resolved, install: NodeTree, packages: Packages) -> RootfsPlan:
    plan = _from_mirrors(resolved.target, install, locked_mirrors(resolved, packages))
    return replace(plan, packages=packages)


def kept_plan(
    resolved: Resolved, install: NodeTree, cache: Path, steps: Steps, packages: Packages | None = None
) -> RootfsPlan | None:
    """The plan of an earlier build of the same input, found without a network; None if nothing was kept of one.

    Raises:
        HostError: the base cannot be unpacked.
    """
    named = named_sha256(resolved)
    if named is not None:
        return _on_base(resolved.target, install, kept_base(named, cache), packages)
    if resolved.target.image.base is not None:
        source = resolved.profile.base.source
        base = base_tar(resolved, cache, steps) if source is not None and Path(source).is_dir() else None
        return None if base is None else _on_base(resolved.target, install, base, packages)
    if packages is not None:
        return _locked_plan(resolved, install, packages)
    found = _answered(_mirrors_of(resolved, cache))
    return None if found is None else _from_mirrors(resolved.target, install, found[0])


def _on_base(target: Target, install: NodeTree, base: Base, packages: Packages | None = None) -> RootfsPlan:
    elements = elements_of(target)
    return RootfsPlan(target.id, elements, data_dir("elements"), install, target.image.environment, base, packages)


def _from_mirrors(target: Target, install: NodeTree, mirrors: DebianMirrors) -> RootfsPlan:
    environment = {**target.image.environment, **mirrors.environment()}
    return RootfsPlan(target.id, elements_of(target), data_dir("elements"), install, environment)


def _mirrors_of(resolved: Resolved, cache: Path) -> Path:
    """The record of the mirrors that answered when such a root file system was built last."""
    release = resolved.target.image.environment["DIB_RELEASE"]
    listed = (*_listed(resolved, "distribution"), *_listed(resolved, "security"))
    return subfolder(open_cache(cache), "mirrors") / f"{run_id(u.encode() for u in (release, *listed))}.json"


def _own(resolved: Resolved) -> Sequence[str]:
    """What the host's apt has to do with the mirrors: nothing if the profile or the target lists them."""
    if "" not in _listed(resolved, "distribution"):
        return ()
    return own_archives(resolved.target.image.environment["DIB_RELEASE"])


def _answered(path: Path) -> tuple[DebianMirrors, Sequence[str] | None] | None:
    """The mirrors of a record, and what `_own` gave when they were asked, if that is known."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        own = tuple(map(str, data.pop("own"))) if "own" in data else None
        return DebianMirrors(**{**data, "components": tuple(data["components"])}), own
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _answering(release: str, wanted: Sequence[str], security: Sequence[str], steps: Steps) -> DebianMirrors:
    """The first pair of the listed mirrors that answers; those that do not are reported.

    Raises:
        HostError: none does.
    """
    said: dict[str, HostError] = {}
    for main, guess in product(wanted, security):
        try:
            found = debian_mirrors(release, main, security=guess)
        except HostError as error:
            said[str(error)] = error
            continue
        for words in said:
            steps.note(f"skipped: {words}")
        return found
    if len(said) == 1:
        raise next(iter(said.values()))
    raise HostError("none of the mirrors answers: " + "; ".join(said), "set another one in repositories.distribution")


def answering_mirrors(resolved: Resolved, steps: Steps) -> DebianMirrors:
    """The Debian mirrors that answer now, of those that the profile lists.

    Raises:
        HostError: none does.
    """
    wanted, security = (_listed(resolved, kind) for kind in ("distribution", "security"))
    return _answering(resolved.target.image.environment["DIB_RELEASE"], wanted, security, steps)


def _listed(resolved: Resolved, kind: str) -> list[str]:
    """The profile's mirrors, else the target's for the region; an empty one means the host's own."""
    repositories = resolved.profile.repositories
    own: list[str] | None = getattr(repositories, kind)
    mirrors = getattr(resolved.target.repositories, kind)
    listed: list[str] = own or (getattr(mirrors, repositories.region) if mirrors else [])
    return [url.rstrip("/") for url in listed] or [""]
