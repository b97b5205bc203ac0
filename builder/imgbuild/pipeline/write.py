"""The second half of a build: what was prepared is written, then the disk image is built.

What needs no root is on disk before the image build starts. Only a build imports this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgbuild.config.secrets_file import MadeMeanwhile
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import Steps
from imgbuild.diagnostics.timed import Timed
from imgbuild.fetch.checksum import sha256_of
from imgbuild.outputs import manifest
from imgbuild.outputs.caller import caller
from imgbuild.outputs.manifest import GroupRecord
from imgbuild.outputs.origin import origin, refuse_another
from imgbuild.outputs.pxe import INITRD, KERNEL
from imgbuild.outputs.rendered import GROUPS
from imgbuild.outputs.signature import SUFFIX, SUMS, Signer, read_sums
from imgbuild.outputs.tree import output_folder, swap_group, work_folder
from imgbuild.pipeline import Input, prepare
from imgbuild.pipeline.export_groups import Exports, kept_exports, no_exports, write_exports
from imgbuild.render.verify import check_names


def write(
    ready: Input,
    output: Path,
    steps: Steps,
    *,
    image: bool,
    cache: Path,
    fresh: bool,
    store: str | None = None,
    offline: bool = False,
    signer: Signer | None = None,
    exports: Exports = no_exports,
) -> Path:
    """Write everything to ``output``/NAME and return that folder. ``signer`` signs the checksums and the manifest.

    ``store``: the store of fetched files, if it is not the usual one. ``offline``: no network is used. ``exports``:
    what makes the files for other systems, once the keys in the seeds are final.

    Raises:
        HostError: the host cannot do it; problems of the image are raised after everything else is written.
        InvalidInput: container images that the disk image gets cannot be had; nothing is written.
        UsageError: the folder was made from another profile; nothing is written.
    """
    resolved = ready.resolved
    steps = timed = Timed(steps)
    place = output / resolved.name
    refuse_another(ready.request.profile, place)
    # A stock node boots the distribution's own image: there is none to build.
    image = image and resolved.profile.mode == "baked"
    disk = None
    if image:
        from imgbuild.pipeline.disk import open_disk  # what builds images takes long to import

        disk = open_disk(ready, place, cache, store, steps, offline=offline)
    wanted = ready.image_id
    made_from = origin(ready.request.profile, place)
    with output_folder(place, (*GROUPS, "image")) as folder:
        ready = _with_kept_keys(ready, steps)
        with steps.step(f"Write {place}"):
            groups, kept = _write_groups(ready, folder, exports, steps)
            if signer is None and (folder / f"{manifest.NAME}{SUFFIX}").exists():
                steps.note("the signature of the old manifest is removed; pass --sign-key to sign the new one")
            manifest.write(folder, resolved.loaded, {**kept, **groups}, wanted, made_from, signer)
            _tell_owner(ready, place, steps)
        if disk is None:
            return place
        disk.refuse(place)
        with work_folder(folder, "boot") as boot:
            record = disk.build(ready, wanted, folder, steps, fresh=fresh, boot=boot, signer=signer)
            groups = {**{name: group for name, group in kept.items() if name != "image"}, **groups}
            groups["pxe"] = _with_boot_files(folder, ready, boot)
        groups["image"] = GroupRecord(wanted, record.described(), record.sums)
        with steps.step("Write the manifest"):
            manifest.write(folder, resolved.loaded, groups, wanted, made_from, signer)
    disk.note_times(timed.taken)
    return place


def _write_groups(
    ready: Input, folder: Path, exports: Exports, steps: Steps
) -> tuple[dict[str, GroupRecord], dict[str, GroupRecord]]:
    """Write every group but the image. Their records, and those of the earlier groups that are kept."""
    rendered = ready.rendered
    groups: dict[str, GroupRecord] = {}
    for name in GROUPS:
        more = _kept_boot_files(folder) if name == "pxe" else {}
        written = swap_group(folder, name, rendered.groups[name], rendered.run, more)
        about = _described(ready) if name == "nodes" else {}
        groups[name] = GroupRecord(rendered.run, about, written=written)
    made = exports(ready)
    kept = {**kept_exports(folder, rendered.run, steps, made), **_kept_image(folder)}
    return groups | write_exports(folder, rendered.run, made), kept


def _with_kept_keys(ready: Input, steps: Steps) -> Input:
    """The input with keys that are on the disk, before the first node can get them.

    Of several first runs of one cluster, for several profiles, one makes the keys and the others use them.
    """
    kept = ready.kept
    if kept is None:
        return ready
    try:
        kept.save()
    except MadeMeanwhile as error:
        steps.note(f"{error}: using its keys")
        return _with_kept_keys(prepare(ready.request, Findings()), steps)
    if kept.layered is None:
        steps.note(f"the cluster's new keys are in {kept.path}: keep this file, nodes that join later need it")
        steps.note(
            "seeds and PXE files of control planes have the private keys of the cluster's CAs, those of workers the "
            "bootstrap token: store them where only the nodes can read them"
        )
    return ready


def _tell_owner(ready: Input, place: Path, steps: Steps) -> None:
    """Under sudo: report who owns the files."""
    whose = caller()
    if whose is not None:
        keys = f" and {ready.kept.path}" if ready.kept is not None and ready.kept.layered is None else ""
        steps.note(f"{place} belongs to {whose}; its files with secrets (mode 0600){keys} belong to root")


def _described(ready: Input) -> dict[str, Any]:
    """What `boot` and `serve` must know about the nodes: their MACs in order, and the checks a node must report.

    And what some of them have individually.
    """
    settings = [
        {"nodes": list(own.names), "values": manifest.values(own.resolved.layered, own.file)} for own in ready.own
    ]
    return {
        **({"settings": settings} if settings else {}),
        "nodes": {node.name: node.macs for node in ready.cluster.nodes},
        "checks": sorted(check_names(ready.resolved)),
    }


def _kept_image(folder: Path) -> dict[str, GroupRecord]:
    """Keep the image of an earlier run; the manifest records what it was made from.

    Its checksums are those of the build, so a file that was changed since then shows.
    """
    try:
        old = manifest.read_manifest(folder)["groups"]["image"]
    except (HostError, KeyError):
        return {}
    more = {k: v for k, v in old.items() if k not in ("run", "files")}
    return {"image": GroupRecord(str(old["run"]), more, read_sums(folder / "image"))}


def _kept_boot_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """What the kept image's build left in pxe/: without it no machine boots over the network."""
    return _boot_files(folder / "pxe") if _kept_image(folder) else {}


def _boot_files(place: Path) -> dict[str, tuple[Path, str]]:
    """The files that the SHA256SUMS of ``place`` lists, and itself, with their checksums.

    Earlier versions wrote kernel and initramfs without it.
    """
    sums = read_sums(place) or {name: sha256_of(place / name) for name in (KERNEL, INITRD) if _is_file(place / name)}
    own = {name: place / name for name in (SUMS, f"{SUMS}{SUFFIX}") if _is_file(place / name)}
    found = {name: (place / name, known) for name, known in sums.items() if _is_file(place / name)}
    return found | {name: (path, sha256_of(path)) for name, path in own.items()}


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _with_boot_files(folder: Path, ready: Input, boot: Path) -> GroupRecord:
    """Move what a network boot needs from ``boot`` to pxe/, which is replaced as a whole like any group."""
    written = swap_group(folder, "pxe", ready.rendered.groups["pxe"], ready.rendered.run, _boot_files(boot))
    return GroupRecord(ready.rendered.run, {}, written=written)
