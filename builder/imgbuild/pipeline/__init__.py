"""The first half of a build: read, check, render. Nothing is written before all findings are known."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from imgbuild.checks import build_host, check
from imgbuild.config.cluster import DEFAULT, Cluster
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.fields import duration_seconds
from imgbuild.config.kept_secrets import Kept, default_path, load_secrets
from imgbuild.config.layers import Layered
from imgbuild.config.load import Loaded, load
from imgbuild.config.lock_file import lock_path, read_lock
from imgbuild.config.lock_packages import Packages
from imgbuild.config.moment import Moment, read_moment
from imgbuild.config.set_option import parse_set
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings, Mark
from imgbuild.diagnostics.findings import Path as KeyPath
from imgbuild.facts.derive import key_kind
from imgbuild.facts.images import Image, images
from imgbuild.facts.locked import Pinned, check_nodes, check_packages, locked
from imgbuild.facts.node_settings import Own, settle
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.lint import cluster_settings
from imgbuild.outputs.rendered import Rendered, render

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

    @property
    def epoch(self) -> int:
        """The timestamp in rendered archives (seconds)."""
        return EPOCH if self.moment.epoch is None else self.moment.epoch

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
    def locked_packages(self) -> Packages | None:
        """The packages that the disk image is built of, if the lock has them."""
        return self.pinned.section.packages if self.pinned is not None else None

    @property
    def image_id(self) -> str:
        """The id of the disk image for this input."""
        from imgbuild.image.identity import image_id  # a check has no need of it

        made = self.rendered
        return image_id(self.resolved, made.install, made.node, self.preload, made.live, self.locked_packages)

    @property
    def preload(self) -> list[Image]:
        """The container images that the disk image has: those of every node, by their digests in imgbuild.lock."""
        return self.images if self.resolved.profile.images.preload else []

    @cached_property
    def images(self) -> list[Image]:
        """The container images that the nodes pull, by their digests in imgbuild.lock."""
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
        HostError: the process that renders half of the nodes was killed.
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
            seconds = duration_seconds(cluster.token_ttl)
            kind = key_kind(loaded.profile.kubernetes.version) if loaded is not None else "ecdsa"
            kept = load_secrets(path, cluster.name, request.moment.now, findings, seconds, kind)
            if kept is not None and request.renew_token:
                kept = with_new_token(kept, cluster, findings)
    elif request.secrets is not None:
        hint = "pass --cluster FILE as well: without a cluster file there are no secrets"
        findings.add("IB907", "--secrets without --cluster", mark=Mark(str(request.secrets), 1, 1), hint=hint)
    if loaded is None:
        raise InvalidInput(findings)
    loaded, pinned = with_lock(request, loaded, findings)
    loaded = replace(loaded, name=request.name or loaded.name)
    settled = settle(loaded, cluster, layered, findings, pinned.fill if pinned else None)
    resolved, own = settled.resolved, settled.own
    if pinned is not None:
        check_packages(pinned, resolved, findings)
        check_nodes(pinned, (resolved, *(each.resolved for each in own)), cluster, findings)
    check(resolved, cluster, layered, findings, request.moment, kept, own, recovered)
    build_host.check(resolved, findings, base=base)
    for each in own:
        said = Findings()
        build_host.check(each.resolved, said, base=False)
        each.tell(said, findings)
    settled.name_keys(findings)
    if findings.errors:
        raise InvalidInput(findings)
    rendered = render(resolved, cluster, request.epoch, findings, kept.secrets if kept else None, own, layered)
    if settled.common is not None:
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
