"""One running QEMU: started, controlled over QMP, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError
from qemu.qmp.message import Message

from imgbuild.diagnostics.errors import HostError
from imgbuild.machine.arguments import qemu_command
from imgbuild.machine.firmware import Ovmf, find_ovmf
from imgbuild.machine.spec import MachineSpec

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STDERR_LIMIT = 64 * 1024  # bytes
_START_SECONDS = 30.0
_PACKAGES = "install qemu-system-x86 and qemu-utils on Debian, qemu-kvm and qemu-img on EL"


class Machine:
    """A QEMU that runs. Made by ``running`` only, which also ends it."""

    def __init__(self, process: asyncio.subprocess.Process, qmp: QMPClient, work: Path) -> None:
        self.pid = process.pid
        self.work = work
        self.console: asyncio.StreamReader
        self.report: asyncio.StreamReader
        self._process = process
        self._qmp = qmp
        self._stderr = b""

    async def qmp(self, command: str, **arguments: object) -> object:
        """Run one QMP command.

        Raises:
            HostError: QEMU refuses it, or is gone.
        """
        try:
            return await asyncio.wait_for(self._qmp.execute(command, arguments or None), _START_SECONDS)
        except ExecuteError as error:
            raise HostError(f"QEMU refused {command}: {error}") from error
        except (QMPError, TimeoutError, EOFError, OSError) as error:
            raise HostError(f"QEMU did not answer {command}: {error or 'no answer'}") from error

    async def events(self) -> AsyncIterator[tuple[str, Message]]:
        """Each QMP event with its name, until the connection ends."""
        with self._qmp.listener() as listener:
            async for event in listener:
                yield str(event["event"]), event

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for QEMU to exit by itself, as it does when the guest powers off."""
        return await self._process.wait()

    def stderr(self) -> str:
        """QEMU's error messages so far."""
        return self._stderr.decode(errors="replace").strip()

    async def forwarded_port(self) -> int:
        """The port of 127.0.0.1 that leads to the guest's SSH server (MachineSpec.ssh).

        Raises:
            HostError: QEMU is gone, or forwards none.
        """
        text = str(await self.qmp("human-monitor-command", **{"command-line": "info usernet"}))
        found = re.search(r"\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", text)
        if found is None:
            raise HostError("QEMU forwards no port to the guest", "boot without --ssh")
        return int(found[1])

    async def screenshot(self, path: Path) -> None:
        """Write the guest's screen as PNG (QEMU 7.1 and later).

        Raises:
            HostError: QEMU is older, or gone.
        """
        await self.qmp("screendump", filename=str(path), format="png")

    async def read_stderr(self) -> None:
        """Keep the start of QEMU's messages and drop the rest, so that it never blocks on a full pipe."""
        assert self._process.stderr is not None  # noqa: S101 - asked for when the process was started
        while chunk := await self._process.stderr.read(4096):
            self._stderr += chunk[: max(0, _STDERR_LIMIT - len(self._stderr))]

    async def end(self) -> None:
        """End QEMU by its process id: quit, then SIGTERM, then SIGKILL. Safe to call twice."""
        with contextlib.suppress(Exception):
            if self.returncode is None:
                await asyncio.wait_for(self._qmp.execute("quit"), 2)
        for sign in (None, signal.SIGTERM, signal.SIGKILL):
            if self.returncode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                if sign is not None:
                    self._process.send_signal(sign)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 3)
        with contextlib.suppress(Exception):
            await self._qmp.disconnect()


@asynccontextmanager
async def running(spec: MachineSpec, *, temp: Path | None = None) -> AsyncIterator[Machine]:
    """Start QEMU stopped before its first instruction (``qmp("cont")`` starts it), and end it when the block is left.

    The firmware's variables, and the overlay if it is not to be kept, are in a folder of mode 0700 below ``temp``
    (the system's own choice if None) that is removed at the end.

    Raises:
        HostError: a tool or a file is missing, or QEMU ends right away.
    """
    spec.require_files()
    program = _tool("qemu-system-x86_64")
    work = Path(tempfile.mkdtemp(prefix="imgbuild-machine-", dir=temp))
    try:
        ovmf = _own_ovmf(work) if spec.firmware == "efi" else None
        overlay = await _overlay(spec, work)
        async with _started(spec, program, work, overlay, ovmf) as machine:
            yield machine
    finally:
        shutil.rmtree(work, ignore_errors=True)


