"""The conditions of the tables in profiles/versions/, such as cilium-agent.yaml: one language, read in one place.

A condition is a mapping of keys to a value or a list of values, all of which must hold; a list of conditions, all of
which must hold; ``{any: [...]}``; ``{not: ...}``; ``{since: "1.16"}``, from that release on; or the name of a fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.version import Version

from imgbuild.facts.derive import version

Condition = str | list["Condition"] | dict[str, Any]


def same(value: object, wanted: object) -> bool:
    """Whether a value equals the expected one; 1 is not true."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def truth(value: object, wanted: object) -> bool:
    """The same as Go's templates evaluate it, for true and false: any value that is not empty is true."""
    return bool(value) is wanted if isinstance(wanted, bool) else value == wanted


@dataclass(frozen=True)
class Configuration:
    """What conditions are evaluated against.

    ``value`` returns what is configured at a dotted key, or None; ``release`` is what ``since`` is compared
    with; ``facts`` are the conditions that have a name.
    """

    value: Callable[[str], object]
    release: Version
    facts: Mapping[str, Condition] = field(default_factory=dict)
    matches: Callable[[object, object], bool] = same

    def holds(self, condition: Condition) -> bool:
        """Whether a condition, or the fact of that name, holds."""
        if isinstance(condition, str):
            return self.holds(self.facts[condition])
        if isinstance(condition, list):
            return all(map(self.holds, condition))
        return all(self._item(key, value) for key, value in condition.items())

    def _item(self, key: str, wanted: Any) -> bool:
        if key == "any":
            return any(map(self.holds, wanted))
        if key == "not":
            return not self.holds(wanted)
        if key == "since":
            return self.release >= version(wanted)
        has = self.value(key)
        return any(self.matches(has, one) for one in (wanted if isinstance(wanted, list) else [wanted]))
