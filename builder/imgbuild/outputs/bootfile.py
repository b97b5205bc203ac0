"""boot.json in pxe-private/: what boots over the network or from a medium, for a program that starts machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.bootline import BootLine

PRIVATE = "pxe-private"
"""The folder with the seeds, and its name below the address of pxe/."""
NAME = "boot.json"


class MediumFacts(BaseModel):
    """A CD or a USB disk: the file system's ``label``, the live root's place on it, where the live system mounts it."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    label: str
    root: str
    mount: str
    arguments: Sequence[str]
    install: Sequence[str]


class BootFile(BaseModel):
    """``live``: there is a live root to boot; ``kernel``, ``initrd`` and ``root`` are names in pxe/."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: Literal[1] = 1
    cluster: str
    live: bool
    kernel: str
    initrd: str
    root: str
    source: str
    medium: MediumFacts
    nodes: Sequence[BootLine]

    def content(self) -> bytes:
        """The file."""
        return f"{json.dumps(self.model_dump(mode='json'), indent=1, sort_keys=True)}\n".encode()


def read_boot_file(folder: Path) -> BootFile:
    """boot.json of an output folder.

    Raises:
        HostError: there is none, or it cannot be read.
    """
    path = folder / PRIVATE / NAME
    try:
        return BootFile.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise HostError(
            f"{folder} has no {PRIVATE}/{NAME}, which lists the nodes that boot over the network",
            "build it again with this version of imgbuild",
        ) from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", "run it as the user who built it") from error
    except ValidationError as error:
        raise HostError(f"{path} is damaged, or from another version of imgbuild", "build it again") from error
