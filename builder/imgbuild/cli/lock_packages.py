"""The packages of `imgbuild lock`: chosen, or kept, and what has changed about them."""

from __future__ import annotations

from imgbuild.cli.output import Says
from imgbuild.config.load import Loaded
from imgbuild.config.lock_packages import Packages
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.locked_packages import unfit
from imgbuild.facts.resolved import resolve


def choose_packages(loaded: Loaded, old: Packages | None, store: str | None, steps: Steps) -> Packages:
    """The packages of this profile: ``old`` if the profile still asks for the same, which needs no root.

    Raises:
        HostError: they cannot be chosen.
    """
    resolved = resolve(loaded)
    if old is not None and not unfit(resolved, old):
        return old
    from imgbuild.image.cache import default_cache, open_store  # what builds images takes half the run time
    from imgbuild.image.closure.solve import solve_packages
    from imgbuild.image.surroundings import surroundings

    cache = default_cache()
    with surroundings(resolved.profile) as site:
        return solve_packages(resolved, open_store(cache, store), cache, steps, site)


def tell_packages(says: Says, old: Packages | None, new: Packages | None) -> int:
    """Report what has changed; the number of packages now."""
    before = {(one.name, one.arch): one for one in old.packages} if old is not None else {}
    now = {(one.name, one.arch): one for one in new.packages} if new is not None else {}
    for key in sorted({*before, *now}):
        was, is_ = before.get(key), now.get(key)
        if was == is_:
            continue
        change = "removed" if is_ is None else "changed" if was is not None else "added"
        if says.json:
            one = is_ or was
            assert one is not None  # noqa: S101 - one of them is there
            facts = {"version": one.version, "repository": one.repository, "sha256": one.sha256, "size": one.size}
            says.event("package", name=one.name, arch=one.arch, change=change, **facts)
        elif before and now:  # several hundred lines tell nothing
            versions = " to ".join(one.version for one in (was, is_) if one is not None)
            says.out.print(f"{change} {key[0]} {versions}")
    if before and not now and not says.json:
        says.out.print(f"removed all {len(before)} packages: a build takes what the repositories have")
    return len(now)
