"""The disk image of a build: what it needs from outside, and its making. Only a build with an image imports this."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.layers import report
from imgbuild.diagnostics.errors import HostError, InvalidInput, NoAnswer
from imgbuild.diagnostics.findings import Findings, format_path
from imgbuild.diagnostics.progress import Steps
from imgbuild.diagnostics.timed import Taken
from imgbuild.facts.images import Image
from imgbuild.fetch.images import Found
from imgbuild.fetch.registry import ImageMissingError, Trouble
from imgbuild.fetch.store import Store
from imgbuild.image.build import ImageRecord, Ingredients, build_image, host_problems
from imgbuild.image.cache import open_store
from imgbuild.image.offline import offline_lacks
from imgbuild.image.preload import look_up, total_size
from imgbuild.image.requirements import Lack, together
from imgbuild.image.times import LastRun, save
from imgbuild.outputs.signature import Signer
from imgbuild.pipeline import Input


@dataclass(frozen=True)
class Disk:
    """What is known of the image before anything is written. ``problems``: why the host cannot build it."""

    name: str
    cache: Path
    store: Store
    problems: Sequence[Lack]
    found: Sequence[Found]

    def refuse(self, place: Path) -> None:
        """Check that there are no problems; everything else is in ``place``.

        Raises:
            HostError: there are.
        """
        if self.problems:
            why, hints = together(self.problems)
            raise HostError(f"the disk image was not built, everything else is in {place}: {why}", hints)

    def build(
        self, ready: Input, wanted: str, folder: Path, steps: Steps, *, fresh: bool, boot: Path, signer: Signer | None
    ) -> ImageRecord:
        """Build the image with the id ``wanted`` into ``folder``, and what a network boot needs into ``boot``.

        Raises:
            HostError: the host, a mirror or the build failed.
        """
        rendered = ready.rendered
        of = Ingredients(
            ready.resolved, rendered.install, rendered.node, rendered.live, self.found, ready.locked_packages
        )  # fmt: skip
        return build_image(of, wanted, folder, boot, self.cache, self.store, steps, fresh=fresh, signer=signer)

    def note_times(self, taken: Sequence[Taken]) -> None:
        """Keep what each step took, for the next `imgbuild plan`.

        Raises:
            HostError: the cache cannot be used.
        """
        save(self.cache, self.name, LastRun(int(time.time()), taken))


def open_disk(ready: Input, place: Path, cache: Path, store: str | None, steps: Steps, *, offline: bool) -> Disk:
    """What a build of the image needs, before anything is written.

    Raises:
        InvalidInput: container images that the disk image gets cannot be had.
        HostError: the store or the cache cannot be used.
    """
    resolved, packages = ready.resolved, ready.locked_packages
    files = open_store(cache, store, offline=offline)
    problems = [*host_problems(resolved, place, cache, locked=packages is not None)]
    if offline:
        problems += offline_lacks(resolved, ready.rendered.install, ready.preload, cache, files, steps, packages)
    for problem in problems:
        steps.note(f"no disk image will be built: {problem.what}")
    found = [] if problems else images_found(ready, files, steps)
    return Disk(resolved.name, cache, files, problems, found)


_CODES: Mapping[Trouble, str] = {"missing": "IB837", "silent": "IB838", "another": "IB839", "unfit": "IB839"}


def images_found(ready: Input, store: Store, steps: Steps, images: Sequence[Image] | None = None) -> list[Found]:
    """The container images of the disk image, in the store or in their registries. All that is missing is reported.

    ``images``: others than those.

    Raises:
        NoAnswer: a registry does not answer.
        InvalidInput: an image cannot be had.
        HostError: skopeo is not installed, or the store cannot be used.
    """
    wanted = ready.preload if images is None else images
    if not wanted:
        return []
    found, missing = look_up(ready.resolved.profile, wanted, store, steps)
    findings = Findings()
    for each in missing:
        _report(ready, each.image, each.why, findings)
    if findings.errors:
        raise (NoAnswer if any(each.why.kind == "silent" for each in missing) else InvalidInput)(findings)
    steps.note(f"{len(found)} container images, {total_size(found) >> 20} MiB")
    return found


def _report(ready: Input, image: Image, why: ImageMissingError, findings: Findings) -> None:
    """One image that cannot be had, at the place that decides about it: that of its digest, if the digest is wrong."""
    message, pinned = f"{image.reference}: {why}", ready.pinned
    pin = pinned.section.images.get(image.name) if pinned is not None else None
    if pinned is not None and pin is not None and pin.digest == image.digest and why.kind in ("missing", "another"):
        again = f"{pinned.again} --update {shlex.quote(image.name)}"
        hint = f"if another image has this name on purpose, pin that: {again}; else copy this one there: skopeo copy"
        key = format_path(("profiles", pinned.name, "images", image.name))
        findings.add(_CODES[why.kind], message, key=key, mark=pinned.mark("images", image.name), hint=hint)
        return
    layered = ready.cluster_layered if image.in_cluster_file else ready.resolved.layered
    report(findings, layered, _CODES[why.kind], image.key, message, why.hint)
