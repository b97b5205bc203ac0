"""`imgbuild images`: every container image that the nodes pull, with the addresses it is pulled from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click
from rich.console import Console

from imgbuild.cli.options import Given, input_options
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.cluster import Cluster
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Findings, format_path
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.images import Image, addresses, images, known_until, sources
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.images import digest_of
from imgbuild.fetch.registry import ImageMissingError, registries
from imgbuild.pipeline import prepare


@click.command("images", cls=Command)
@ends_well
@input_options()
@click.option("--names", is_flag=True, help="Print only the images' names, one per line, for other tools.")
@click.option(
    "--digests", is_flag=True, help="Look up each image's digest in its registry (needs skopeo and a network)."
)
def command(says: Says, given: Given, names: bool, digests: bool) -> int:
    """List the container images that the nodes pull, and where they are pulled from."""
    if names and says.json:
        raise click.UsageError("--names and --format json cannot be used together")
    ready = prepare(given.request(), Findings())
    lines = listed([ready.resolved, *(own.resolved for own in ready.own)], ready.cluster)
    if digests:
        lines = with_digests(ready.resolved.profile, lines, says.steps())
    remarks = notes(ready.resolved)
    if says.json:
        for line in lines:
            says.event("image", **_row(line))
        for remark in remarks:
            says.note(remark)
    elif names:
        print_names(says.out, lines)
        for line in (line for line in lines if line.problem):
            says.note(f"{line.image.reference} has no digest, and is not listed: {line.problem}")
    else:
        print_lines(says.out, lines, remarks)
    return 3 if any(line.problem for line in lines) else 0


@dataclass(frozen=True)
class Line:
    """One image. ``digest`` is the registry's, if it was queried; ``problem`` is why there is none."""

    image: Image
    addresses: Sequence[str]
    digest: str | None = None
    problem: str | None = None


def listed(profiles: Iterable[Resolved], cluster: Cluster) -> list[Line]:
    """The images of these profiles (nodes with their own settings have one each), without duplicates."""
    found: dict[str, Line] = {}
    for resolved in profiles:
        for image in images(resolved, cluster):
            found.setdefault(image.reference, Line(image, addresses(resolved.profile, image)))
    return list(found.values())


def with_digests(profile: Profile, lines: Iterable[Line], steps: Steps) -> list[Line]:
    """The same with the digests from the registries.

    Raises:
        HostError: skopeo is not installed.
    """
    out = []
    with registries(profile) as asked:
        for line in lines:
            with steps.step(f"Look up {line.image.reference}"):
                try:
                    found, _ = digest_of(asked, line.image, sources(profile, line.image))
                    out.append(Line(line.image, line.addresses, digest=found))
                except ImageMissingError as error:
                    out.append(Line(line.image, line.addresses, problem=str(error)))
    return out


def notes(resolved: Resolved) -> list[str]:
    """What the tables do not know about these versions, and which archives are used before any registry."""
    profile = resolved.profile
    out: list[str] = []
    if not profile.kubernetes.enabled:
        return out
    for what, table, release in (
        ("etcd and coredns of Kubernetes", "kubernetes-images", profile.kubernetes.version),
        ("the images of Cilium", "cilium-images", profile.cilium.version if profile.cilium.enabled else ""),
    ):
        known = known_until(table, release) if release else None
        if known is not None:
            out.append(f"{what} {release} are listed as in {known}, the newest known version")
    unread = [addon.name for addon in profile.addons if addon.manifest is None]
    if unread:
        out.append(
            f"the images of these addons are not listed, because only first boot reads them: {', '.join(unread)}"
        )
    if profile.containerd.images:
        names = ", ".join(archive.name for archive in profile.containerd.images)
        out.append(f"images in these archives are loaded from them, only others are pulled: {names}")
    return out


def print_names(console: Console, lines: Sequence[Line]) -> None:
    """One name per line, with its digest if it was looked up; an image whose digest was not found is left out."""
    for line in (line for line in lines if line.problem is None):
        console.print(line.image.reference if line.digest is None else f"{line.image.name}@{line.digest}")


def print_lines(console: Console, lines: Sequence[Line], remarks: Sequence[str]) -> None:
    """Below each address the images that are pulled from there."""
    width = max((len(line.image.reference) for line in lines), default=0)
    for asked in dict.fromkeys(tuple(line.addresses) for line in lines):
        console.print(f"from {', then '.join(asked)}")
        for line in lines:
            if tuple(line.addresses) == asked:
                _print_line(console, line, width)
    for remark in remarks:
        console.print(f"note: {remark}")


def _print_line(console: Console, line: Line, width: int) -> None:
    by_digest = ", pulled by digest" if line.image.by_digest else ""
    console.print(f"    {line.image.reference:{width}}  {line.image.part}{by_digest}")
    if line.digest is not None:
        console.print(f"        {line.digest}")
    if line.problem is not None:
        console.print(f"        NOT FOUND: {line.problem}")


def _row(line: Line) -> dict[str, object]:
    image = line.image
    row: dict[str, object] = {
        "image": image.reference,
        "part": image.part,
        "from": list(line.addresses),
        "key": format_path(image.key),
        "file": "cluster" if image.in_cluster_file else "profile",
        "by_digest": image.by_digest,
    }
    if line.digest is not None:
        row["digest"] = line.digest
    if line.problem is not None:
        row["problem"] = line.problem
    return row
