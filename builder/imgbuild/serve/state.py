"""What serve knows of each machine, kept in the state folder: written whole, synced, and for its owner only."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.checksum import sync
from imgbuild.outputs.caller import make_folder
from imgbuild.outputs.tree import OutFile, write_file

MachineState = Literal["new", "live", "installing", "installed"]
NODES, KEY, RUNNING, LEASES, _LOCK = "nodes.json", "key", "running.json", "dnsmasq.leases", "lock"


class Token(BaseModel):
    """A token that was given out: its SHA-256, the address that got it, when it was first used."""

    digest: str
    address: str
    issued: float
    used: float | None = None


class Stage(BaseModel):
    """A stage of first boot as the node reported it last."""

    state: str
    message: str = ""
    time: float
    at: float = 0.0


class Download(BaseModel):
    """A large file on its way to the machine, in bytes that it has acknowledged."""

    file: str
    done: int
    total: int
    time: float


class Install(BaseModel):
    """How far the installer is. ``progress`` in percent."""

    stage: str = ""
    progress: int | None = None
    time: float


class Taker(BaseModel):
    """A request for a machine's secrets that came from somebody else."""

    address: str
    what: str
    time: float


class Record(BaseModel):
    """One machine, by the MAC of the card that it boots from. Times are seconds since 1970."""

    mac: str
    name: str
    state: MachineState = "new"
    address: str = ""
    claims: str = ""
    first: float | None = None
    seen: float | None = None
    script: float | None = None
    kernel: float | None = None
    download: Download | None = None
    seed: float | None = None
    live: float | None = None
    install: Install | None = None
    installed: float | None = None
    disk: float | None = None
    phone: float | None = None
    instance: str = ""
    stages: dict[str, Stage] = {}
    stage: str = ""
    ready: float | None = None
    error: str = ""
    error_time: float | None = None
    takers: list[Taker] = []
    waiting: str = ""
    confirmed: str = ""
    token: Token | None = None
    reports: Token | None = None
    console: str = Field(default="", exclude=True)  # not kept over a restart
    version: int = Field(default=0, exclude=True)


class _File(BaseModel):
    version: Literal[1] = 1
    nodes: dict[str, Record] = {}


class ServeState:
    """The records in one state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = self._read()
        self.key = self._key()

    def _read(self) -> dict[str, Record]:
        path = self.folder / NODES
        try:
            return _File.model_validate_json(path.read_bytes()).nodes
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            hint = f"move it away; the machines that it lists are then new ones: {path}"
            raise HostError(f"{path} is damaged, or from another version of imgbuild", hint) from error

    def _key(self) -> str:
        path = self.folder / KEY
        try:
            key = path.read_text().strip()
        except FileNotFoundError:
            key = ""
        if len(key) < 16:
            key = secrets.token_urlsafe(24)
            replace_synced(path, f"{key}\n".encode())
        return key

    def save(self) -> None:
        """Write all records.

        Raises:
            OSError: the disk is full or the folder is gone; the old file is still there.
        """
        replace_synced(self.folder / NODES, _File(nodes=self.nodes).model_dump_json(indent=1).encode())


def replace_synced(path: Path, content: bytes) -> None:
    """Replace a private file in one step that survives a power cut."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_file(fresh, OutFile(content, 0o600))
    sync(fresh)
    fresh.replace(path)
    sync(path.parent)


@contextmanager
def state_folder(path: Path) -> Iterator[Path]:
    """The state folder, for this process alone.

    Raises:
        HostError: it cannot be made or written, or another serve has it.
    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                make_folder(folder, 0o700)
        path.chmod(0o700)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HostError(f"cannot write to {path}: {error.strerror}", "pass another folder with --state") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        hint = "end it, or pass another folder with --state"
        raise HostError(f"another imgbuild serve uses the state in {path}", hint) from error
    try:
        yield path
    finally:
        os.close(lock)
