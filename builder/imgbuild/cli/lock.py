"""`imgbuild lock`: pin everything that a profile needs from outside, in imgbuild.lock beside it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import click

from imgbuild.cli.completion import components_to_update
from imgbuild.cli.lock_packages import choose_packages, tell_packages
from imgbuild.cli.options import Given, Place, input_options, store_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.cluster import DEFAULT, Cluster
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import Loaded, load, with_values
from imgbuild.config.lock import COMPONENTS, FORMAT, NAME, Component, ImagePin, Lock, Pin, Section, Update
from imgbuild.config.lock_file import lock_path, lock_text, read_lock
from imgbuild.diagnostics.errors import HostError, ImgbuildError, InvalidInput, UsageError
from imgbuild.diagnostics.findings import Findings, Mark
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import images, sources
from imgbuild.facts.locked import updated, version_of
from imgbuild.facts.node_settings import settle
from imgbuild.facts.outside import Need, needs, values
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.pin import Pulled, pin_files, pin_images
from imgbuild.image.cache import default_cache, open_store
from imgbuild.image.chart_digests import exact
from imgbuild.image.surroundings import surroundings
from imgbuild.outputs.tree import OutFile, replace_file

_ALL, _PACKAGES = "all", "packages"


@click.command("lock", cls=Command)
@ends_well
@input_options(cluster=False, lock=False)
@click.option(
    "--cluster",
    "nodes_file",
    metavar="FILE",
    type=Place(),
    help="Also pin what this cluster file and its settings add.",
)
@click.option(
    "--update", "updates", metavar="NAME[=VERSION]", multiple=True, shell_complete=components_to_update,
    help="Pin NAME again, in this version if one is given (repeatable); all: everything.",
)  # fmt: skip
@click.option(
    "--no-packages",
    is_flag=True,
    help="Pin no packages: a build then takes what the repositories have. Without it root is needed to choose them.",
)
@store_option
def command(
    says: Says, given: Given, nodes_file: Path | None, updates: tuple[str, ...], no_packages: bool, store: str | None
) -> int:
    """Pin everything that a profile needs from outside, in imgbuild.lock beside it.

    \b
    imgbuild lock --profile node.yaml                          pin what is not pinned yet
    imgbuild lock --profile node.yaml --update nerdctl=2.4.0   use another version than the profile's
    imgbuild lock --profile node.yaml --update packages        choose the packages again
    imgbuild lock --profile node.yaml --update all             ask all publishers again

    A build beside the lock then uses exactly what is pinned, or stops.
    """
    path = lock_path(str(given.profile))
    with _alone(path):
        return _lock(
            says, given, nodes_file, updates, path, store if not no_packages else None, packages=not no_packages
        )


def _lock(
    says: Says, given: Given, cluster: Path | None, updates: Sequence[str], path: Path, store: str | None, *,
    packages: bool,
) -> int:  # fmt: skip
    findings = Findings()
    old = read_lock(path, findings)
    loaded = load(str(given.profile), given.layers, given.sets, given.mode, findings)
    if loaded is None or findings.errors:
        raise InvalidInput(findings)
    before = old.section(loaded.name) if old is not None else None
    before = before or Section(files={}, images={})
    asked = _asked(updates, {*before.files, *before.images})
    chosen = _chosen(loaded, before, asked.versions, says)
    loaded = updated(loaded, {n: u.version for n, u in chosen.items()}, Mark("--update", 1, 1), findings)
    versions = {name: update.version for name, update in chosen.items()}
    own = needs(loaded.profile, loaded.target, versions)
    nodes, profiles = _nodes(loaded, cluster, findings)
    wanted = _images(profiles, nodes)
    of_nodes = [need for one in profiles for need in needs(one.profile, one.target, versions)]
    every = list({need.name: need for need in (*of_nodes, *own)}.values())
    if findings.errors:
        raise InvalidInput(findings)
    _used(asked, loaded, every, packages=packages)
    again = _again(asked.names, every, wanted)
    kept = {name: pin for name, pin in before.images.items() if name in wanted and name not in again}
    steps, profile = says.steps(), loaded.profile
    with surroundings(profile), steps.step(f"Pin {len(every)} files"):
        files = pin_files(profile, every, before.files, again)
    new = {name: pulled for name, pulled in wanted.items() if name not in kept}
    failures = dict(files.failures)
    if "cilium" in files.pins:
        try:
            new = _exact(loaded, own, files.pins, new, steps)
        except HostError as error:
            failures["cilium"] = error
    with surroundings(profile), steps.step(f"Pin {len(wanted)} images"):
        found = pin_images(profile, new)
    failures |= found.failures
    chosen_packages = before.packages if packages else None  # stock mode neither uses nor chooses any
    if packages and profile.mode == "baked" and "base" not in failures:
        again_packages = bool(asked.names & {_ALL, _PACKAGES})
        old_packages = None if again_packages else before.packages
        try:
            chosen_packages = choose_packages(_filled(loaded, own, files.pins), old_packages, store, steps)
        except HostError as error:
            failures["packages"] = error
    if failures:
        for name, why in sorted(failures.items()):
            says.error(ImgbuildError(f"{name}: {why}", why.hint))
        if not says.json:
            says.note(f"{path} is not written: {len(failures)} of {len(every) + len(wanted)} cannot be pinned")
        return HostError.exit_code
    section = Section(updates=chosen, files=dict(files.pins), images={**kept, **found.pins}, packages=chosen_packages)
    others = old.lock.profiles if old is not None else {}
    text = lock_text(Lock(format=FORMAT, profiles={**others, loaded.name: section}))
    if old is None or path.read_text(encoding="utf-8") != text:
        replace_file(path.resolve(), OutFile(text.encode()))
    _tell(says, path, before, section)
    return 0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other runs from writing the lock meanwhile: they would lose this one's pins."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # the profile is missing too, which is reported with its fix
        yield
        return
    try:
        with suppress(OSError):  # not every network file system has locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@dataclass(frozen=True)
class _Asked:
    """What `--update` names, and the versions that it gives."""

    names: frozenset[str]
    versions: Mapping[Component, str]


def _asked(updates: Sequence[str], pins: set[str]) -> _Asked:
    names: set[str] = set()
    versions: dict[Component, str] = {}
    for text in updates:
        name, equals, version = text.partition("=")
        component = next((known for known in COMPONENTS if known == name), None)
        if component is None and name not in {_ALL, _PACKAGES, *pins}:
            known = ", ".join((*COMPONENTS, _PACKAGES, _ALL))
            raise UsageError(
                f"there is nothing called {name!r} to update", f"use one of {known}, or a name in the lock"
            )
        if equals and component is None:
            raise UsageError(f"--update {name} takes no version", f"set the version of {name} in the profile")
        if equals and not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?", version):
            raise UsageError(f"{version!r} is not a version", f"write --update {name}=1.2.3, without a v")
        if component is not None and equals and versions.setdefault(component, version) != version:
            raise UsageError(f"--update {name} names two versions, {versions[component]} and {version}", "name one")
        names.add(name)
    return _Asked(frozenset(names), versions)


def _chosen(loaded: Loaded, before: Section, versions: Mapping[Component, str], says: Says) -> dict[Component, Update]:
    """The versions in place of the profile's: those of earlier runs that still apply, and the new ones."""
    out: dict[Component, Update] = {}
    for name, update in before.updates.items():
        now = version_of(loaded, name)
        if name in versions or now == update.version:
            continue
        if now in (None, update.instead_of):
            out[name] = update
        else:
            says.note(f"{name} {update.version} of the last --update is dropped: the profile has {now} now")
    for name, version in versions.items():
        now = version_of(loaded, name)
        if now != version:
            out[name] = Update(version=version, instead_of=now or version)
    return out


