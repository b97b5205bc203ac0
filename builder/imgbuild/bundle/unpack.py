"""Take the profile, its lock and the wheels out of a bundle, into a new folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from imgbuild.bundle.read import Bundle
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.outputs.caller import give_tree

_KINDS = ("profile", "wheel")


def unpack(bundle: Bundle, folder: Path, more: Callable[[Path], None] = lambda _: None) -> int:
    """Write profile/ and wheels/ to the new folder ``folder``, complete or not at all; return how many files.

    ``more`` adds to the folder before it gets its name.

    Raises:
        UsageError: the folder exists.
        HostError: it cannot be written, or a file is damaged.
    """
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is there already", "name a new folder")
    chosen = [one.path for one in bundle.contents.files if one.kind in _KINDS]
    new: Path | None = None
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", dir=folder.parent))
        for path in chosen:  # layout.is_path has accepted each: they are below the folder
            place = new / path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as out:
                bundle.copy(path, out)
        more(new)
        give_tree(new)
        new.chmod(0o755)
        new.rename(folder)
    except OSError as error:
        raise HostError(
            f"cannot write to {folder}: {error.strerror}", "name a new folder where you may write, with free space"
        ) from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)
    return len(chosen)
