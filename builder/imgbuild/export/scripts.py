"""Parts that several scripts have."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from imgbuild.export.given import Unit
from imgbuild.export.image import Source


def which(units: Sequence[Unit]) -> Iterator[str]:
    """The machines that the arguments name, else all."""
    names = " ".join(shlex.quote(unit.name) for unit in units)
    yield f'[ "$#" -gt 0 ] || set -- {names}'


def the_image(source: Source | None) -> Iterator[str]:
    """``$image`` on this host: fetched with its checksum if an address is known, else it must be there."""
    yield 'if [ ! -e "$image" ]; then'
    if source is None:
        yield '  echo "copy the disk image to $image first" >&2'
        yield "  exit 1"
    else:
        yield f'  curl --fail --location --retry 3 --output "$image.part" {shlex.quote(source.url)}'
        yield f'  echo "{source.sha256}  $image.part" | sha256sum --check --quiet'
        yield '  mv "$image.part" "$image"'
    yield "fi"
