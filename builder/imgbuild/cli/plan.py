"""`imgbuild plan`: what a build would fetch, build and take from the cache, and how long the last one took."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from imgbuild.cli.options import Given, input_options, name_option, store_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.cli.sizes import size_text
from imgbuild.diagnostics.findings import Findings
from imgbuild.fetch.oci import SCHEMES, repository
from imgbuild.fetch.store import Store
from imgbuild.image.cache import default_cache, is_there, open_cache, open_store
from imgbuild.image.forecast import Item, forecast, sizes_to_fetch
from imgbuild.image.times import LastRun, last_run
from imgbuild.outputs.tree import own_users
from imgbuild.pipeline import prepare


@click.command("plan", cls=Command)
@ends_well
@input_options()
@name_option
@store_option
def command(says: Says, given: Given, name: str | None, store: str | None) -> None:
    """Show what a build would fetch, build and take from the cache, and how long the last one took."""
    findings = Findings()
    ready = prepare(given.request(name), findings)
    says.findings(findings)
    if ready.resolved.profile.mode == "stock":
        says.note("in stock mode no disk image is built: the nodes fetch what they need, at first boot")
        return
    cache = default_cache()
    there = is_there(cache)
    place = store or os.environ.get("IMGBUILD_STORE")
    shared = repository(place) if place and place.startswith(SCHEMES) else None
    if shared is not None or not (there or place):
        files = Store((open_cache(cache) if there else cache) / "store", own_users())  # which makes no folder
    else:
        files = open_store(cache, store)
    lock = ready.pinned.section if ready.pinned is not None else None
    items = forecast(ready.resolved, ready.rendered.install, ready.preload, lock, cache, files, says.steps(), shared)
    for item in items:
        _show(says, item)
    before = last_run(cache, ready.resolved.name)
    if before is not None:
        _show_run(says, before)
    sizes = sizes_to_fetch(items)
    if says.json:
        known = sum(size for size in sizes if size is not None)
        says.result(cache=str(cache), store=str(files.folder), bytes=known, unknown=sizes.count(None))
        return
    says.out.print(_total(sizes))
    says.note(f"the cache is {cache}{'' if there else ', which does not exist yet'}")


def _show(says: Says, item: Item) -> None:
    if says.json:
        says.event("item", action=item.action, name=item.name, bytes=item.bytes, sources=list(item.source))
        return
    size = size_text(item.bytes) if item.bytes is not None else "?" if item.action == "fetch" else ""
    source = f"  from {', then '.join(item.source)}" if item.source else ""
    says.out.print(f"{item.action:5}  {size:>10}  {item.name}{source}")


def _show_run(says: Says, before: LastRun) -> None:
    ended = datetime.fromtimestamp(before.ended, UTC)
    if says.json:
        for step in before.steps:
            says.event("took", text=step.text, depth=step.depth, seconds=step.seconds)
        says.result(last_run={"ended": ended.isoformat(), "seconds": before.seconds})
        return
    says.out.print(f"the last build, of {ended:%Y-%m-%d %H:%M} UTC, took {before.seconds:.1f} s:")
    for step in before.steps:
        says.out.print(f"  {step.seconds:7.1f} s  {'  ' * step.depth}{step.text}")


def _total(sizes: Sequence[int | None]) -> str:
    known = sum(size for size in sizes if size is not None)
    unknown = sizes.count(None)
    if not sizes:
        return "nothing is fetched"
    parts = [size_text(known)] if known else []
    parts += [f"{unknown} of unknown size"] if unknown else []
    return f"to fetch: {' and '.join(parts)}"
