"""Checks that need the build host, made before a build: whether the base image is there and can be read.

Also whether bash can parse the user's shell, if the host has it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import unquote, urlsplit

from imgbuild.config.layers import report
from imgbuild.config.mirrors import archives
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Findings, Path
from imgbuild.diagnostics.mask import NOT_SHOWN
from imgbuild.facts.resolved import Resolved

_PACKED: dict[bytes, tuple[str, Callable[[FilePath], Any]]] = {
    b"\xfd7zXZ": ("unxz", lzma.open),
    b"\x1f\x8b": ("gunzip", gzip.open),
    b"BZh": ("bunzip2", bz2.open),
}
_DISKS = {b"QFI\xfb": "qcow2", b"KDMV": "VMDK", b"conectix": "VHD", b"vhdxfile": "VHDX", b"<<< ": "VDI"}
_MOST_SCRIPTS = 200
_SECONDS = 20
_WORDS = re.compile(
    r"[^\w]{1,3}|newline|if|then|else|elif|fi|do|done|for|in|while|until|case|esac|function|select|time"
)


def check(resolved: Resolved, findings: Findings, *, base: bool) -> None:
    """Add the findings of these checks about the profile; ``base``: about its base image and its archives too."""
    if base:
        _base(resolved, findings)
        _archives(resolved, findings)
    _shell(resolved, findings)


def _base(resolved: Resolved, findings: Findings) -> None:
    source, place = resolved.profile.base.source, ("base", "source")
    used = resolved.profile.mode == "baked" and resolved.target.image.base is not None
    source = source.removeprefix("file://") if source is not None else None
    if any(each.code == "IB448" for each in findings.items):  # its name is enough
        return
    if not used or source is None or "://" in source or "\0" in source or not source.strip():
        return
    path = FilePath(source)
    try:
        if path.is_dir():
            return
        if not path.is_file():
            report(findings, resolved.layered, "IB447", place, *_missing(path))
            return
        found = _unreadable(path)
    except OSError as error:
        found = (f"{source} cannot be read: {error.strerror}", "check its permissions")
    if found is not None:
        report(findings, resolved.layered, "IB448", place, *found)


_LOCAL = "file://"


def _archives(resolved: Resolved, findings: Findings) -> None:
    """Archives of which every address is that of a file which does not exist."""
    baked = resolved.profile.mode == "baked"
    own = {file.path for file in resolved.profile.files}
    for place, urls in archives(resolved.profile):
        paths = [FilePath(unquote(urlsplit(url).path)) for url in urls if url.startswith(_LOCAL)]
        if len(paths) < len(urls) or not paths:
            continue
        if baked and not any(path.exists() for path in paths):
            what, fix = _missing(paths[0], _LOCAL)
            what = f"{what} on this machine: a build continues only if the store has its content"
            report(findings, resolved.layered, "IB447", (*place, 0), what, fix, lesser=True)
        elif not baked and not any(str(path) in own for path in paths):
            report(
                findings, resolved.layered, "IB447", (*place, 0),
                f"in stock mode each node reads {paths[0]} from its own disk, and a plain cloud image does not have it",
                "give an http or https address that nodes reach, or use --mode baked", lesser=True,
            )  # fmt: skip


def _missing(path: FilePath, scheme: str = "") -> tuple[str, str]:
    import difflib  # only for a mistake

    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.6)
    what = f"{path} is neither a file nor a folder" if path.exists() else f"there is no file {path}"
    fix = "correct the path" if path.is_absolute() else f"correct the path, which is relative to {FilePath.cwd()}"
    return what, f"did you mean {scheme}{path.parent / near[0]}?" if near else fix


def _unreadable(path: FilePath) -> tuple[str, str] | None:
    """Why no root file system can be read from this file, and the fix; None if it looks right."""
    with path.open("rb") as stream:
        head = stream.read(512)
        stream.seek(32769)
        if stream.read(5) == b"CD001":
            fix = "give the distribution's cloud image (qcow2), an archive of its root file system or a folder"
            return f"{path} is the ISO image of a CD or an installer, which has no installed system", fix
    if not head:
        return f"{path} is empty", "copy it again"
    packed = next((both for magic, both in _PACKED.items() if head.startswith(magic)), None)
    if packed is None:
        return None
    tool, opened = packed
    try:
        with opened(path) as stream:
            inside = stream.read(512)
    except (OSError, EOFError, lzma.LZMAError):
        return f"{path} is damaged: it cannot be unpacked", "copy it again, and compare its sha256"
    disk = next((name for magic, name in _DISKS.items() if inside.startswith(magic)), None)
    if inside[257:262] == b"ustar":
        return None
    what = f"a packed {disk} disk image" if disk else "packed, and not a tar archive"
    return f"{path} is {what}", f"unpack it first ({tool} -k {path}), and give that file and its sha256"


def _shell(resolved: Resolved, findings: Findings) -> None:
    bash = shutil.which("bash")
    for number, (path, text) in enumerate(_scripts(resolved.profile)):
        if bash is None or number >= _MOST_SCRIPTS:
            return
        said = _syntax(bash, text)
        if said:
            report(
                findings, resolved.layered, "IB463", path, f"bash cannot parse this shell script: {said}",
                "correct it; `bash -n FILE` checks a script without running it",
            )  # fmt: skip


def _scripts(profile: Profile) -> Iterator[tuple[Path, str]]:
    """The commands, and the files that are shell scripts by their first line or their name."""
    for index, line in enumerate(profile.run):
        yield ("run", index), line
    for index, file in enumerate(profile.files):
        first = file.text.partition("\n")[0]
        by_line = re.match(r"#!\s*(/usr/bin/env\s+(-S\s+)?|\S*/)(ba|da|k)?sh(\s|$)", first)
        if by_line or (not first.startswith("#!") and file.path.endswith((".sh", ".bash"))):
            yield ("files", index, file.key_of_text), file.text


@cache
def _syntax(bash: str, text: str) -> str:
    """Bash's own message about what it cannot parse; empty if it can. Nodes with own settings share most texts."""
    if "\0" in text or "\r" in text:
        return ""  # IB457
    try:
        done = subprocess.run(
            [bash, "--norc", "-n"], input=text.encode(errors="replace"), capture_output=True, timeout=_SECONDS,
            env={"PATH": os.defpath, "LC_ALL": "C"}, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode == 0 and not done.stderr:  # a warning too: of what it does not understand it makes something
        return ""
    # The lines after the first quote the script, which may hold a password.
    line = done.stderr.decode(errors="replace").partition("\n")[0]
    return re.sub(r"`(.*)'$", _shown, re.sub(r"^\S*bash: ", "", line))


def _shown(found: re.Match[str]) -> str:
    return f"`{found[1]}'" if _WORDS.fullmatch(found[1]) else NOT_SHOWN
