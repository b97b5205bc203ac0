"""The store: files under their sha256, fetched once, shared by any number of runs.

    blobs/sha256/HEX       the files, as in an OCI image layout
    oci-layout, index.json make the folder a (first empty) OCI image layout, so that other tools can read it
    verified/HEX           size, times and inode of a file whose sha256 was compared; a file that differs is read again
    parts/                 transfers that are under way or were interrupted, and their locks
    aside/                 what did not match its sha256, for whoever looks for the reason
    runs/                  a locked file for each run that uses the store now

A file appears in blobs/ complete or not at all. A process that ends at any point leaves at most a part, which the next
one continues. A store that cannot be written can still be read.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.absent import not_there
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.aside import Aside
from imgbuild.fetch.carried import Carried, take
from imgbuild.fetch.checksum import summed, sync
from imgbuild.fetch.download import download
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.hold import alone, alone_now, in_use, unlink_unused
from imgbuild.fetch.layout import write_layout
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.oci import Repository
from imgbuild.fetch.part import Part
from imgbuild.fetch.records import Records
from imgbuild.fetch.runs import Runs

_KIND = "application/vnd.imgbuild.file.v1"
_DIGEST = re.compile(r'"sha256:([0-9a-f]{64})"')
_MANIFEST_BYTES = 4 << 20  # more than registries accept for a manifest


@dataclass(frozen=True)
class Blob:
    """A file of the store. ``name`` is that of the artifact, if it is known; ``used``: seconds since 1970."""

    sha256: str
    name: str
    path: Path
    size: int
    used: float


class Store:
    """The store in ``folder``, which is created when something is written.

    ``shared``: where other machines have theirs; it is asked before any address, and gets what is new. ``carried``: a
    bundle; what it has counts as here, and is copied when it is first used. ``owners``: users beside root and this
    process' own whose files are trusted once they were verified. ``offline``: nothing is fetched.
    """

    def __init__(
        self, folder: Path, owners: Collection[int] = (), *, offline: bool = False, shared: Repository | None = None,
        carried: Carried | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.shared = shared
        self._carried = carried
        self.offline = offline
        self._blobs = folder / "blobs/sha256"
        self._records = Records(folder / "verified")
        self._parts = folder / "parts"
        self._aside = Aside(folder / "aside")
        self._runs = Runs(folder)
        self._owners = {0, os.geteuid(), *owners}

    def path(self, sha256: str) -> Path:
        """Where the file of that sha256 is, if it is there."""
        return self._blobs / sha256

    def has(self, artifact: Artifact, steps: Steps, *, verify: bool = False) -> bool:
        """Whether it is there with the right content. What is not right is moved aside, and reported.

        It is read if nobody has done that since it was last changed, or with ``verify``.

        Raises:
            HostError: the store cannot be used, or it is damaged in the bundle.
        """
        self._runs.begin()
        wrong = self._wrong(artifact, verify=verify)
        if wrong:
            place = self._aside.move(self.path(artifact.sha256))
            steps.note(f"{artifact.name} in the store {wrong}: {place}")
        return wrong == "" or self._unpacked(artifact)

    def _unpacked(self, artifact: Artifact) -> bool:
        """Copy it from the bundle, if it is there; whether it was.

        Raises:
            HostError: it is damaged there, or the store cannot be written.
        """
        if self._carried is None or not self._carried.has_blob(artifact.sha256):
            return False
        self._make()
        part, place = self._parts / artifact.sha256, self.path(artifact.sha256)
        with alone(part.with_suffix(".lock"), lambda: None):
            if self._wrong(artifact, verify=False) != "":
                try:
                    take(self._carried, artifact.sha256, part.with_suffix(".part"), place)
                except OSError as error:
                    raise self._unwritten(error) from error
                self._records.write(artifact, place.stat())
        return True

    @contextmanager
    def held(self, artifact: Artifact, steps: Steps) -> Iterator[Path]:
        """The file, which nobody removes from the store in the meantime.

        Raises:
            FetchError: it is not there.
        """
        try:
            if self._carried is not None:
                self.has(artifact, steps)
            with in_use(self.path(artifact.sha256)):
                if self.has(artifact, steps):
                    yield self.path(artifact.sha256)
                    return
        except FileNotFoundError:
            pass
        raise FetchError(f"{artifact.name} is not in the store {self.folder}", "fetch it first: imgbuild fetch")

    def fetch(
        self, artifact: Artifact, steps: Steps, limits: Limits | None = None, stop: threading.Event | None = None
    ) -> bool:
        """Get it into the store; whether that was necessary.

        Raises:
            FetchError: no address has it, or the store cannot be written.
            Stopped: ``stop`` was set.
        """
        if self.has(artifact, steps):
            return False
        if self.offline:
            raise not_there([artifact], self.folder)
        self._make()
        lock = self._parts / f"{artifact.sha256}.lock"
        with alone(lock, lambda: steps.note(f"waiting for another imgbuild that fetches {artifact.name}")):
            if self.has(artifact, steps):
                return False
            if self.shared is not None and self._pulled(artifact, self.shared, steps):
                return True
            part = Part(self._parts / artifact.sha256)
            place = self.path(artifact.sha256)
            download(artifact, place, steps, limits, part=part, aside=self._aside.keep, stop=stop)
            self._records.write(artifact, place.stat())
            self.share(artifact, steps)
        return True

    def take(self, artifact: Artifact, steps: Steps) -> bool:
        """Whether it is here now: it was, or the shared store had it.

        Raises:
            HostError: the store or the shared one cannot be used, or it is damaged in the bundle.
        """
        if self.has(artifact, steps) or self.shared is None:
            return self.has(artifact, steps)
        self._make()
        with alone(self._parts / f"{artifact.sha256}.lock", lambda: None):
            return self.has(artifact, steps) or self._pulled(artifact, self.shared, steps)

    def share(self, artifact: Artifact, steps: Steps) -> None:
        """Give what is here to the shared store, if there is one."""
        if self.shared is not None:
            self._push(artifact, self.shared, steps)

    def _pulled(self, artifact: Artifact, shared: Repository, steps: Steps) -> bool:
        """Take it from the shared store; whether it was there with the right content."""
        folder, before = self._parts / f"{artifact.sha256}.pull", shared.denied
        try:
            files = shared.pull(f"sha256-{artifact.sha256}", folder)
            if files is None:
                if shared.denied != before:
                    steps.note(f"{shared} denies access: {shared.denied}")
                return False
            if any(self.adopt(file, artifact, steps) for file in files.values()):
                steps.note(f"{artifact.name}: from {shared}")
                return True
            steps.note(f"{artifact.name} in {shared} has another content, and is not used")
            return False
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _push(self, artifact: Artifact, shared: Repository, steps: Steps) -> None:
        """Give it to the others. A registry that refuses it is reported once."""
        if not shared.writable:
            return
        files = {artifact.name: self.path(artifact.sha256)}
        refused = shared.push(f"sha256-{artifact.sha256}", _KIND, files, self._parts / f"{artifact.sha256}.push")
        if refused:
            steps.note(f"the store {shared} does not take {artifact.name}, and is only read: {refused}")

    def adopt(self, file: Path, artifact: Artifact, steps: Steps) -> bool:
        """Move a file of another place into the store, if its content is right.

        Raises:
            HostError: the store cannot be used, or it is damaged in the bundle.
        """
        self._make()
        if self.has(artifact, steps) or file.is_symlink() or not file.is_file():
            return False
        try:
            found = summed(file)
            if found[0] != artifact.sha256:
                return False
            file.chmod(0o644)
            place = self.path(artifact.sha256)
            file.replace(place)
            sync(place)
            sync(place.parent)
            self._records.write(artifact, place.stat())
        except OSError:  # on another file system, for example
            return False
        return True

    @contextmanager
    def workshop(self, name: str, steps: Steps) -> Iterator[Path]:
        """An empty folder on the store's file system, for another program's files before they are adopted.

        One run at a time has it. It is emptied at the end, and by the next run after a kill.

        Raises:
            FetchError: the store cannot be written.
        """
        self._make()
        place = self._parts / name
        with alone(self._parts / f"{name}.lock", lambda: steps.note("waiting for another imgbuild that does the same")):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            try:
                yield place
            finally:
                shutil.rmtree(place, ignore_errors=True)

    # --- what is in it ------------------------------------------------------------------------------------------------

    def blobs(self) -> list[Blob]:
        """Every file, right or wrong."""
        found = []
        for path in sorted(self._blobs.iterdir()) if self._blobs.is_dir() else ():
            with suppress(FileNotFoundError):
                there = path.lstat()
                used = max(there.st_mtime, self._records.used(path.name))
                found.append(Blob(path.name, self._records.name(path.name), path, there.st_size, used))
        return found

    def listed(self) -> frozenset[str]:
        """The sha256 of everything that the index of the OCI layout reaches."""
        todo, found = [self.folder / "index.json"], set[str]()
        while todo:
            try:
                words = _DIGEST.findall(todo.pop().read_text())
            except (OSError, ValueError):
                continue
            fresh = set(words) - found
            found |= fresh
            todo += [
                path for path in map(self.path, fresh) if path.is_file() and path.stat().st_size <= _MANIFEST_BYTES
            ]
        return frozenset(found)

    def parts(self) -> list[Path]:
        """Transfers that are under way or were interrupted."""
        kinds = (".part", ".pull", ".push")
        return sorted(p for p in self._parts.iterdir() if p.suffix in kinds) if self._parts.is_dir() else []

    def set_aside(self) -> list[Path]:
        """What did not match its sha256."""
        return self._aside.files()

    def verify(self, sha256: str) -> str:
        """Read a file; what was wrong with it, and where it is now, or nothing. That does not count as its use.

        Raises:
            FetchError: the store cannot be read.
        """
        used = self._records.used(sha256) or self.path(sha256).lstat().st_mtime
        wrong = self._wrong(Artifact(self._records.name(sha256), sha256, None, ()), verify=True)
        self._records.note_use(sha256, used)
        return f"it {wrong}: {self._aside.move(self.path(sha256))}" if wrong else ""

    def used_now(self) -> float:
        """Since when runs use files of it: one that was used since then is not removed."""
        return self._runs.since()

    def remove(self, sha256: str) -> bool:
        """Remove a file unless a run uses it; whether it is gone."""
        if self._records.used(sha256) >= self.used_now() or not unlink_unused(self.path(sha256)):
            return False
        self._records.forget(sha256)
        return True

    def remove_part(self, part: Path) -> bool:
        """Remove an interrupted transfer unless one is under way; whether it is gone."""
        with alone_now(self._parts / f"{part.stem}.lock") as free:
            if free and part.suffix == ".part":
                Part(self._parts / part.stem).discard()
            elif free:
                shutil.rmtree(part, ignore_errors=True)
        return free

    # --- what is verified ---------------------------------------------------------------------------------------------

    def _wrong(self, artifact: Artifact, *, verify: bool) -> str | None:
        """What is wrong with the file; empty if it is right, None if it is not there."""
        path = self.path(artifact.sha256)
        try:
            there = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FetchError(
                f"the store {self.folder} cannot be read: {error.strerror}", "name a folder of your own: --store DIR"
            ) from error
        if not stat.S_ISREG(there.st_mode):
            return "is not a regular file"
        if not verify and self.private and self._records.match(artifact.sha256, there):
            return ""
        try:
            found, seen = summed(path)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if found != artifact.sha256:
            return f"has the sha256 {found}, not {artifact.sha256}"
        self._records.write(artifact, seen)
        return ""

    @cached_property
    def private(self) -> bool:
        """Whether only trusted users can change what is in it; else every file is read at each use."""
        for folder in (self.folder, self._blobs.parent, self._blobs, self._records.folder):
            try:
                found = folder.lstat()
            except OSError:
                return False
            if found.st_uid not in self._owners or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return False
        return True

    # --- writing ------------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        """Make the folders that are missing.

        Raises:
            FetchError: the store cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for folder in (self._blobs.parent, self._blobs, self._records.folder, self._parts, self._aside.folder):
                folder.mkdir(mode=0o755, exist_ok=True)  # whatever the umask: others must not be able to write
            for folder in (self._blobs, self._parts):
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, "no permission to write, or the file system is read-only")
            write_layout(self.folder, self._parts)
        except OSError as error:
            raise self._unwritten(error) from error
        sync(self.folder)
        self._runs.begin()
        self.__dict__.pop("private", None)  # asked before the folders were there

    def _unwritten(self, error: OSError) -> FetchError:
        return FetchError(
            f"the store {self.folder} cannot be written: {error.strerror or error}",
            "what is in it can be used; to fetch more, name a folder of your own: --store DIR"
            if self._carried is None
            else "free some space, or set IMGBUILD_CACHE to a folder of your own on a larger disk",
        )
