"""imgbuild's own wheel and those of the packages that it needs, for a machine that has no network to install from."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from imgbuild import __version__
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.diagnostics.mask import mask

_SECONDS = 1800
_OURS = "imgbuild"
_EPOCH = "1700000000"
"""SOURCE_DATE_EPOCH of a wheel that is built here: the same source gives the same bytes."""
_HINT = "check the network and pip's index (pip config list); or pass --wheels DIR with the wheels, or --no-wheels"


def for_python() -> str:
    """Which Python these wheels are for."""
    return f"{platform.python_implementation()} {platform.python_version()}, {sys.platform} {platform.machine()}"


@contextmanager
def built_wheels() -> Iterator[list[Path]]:
    """The wheels, in the versions that run now, until the end of the block: by `pip wheel`, from its index.

    Raises:
        HostError: pip is missing or failed.
    """
    with TemporaryDirectory(prefix="imgbuild-wheels-") as name:
        folder = Path(name)
        versions = folder / "constraints.txt"
        versions.write_text("".join(sorted(_installed())))
        argv = [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-input",
            "--wheel-dir", str(folder / "wheels"), "--constraint", str(versions), _source(folder),
        ]  # fmt: skip
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH, "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(argv, capture_output=True, check=False, env=environment, timeout=_SECONDS, cwd=folder)
        except subprocess.TimeoutExpired as error:
            raise HostError(f"pip did not collect the wheels in {_SECONDS} s", _HINT) from error
        if done.returncode:
            raise _failed(done.stderr.decode(errors="replace"))
        yield wheels_in(folder / "wheels")


def wheels_in(folder: Path) -> list[Path]:
    """The wheels of a folder, imgbuild's among them.

    Raises:
        UsageError: there is none of imgbuild in this version.
    """
    found = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if not any(path.name.startswith(f"{_OURS}-{__version__}-") for path in found):
        raise UsageError(
            f"{folder} has no wheel of imgbuild {__version__}",
            f"fill it: pip wheel --wheel-dir {folder} imgbuild=={__version__}; or leave out --wheels",
        )
    return found


def _installed() -> Iterator[str]:
    """A constraint for each installed package: the wheels have the versions that are in use."""
    for found in metadata.distributions():
        name = found.metadata["Name"]
        if (
            name
            and name.lower() not in (_OURS, "pip", "setuptools", "wheel")
            and found.read_text("direct_url.json") is None
        ):
            yield f"{name}=={found.version}\n"


def _source(folder: Path) -> str:
    """What pip makes imgbuild's wheel from: the checkout or the wheel that it was installed from, else the index.

    The source is copied: a build writes to it. Source: PEP 610 (direct_url.json).
    """
    text = metadata.distribution(_OURS).read_text("direct_url.json")
    url = json.loads(text)["url"] if text else ""
    place = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
    if place is not None and place.is_dir():
        copy = folder / "source"
        shutil.copytree(place, copy, symlinks=True, ignore=shutil.ignore_patterns(
            ".git", ".venv", "build", "dist", "out", "tests", "*.egg-info", "__pycache__", ".*_cache",
        ))  # fmt: skip
        return str(copy)
    return str(place) if place is not None and place.is_file() else f"{_OURS}=={__version__}"


def _failed(said: str) -> HostError:
    if "No module named pip" in said:
        return HostError(
            f"{sys.executable} has no pip, which collects the wheels",
            "run imgbuild from a virtual environment with pip (python3 -m venv); or pass --wheels DIR, or --no-wheels",
        )
    last = " | ".join(line.strip() for line in said.strip().splitlines()[-3:]) or "no message"
    return HostError(f"pip did not collect the wheels: {mask(last)}", _HINT)
