"""A base that a package manager runs in, with the site of the build around it. It is thrown away afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.data import data_dir
from imgbuild.config.lock_packages import LockedPackage, RepositoryPin
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.progress import Steps
from imgbuild.image.overlay import lay
from imgbuild.image.surroundings import LOGINS, PROXIES, TRUST, Site
from imgbuild.image.tool import run
from imgbuild.render.nodefile import NodeTree
from imgbuild.render.paths import LIBEXEC


@dataclass(frozen=True)
class Found:
    """What was chosen: the repositories, and each package with whether it is there in the end."""

    repositories: Mapping[str, RepositoryPin]
    packages: Sequence[tuple[LockedPackage, bool]]


CACHE = "var/cache/imgbuild"
"""Where the scripts keep what the host reads, below the root."""
_OURS = "imgbuild: "
_NETWORK = re.compile(
    r"Could not resolve|Temporary failure resolving|Connection (?:timed out|refused|failed)|Could not connect|"
    r"Network is unreachable|answers at none|do not answer",
)
# $1 the root, then the command. The mounts are gone with the namespace, however this ends.
_ENTER = """
set -eu
root=$1
shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${device%%:*}" c 1 "${device##*:}"
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
exec chroot "$root" "$@"
"""
_NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")


def prepare(root: Path, tree: NodeTree, site: Site) -> None:
    """Lay the scripts, names and the site's certificates and logins into a base, as an image build does.

    Raises:
        HostError: a script fails.
    """
    lay(root, tree, 0)
    (root / CACHE).mkdir(parents=True, exist_ok=True)
    for name in ("resolv.conf", "hosts"):
        there, here = root / "etc" / name, Path("/etc") / name
        there.unlink(missing_ok=True)
        if here.is_file():
            there.write_bytes(here.read_bytes())
    element = data_dir("elements") / "imgbuild-install"
    told = {name: os.environ[name] for name in (TRUST,) if name in os.environ}
    if site.folder is not None:
        told[LOGINS] = str(site.folder)
    run(["bash", element / "bin/imgbuild-site", root], what="prepare the base", env=told)
    hook = (element / "pre-install.d/05-imgbuild-site").read_text()
    enter(root, ["bash", "-c", hook], "prepare the base")


def solve(root: Path, steps: Steps) -> None:
    """Run the scripts that find out what would be installed.

    Raises:
        HostError: the package manager cannot choose, or a repository does not answer.
    """
    enter(root, [f"/{LIBEXEC}/solve"], "choose the packages", {"IMGBUILD_IN_IMAGE": "1"}, steps)


def enter(
    root: Path, command: list[str], what: str, more: Mapping[str, str] | None = None, steps: Steps | None = None
) -> None:
    """Run a command in the base, alone with its mounts and processes. What it reports goes to ``steps``.

    Raises:
        HostError: it fails.
    """
    plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C", **(more or {})}
    plain |= {name: os.environ[name] for name in PROXIES if name in os.environ}
    words = [f"{name}={value}" for name, value in plain.items()]
    argv = [*_NAMESPACES, "bash", "-c", _ENTER, "enter", str(root), "/usr/bin/env", "-i", *words, *command]
    said: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(mask(line.rstrip()))
                if steps is not None and said[-1].startswith(f"{_OURS}step "):
                    steps.note(said[-1].removeprefix(_OURS))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise HostError(f"cannot {what}: {_reason(said)}", _hint(said))


def _reason(said: list[str]) -> str:
    """The lines of an output that tell why it failed."""
    errors = [line for line in said if re.match(r"E: |Error:|imgbuild: (?:error|tried)|\s+[\w.+-]+ : ", line)]
    return "; ".join(dict.fromkeys(line.strip() for line in errors or said[-5:])) or "without a message"


def _hint(said: list[str]) -> str:
    if any(map(_NETWORK.search, said)):
        return "check the network and the proxy, or set other mirrors in repositories"
    return "correct packages, kernel or repositories in the profile; or run imgbuild lock --no-packages"
