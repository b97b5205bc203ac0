"""One run of diskimage-builder: its surroundings, its progress, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import few
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.progress import Steps
from imgbuild.image.cache import subfolder
from imgbuild.image.overlay import lay
from imgbuild.image.rootfs import diblog
from imgbuild.image.rootfs.dibcache import DibCache
from imgbuild.image.rootfs.locked import FOLDER
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.image.rootfs.supervisor import JOB
from imgbuild.image.surroundings import FIRST_SOURCES, PROXIES, TRUST, first_sources

_POLL_SECONDS = 0.5
_NOTE_SECONDS = 2.0  # packages go by faster than anyone can read, and each note is a line in a log
_TMPFS_FROM_MIB = 8192
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_dib(plan: RootfsPlan, key: str, cache_dir: Path, run_dir: Path, lock: int, supply: Path, steps: Steps) -> Path:
    """Run diskimage-builder for ``plan`` in ``run_dir`` and return the tar it made there.

    ``supply``: the folder of Supply.folder. ``lock`` is the cache's lock; the supervisor holds it too, so that a next
    run waits until it has cleaned up after a killed imgbuild. The log is kept in cache_dir/logs.

    Raises:
        HostError: it failed; with the cause.
    """
    run_dir.mkdir(mode=0o700)
    tree = run_dir / "install"
    tree.mkdir()
    lay(tree, plan.install, int(os.environ.get("SOURCE_DATE_EPOCH") or 0) or int(time.time()))
    kept = DibCache(subfolder(cache_dir, "dib"))
    if unknown := kept.discard_unknown():
        steps.note(f"removed from the cache, because no build recorded it: {few(unknown, 3)}")
    job = {
        "argv": [sys.executable, "-c", _START, "-x", "-n", "-t", "tar", "-o", str(run_dir / "root"), *plan.elements],
        "env": _environment(plan, cache_dir, run_dir, tree, supply),
        "tmpfs_mib": _tmpfs_mib(),
    }
    (run_dir / JOB).write_text(json.dumps(job))
    log, kept_log = run_dir / "log", subfolder(cache_dir, "logs") / f"{plan.target}-{key[:12]}.log"
    log.touch()
    progress = diblog.Progress()
    try:
        code = _supervise(run_dir, lock, log, progress, steps)
    finally:
        if log.exists():
            _keep_log(log, kept_log)
    kept.vouch()
    tar = run_dir / "root.tar"
    if code or not tar.exists():
        raise diblog.failure(kept_log, code, plan.environment.get("DIB_DISTRIBUTION_MIRROR", ""), progress.phase)
    return tar


def _keep_log(log: Path, kept: Path) -> None:
    """The log for its owner only, and without a proxy's login: diskimage-builder runs with bash -x."""
    fresh = kept.with_suffix(".part")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with (
        log.open(encoding="utf-8", errors="surrogateescape") as lines,
        os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as out,
    ):
        out.writelines(map(mask, lines))
    fresh.replace(kept)


# What the console script disk-image-create does; its own file may be anywhere (a zip, another environment).
_START = "import sys; sys.argv[0] = 'disk-image-create'; from diskimage_builder.disk_image_create import main; main()"


def _environment(plan: RootfsPlan, cache_dir: Path, run_dir: Path, tree: Path, supply: Path) -> dict[str, str]:
    """A plain environment: nothing from the caller's gets into the build except proxies and authorities."""
    home = run_dir / "home"
    home.mkdir()
    dib = cache_dir / "dib"
    return {
        "PATH": _PATH,
        "HOME": str(home),
        "USER": "root",
        "LANG": "C.UTF-8",
        **{name: os.environ[name] for name in (*PROXIES, TRUST) if name in os.environ},
        **plan.environment,
        **plan.local,
        **({"IMGBUILD_BASE_TAR": str(plan.base.tar)} if plan.base else {}),
        "ELEMENTS_PATH": str(plan.elements_dir.resolve()),
        "IMGBUILD_INSTALL_TREE": str(tree),
        "IMGBUILD_SUPPLY": str(supply),
        "TMP_DIR": str(run_dir / "tmp"),
        "DIB_NO_TMPFS": "1",  # the supervisor mounts one if there is memory: it must know its number
        "DIB_IMAGE_CACHE": str(dib),
        "DIB_LOCKFILES": str(dib / "locks"),
        "DIB_PYTHON_EXEC": sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        **_first_sources(plan, supply / FOLDER, run_dir),
    }


def _first_sources(plan: RootfsPlan, locked: Path, run_dir: Path) -> Mapping[str, str]:
    """Where mmdebstrap takes Debian's packages from: a file with apt's sources, whose name ends in .list.

    Packages of a lock have the sha256 that is there, and nobody signs them. By copy: what file: names is not in the
    chroot, where dpkg looks for it.
    """
    if "DIB_APT_SOURCES_CONF" not in plan.environment:
        return {}
    sources = plan.local.get(FIRST_SOURCES) or first_sources(plan.environment["DIB_APT_SOURCES_CONF"])
    if locked.is_dir():
        sources = f"deb [trusted=yes] copy://{locked} {plan.environment['DIB_RELEASE']} main"
    place = run_dir / "first.list"
    place.write_text(f"{sources}\n")
    return {"DIB_DISTRIBUTION_MIRROR": str(place)}


def _tmpfs_mib() -> int:
    """How much memory to build in, in MiB: three quarters of what is free, 0 (use the disk) if that is too little."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name == "MemAvailable":
            free = int(value.split()[0]) // 1024
            return free * 3 // 4 if free >= _TMPFS_FROM_MIB else 0
    return 0


def _supervise(run_dir: Path, lock: int, log: Path, progress: diblog.Progress, steps: Steps) -> int:
    """Start the supervisor, show the log's progress, and wait for its end, whatever happens here."""
    package_root = str(Path(__file__).resolve().parents[3])
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "imgbuild.image.rootfs.supervisor"]
    try:
        child = subprocess.Popen(
            [*argv, str(run_dir)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is handled here, to end it in order
            pass_fds=(lock,),
            cwd="/",
            env={**os.environ, "PYTHONPATH": package_root},
        )
    except FileNotFoundError as err:
        raise HostError("unshare is not installed", "install the Debian package util-linux") from err
    try:
        last = 0.0
        with log.open("rb") as lines:
            while (code := child.poll()) is None:
                for note in progress.feed(_new_lines(lines)):
                    if (now := time.monotonic()) - last >= _NOTE_SECONDS or note == progress.phase:
                        steps.note(note)
                        last = now
                time.sleep(_POLL_SECONDS)
            for _ in progress.feed(_new_lines(lines)):
                pass
        return code
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the supervisor's lifeline and wait until it has cleaned up; a second Ctrl-C must not interrupt that."""
    if child.poll() is None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if child.stdin:
                child.stdin.close()
            child.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    elif child.stdin:
        child.stdin.close()


def _new_lines(log: BinaryIO) -> list[str]:
    """The whole lines that were added since the last call; a line still being written waits for the next."""
    out: list[str] = []
    while True:
        start = log.tell()
        raw = log.readline()
        if not raw.endswith(b"\n"):
            log.seek(start)
            return out
        out.append(raw.decode(errors="replace"))
