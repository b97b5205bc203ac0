"""Reading diskimage-builder's log: the current phase, and the cause of a failure.

It has no summary of a failure: the cause is somewhere before the last "trap_cleanup", among thousands of
lines of shell trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError

_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \| ?")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

_PHASES = {
    "root.d": "bootstrap the distribution",
    "extra-data.d": "copy the install script in",
    "pre-install.d": "prepare to install packages",
    "install.d": "install packages",
    "post-install.d": "after the packages",
    "finalise.d": "finish the root file system",
    "cleanup.d": "clean it up",
}
_HOOKS = re.compile(r"(?:Running hooks from \S*/|dib-run-parts \S+ /tmp/in_target\.d/)([a-z-]+\.d)\b")
_PACKAGE = re.compile(r"^(Unpacking|Setting up) ([a-z0-9][a-z0-9.+-]*[a-z0-9+])")
_DOWNLOAD = re.compile(r"^Get:\d+ \S+ \S+ \S+ ([a-z0-9][a-z0-9.+-]+) ")
_RPM = re.compile(r"^\s*(Downloading|Installing|Updating)\s*: ([A-Za-z0-9][\w.+-]+)")
_PACKING = re.compile(r"tar -C \S*/mnt -cf")

_ERROR = re.compile(
    r"^(?:E|Err:\d+|W: Failure)\b|\berror\b|\bfailed\b|\bfailure\b|\bcannot\b|\bunable to\b|not found|No such|No space",
    re.IGNORECASE,
)
# Words of lines that only repeat a failure, not its cause.
_ECHO = re.compile(
    r"trap_cleanup|check_break|exitval|dib-run-parts|errors=remount-ro|"
    r"Some index files failed to download|E: apt-get update .* failed$|E: mmdebstrap failed to run"
)
_NETWORK = re.compile(
    r"Could not resolve|Temporary failure resolving|"
    r"Connection (?:timed out|refused|failed)|Could not connect|Network is unreachable|Failed to fetch"
)
_SIGNATURE = re.compile(r"NO_PUBKEY|is not signed|signatures were invalid")


def plain(line: str) -> str:
    """A line without diskimage-builder's time stamp, colours and end."""
    return _ESCAPES.sub("", _STAMP.sub("", line)).rstrip()


@dataclass
class Progress:
    """What to show of a log as it grows: feed it lines, it yields notes."""

    phase: str = ""
    detail: str = ""

    def feed(self, lines: Iterable[str]) -> Iterator[str]:
        """Notes for new lines: one for each phase, one for each package."""
        for raw in lines:
            line = plain(raw)
            if found := _HOOKS.search(line):
                phase = _PHASES.get(found[1], "")
                if phase and phase != self.phase:
                    self.phase, self.detail = phase, ""
                    yield self.phase
            elif _PACKING.search(line) and self.phase != "pack it":
                self.phase, self.detail = "pack it", ""
                yield self.phase
            elif package := (_PACKAGE.match(line) or _RPM.match(line)):
                self.detail = f"{package[1].lower()} {package[2]}"
                yield f"{self.phase}: {self.detail}" if self.phase else self.detail
            elif download := _DOWNLOAD.match(line):
                self.detail = f"downloading {download[1]}"
                yield f"{self.phase}: {self.detail}" if self.phase else self.detail


def cause(lines: Sequence[str], most: int = 4) -> list[str]:
    """The lines that show why a build failed, oldest first; empty if the log has none."""
    kept = [plain(line) for line in lines]
    # The trap's own output fills many lines; it begins with this one.
    ends = [i for i, line in enumerate(kept) if "trap_cleanup" in line and "exitval=" in line]
    if ends:
        kept = kept[: ends[-1]]
    said = [line for line in kept if line and not line.startswith("+") and not _ECHO.search(line)]
    near = said[-60:]
    errors = [line for line in near if _ERROR.search(line)]
    return (errors or near)[-most:]


def failure(log: Path, code: int, mirror: str, phase: str) -> HostError:
    """The error for a build that ended with ``code``, from its ``log``; ``mirror`` is where packages came from."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    why = cause(lines)
    text = "\n".join(why)
    where = f" while it was to {phase}" if phase else ""
    hint = f"see the whole log: {log}"
    if "No space left on device" in text:
        return HostError(
            f"diskimage-builder ran out of space{where}",
            f"free some space in the cache folder, about 6 GB is needed; {hint}",
        )
    if _SIGNATURE.search(text):
        return HostError(
            f"the packages of {mirror} are not signed by a key that this host trusts: {_last(why)}",
            f"install the archive's keyring (Debian package debian-archive-keyring); {hint}",
        )
    if _NETWORK.search(text):
        return HostError(
            f"the mirror {mirror} could not be reached{where}: {_last(why)}",
            f"check the network (and http_proxy), or set another mirror in repositories.distribution; {hint}",
        )
    return HostError(f"diskimage-builder failed{where} (exit code {code}): {' | '.join(why) or 'no output'}", hint)


def _last(why: Sequence[str]) -> str:
    return why[-1] if why else "no output"
