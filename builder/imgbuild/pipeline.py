"""One build from start to end: read, check, render, write; then the disk image. The order guarantees that

nothing is written before all findings are known, and what needs no root is on disk before the image build starts.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgbuild.checks import check, here
from imgbuild.config.cluster import DEFAULT, Cluster
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.fields import duration_seconds
from imgbuild.config.kept_secrets import Kept, default_path, load_secrets
from imgbuild.config.layers import Layered, parse_set, report
from imgbuild.config.load import Loaded, load
from imgbuild.config.lock_file import lock_path, read_lock
from imgbuild.config.moment import Moment, read_moment
from imgbuild.config.secrets_file import MadeMeanwhile
from imgbuild.diagnostics.errors import HostError, InvalidInput
from imgbuild.diagnostics.findings import Findings, Mark
from imgbuild.diagnostics.findings import Path as KeyPath
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image, images
from imgbuild.facts.locked import Pinned, check_images, locked
from imgbuild.facts.node_settings import Own, settle
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.images import Found
from imgbuild.fetch.registry import Trouble
from imgbuild.image.build import ImageRecord, build_image, host_problems, image_id
from imgbuild.image.preload import look_up, total_size
from imgbuild.outputs import manifest
from imgbuild.outputs.caller import caller
from imgbuild.outputs.lint import cluster_settings
from imgbuild.outputs.manifest import GroupRecord
from imgbuild.outputs.origin import origin, refuse_another
from imgbuild.outputs.pxe import INITRD, KERNEL
from imgbuild.outputs.rendered import GROUPS, Rendered, render
from imgbuild.outputs.signature import SUFFIX, Signer, read_sums
from imgbuild.outputs.tree import OutFile, output_folder, swap_group
from imgbuild.render.verify import check_names

EPOCH = 1_700_000_000
"""The timestamp in rendered archives unless SOURCE_DATE_EPOCH is set: any fixed second will do."""


@dataclass(frozen=True)
class Request:
    """What the command line requests."""

    profile: str
    layers: Sequence[str] = ()
    sets: Sequence[str] = ()
    mode: str | None = None
    cluster: Path | None = None
    secrets: Path | None = None
    renew_token: bool = False
    """Whether to make a new bootstrap token."""
    name: str | None = None
    """The output folder's name, if it is not the profile's."""
    lock: bool = True
    """Whether to use the profile's imgbuild.lock, if there is one."""
    moment: Moment = field(default_factory=read_moment)

    def lock_command(self) -> str:
        """The command that pins what this request needs. A private value of --set is not in it."""
        marks = [parse_set(text, number, Findings()) for number, text in enumerate(self.sets, 1)]
        words = ["imgbuild", "lock", "--profile", self.profile]
        words += [word for layer in self.layers for word in ("--layer", layer)]
        words += [word for found in marks if found is not None for word in ("--set", found[2].text)]
        words += ["--mode", self.mode] if self.mode is not None else []
        return shlex.join([*words, *(["--cluster", str(self.cluster)] if self.cluster is not None else [])])


@dataclass(frozen=True)
class Input:
    """A request whose input is without errors."""

    request: Request
    resolved: Resolved
    cluster: Cluster
    rendered: Rendered
    kept: Kept | None
    """The cluster's secrets; None without a cluster file."""
    own: Sequence[Own]
    pinned: Pinned | None = None
    """The pins of imgbuild.lock, whose values the profile has; None without a lock."""
    cluster_layered: Layered | None = None
    """Where each value of the cluster file came from."""

    @property
    def preload(self) -> list[Image]:
        """The container images that the disk image has: those of every node, by their digests in imgbuild.lock."""
        if not self.resolved.profile.images.preload:
            return []
        every = (self.resolved, *(own.resolved for own in self.own))
        pins = self.pinned.section.images if self.pinned is not None else {}
        found: dict[str, Image] = {}
        for image in (image for one in every for image in images(one, self.cluster)):
            pin = pins.get(image.name)
            exact = replace(image, digest=pin.digest) if pin is not None and image.digest is None else image
            found[exact.reference] = exact
        return list(found.values())


