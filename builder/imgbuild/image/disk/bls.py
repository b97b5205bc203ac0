"""Boot Loader Specification entries (/boot/loader/entries/*.conf), where CentOS 8 has its boot menu.

uapi-group.org/specifications/specs/boot_loader_specification; EL's kernel-install (20-grub.install) writes them and
grubby changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk.grub import version_key

ENTRIES = "/boot/loader/entries"


@dataclass(frozen=True)
class Entry:
    """One entry; ``name`` is its file's name without ".conf", which is what saved_entry holds."""

    name: str
    lines: tuple[tuple[str, str], ...]

    def values(self, key: str) -> list[str]:
        """All values of a key, in order."""
        return [value for name, value in self.lines if name == key]

    def one(self, key: str) -> str:
        """A key's first value; empty if it has none."""
        return next(iter(self.values(key)), "")


def parse(name: str, content: bytes) -> Entry:
    """Read the entry ``name``: one key and its value per line.

    As GRUB does (EL's grub-core/commands/blscfg.c): a line without a value, an empty one too, ends the entry, and
    GRUB silently ignores what follows it; a tab separates key and value only in a line without a blank.
    """
    lines = []
    for line in content.decode(errors="replace").split("\n"):
        text = line.lstrip(" \t")
        if text.startswith("#"):
            continue
        key, _, value = text.partition(" " if " " in text else "\t")
        if not value:
            break
        lines.append((key, value.strip()))
    return Entry(name, tuple(lines))


def sort_key(entry: Entry) -> tuple[object, ...]:
    """Sorts entries as GRUB does: by their names, numbers as numbers."""
    return version_key(entry.name)


def name_of(root: Path, kernel: str) -> str:
    """The name of the entry that starts ``kernel``, a version.

    Raises:
        HostError: there is none: kernel-install writes none if /etc/machine-id is empty, and exits with 0.
    """
    folder = root / ENTRIES[1:]
    found = sorted(path.name.removesuffix(".conf") for path in folder.glob(f"*-{kernel}.conf"))
    if not found:
        raise HostError(
            f"there is no boot entry for the kernel {kernel} in {ENTRIES}",
            "check the step 30-kernel in the build log: kernel-install made no entry",
        )
    return found[-1]
