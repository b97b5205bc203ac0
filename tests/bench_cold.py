"""A new root file system from empty caches, beside mmdebstrap and mkosi; a whole new image beside diskimage-builder's.

All of them take the same packages from one mirror on the loopback interface, which has them in memory or on disk before
the first run. The others get no imgbuild steps, no list of packages and no checks. diskimage-builder's `vm` and
`debian-minimal` make a disk for BIOS as qcow2; kpartx and dmsetup, which need device-mapper, are stand-ins.
"""

from __future__ import annotations

import functools
import http.server
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.fetch.exchange import exchange
from imgbuild.fetch.limits import Limits
from imgbuild.image.build import rootfs_plan
from imgbuild.image.rootfs.build import Rootfs, build_rootfs
from imgbuild.image.rootfs.mirror import DebianMirrors, debian_mirrors
from imgbuild.image.rootfs.packages import Package
from imgbuild.pipeline import Request, prepare

_RELEASE = "bookworm"
_STAND_INS = Path(__file__).parent / "support/image/programs"
_DPKG = Path(__file__).parent.parent / "elements/imgbuild-debian/imgbuild-debian-files/etc/dpkg/dpkg.cfg.d/imgbuild"


@dataclass(frozen=True)
class Share:
    """imgbuild's time by a peer's in paired runs, with the medians in seconds."""

    peer: str
    what: str
    times: float
    own: float
    others: float


class _Mirror(http.server.SimpleHTTPRequestHandler):
    """Fetches a file of the archives once."""

    archives: Mapping[str, str]

    def send_head(self) -> Any:
        place = Path(self.translate_path(self.path))
        if not place.exists():
            name, _, rest = self.path[1:].partition("/")
            with exchange("GET", f"{self.archives[name]}/{rest}", {}, Limits()) as reply:
                if reply.status != 200:
                    self.send_error(reply.status)
                    return None
                place.parent.mkdir(parents=True, exist_ok=True)
                part = place.with_name(f"{place.name}.{os.getpid()}.{time.monotonic_ns()}")
                with part.open("wb") as file:
                    file.writelines(reply.blocks())
                part.replace(place)
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def mirrored(folder: Path) -> Iterator[DebianMirrors]:
    """Debian's archives on the loopback interface, by a process of its own."""
    host = debian_mirrors(_RELEASE)
    handler = type("Handler", (_Mirror,), {"archives": {"debian": host.main, "debian-security": host.security}})
    bound = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound) as server:
        process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
        process.start()
        here = f"http://127.0.0.1:{server.server_port}"
        try:
            yield debian_mirrors(_RELEASE, f"{here}/debian", security=f"{here}/debian-security")
        finally:
            process.kill()
            process.join()


_LAYERS = ("distro-containerd", "container-host")


def _sets(mirrors: DebianMirrors) -> tuple[str, ...]:
    return f'repositories.distribution=["{mirrors.main}"]', f'repositories.security=["{mirrors.security}"]'


def _own_image(mirrors: DebianMirrors, place: Path) -> None:
    words = [f"--layer={name}" for name in _LAYERS] + [f"--set={one}" for one in _sets(mirrors)]
    argv: list[str | Path] = [Path(sys.executable).with_name("imgbuild"), "--profile", "debian12-bios", *words]
    argv += ["--output", place / "out"]
    told = {**os.environ, "IMGBUILD_CACHE": str(place / "cache"), "IMGBUILD_STORE": str(place / "store")}
    place.mkdir()
    subprocess.run(argv, capture_output=True, check=True, env=told)
    if not list(place.rglob("image/*.qcow2")):
        raise RuntimeError("imgbuild has written no disk")


def _own(mirrors: DebianMirrors, place: Path) -> Rootfs:
    ready = prepare(Request("debian12-efi", _LAYERS, _sets(mirrors), lock=False), Findings())
    quiet = PlainSteps(sys.stderr)
    return build_rootfs(rootfs_plan(ready.resolved, ready.rendered.install, place, quiet), place, quiet)


