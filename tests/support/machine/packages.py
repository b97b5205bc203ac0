"""Debian packages that tests unpack, from the mirror that this host's apt is set up with."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.deadline import HUNG


def cache_dir() -> Path:
    """Where downloaded packages stay from run to run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "imgbuild-tests" / "debs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def candidate(package: str) -> str:
    """The version that apt would install; AssertionError if it knows none."""
    shown = _run("apt-cache", "policy", package)
    version = next((line.split()[1] for line in shown.splitlines() if "Candidate:" in line), "(none)")
    assert version != "(none)", f"apt knows no package {package}: run apt-get update"
    return version


def download(package: str) -> Path:
    """The package's file, downloaded if its newest version isn't in the cache yet."""
    version = candidate(package)
    pattern = f"{package}_{version.replace(':', '%3a')}_*.deb"
    folder = cache_dir()
    with _locked(folder):
        if not list(folder.glob(pattern)):
            # Into a folder of its own: a download that was cut off must not be taken for a package.
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                argv = ["apt-get", "download", "-q", "-o", "Acquire::Retries=3", f"{package}={version}"]
                subprocess.run(argv, cwd=fresh, check=True, timeout=HUNG)
                for deb in Path(fresh).glob(pattern):
                    deb.rename(folder / deb.name)
        (found,) = folder.glob(pattern)
    return found


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One test process at a time: two that download one package write into one file."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def depends_on(package: str) -> str:
    """The first package that ``package``, a metapackage, depends on."""
    shown = _run("apt-cache", "show", "--no-all-versions", package)
    line = next(line for line in shown.splitlines() if line.startswith("Depends:"))
    return line.split()[1].rstrip(",")


def unpack(deb: Path, folder: Path) -> Path:
    """Unpack the package's files below ``folder``, once."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        subprocess.run(["dpkg-deb", "-x", str(deb), str(part)], check=True, timeout=HUNG)
        try:
            part.rename(folder)
        except OSError:  # another test process was faster
            subprocess.run(["rm", "-r", str(part)], check=True)
    return folder


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=HUNG).stdout
