"""A fake root for the install scripts: the host's own user land under an overlay, stand-ins first on PATH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from imgbuild.config.load import load
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.render.install import install_tree
from imgbuild.render.nodefile import NodeTree
from tests.support.deadline import HUNG
from tests.support.node.power import Power

STANDIN = Path(__file__).parent / "standins" / "standin.py"
EL_TOOLS = ("yum", "dnf", "rpm", "grubby", "lsinitrd", "grub2-editenv", "systemctl", "gpg", "uname")

# A /dev of the chroot's own: what else runs on the machine may change the machine's (apt's fetcher is not root and
# wants /dev/null).
OWN_DEV = """
own_dev() {
    mount -t tmpfs -o mode=755 tmpfs "$1"
    while read -r name minor; do mknod -m 666 "$1/$name" c 1 "$minor"; done <<< "null 3
zero 5
full 7
random 8
urandom 9"
    ln -s /proc/self/fd "$1/fd"
}
"""
# $1 the room, then the command. The overlay lives in this run's own mount namespace and is gone with it.
_ENTER = f"""
set -e
{OWN_DEV}
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
own_dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/tmp"
root=$1/root
shift
exec chroot "$root" "$@"
"""


def resolved(profile: str, *layers: str, sets: tuple[str, ...] = (), mode: str | None = None) -> Resolved:
    """A profile of ours, valid."""
    findings = Findings()
    found = load(profile, layers, sets, mode, findings)
    assert found is not None and not findings.errors, [str(item) for item in findings.items]
    return resolve(found)


def tree(profile: str, *layers: str, sets: tuple[str, ...] = (), mode: str | None = None) -> NodeTree:
    """Its install tree."""
    found = resolved(profile, *layers, sets=sets, mode=mode)
    return install_tree(found)


class Room:
    """One fake root. What was written stays from one run to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        self.upper = folder / "upper"
        self.write("/standin/calls", "")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.upper / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def read(self, path: str) -> str:
        return (self.upper / path.lstrip("/")).read_text()

    def lay(self, tree: NodeTree) -> None:
        for file in tree.files:
            self.write(file.path, file.content.decode(), file.mode)

    def stand_in(self, *names: str) -> None:
        for name in names:
            self.write(f"/usr/local/sbin/{name}", STANDIN.read_text(), 0o755)

    def world(self, **files: str) -> None:
        for name, text in files.items():
            self.write(f"/standin/{name}", text)

    def run(self, *command: str, image: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        own = {"IMGBUILD_IN_IMAGE": "1" if image else "0", "IMGBUILD_RETRY_SECONDS": "0", "IMGBUILD_NETWORK_TRIES": "1"}
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", _ENTER, "enter", self.folder, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=HUNG,
            start_new_session=True,
            env={**os.environ, **own, **env},
        )

    def step(self, name: str, *, image: bool = True) -> subprocess.CompletedProcess[str]:
        """One step of install.d, by itself."""
        return self.run("bash", f"/usr/libexec/imgbuild/install.d/{name}", image=image)

    def power(self) -> Power:
        """What fails at a command of a step."""
        return Power(self.upper, self.upper / "usr/local/sbin", self.upper / "standin/power", "/standin/power")

    def calls(self) -> list[str]:
        return self.read("/standin/calls").splitlines()
