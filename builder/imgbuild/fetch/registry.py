"""Ask registries with skopeo, which knows their logins, proxies and authorities; the profile's are passed to it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from imgbuild.config.profile import Login, Profile
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.registries import Source, authorities, logins
from imgbuild.fetch.private_folder import private_folder

_SECONDS = 60
"""The time limit for one manifest from one registry."""
_COPY_SECONDS = 3600
"""The time limit for the layers of one image."""
_NOT_THERE = re.compile(r"manifest unknown|name unknown|not found|NAME_UNKNOWN|MANIFEST_UNKNOWN|\b404\b", re.IGNORECASE)
_FIRST_WORDS = re.compile(r'^(Error parsing image name|initializing source) "?docker://[^\s"]+"?: ')
_LONGEST = 300
_TOO_LATE = "context deadline exceeded"
"""skopeo's message at the end of --command-timeout."""
_NO_REGISTRY = re.compile(r"pinging (container|docker) registry|invalid status code from registry")
_CERTIFICATE = re.compile(r"x509:|certificate")
_ANONYMOUS = re.compile(r"unauthorized|authentication required|\b401\b", re.IGNORECASE)
_DENIED = re.compile(r"denied|\b403\b", re.IGNORECASE)
_ANOTHER = re.compile(r"manifest digest|does not match|digest mismatch|doesn't match", re.IGNORECASE)


Trouble = Literal["missing", "silent", "another", "unfit"]


class ImageMissingError(HostError):
    """No address has the image.

    ``kind``: all of them answer and none has it ("missing"), one does not answer ("silent"), the one with this name has
    another digest ("another"), or no node can use it ("unfit").
    """

    def __init__(self, message: str, hint: str, kind: Trouble = "missing") -> None:
        super().__init__(message, hint)
        self.kind: Trouble = kind