@asynccontextmanager
async def _started(
    spec: MachineSpec, program: str, work: Path, overlay: Path, ovmf: Ovmf | None
) -> AsyncIterator[Machine]:
    pairs = [socket.socketpair() for _ in range(3)]
    theirs = [pair[1].fileno() for pair in pairs]
    try:
        command = qemu_command(
            spec, overlay=overlay, ovmf=ovmf, program=program,
            qmp_fd=theirs[0], console_fd=theirs[1], report_fd=theirs[2],
        )  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=theirs,
            # A separate session: Ctrl-C is handled here, after the screenshot and in order.
            start_new_session=True,
            preexec_fn=_die_with_parent(),
            cwd=work,
        )
    except BaseException:
        for ours, other in pairs:
            ours.close()
            other.close()
        raise
    for _, other in pairs:
        other.close()  # from here on QEMU's end is an end of file on each of imgbuild's sockets
    machine = Machine(process, QMPClient("imgbuild"), work)
    complaints = asyncio.create_task(machine.read_stderr())
    writers: list[asyncio.StreamWriter] = []
    try:
        await _connect(machine, pairs[0][0])
        machine.console, writer = await asyncio.open_connection(sock=pairs[1][0])
        writers.append(writer)
        machine.report, writer = await asyncio.open_connection(sock=pairs[2][0])
        writers.append(writer)
        yield machine
    finally:
        try:
            await asyncio.shield(machine.end())
        finally:  # a second Ctrl-C interrupts the line above
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for writer in writers:
            writer.close()
        for ours, _ in pairs[1 + len(writers) :]:
            ours.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(complaints, 2)


async def _connect(machine: Machine, qmp_socket: socket.socket) -> None:
    """Connect to QEMU; HostError with QEMU's own message if it ends instead."""
    try:
        await asyncio.wait_for(machine._qmp.connect(qmp_socket), _START_SECONDS)
    except (ConnectError, QMPError, OSError, EOFError, TimeoutError) as error:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(machine.wait(), 2)
        await asyncio.sleep(0.05)  # the last of stderr
        said = machine.stderr() or f"no message ({error})"
        raise HostError(f"QEMU did not start: {said}", "run imgbuild doctor, or try another --accel") from error


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise HostError(f"{name} is not installed", _PACKAGES)
    return found


def _own_ovmf(work: Path) -> Ovmf:
    """The firmware's variables are written by the guest (its boot entries): each machine starts with fresh ones."""
    found = find_ovmf()
    mine = work / "vars.fd"
    shutil.copyfile(found.variables, mine)
    return Ovmf(found.code, mine)


async def _overlay(spec: MachineSpec, work: Path) -> Path:
    """A qcow2 file over the image, as large as the machine's disk and never smaller than the image."""
    overlay = spec.overlay.resolve() if spec.overlay else work / "disk.qcow2"
    if overlay.exists():
        return overlay
    disk = str(spec.disk.resolve())
    # The format is never guessed: a raw disk whose first bytes are those of a qcow2 could name any file of the host.
    wrong = f"name a {spec.driver} disk image, as imgbuild builds it"
    info = json.loads(await _qemu_img("info", "-f", spec.driver, "--output=json", disk, hint=wrong))
    if "backing-filename" in info:
        raise HostError(f"{spec.disk} is not a standalone disk image: it has a backing file", "build it with imgbuild")
    size = max(spec.disk_size_gib << 30, int(info["virtual-size"]))
    create = ("create", "-q", "-f", "qcow2", "-b", disk, "-F", spec.driver, str(overlay), str(size))
    await _qemu_img(*create, hint="check that there is space left")
    return overlay


async def _qemu_img(*arguments: str, hint: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(_tool("qemu-img"), *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate()
    if process.returncode != 0:
        said = complaint.decode(errors="replace").strip()
        raise HostError(f"qemu-img {arguments[0]} failed: {said}", hint)
    return output


def _die_with_parent() -> Callable[[], None]:
    """What the child runs before exec: it is killed when imgbuild dies, even by SIGKILL.

    The kernel watches the thread that forks, not the process: boot() therefore runs in the caller's thread and
    not in a pool. Everything is looked up here, before the fork; the child only makes system calls.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_it() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # died between fork and prctl
            os._exit(1)

    return set_it