def _mmdebstrap(mirrors: DebianMirrors, packages: Sequence[Package], place: Path) -> None:
    place.mkdir()
    sources = place / "all.list"
    sources.write_text("".join(f"{line.partition(':')[2]}\n" for line in mirrors.sources().splitlines()))
    (place / "memory").mkdir()
    names = ",".join(f"{one.name}={one.version}" for one in packages)
    tar, keys = place / "root.tar", "/usr/share/keyrings/debian-archive-keyring.gpg"
    argv: list[str | Path] = ["mmdebstrap", "--variant=minbase", f"--include={names}", f"--dpkgopt={_DPKG}"]
    argv += ["--skip=check/signed-by", "--skip=check/qemu", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    # In memory, as imgbuild builds where there is enough.
    _in_memory(
        place / "memory", [*argv, f"--keyring={keys}", _RELEASE, tar, sources], {"TMPDIR": str(place / "memory")}
    )


def _diskimage_builder(mirrors: DebianMirrors, packages: Sequence[Package], place: Path) -> None:
    place.mkdir()
    names = ",".join(one.name for one in packages if one.origin == "profile")
    told = {
        "DIB_RELEASE": _RELEASE, "DIB_DISTRIBUTION_MIRROR": mirrors.main, "DIB_APT_SOURCES_CONF": mirrors.sources(),
        "DIB_IMAGE_CACHE": str(place / "cache"), "TMP_DIR": str(place / "memory"), "DIB_NO_TMPFS": "1",
        "DIB_DEBIAN_DEBOOTSTRAP_SCRIPT": f"/usr/share/debootstrap/scripts/{_RELEASE}",
        "DIB_PYTHON_EXEC": sys.executable, "DIB_IMAGE_SIZE": "4",
    }  # fmt: skip
    (place / "memory").mkdir()
    start = (
        "import sys; sys.argv[0] = 'disk-image-create'; from diskimage_builder.disk_image_create import main; main()"
    )
    elements = ("vm", "debian-minimal", "block-device-mbr")
    argv = [sys.executable, "-c", start, "-t", "qcow2", "-p", names, "-o", str(place / "stock"), *elements]
    _in_memory(place / "memory", argv, told)
    if not (place / "stock.qcow2").exists():
        raise RuntimeError("diskimage-builder has written no disk")


def _mkosi(mirrors: DebianMirrors, packages: Sequence[Package], place: Path) -> None:
    """mkosi 14, with a stand-in for systemd-nspawn. It takes one archive; the others are in files of its tree."""
    lists = place / "tree/etc/apt/sources.list.d"
    for folder in (lists, place / "memory"):
        folder.mkdir(parents=True)
    (lists.parent / "sources.list").touch()
    others = [line.partition(":")[2] for line in mirrors.sources().splitlines()[1:]]
    (lists / "all.list").write_text("".join(f"{line}\n".replace("deb ", "deb [trusted=yes] ", 1) for line in others))
    argv = ["mkosi", "--force", "--distribution=debian", f"--release={_RELEASE}", "--format=tar", "--output=root.tar"]
    argv += ["--compress-output=no", f"--output-dir={place}", f"--workspace-dir={place / 'memory'}", "--bootable=no"]
    argv += ["--with-docs=no", f"--local-mirror={mirrors.main}", f"--skeleton-tree={place / 'tree'}"]
    argv += [f"--package={one.name}={one.version}" for one in packages]
    _in_memory(place / "memory", argv, {"PATH": f"/usr/local/sbin:{os.environ['PATH']}"})
    if not list(place.rglob("root.tar*")):
        raise RuntimeError("mkosi has written no tar")


def _in_memory(folder: Path, argv: Sequence[str | Path], told: Mapping[str, str]) -> None:
    """Run a command in a mount namespace with a tmpfs at ``folder``, and the stand-ins where sudo finds them."""
    script = 'mount -t tmpfs -o size=75% tmpfs "$1"; mount --bind "$2" /usr/local/sbin; shift 2; exec "$@"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", folder, _STAND_INS, *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **told})
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def against_peers(runs: int = 3) -> list[Share]:
    """Paired runs, in turn; each from an empty cache."""
    with tempfile.TemporaryDirectory() as name, mirrored(Path(name) / "mirror") as mirrors:
        folder = Path(name)
        packages = _own(mirrors, folder / "first").packages  # the mirror has all of it from here on
        peers: dict[str, Callable[[Path], None]] = {
            "mmdebstrap": functools.partial(_mmdebstrap, mirrors, packages),
            "diskimage-builder": functools.partial(_diskimage_builder, mirrors, packages),
            "mkosi": functools.partial(_mkosi, mirrors, packages),
        }
        ours: dict[str, Callable[[DebianMirrors, Path], object]] = {"diskimage-builder": _own_image}
        for make in peers.values():
            _timed(make, folder / "run")
        shares = []
        for peer, make in peers.items():
            pairs = [
                (_timed(functools.partial(ours.get(peer, _own), mirrors), folder / "run"), _timed(make, folder / "run"))
                for _ in range(1 if peer == "mkosi" else runs)
            ]
            own, others = (statistics.median(pair[what] for pair in pairs) for what in (0, 1))
            what = "image" if peer in ours else "root file system"
            shares.append(Share(peer, what, statistics.median(a / b for a, b in pairs), own, others))
        return shares


def _timed(make: Callable[[Path], object], place: Path) -> float:
    begun = time.monotonic()
    make(place)
    took = time.monotonic() - begun
    shutil.rmtree(place)
    return took
