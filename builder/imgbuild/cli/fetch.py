"""`imgbuild fetch`: what a profile pins by sha256, into the store, for builds to come and for other machines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from imgbuild.cli.options import Given, input_options, store_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.cli.sizes import size_text
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.fetch.absent import not_there
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.pinned import pinned, with_sizes
from imgbuild.fetch.several import Fetched, fetch_all, missing
from imgbuild.fetch.store import Store
from imgbuild.image.cache import default_cache, open_store
from imgbuild.image.surroundings import surroundings
from imgbuild.pipeline import Input, prepare


@click.command("fetch", cls=Command)
@ends_well
@input_options()
@store_option
@click.option("--verify", is_flag=True, help="Read every file in the store again and compare its checksum.")
@click.option("--offline", is_flag=True, help="Fetch nothing: report everything that is missing.")
def command(says: Says, given: Given, store: str | None, verify: bool, offline: bool) -> None:
    """Fetch what a profile and its lock pin by checksum, into the store: files, packages, container images."""
    findings = Findings()
    ready = prepare(given.request(), findings)
    resolved = ready.resolved
    says.findings(findings)
    files = open_store(default_cache(), store, offline=offline)
    wanted = with_sizes(pinned(resolved), ready.pinned.section if ready.pinned is not None else None)
    packages = _packages(ready)
    if offline:
        done = _there(ready, wanted, packages, files, says, verify=verify)
    else:
        with surroundings(resolved.profile):
            done = _fetched(wanted, packages, files, says, verify=verify)
    new = {artifact.sha256 for artifact in done.new}
    for artifact in {artifact.sha256: artifact for artifact in wanted}.values():
        _show(says, artifact, files, new=artifact.sha256 in new)
    if packages:
        _show_packages(says, packages, files, new)
    if resolved.profile.mode == "stock" and wanted:
        says.note("in stock mode the nodes fetch these files themselves, at first boot, from the profile's addresses")
    if ready.preload:
        _images(says, ready, files)
    if says.json:
        says.result(store=str(files.folder))


def _there(
    ready: Input, wanted: Sequence[Artifact], packages: Sequence[Artifact], files: Store, says: Says, *, verify: bool
) -> Fetched:  # fmt: skip
    """All of them, without a network.

    Raises:
        HostError: files or container images are missing; all of them are named.
    """
    every, steps, lacks = [*wanted, *packages], says.steps(), []
    if absent := missing(every, files, steps, verify=verify):
        error = not_there(absent, files.folder)
        lacks.append((str(error), error.hint))
    if ready.preload:
        from imgbuild.image.offline import image_lacks  # what builds images takes half the run time

        found = image_lacks(ready.resolved.profile, ready.preload, files, steps)
        lacks += [(lack.what, lack.hint) for lack in found]
    if lacks:
        raise HostError("; ".join(what for what, _ in lacks), "\n".join(dict.fromkeys(hint for _, hint in lacks)))
    return Fetched(every, ())


def _fetched(
    wanted: Sequence[Artifact], packages: Sequence[Artifact], files: Store, says: Says, *, verify: bool
) -> Fetched:
    if not packages:
        return fetch_all(wanted, files, says.steps(), verify=verify)
    from imgbuild.image.rootfs.locked import fetch_with_packages  # what builds images takes half the run time

    return fetch_with_packages(wanted, packages, files, says.steps(), verify=verify)


def _packages(ready: Input) -> list[Artifact]:
    """The packages of the lock."""
    if ready.locked_packages is None or ready.resolved.profile.mode != "baked":
        return []
    from imgbuild.image.rootfs.locked import locked_files  # what builds images takes half the run time

    return locked_files(ready.resolved, ready.locked_packages)


def _show_packages(says: Says, packages: Sequence[Artifact], files: Store, new: Collection[str]) -> None:
    """All of them in one line: there are hundreds."""
    if says.json:
        for package in packages:
            _show(says, package, files, new=package.sha256 in new)
        return
    size, now = sum(package.size or 0 for package in packages), sum(package.sha256 in new for package in packages)
    state = "fetched" if now else "there  "
    says.out.print(f"{state}  {size_text(size):>10}  {len(packages)} packages{f', {now} of them now' if now else ''}")


def _images(says: Says, ready: Input, files: Store) -> None:
    """The images of images.preload, too."""
    from imgbuild.image.preload import fetch  # what builds images takes half the run time
    from imgbuild.pipeline.disk import images_found

    profile, steps = ready.resolved.profile, says.steps()
    found = images_found(ready, files, steps)
    fetch(profile, found, files, steps)
    for one in found:
        if says.json:
            says.event("image", image=one.image.reference, digest=one.digest, bytes=one.size)
        else:
            says.out.print(f"image    {size_text(one.size):>10}  {one.digest}  {one.image.reference}")


def _show(says: Says, artifact: Artifact, files: Store, *, new: bool) -> None:
    path = files.path(artifact.sha256)
    size = path.stat().st_size
    if says.json:
        says.event("file", name=artifact.name, sha256=artifact.sha256, bytes=size, path=str(path), fetched=new)
    else:
        says.out.print(f"{'fetched' if new else 'there  '}  {size_text(size):>10}  {artifact.sha256}  {artifact.name}")
