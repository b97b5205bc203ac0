"""A profile with the values of its lock: each pin fills the profile's own keys, so that a build has one way only.

What the lock and the profile disagree about is an error: a build with a lock uses exactly what is pinned, or stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from imgbuild.config.cluster import Cluster
from imgbuild.config.load import Loaded, with_values
from imgbuild.config.lock import Component, Section
from imgbuild.config.lock_file import LockFile
from imgbuild.diagnostics.findings import Findings, Mark, Path, few, format_path
from imgbuild.facts.images import Image, images
from imgbuild.facts.locked_packages import unfit
from imgbuild.facts.outside import VERSION_KEYS, Need, another, needs, values
from imgbuild.facts.resolved import Resolved


@dataclass(frozen=True)
class Pinned:
    """The pins that a profile is built with."""

    file: LockFile
    name: str
    """The profile's, as the lock has it."""
    section: Section
    again: str
    """The command that makes them again."""
    needs: Sequence[Need]
    chosen: Mapping[Component, str]
    """Versions that `--update` chose."""

    def mark(self, *path: str | int) -> Mark:
        """The place of one of its values."""
        return self.file.mark("profiles", self.name, *path)

    def fill(self, loaded: Loaded) -> Loaded:
        """A profile with the settings of a cluster file, with the values of its pins; `check_nodes` tells of others."""
        filled: list[tuple[Path, Any, Mark]] = []
        for need in needs(loaded.profile, loaded.target, self.chosen):
            pin = self.section.files.get(need.name)
            if pin is not None and _agree(need, self, loaded, Findings()):
                place = self.mark("files", need.name)
                filled += ((path, value, place) for path, value in values(need, pin, loaded.profile.mirrors))
        return with_values(loaded, filled, Findings())


def locked(loaded: Loaded, file: LockFile, again: str, findings: Findings) -> tuple[Loaded, Pinned | None]:
    """The profile with the values of its pins, and the pins; the profile itself and None if the lock lacks it."""
    section = file.section(loaded.name)
    if section is None:
        others = f", only of {few(sorted(file.lock.profiles), 3)}" if file.lock.profiles else ""
        findings.add(
            "IB811", f"{file.path} has no pins of the profile {loaded.name}{others}", key="profiles",
            mark=file.mark("profiles"), hint=f"run {again}; or pass --no-lock to build without pins",
        )  # fmt: skip
        return loaded, None
    if section.packages is None and loaded.profile.mode == "baked":
        again = f"{again} --no-packages"  # as it was made: choosing them needs root
    loaded, chosen = _updated(loaded, section, file, again, findings)
    every = needs(loaded.profile, loaded.target, chosen)
    pinned = Pinned(file, loaded.name, section, again, every, chosen)
    filled: list[tuple[Path, Any, Mark]] = []
    for need in every:
        pin = section.files.get(need.name)
        if pin is None:
            continue
        if not _agree(need, pinned, loaded, findings):  # an error: this only keeps the checks from saying it again
            pin = pin.model_copy(update={"urls": list(need.urls or pin.urls)})
        place = pinned.mark("files", need.name)
        filled += ((path, value, place) for path, value in values(need, pin, loaded.profile.mirrors))
    _missing([need.name for need in every], pinned, findings)
    return with_values(loaded, filled, findings), pinned


def _missing(names: Sequence[str], pinned: Pinned, findings: Findings) -> None:
    names = [name for name in names if name not in pinned.section.files]
    if names:
        findings.add(
            "IB814", f"not pinned: {few(names, 6)}", key=format_path(("profiles", pinned.name, "files")),
            mark=pinned.mark("files"), hint=f"run {pinned.again}",
        )  # fmt: skip


def updated(loaded: Loaded, versions: Mapping[Component, str], mark: Mark, findings: Findings) -> Loaded:
    """The profile with other versions of some components; crictl has no key there."""
    new = [(VERSION_KEYS[name], version, mark) for name, version in versions.items() if name in VERSION_KEYS]
    return with_values(loaded, new, findings)


def version_of(loaded: Loaded, component: Component) -> str | None:
    """The profile's version of a component."""
    here: Any = loaded.layered.data
    for part in VERSION_KEYS.get(component, ("",)):
        here = here.get(part) if isinstance(here, dict) else None
    return here if isinstance(here, str) else None


_UNFIT = {"target": "IB817", "base": "IB817", "requested": "IB818"}


def check_packages(pinned: Pinned, resolved: Resolved, findings: Findings) -> None:
    """Findings about packages of the lock that are not those of the profile."""
    packages = pinned.section.packages
    if packages is None or resolved.profile.mode != "baked":
        return
    for why in unfit(resolved, packages):
        key = ("profiles", pinned.name, "packages", why.kind)
        findings.add(
            _UNFIT[why.kind], why.what, key=format_path(key), mark=pinned.mark("packages", why.kind),
            hint=f"run {pinned.again}, with sudo: it chooses the packages again",
        )  # fmt: skip


