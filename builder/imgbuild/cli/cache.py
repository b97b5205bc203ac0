"""`imgbuild cache`: what imgbuild keeps on this disk, whether it is whole, and how to get rid of it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from imgbuild.bundle.read import open_bundle
from imgbuild.cli.options import store_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.cli.sizes import Days, Size, age_text, size_text
from imgbuild.diagnostics.errors import UsageError
from imgbuild.fetch.oci import SCHEMES
from imgbuild.fetch.store import Store
from imgbuild.image.cache import default_cache, is_there, open_cache, open_store
from imgbuild.image.inventory import Damage, Entry, chosen, entries, removed, verify


@click.command("cache", cls=Command)
@ends_well
@click.argument("action", type=click.Choice(["list", "prune", "verify"]))
@store_option
@click.option(
    "--older-than", type=Days(), help="prune: remove what was not used for that long, such as 30d (d days, h hours)."
)
@click.option(
    "--max-size", type=Size(),
    help="prune: remove what was not used for the longest time, until the rest fits, such as 20G.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="prune: show what would be removed.")
def command(
    says: Says, action: str, store: str | None, older_than: float | None, max_size: int | None, dry_run: bool
) -> int:
    """List, verify or prune what imgbuild keeps on this disk."""
    limited = older_than is not None or max_size is not None
    if action != "prune" and (limited or dry_run):
        raise click.UsageError("--older-than, --max-size and --dry-run belong to imgbuild cache prune")
    if action == "prune" and not limited:
        raise click.UsageError("choose what to remove: --older-than 30d, or --max-size 20G, or both")
    place = default_cache()
    place = open_cache(place) if is_there(place) else place
    named = store or os.environ.get("IMGBUILD_STORE")
    files = open_store(place, named) if is_there(place) or named else Store(place / "store")
    if named and not (named.startswith(SCHEMES) or Path(named).exists()):
        raise UsageError(f"there is no store {named}", "correct its path; imgbuild fetch makes a new one")
    if action == "verify":
        return _verify(says, place, files, named)
    if named and named.startswith(SCHEMES):
        says.note(f"this is what this machine keeps; {named} itself is neither listed nor pruned here")
    found = entries(place, files)
    if action == "list":
        return _list(says, found)
    gone = 0
    for entry in chosen(found, older_than, max_size):
        if not dry_run and not removed(entry, place, files):
            says.note(f"{entry.path} is in use, and is not removed")
            continue
        gone += entry.size
        _show(says, entry, "would be removed" if dry_run else "removed")
    if says.json:
        says.result(bytes=gone)
    else:
        says.out.print(f"{size_text(gone)} {'would be freed' if dry_run else 'freed'}")
    return 0


def _list(says: Says, found: list[Entry]) -> int:
    for entry in found:
        _show(says, entry)
    total = sum(entry.size for entry in found)
    if says.json:
        says.result(bytes=total)
    else:
        says.out.print(f"{size_text(total)} in all")
    return 0


def _show(says: Says, entry: Entry, done: str = "") -> None:
    if says.json:
        says.event(
            "entry", kind=entry.kind, name=entry.name, path=str(entry.path), bytes=entry.size,
            seconds=round(entry.age()), kept=entry.kept or None,
        )  # fmt: skip
        return
    what = f"{size_text(entry.size):>10}  {age_text(entry.age()):>8}  {entry.kind}  {entry.name}  {entry.path}"
    says.out.print(f"{done}{'  ' if done else ''}{what}{f'  (kept: {entry.kept})' if entry.kept else ''}")


def _verify(says: Says, place: Path, files: Store, named: str | None) -> int:
    damage = [*_beside(says, named), *verify(place, files, says.steps())]
    if says.json:
        says.result(damaged=[{"path": str(each.path), "what": each.what} for each in damage])
        return 3 if damage else 0
    for each in damage:
        says.out.print(f"DAMAGED  {each.path}: {each.what}")
    if not damage:
        says.out.print("everything matches its checksum")
    return 3 if damage else 0


def _beside(says: Says, named: str | None) -> list[Damage]:
    """What is wrong with a bundle that is the store; a registry is not read."""
    if named is None or Path(named).is_dir():
        return []
    if named.startswith(SCHEMES):
        says.note(f"{named} itself is not read: what a run takes from there is compared with its checksum then")
        return []
    with says.steps().step(f"Verify {named}"):
        return [Damage(Path(named), what) for what in open_bundle(Path(named)).damage()]
