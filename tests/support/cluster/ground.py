"""Nodes without virtual machines: each an overlay of the host's root in namespaces of its own, on one test's network.

A node's disk (the overlay's upper folder) outlives its processes: ``cut`` is a power cut and ``start`` the boot after.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tests.support.deadline import Deadline
from tests.support.install.room import OWN_DEV

_TOOLS = Path(__file__).parent / "node"
_HELD = ("chronyc", "ctr", "helm", "install", "kubeadm", "openssl", "systemctl", "uname")
"""Programs in the middle of which a test can cut the power (node/hold)."""
_LIMIT = 300.0  # seconds: nothing depends on how long it takes
# $1 the node's folder, $2 its name. What is in /run is gone after a power cut, what is in the overlay is not.
_ENTER = f"""
set -e
{OWN_DEV}
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
own_dev "$1/root/dev"
for place in run tmp; do mount -t tmpfs -o mode=755 tmpfs "$1/root/$place"; done
mkdir "$1/root/sys" 2> /dev/null || true
hostname "$2"
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
exec chroot "$1/root" sleep infinity
"""


def wait(what: Callable[[], bool], seconds: float, text: str) -> None:
    """Until it is so. AssertionError with ``text`` when it is not in time, as an idle machine has it."""
    deadline = Deadline(seconds)
    while not what():
        assert not deadline.passed(), f"not within {seconds:.0f} s: {text}"
        time.sleep(0.1)


def _sessions() -> Iterator[tuple[int, int]]:
    """Each process that lives, and its session."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, *rest = path.read_text().rpartition(")")[2].split()
            if state != "Z":
                yield int(path.parent.name), int(rest[2])


class _Namespaces:
    """A process whose namespaces others enter. It, and all in its own PID namespace, end with ``kill``."""

    def __init__(self, unshare: list[str], script: str, *words: str | Path) -> None:
        kinds = [f"--{kind}" for kind in unshare]
        # It must not outlive a test that was killed.
        command = [
            "setpriv",
            "--pdeathsig=KILL",
            "unshare",
            *kinds,
            "--fork",
            "--kill-child",
            "bash",
            "-c",
            script,
            "enter",
            *map(str, words),
        ]
        self._outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._kinds = kinds
        self.pid = 0
        wait(self._ready, 20, f"{script.splitlines()[-1]} runs")

    def _ready(self) -> bool:
        assert self._outer.poll() is None, (self._outer.stderr or b"") and self._outer.stderr.read()  # type: ignore[union-attr]
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        if not children:
            return False
        self.pid = int(children[0])
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().startswith(b"sleep")
        return False

    def enter(self, *, root: bool) -> list[str]:
        """The command's first words."""
        more = ["--root", "--", "env", "--chdir=/"] if root else []
        kinds = [kind for kind in self._kinds if not kind.startswith("--propagation")]
        return ["nsenter", f"--target={self.pid}", *kinds, *more]

    def kill(self) -> None:
        self._outer.send_signal(signal.SIGKILL)
        self._outer.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait(lambda: not Path(f"/proc/{self.pid}").exists(), 20, f"{self.pid} is gone")


class Network:
    """One Ethernet segment. Nothing of the host's network is on it."""

    def __init__(self) -> None:
        self._space = _Namespaces(["net"], "ip link add bridge type bridge; ip link set bridge up; exec sleep infinity")
        self._count = 0

    def plug(self, pid: int, address: str) -> None:
        """Give the network namespace of the process ``pid`` an eth0 with the address (10.0.0.1/24)."""
        self._count += 1
        port = f"port{self._count}"
        enter = self._space.enter(root=False)
        for words in (
            f"ip link add {port} type veth peer name eth0 netns {pid}",
            f"ip link set {port} master bridge up",
        ):
            subprocess.run([*enter, *words.split()], check=True, capture_output=True)
        for words in (
            f"ip address add {address} dev eth0",
            "ip link set eth0 up",
            # Nobody routes there: it is what the source address of the default route is found by.
            f"ip route add default via {address.rpartition('.')[0]}.254",
        ):
            subprocess.run(["nsenter", f"--target={pid}", "--net", *words.split()], check=True, capture_output=True)

    def close(self) -> None:
        self._space.kill()


class Node:
    """One machine. ``upper`` is its disk."""

    def __init__(
        self, folder: Path, network: Network, name: str, address: str, furnish: Callable[[Node], None]
    ) -> None:
        self.name, self.address = name, address
        self._folder, self._network, self._furnish = folder, network, furnish
        self._space: _Namespaces | None = None
        self.upper = folder / "upper"
        self.renew()

    def renew(self) -> None:
        """A new disk: what stands in for the machine's own tools, and what ``furnish`` puts there."""
        assert self._space is None
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("upper", "work", "root"):
            (self._folder / name).mkdir(parents=True)
        self.write("/standin/calls", "")
        for name in ("chronyc", "ctr", "systemctl"):
            self.install(_TOOLS / name, f"/usr/local/bin/{name}")
        for name in _HELD:
            self.install(_TOOLS / "hold", f"/usr/local/sbin/{name}")
        for name in ("conntrack", "iptables"):
            self.write(f"/usr/local/bin/{name}", "#!/bin/sh\nexit 0\n", 0o755)
        self._furnish(self)

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """A file on its disk. While the node runs, only for files that it has not looked at yet."""
        place = self.upper / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        place.chmod(mode)

    def install(self, source: Path, path: str) -> None:
        """A program on its disk."""
        place = self.upper / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        place.chmod(0o755)

    def start(self) -> None:
        kinds = ["mount", "uts", "pid", "net", "ipc", "propagation=private"]
        self._space = _Namespaces(kinds, _ENTER, self._folder, self.name)
        self._network.plug(self._space.pid, f"{self.address}/24")

    def cut(self) -> None:
        """Every process ends at once."""
        if self._space is not None:
            self._space.kill()
            self._space = None

    def popen(self, *command: str, out: IO[bytes], **env: str) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own. A file takes what it says: a service it starts would keep a pipe."""
        assert self._space is not None, "the node is off"
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.Popen(
            [*self._space.enter(root=True), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", **env},
        )

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end; stdout holds stderr too."""
        with tempfile.TemporaryFile() as out:
            process = self.popen(*command, out=out, **env)
            try:
                code = process.wait(_LIMIT)
            except subprocess.TimeoutExpired:
                code = None
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            out.seek(0)
            said = out.read().decode(errors="replace")
        assert code is not None, f"{command} did not end within {_LIMIT:.0f} s:\n{said}"
        return subprocess.CompletedProcess(command, code, said, "")

    def ok(self, *command: str, **env: str) -> str:
        """Run it, and it ends with 0."""
        done = self.run(*command, **env)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9 for it and all that it started, as systemd does with a service: ``timeout`` makes a new group."""
        while alive := [pid for pid, session in _sessions() if session == process.pid]:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        process.wait()

    def inside(self, path: str) -> str:
        """A path of its own as this process sees it, while it runs: /run and /tmp are not on its disk."""
        assert self._space is not None, "the node is off"
        return f"/proc/{self._space.pid}/root{path}"

    def exists(self, path: str) -> bool:
        return self.run("test", "-e", path).returncode == 0

    def read(self, path: str) -> str:
        return self.ok("cat", path)