def check_nodes(pinned: Pinned, nodes: Sequence[Resolved], cluster: Cluster, findings: Findings) -> None:
    """Findings about the profiles of nodes, with the settings of a cluster file: what they need and is not pinned."""
    known, more, pins = {need.name for need in pinned.needs}, dict[str, None](), pinned.section.files
    agreed = {n.name for n in pinned.needs if n.name in pins and _agree(n, pinned, nodes[0].loaded, Findings())}
    for node in nodes:
        for need in needs(node.profile, node.target, pinned.chosen):
            if need.name in pins:
                _agree(need, pinned, node.loaded, findings, _ONE_PIN if need.name in agreed else "")
            if need.name not in known:
                more[need.name] = None
    _missing(list(more), pinned, findings)
    _images(pinned, [image for node in nodes for image in images(node, cluster)], {*known, *more}, findings)


_ONE_PIN = "set it in the profile, as a lock has one pin for it; or give these nodes a profile of their own"


def _images(pinned: Pinned, pulled: Sequence[Image], used: Set[str], findings: Findings) -> None:
    """Findings about images that are not pinned, and about pins that nothing uses. ``used``: the names of files."""
    section, at = pinned.section, ("profiles", pinned.name)
    for in_cluster_file in (False, True):
        names = [image.reference for image in pulled if image.in_cluster_file is in_cluster_file]
        missing = [name for name in names if name not in section.images]
        if missing:
            findings.add(
                "IB814", f"images that are not pinned: {few(missing, 4)}", key=format_path((*at, "images")),
                mark=pinned.mark("images"), hint=f"run {pinned.again}", lesser=in_cluster_file,
            )  # fmt: skip
    wanted = {image.reference for image in pulled}
    spare = [name for name in section.images if name not in wanted]
    spare += [name for name in section.files if name not in used]
    if spare:
        findings.add(
            "IB815", f"pins that this build does not use: {few(spare, 4)}", key=format_path(at), mark=pinned.mark(),
            hint=f"run {pinned.again}, which removes them; or leave them, if other options use them",
        )  # fmt: skip


def _updated(
    loaded: Loaded, section: Section, file: LockFile, again: str, findings: Findings
) -> tuple[Loaded, dict[Component, str]]:
    """The profile with the versions that `--update` chose, and those versions."""
    chosen: dict[Component, str] = {}
    new: list[tuple[Path, Any, Mark]] = []
    for name, update in section.updates.items():
        key, now = VERSION_KEYS.get(name), version_of(loaded, name)
        if now in (update.version, update.instead_of, None):
            chosen[name] = update.version
            if key is not None and now != update.version:
                new.append((key, update.version, file.mark("profiles", loaded.name, "updates", name, "version")))
        elif key is not None:
            findings.add(
                "IB812", f"{name} is {now} here, and the lock has {update.version} in place of {update.instead_of}",
                key=format_path(key), mark=loaded.layered.mark(key), hint=f"run {again}, which pins {now}",
            )  # fmt: skip
    return with_values(loaded, new, findings), chosen


def _agree(need: Need, pinned: Pinned, loaded: Loaded, findings: Findings, fix: str = "") -> bool:
    """Whether the profile and the pin are about the same file; else that is a finding."""
    pin = pinned.section.files[need.name]
    if need.version != pin.version:
        key = VERSION_KEYS.get(need.component) if need.component else (*need.key, "version")
        findings.add(
            "IB812", f"{need.name}: the profile has {need.version or 'no version'}, the lock {pin.version or 'none'}",
            key=format_path(key or need.key), mark=loaded.layered.mark(key or need.key),
            hint=fix or f"run {pinned.again}",
        )  # fmt: skip
        return False
    if need.sha256 is not None and need.sha256 != pin.sha256:
        key = (*need.key, "sha256")
        findings.add(
            "IB813", f"{need.name}: the profile's sha256 is {need.sha256}, the lock has {pin.sha256}",
            key=format_path(key), mark=loaded.layered.mark(key),
            hint=fix or f"run {pinned.again}, which compares the profile's with the publisher's",
        )  # fmt: skip
        return False
    two = another(need, pin) if need.sha256 is None else None
    if two is not None:
        findings.add(
            "IB812", f"{need.name}: the profile has {two[0]}, the lock {two[1]}", key=format_path(need.key),
            mark=loaded.layered.mark(need.key), hint=fix or f"run {pinned.again}",
        )  # fmt: skip
        return False
    return True
