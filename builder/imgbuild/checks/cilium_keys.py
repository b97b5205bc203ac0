"""Keys below ``cilium.values`` that this chart refuses, ignores or knows under another name.

helm accepts any key. profiles/versions/cilium.yaml has the keys whose history is known,
profiles/versions/cilium-keys.yaml every key that a chart reads, with the first and the last minor that read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from packaging.version import Version

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.config.flow import flow
from imgbuild.config.layers import closest
from imgbuild.diagnostics.findings import Path, few
from imgbuild.facts.cilium_values import VALUES
from imgbuild.facts.derive import version

_MOST = 20
"""Unknown keys that get their own finding: searching for the nearest known key takes time."""


def keys(context: Context, release: Version, leaves: Mapping[Path, object]) -> set[Path]:
    """All findings about keys. ``release``: the chart's minor; ``leaves``: the values by path, mappings too.

    Returns the paths of plain values in place of a mapping.
    """
    rows: Mapping[str, Mapping[str, str]] = versions("cilium")["keys"]
    sections = {".".join(row.split(".")[:length]) for row in rows for length in range(1, row.count(".") + 1)}
    known = _known(release)
    said: set[Path] = set()
    plain: set[Path] = set()
    unknown: list[Path] = []
    for path in leaves:
        name = ".".join(map(str, path))
        if any(path[:length] in said for length in range(1, len(path))):
            continue  # its parent is reported already
        if name in rows:
            _row(context, release, path, rows[name])
            said.add(path)
        elif not _reads(known, path) and name not in sections:
            said.add(path)
            unknown.append(path)
        elif known.get(path) is False and not isinstance(leaves[path], dict):
            said.add(path)
            plain.add(path)
            switch = isinstance(leaves[path], bool) and known.get((*path, "enabled"))
            context.report(
                "IB616", (*VALUES, *path), f"{name} is a mapping in the chart, not {as_written(leaves[path])}",
                f"write {{enabled: {as_written(leaves[path])}}}" if switch else "write the keys below it",
            )  # fmt: skip
    first = unknown if len(unknown) <= _MOST + 1 else unknown[:_MOST]
    for path in first:
        _unknown(context, release, path)
    rest = unknown[len(first) :]
    if rest:
        names = few([".".join(map(str, path)) for path in rest], 3)
        context.report(
            "IB611", (*VALUES, *rest[0]), f"{len(rest)} more keys that Cilium's chart does not read: {names}",
            "look them up in the chart's values.yaml", of_key=True,
        )  # fmt: skip
    return plain


def as_written(value: object) -> str:
    """A value as YAML writes it, and a text in quotes."""
    return f"{value!r:.60}" if isinstance(value, str) else f"{flow(value):.60}"


@cache
def _spans() -> tuple[tuple[Path, Version, Version], ...]:
    """Every key of the charts with the first and the last minor that reads it."""
    out: list[tuple[Path, Version, Version]] = []
    for span, names in versions("cilium-keys").items():
        first, last = map(Version, span.split())
        out += [(tuple(name.split(".")), first, last) for name in names.split()]
    return tuple(out)


@cache
def _known(release: Version) -> dict[Path, bool]:
    """What this chart reads: True for a key whose value is the user's own, False for a mapping of such keys."""
    out: dict[Path, bool] = {}
    for path, first, last in _spans():
        if first <= release <= last:
            out[path] = True
            for length in range(1, len(path)):
                out.setdefault(path[:length], False)
    return out


def reads(release: Version, path: Path) -> bool:
    """Whether the chart of this minor reads this key."""
    row = versions("cilium")["keys"].get(".".join(map(str, path)))
    if row is not None and ("since" in row or "until" in row):
        return version(row.get("since", "0")) <= release <= version(row.get("until", "999"))
    return _reads(_known(release), path)


def _reads(known: Mapping[Path, bool], path: Path) -> bool:
    return path in known or any(known.get(path[:length]) for length in range(1, len(path)))


def _unknown(context: Context, release: Version, path: Path) -> None:
    name, where = ".".join(map(str, path)), (*VALUES, *path)
    known = _known(release)
    if len(path) == 1 and "." in name and (name.split(".")[0],) in known:
        nested = "…"
        for part in reversed(name.split(".")):
            nested = f"{{{part}: {nested}}}"
        context.report(
            "IB610", where, f"{name} is not a key: only helm's --set splits at dots",
            f"write {nested[1:-1]}, nested", of_key=True,
        )  # fmt: skip
        return
    spans = [(first, last) for other, first, last in _spans() if other[: len(path)] == path]
    if spans:
        since, until = min(f for f, _ in spans), max(t for _, t in spans)
        context.report(
            "IB611", where,
            f"the chart {context.profile.cilium.version} does not read {name}, and helm ignores it silently",
            f"the charts {since} to {until} do; remove it (null), or use one of those", of_key=True,
        )  # fmt: skip
        return
    siblings = [str(other[-1]) for other in known if len(other) == len(path) and other[:-1] == path[:-1]]
    context.report(
        "IB611", where, f"no key {name} is known in Cilium's charts; helm ignores it silently",
        closest(str(path[-1]), siblings) or "look it up in the chart's values.yaml", of_key=True,
    )  # fmt: skip


def _row(context: Context, release: Version, path: Path, row: Mapping[str, str]) -> None:
    name, where = ".".join(map(str, path)), (*VALUES, *path)
    chart, use = context.profile.cilium.version, row.get("use")
    out = f"set cilium.values.{name} to null to remove it"
    if "since" in row and release < version(row["since"]):
        if "before" in row:
            return  # render.cilium writes it under the name that this chart has
        hint = f"{out}, or use a later chart"
        context.report("IB612", where, f"the chart {chart} does not know {name} yet, and ignores it", hint)
    elif "until" in row and release > version(row["until"]):
        if row["after"] == "redundant":
            context.report("IB614", where, f"{name} has no effect in the chart {chart}", out)
        else:
            end = "refuses" if row["after"] == "fails" else "ignores"
            context.report("IB613", where, f"the chart {chart} {end} {name}", f"write {use} instead" if use else out)
    elif "deprecated" in row and release >= version(row["deprecated"]):
        context.report("IB614", where, f"{name} is the old name since {row['deprecated']}", f"write {use} instead")
