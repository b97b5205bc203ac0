"""Checks against dates: versions past their end of life, and whether this machine's clock can be right."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.version import Version

from imgbuild.checks import early
from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.config.moment import RELEASED
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import containerd_line, minor, version


@dataclass(frozen=True)
class _Chosen:
    """A version that the profile chooses: its path, name, last day, fix, and what it lacks."""

    path: Path
    name: str
    end: str | None
    fix: str
    lacks: str = ""


def check(context: Context) -> None:
    """One warning for each version that no longer gets fixes, or will stop getting them within 60 days."""
    today = context.moment.today
    for chosen in _chosen(context):
        if chosen.end is None and not chosen.lacks:
            continue
        end = datetime.date.fromisoformat(chosen.end) if chosen.end is not None else None
        if end is not None and today > end:
            what = f"{chosen.name} has had no fixes since its end of life on {end}"
        elif end is not None and end - today <= early.SUPPORT:
            what = f"{chosen.name} reaches its end of life on {end}: from then on it gets no fixes"
        elif chosen.lacks:
            what = chosen.name
        else:
            continue
        context.report("IB228", chosen.path, f"{what}{chosen.lacks}", chosen.fix)


def check_clock(context: Context, *, makes_keys: bool) -> None:
    """A finding if the clock is certainly wrong: keys would be made for the past."""
    moment = context.moment
    if moment.now >= RELEASED or (moment.epoch is not None and not makes_keys):
        return
    context.findings.add(
        "IB239",
        f"this machine's clock shows {_day(moment.now)}, before this imgbuild was released ({_day(RELEASED)}): "
        "certificates and tokens would be made for the past, and nothing that expires would be noticed",
        hint="set the clock (timedatectl set-ntp true; or date --utc --set TIME) and run again",
    )


def _day(second: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).date()


def _chosen(context: Context) -> Iterator[_Chosen]:
    profile, today = context.profile, context.moment.today
    if profile.kubernetes.enabled:
        line = minor(profile.kubernetes.version)
        ends = {name: row["end_of_life"] for name, row in versions("kubernetes")["minors"].items()}
        # The newest rows, which have no date, are not released yet.
        fix = _later(line, {name: end for name, end in ends.items() if end is not None}, today)
        yield _Chosen(
            ("kubernetes", "version"),
            f"Kubernetes {line}",
            ends.get(line),
            f"set kubernetes.version to a patch of {fix}",
        )
        if profile.cilium.enabled:
            line, ends = minor(profile.cilium.version), versions("cilium")["end_of_life"]
            fix = f"set cilium.version to a patch of {_later(line, ends, today)}"
            yield _Chosen(("cilium", "version"), f"Cilium {line}", ends.get(line), fix)
    if profile.helm.enabled:
        yield _helm(context)
    if profile.containerd.source == "nerdctl-full":  # the distribution maintains its own package
        yield from _containerd(context)
    yield from _kernel(context)


def _later(line: str, ends: Mapping[str, str | None], today: datetime.date) -> str:
    """The later release lines that last for more than 60 days, each with its last day."""
    lasting = {name: end for name, end in ends.items() if _lasts(end, today) and Version(name) > Version(line)}
    said = [f"{name} (until {end})" if end else name for name, end in lasting.items()]
    return " or ".join(said) or "a later release line, if there is one by now"


def _lasts(end: str | None, today: datetime.date) -> bool:
    return end is None or datetime.date.fromisoformat(end) - today > early.SUPPORT


def _helm(context: Context) -> _Chosen:
    release, majors = context.profile.helm.version, versions("helm")["majors"]
    major = release.split(".")[0]
    row = majors.get(major, {"end_of_life": None, "fixes": {}})
    holes = [
        (fixed, hole) for fixed, found in row["fixes"].items() if version(release) < version(fixed) for hole in found
    ]
    lacks = f"; {release} has {' and '.join(hole for _, hole in holes)}" if holes else ""
    if holes:
        lacks += f", fixed in {max((fixed for fixed, _ in holes), key=version)}"
    fix = _later(major, {name: each["end_of_life"] for name, each in majors.items()}, context.moment.today)
    return _Chosen(
        ("helm", "version"), f"Helm {major}", row["end_of_life"],
        f"set helm.version to a release of {fix}, with its URL and sha256", lacks,
    )  # fmt: skip


def _containerd(context: Context) -> Iterator[_Chosen]:
    archive, release = context.profile.containerd.nerdctl_full, context.resolved.containerd
    if release is None:
        return  # IB502
    line, row = containerd_line(release)
    path: Path = ("containerd", "nerdctl_full", "containerd" if archive.containerd else "version")
    known = versions("nerdctl-full")["versions"]
    newest = max(known, key=version)
    inside = known[newest]["containerd"]
    lasting = containerd_line(inside)[1]["end_of_life"]
    fix = (
        f"use a later nerdctl-full, for example {newest} with containerd {inside} (until {lasting}): its URL and sha256"
    )
    yield _Chosen(path, f"containerd {line}", row["end_of_life"] if line == minor(release) else None, fix)


def _kernel(context: Context) -> Iterator[_Chosen]:
    facts, kernels = context.resolved.kernel, context.target.kernels
    if facts is None:
        return
    others = [name for name, other in kernels.items() if _lasts(other.end_of_life, context.moment.today)]
    fix = (
        f"set kernel.flavour to {' or '.join(others)}"
        if others
        else f"{context.target.name} has no kernel that is still maintained: use another target when you can"
    )
    name = f"{context.profile.kernel.flavour} of {context.target.name}"
    yield _Chosen(("kernel", "flavour"), name, facts.end_of_life, fix)