def prepare(request: Request, findings: Findings, *, base: bool = False) -> Input:
    """Read, check and render; every finding is in ``findings``.

    ``base``: whether the base image is checked too. A build writes everything else if it is missing.

    Raises:
        InvalidInput: there are errors.
    """
    loaded = load(request.profile, request.layers, request.sets, request.mode, findings)
    cluster: Cluster = DEFAULT
    layered: Layered | None = None
    recovered: frozenset[KeyPath] = frozenset()
    kept: Kept | None = None
    if request.cluster is not None:
        found = load_cluster(request.cluster, findings)
        if found is not None:
            cluster, layered, recovered = found.cluster, found.layered, found.recovered
        named = found is not None and ("name",) not in recovered  # whose secrets they would be
        if named and (loaded is None or loaded.profile.kubernetes.enabled):
            path = request.secrets or default_path(request.cluster)
            kept = load_secrets(path, cluster.name, request.moment.now, findings, duration_seconds(cluster.token_ttl))
            if kept is not None and request.renew_token:
                kept = with_new_token(kept, cluster, findings)
    elif request.secrets is not None:
        hint = "pass --cluster FILE as well: without a cluster file there are no secrets"
        findings.add("IB907", "--secrets without --cluster", mark=Mark(str(request.secrets), 1, 1), hint=hint)
    if loaded is None:
        raise InvalidInput(findings)
    loaded, pinned = with_lock(request, loaded, findings)
    loaded = replace(loaded, name=request.name or loaded.name)
    settled = settle(loaded, cluster, layered, findings)
    resolved, own = settled.resolved, settled.own
    if pinned is not None:
        pulled = [image for one in (resolved, *(each.resolved for each in own)) for image in images(one, cluster)]
        check_images(pinned, pulled, findings)
    check(resolved, cluster, layered, findings, request.moment, kept, own, recovered)
    here.check(resolved, findings, base=base)
    for each in own:
        said = Findings()
        here.check(each.resolved, said, base=False)
        each.tell(said, findings)
    settled.name_keys(findings)
    if findings.errors:
        raise InvalidInput(findings)
    epoch = EPOCH if request.moment.epoch is None else request.moment.epoch
    rendered = render(resolved, cluster, epoch, findings, kept.secrets if kept else None, own, layered)
    cluster_settings.lint(settled, rendered.install, rendered.node, findings)
    settled.name_keys(findings)
    if findings.errors:
        raise InvalidInput(findings)
    return Input(request, resolved, cluster, rendered, kept, own, pinned, layered)


def with_lock(request: Request, loaded: Loaded, findings: Findings) -> tuple[Loaded, Pinned | None]:
    """The profile with the values of its lock, and its pins; unchanged without a lock."""
    file = read_lock(lock_path(request.profile), findings) if request.lock else None
    return (loaded, None) if file is None else locked(loaded, file, request.lock_command(), findings)


def with_new_token(kept: Kept, cluster: Cluster, findings: Findings) -> Kept:
    """``kept`` with a token that is valid from now on. It is an error if this cluster has no keys yet."""
    if kept.layered is None:
        hint = "build first, which makes it with a token: imgbuild --profile … --cluster …; or pass it with --secrets"
        findings.add("IB910", f"there is no secrets file {kept.path}", hint=hint, mark=Mark(str(kept.path), 1, 1))
    return kept.renew(duration_seconds(cluster.token_ttl))


