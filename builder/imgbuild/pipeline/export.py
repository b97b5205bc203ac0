"""An export: what a build without an image writes, and the files for other systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError, InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import Steps
from imgbuild.export.given import Built, Files, Given, Options
from imgbuild.export.image import form_of
from imgbuild.export.systems import SYSTEMS
from imgbuild.outputs.manifest import EXPORT, read_manifest
from imgbuild.outputs.seed import SeedGroup
from imgbuild.outputs.signature import read_sums
from imgbuild.pipeline import Input, Request, prepare
from imgbuild.pipeline.write import write


@dataclass(frozen=True)
class Export:
    """Files that can be written: there are no errors."""

    ready: Input
    systems: Sequence[str]
    options: Options
    output: Path
    made: Mapping[str, Files]

    def write(self, steps: Steps) -> Mapping[str, Path]:
        """Write them below ``output``; return each system's folder.

        Raises:
            HostError: the folder cannot be written.
            UsageError: it was made from another profile; nothing is written.
        """
        place = write(
            self.ready, self.output, steps, image=False, cache=Path(), fresh=False, exports=self._final
        )  # fmt: skip
        return {name: place / EXPORT / name for name in self.systems}

    def _final(self, ready: Input) -> Mapping[str, Files]:
        """With the keys that are in the secrets file now: another run may have made them meanwhile."""
        if ready is self.ready:
            return self.made
        return _made(ready, self.systems, self.options, self.output, Findings())


def plan(request: Request, systems: Sequence[str], options: Options, output: Path, findings: Findings) -> Export:
    """Read, check and render, and make the files of all systems; nothing is written.

    Raises:
        InvalidInput: there are errors.
        HostError: the process that renders half of the nodes was killed.
    """
    ready = prepare(request, findings)
    made = _made(ready, systems, options, output, findings)
    if findings.errors:
        raise InvalidInput(findings)
    return Export(ready, systems, options, output, made)


def _made(
    ready: Input, systems: Sequence[str], options: Options, output: Path, findings: Findings
) -> Mapping[str, Files]:
    nodes = ready.rendered.groups["nodes"]
    assert isinstance(nodes, SeedGroup)  # noqa: S101 - rendered so
    given = Given(
        resolved=ready.resolved,
        cluster=ready.cluster,
        layered=ready.cluster_layered,
        own={name: own.resolved for own in ready.own for name in own.names},
        seeds=nodes.seeds,
        epoch=ready.request.epoch,
        options=options,
        built=_built(ready, output / ready.resolved.name),
        findings=findings,
    )
    return {name: SYSTEMS[name](given) for name in systems}


def _built(ready: Input, folder: Path) -> Built:
    """The image that an earlier build left in the output folder."""
    try:
        image = read_manifest(folder)["groups"].get("image")
    except HostError:
        image = None
    if image is None:
        return Built()
    sums = {name: known for name, known in read_sums(folder / "image").items() if form_of(name) is not None}
    return Built(sums, image.get("run") == ready.image_id)