def _used(asked: _Asked, loaded: Loaded, every: Sequence[Need], *, packages: bool) -> None:
    """Refuse to update what this profile does not have: nothing would change."""
    names = asked.names
    if _PACKAGES in names and not packages:
        raise UsageError("--update packages and --no-packages cannot be used together", "leave out one of them")
    if _PACKAGES in names and loaded.profile.mode == "stock":
        raise UsageError(
            "in stock mode there are no packages to update: each node installs its own", "leave out --update packages"
        )
    used = {need.component for need in every} | ({"kubernetes"} if loaded.profile.kubernetes.enabled else set())
    for name in sorted(names & set(COMPONENTS)):
        if name not in used:
            known = ", ".join(component for component in COMPONENTS if component in used)
            raise UsageError(f"{loaded.name} does not fetch {name}: there is nothing to update", f"it has {known}")
        if name not in asked.versions and all(need.component != name for need in every):
            version = loaded.profile.kubernetes.version
            raise UsageError(
                f"{name} has no pin of its own here: its programs are packages",
                f"use --update packages; or name a version, such as --update {name}={version}",
            )


def _nodes(loaded: Loaded, cluster: Path | None, findings: Findings) -> tuple[Cluster, Sequence[Resolved]]:
    """The nodes of a cluster file, and the profiles that they have with its settings."""
    read = load_cluster(cluster, findings) if cluster is not None else None
    nodes, layered = (read.cluster, read.layered) if read is not None else (DEFAULT, None)
    settled = settle(loaded, nodes, layered, findings)
    return nodes, [settled.resolved, *(own.resolved for own in settled.own)]