class AnswerError(Exception):
    """What a registry answered, or why it did not.

    ``absent``: it answers as a registry does, and does not have the image. ``another``: what it sent has another
    digest. ``certificate``: its certificate is not trusted. ``anonymous``: it requires a login that it did not get.
    ``denied``: it denies access to this login, or to anybody. ``login``: either of these two.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.certificate = _CERTIFICATE.search(text) is not None
        self.anonymous = _ANONYMOUS.search(text) is not None
        self.denied = _DENIED.search(text) is not None
        self.login = self.anonymous or self.denied
        self.absent = _NOT_THERE.search(text) is not None and _NO_REGISTRY.search(text) is None
        self.another = _ANOTHER.search(text) is not None


@dataclass(frozen=True)
class Registries:
    """The registries of a profile. ``folder`` has the logins and certificates, for this user only."""

    folder: Path
    hosts_with_login: frozenset[str]
    hosts_with_authority: frozenset[str]
    _with_tls: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def manifest(self, source: Source, place: str) -> bytes:
        """The manifest or index at ``place`` (path:tag or path@digest), byte for byte.

        Raises:
            AnswerError: there is none.
            HostError: skopeo is not installed.
        """
        return self._ask(["inspect", "--raw"], source, place)

    def config(self, source: Source, place: str) -> bytes:
        """The configuration of the image at ``place``, byte for byte; raises the same."""
        return self._ask(["inspect", "--config", "--raw"], source, place)

    def copy(self, source: Source, place: str, folder: Path, *, whole: bool = False) -> None:
        """Copy the image at ``place`` to ``folder``, as skopeo's transport dir has it: a file for each blob.

        That form keeps manifests and layers byte for byte, so their digests stay (containers-transports(5)).
        ``whole``: with all platforms of its index.

        Raises:
            AnswerError: the registry does not have it, or not all of it.
            HostError: skopeo is not installed.
        """
        options = [option.replace("--", "--src-", 1) for option in self._options(source)]
        options += ["--all"] if whole else []
        skopeo(
            ["copy", "--quiet", "--retry-times=2", *options, f"docker://{source.place}/{place}", f"dir:{folder}"],
            _COPY_SECONDS,
        )

    def push(self, folder: Path, source: Source, place: str) -> None:
        """Copy what is in ``folder``, in that form, to ``place``, with the same digests; an index with all platforms.

        Raises:
            AnswerError: it is refused, or the registry does not answer.
            HostError: skopeo is not installed.
        """
        options = [option.replace("--", "--dest-", 1) for option in self._options(source)]
        skopeo(
            [
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                *options,
                f"dir:{folder}",
                f"docker://{source.place}/{place}",
            ],
            _COPY_SECONDS,
        )

    def _ask(self, words: Sequence[str], source: Source, place: str) -> bytes:
        return skopeo([*words, *self._options(source), f"docker://{source.place}/{place}"], _SECONDS)

    def _options(self, source: Source) -> list[str]:
        found = []
        if source.plain or source.skip_verify:
            self._require_tls(source)
            found.append("--tls-verify=false")
        if source.host in self.hosts_with_authority:
            found.append(f"--cert-dir={self.folder / _file(source.host)}")
        if source.host in self.hosts_with_login:
            found.append(f"--authfile={self.folder / 'auth.json'}")
        return found

    def _require_tls(self, source: Source) -> None:
        """Refuse a registry at https:// without TLS.

        Raises:
            AnswerError: it does not speak TLS, and skopeo would send the login over plain http.
        """
        if source.plain or source.host in self._with_tls:
            return
        from imgbuild.fetch.unverified import without_tls  # urllib3, which only skip_verify needs here

        why = without_tls(source.host)
        if why:
            raise AnswerError(f"{why}: a registry without TLS is http:// in containerd.registries")
        self._with_tls.add(source.host)


def skopeo(words: Sequence[str], seconds: int) -> bytes:
    """The output of skopeo with these arguments.

    Raises:
        AnswerError: it failed, or was not done in time.
        HostError: it is not installed, or was killed.
    """
    command = ["skopeo", f"--command-timeout={seconds}s", *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds + 30, check=False)
    except FileNotFoundError as error:
        raise HostError("skopeo is not installed", "run apt-get install skopeo (or dnf install skopeo)") from error
    except subprocess.TimeoutExpired as error:
        raise AnswerError(f"no answer in {seconds} s") from error
    if done.returncode < 0:  # no answer of a registry: whoever ends a run ends this too, and no other one is asked
        raise HostError(
            f"skopeo was killed by signal {-done.returncode}",
            "run it again; the kernel kills programs when memory runs out: dmesg reports that",
        )
    if done.returncode:
        reason = _reason(done.stderr.decode(errors="replace"))
        raise AnswerError(f"no answer in {seconds} s" if reason.endswith(_TOO_LATE) else reason)
    return done.stdout


@contextmanager
def registries(profile: Profile) -> Iterator[Registries]:
    """The registries of a profile, with its logins and authorities until the end of the block.

    At a host for which the profile has no login, skopeo uses the user's own (containers-auth.json(5)).
    """
    found, certificates = logins(profile), authorities(profile)
    with private_folder("imgbuild-registries-") as folder:
        for host, text in certificates.items():
            (folder / _file(host)).mkdir()
            (folder / _file(host) / "ca.crt").write_text(text)
        (folder / "auth.json").write_text(json.dumps({"auths": {host: _auth(one) for host, one in found.items()}}))
        yield Registries(folder, frozenset(found), frozenset(certificates))


def _auth(login: Login) -> dict[str, str]:
    """As containers-auth.json(5) has it: an identity token, too, needs an entry ``auth`` with a colon in it."""
    pair = f"{login.username or ''}:{login.password or ''}"
    found = {"auth": base64.b64encode(pair.encode()).decode()}
    return found if login.token is None else {**found, "identitytoken": login.token}


def _file(host: str) -> str:
    return re.sub("[^A-Za-z0-9.-]", "_", host)


def _reason(text: str) -> str:
    """The last message of skopeo's log line, time="…" level=fatal msg="…", from the end of its first words on."""
    lines = text.strip().splitlines() or ["no reason given"]
    _, found, message = lines[-1].partition('msg="')
    whole = _FIRST_WORDS.sub("", (message.rstrip('"') if found else lines[-1]).replace('\\"', '"'))
    # The cause is at the end: each caller in skopeo adds its own words in front.
    return whole if len(whole) <= _LONGEST else f"… {whole[-_LONGEST:].partition(' ')[2]}"
