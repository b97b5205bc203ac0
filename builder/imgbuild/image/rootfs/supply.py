"""The files that the install scripts need, from the store into the build: no step in the chroot fetches them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.progress import Steps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.store import Store
from imgbuild.image.rootfs.locked import FOLDER, Locked, fetch_with_packages
from imgbuild.image.rootfs.snapshot import write_repository
from imgbuild.image.scratch import scratch


@dataclass(frozen=True)
class Supply:
    """``artifacts``, which come from ``store``."""

    store: Store
    artifacts: Sequence[Artifact] = ()
    locked: Locked | None = None

    def fetch(self, steps: Steps) -> None:
        """Get those that the store lacks.

        Raises:
            FetchError: some cannot be fetched.
        """
        fetch_with_packages(self.artifacts, self.locked.files if self.locked else (), self.store, steps)

    @contextmanager
    def folder(self, work: Path, steps: Steps) -> Iterator[Path]:
        """A folder with a link to each of them, named by its sha256, for the element imgbuild-install.

        The repositories of a lock's packages are in its folder `FOLDER`.

        Raises:
            FetchError: the store lacks one.
        """
        with ExitStack() as stack:
            room = stack.enter_context(scratch(work, "supply"))
            for artifact in self.artifacts:
                place = stack.enter_context(self.store.held(artifact, steps))
                link = room / artifact.sha256
                if not link.is_symlink():
                    link.symlink_to(place.resolve())
            if self.locked is not None:
                write_repository(self.locked.packages, self.store, room / FOLDER, steps, copy=True)
                for name, content in self.locked.settings.items():
                    (room / FOLDER / name).parent.mkdir(exist_ok=True)
                    (room / FOLDER / name).write_bytes(content)
            yield room