def _images(profiles: Sequence[Resolved], nodes: Cluster) -> dict[str, Pulled]:
    """The images of all nodes by their references, each with the addresses of its registries."""
    return {
        image.reference: Pulled(image, sources(one.profile, image)) for one in profiles for image in images(one, nodes)
    }


def _exact(
    loaded: Loaded, every: Sequence[Need], files: Mapping[str, Pin], images: Mapping[str, Pulled], steps: Steps
) -> dict[str, Pulled]:
    """The images with the digests that the pinned chart requests: a mirror can have others under the same tags."""
    profile = _filled(loaded, [need for need in every if need.name == "cilium"], files).profile
    store = open_store(default_cache())
    with steps.step("Read the digests that Cilium's chart requests"):
        found = exact(profile, [pulled.image for pulled in images.values()], store, steps, fetch=True)
    return {name: replace(pulled, image=image) for (name, pulled), image in zip(images.items(), found, strict=True)}


def _filled(loaded: Loaded, every: Sequence[Need], files: Mapping[str, Pin]) -> Loaded:
    """The profile with the values of these pins."""
    mark, mirrors = Mark(NAME, 1, 1), loaded.profile.mirrors
    pinned = (need for need in every if need.name in files)
    filled = [(path, value, mark) for need in pinned for path, value in values(need, files[need.name], mirrors)]
    return with_values(loaded, filled, Findings())


def _again(names: frozenset[str], every: Sequence[Need], wanted: Mapping[str, object]) -> frozenset[str]:
    """The pins that `--update` names; a component may have several."""
    if _ALL in names:
        return frozenset((*(need.name for need in every), *wanted))
    return names | {need.name for need in every if need.component in names}


def _tell(says: Says, path: Path, before: Section, now: Section) -> None:
    """What has changed."""
    old: dict[str, Pin | ImagePin] = {**before.files, **before.images}
    new: dict[str, Pin | ImagePin] = {**now.files, **now.images}
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    for name in changed:
        change = "removed" if name not in new else "changed" if name in old else "added"
        one = new.get(name) or old[name]
        version = one.version if isinstance(one, Pin) else None
        if says.json:
            says.event("pin", name=name, change=change, **one.model_dump(exclude_none=True))
        else:
            how = "" if name not in new else f": {_HOW[one.obtained]}"
            how += f", signed by {one.signed_by}" if isinstance(one, Pin) and one.signed_by and how else ""
            says.out.print(f"{change} {name}{f' {version}' if version else ''}{how}")
    packages = tell_packages(says, before.packages, now.packages)
    if says.json:
        says.result(file=str(path), changed=len(changed), pins=len(new), packages=packages)
    else:
        more = f", {packages} packages" if packages else ""
        says.out.print(f"{path}: {len(new)} pins{more}, {len(changed) or 'none'} changed")


_HOW = {
    "publisher": "its publisher's checksum",
    "index": "the checksum in the repository's index",
    "registry": "its digest in the registry",
    "profile": "the profile's checksum, nobody publishes one",
    "seen": "the checksum of the file that was fetched now, nobody publishes one",
}
