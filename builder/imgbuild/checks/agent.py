"""What Cilium's agent requires of its configuration: the rules of profiles/versions/cilium-agent.yaml.

The agent prints one line and exits, minutes after the node came up; charts render all of it. A rule looks at the values
that the agent would get: the chart's defaults, what imgbuild adds, and the user's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Set
from typing import Any

from packaging.version import Version

from imgbuild.checks.cilium_keys import reads
from imgbuild.checks.context import Context
from imgbuild.config.cluster import Cluster
from imgbuild.config.data import versions
from imgbuild.config.load import defaults_of
from imgbuild.config.profile import Profile
from imgbuild.config.recover import put_back
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.cilium_values import VALUES, chart_release, chart_values
from imgbuild.facts.conditions import Configuration
from imgbuild.facts.derive import version


def rules(context: Context, release: Version, leaves: Mapping[Path, object], wrong: Set[Path]) -> None:
    """All findings of the table. ``release``: the chart's minor; ``leaves``: the user's values by path.

    ``wrong``: those that are reported already; a default is in their place, because nothing follows from them.
    """
    agent = configured(_recovered(context, wrong) if wrong else context.profile, context.cluster)
    for rule in versions("cilium-agent")["rules"]:
        if not _applies(rule, release, context.profile.cilium.version) or not agent.holds(rule["when"]):
            continue
        if "requires" in rule and agent.holds(rule["requires"]):
            continue
        place = _place(rule["at"], agent, leaves)
        if place is not None:
            context.report(
                rule["code"], (*VALUES, *place), _message(rule), rule["fix"], lesser=rule.get("lesser", False)
            )


def _recovered(context: Context, wrong: Set[Path]) -> Profile:
    profile = context.profile
    values: Any = copy.deepcopy(profile.cilium.values)
    ground = defaults_of(context.target.id).data["cilium"]["values"]
    for path in wrong:
        put_back(values, ground, path)
    return profile.model_copy(update={"cilium": profile.cilium.model_copy(update={"values": values})})


def configured(profile: Profile, cluster: Cluster) -> Configuration:
    """The agent as this profile configures it for this cluster."""
    table = versions("cilium-agent")
    values = _configuration(profile, cluster, table["defaults"])
    return Configuration(values.get, chart_release(profile), table["facts"])


def _applies(rule: Mapping[str, str], release: Version, chart: str) -> bool:
    """``since`` may be a patch release, ``until`` is a minor: its last patch has the rule."""
    since, until = rule.get("since"), rule.get("until")
    if since is not None and (version(chart) if since.count(".") == 2 else release) < version(since):
        return False
    return until is None or release <= version(until)


def _message(rule: Mapping[str, str]) -> str:
    what = rule.get("does", "refuses to start")
    prints = f" (“{rule['prints']}”)" if "prints" in rule else ""
    return f"{rule['why']}: the agent {what}{prints}"


def _place(keys: list[str], agent: Configuration, leaves: Mapping[Path, object]) -> Path | None:
    """The first key that is on, else the first that the profile has; None if it has none of them."""
    there = [path for key in keys if (path := tuple(key.split("."))) in leaves]
    on = [path for path in there if agent.value(".".join(path)) not in (None, False)]
    return next(iter([*on, *there]), None)


def _configuration(profile: Profile, cluster: Cluster, defaults: Mapping[str, object]) -> dict[str, object]:
    """The chart's values by dotted key, as this chart reads them."""
    release = chart_release(profile)
    out = {key: value for key, value in defaults.items() if reads(release, tuple(key.split(".")))}

    def walk(values: Mapping[str, object], above: Path) -> None:
        for key, value in values.items():
            path = (*above, key)
            if isinstance(value, dict):
                walk(value, path)
            elif value is not None and reads(release, path):
                words = {"true": True, "false": False}
                out[".".join(map(str, path))] = words.get(value, value) if isinstance(value, str) else value

    walk(chart_values(profile, cluster), ())
    return out