def write(
    ready: Input,
    output: Path,
    steps: Steps,
    *,
    image: bool,
    cache: Path,
    fresh: bool,
    signer: Signer | None = None,
) -> Path:
    """Write everything to ``output``/NAME and return that folder. ``signer`` signs the checksums and the manifest.

    Raises:
        HostError: the host cannot do it; problems of the image are raised after everything else is written.
        InvalidInput: container images that the disk image gets cannot be had; nothing is written.
        UsageError: the folder was made from another profile; nothing is written.
    """
    resolved, rendered = ready.resolved, ready.rendered
    place = output / resolved.name
    refuse_another(ready.request.profile, place)
    # A stock node boots the distribution's own image: there is none to build.
    image = image and resolved.profile.mode == "baked"
    problems = host_problems(resolved, place, cache) if image else []
    for problem in problems:
        steps.note(f"no disk image will be built: {problem.what}")
    wanted = image_id(resolved, rendered.install, rendered.node, ready.preload)
    found = images_found(ready, steps) if image and not problems else []
    made_from = origin(ready.request.profile, place)
    with output_folder(place, (*GROUPS, "image")) as folder:
        ready = _with_kept_keys(ready, steps)
        rendered = ready.rendered
        groups: dict[str, GroupRecord]
        with steps.step(f"Write {place}"):
            for name in GROUPS:
                more = _kept_boot_files(folder) if name == "pxe" else {}
                swap_group(
                    folder, name, {**rendered.groups[name], **more} if more else rendered.groups[name], rendered.run
                )
            groups = {name: GroupRecord(rendered.run, _described(ready) if name == "nodes" else {}) for name in GROUPS}
            kept = _kept_image(folder)
            if signer is None and (folder / f"{manifest.NAME}{SUFFIX}").exists():
                steps.note("the signature of the old manifest is removed; pass --sign-key to sign the new one")
            manifest.write(folder, resolved.loaded, {**groups, **kept}, wanted, made_from, signer)
            _tell_owner(ready, place, steps)
        if not image:
            return place
        if problems:
            why = "; ".join(p.what for p in problems)
            hints = "\n".join(dict.fromkeys(p.hint for p in problems))
            raise HostError(f"the disk image was not built, everything else is in {place}: {why}", hints)
        record = build_image(
            resolved, rendered.install, rendered.node, wanted, folder, cache, steps, fresh=fresh, signer=signer,
            found=found,
        )  # fmt: skip
        _add_boot_files(folder, ready, record)
        groups["image"] = GroupRecord(wanted, record.described(), record.sums)
        with steps.step("Write the manifest"):
            manifest.write(folder, resolved.loaded, groups, wanted, made_from, signer)
    return place


_CODES: Mapping[Trouble, str] = {"missing": "IB837", "silent": "IB838", "another": "IB839"}


def images_found(ready: Input, steps: Steps) -> list[Found]:
    """The container images of the disk image, in their registries. All that is missing is reported at once.

    Raises:
        InvalidInput: an image cannot be had.
    """
    if not ready.preload:
        return []
    found, missing = look_up(ready.resolved.profile, ready.preload, steps)
    findings = Findings()
    for image, why in ((each.image, each.why) for each in missing):
        layered = ready.cluster_layered if image.in_cluster_file else ready.resolved.layered
        report(findings, layered, _CODES[why.kind], image.key, f"{image.reference}: {why}", why.hint)
    if findings.errors:
        raise InvalidInput(findings)
    steps.note(f"{len(found)} container images, {total_size(found) >> 20} MiB")
    return found


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


def _kept_boot_files(folder: Path) -> dict[str, OutFile]:
    """Kernel and initramfs of the kept image: without them no machine boots over PXE."""
    if not _kept_image(folder):
        return {}
    found = {name: folder / "pxe" / name for name in (KERNEL, INITRD)}
    return {name: OutFile(p.read_bytes()) for name, p in found.items() if p.is_file() and not p.is_symlink()}


def _add_boot_files(folder: Path, ready: Input, record: ImageRecord) -> None:
    """Copy the image's kernel and initramfs to pxe/, which is replaced as a whole like any group."""
    group = {**ready.rendered.groups["pxe"], **record.boot_files()}
    swap_group(folder, "pxe", group, ready.rendered.run)
