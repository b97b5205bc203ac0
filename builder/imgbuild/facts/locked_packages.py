"""Whether the packages of a lock are what the profile asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imgbuild.config.lock_packages import Packages
from imgbuild.facts.packages import requested
from imgbuild.facts.resolved import Resolved


@dataclass(frozen=True)
class Unfit:
    """Why the packages of a lock are not those of the profile. ``what`` tells both sides."""

    kind: Literal["target", "base", "requested"]
    what: str


def unfit(resolved: Resolved, packages: Packages) -> list[Unfit]:
    """Everything in which they differ; empty if a build can use them."""
    if packages.target != resolved.target.id:
        what = f"the packages of the lock are for {packages.target}, the profile is for {resolved.target.id}"
        return [Unfit("target", what)]
    found = []
    base = base_sha256(resolved)
    if packages.base is not None and base is not None and packages.base != base:
        what = f"the packages of the lock were chosen for the base {packages.base}, the profile has {base}"
        found.append(Unfit("base", what))
    now, then = set(requested(resolved)), set(packages.requested)
    parts = [
        f"{words} {', '.join(sorted(names))}"
        for words, names in (("now asked for:", now - then), ("no longer asked for:", then - now))
        if names
    ]
    if parts:
        found.append(Unfit("requested", f"the packages of the lock are older than the profile; {'; '.join(parts)}"))
    return found


def base_sha256(resolved: Resolved) -> str | None:
    """The checksum of the base, if the profile or the target has one."""
    own, base = resolved.profile.base, resolved.target.image.base
    if base is None:
        return None
    return own.sha256 if own.source else base.sha256
