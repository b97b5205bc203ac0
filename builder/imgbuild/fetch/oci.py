"""A store in a repository of an OCI registry: what one machine has fetched or built, others take from there.

Each entry is an OCI artifact: a manifest under a tag, with a layer for each file (image-spec 1.1, "Guidelines for
Artifact Usage"), as `oras pull` reads it too. skopeo moves them: it has the logins (containers-auth.json(5)), proxies
and certificates (containers-certs.d(5)) of the user.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgbuild.diagnostics.errors import UsageError
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.oci_format import EMPTY, MANIFEST, TITLE, hex_of
from imgbuild.fetch.registry import AnswerError, skopeo

SCHEMES = ("oci://", "oci+http://")
_SECONDS = 3600
"""The time limit for one entry, which can be a root file system."""
_ANSWER_SECONDS = 60
"""The time limit for the registry's first answer."""
_PLACE = re.compile(r"oci(?P<plain>\+http)?://(?P<host>[A-Za-z0-9.\[\]:-]+)/(?P<path>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)/?")
_EMPTY = b"{}"


@dataclass
class Repository:
    """``writable``: whether anything is still sent there; False once it was refused.

    ``denied``: what the registry answered when it denied access to an entry; empty if it did not.
    """

    host: str
    path: str
    plain: bool
    writable: bool = field(default=True)
    denied: str = field(default="")
    _answers: bool = field(default=False, init=False, repr=False, compare=False)
    _broken: AnswerError | None = field(default=None, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        return f"oci{'+http' if self.plain else ''}://{self.host}/{self.path}"

    def pull(self, tag: str, folder: Path) -> Mapping[str, Path] | None:
        """The files of an entry by their names, in the new folder ``folder``; None if there is none for this user.

        Raises:
            FetchError: the registry cannot be used. From then on it is not asked, and the error is the same.
            HostError: skopeo is not installed.
        """
        self._check(tag)
        shutil.rmtree(folder, ignore_errors=True)
        argv = ["copy", "--quiet", "--preserve-digests", *self._tls("src"), self._at(tag), f"dir:{folder}"]
        try:
            skopeo(argv, _SECONDS)
        except AnswerError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.absent:
                return None
            if error.denied and not error.anonymous:
                # Some registries deny access to a repository before something is in it.
                self.denied = self.denied or str(error)
                return None
            self._broken = error
            raise self._unusable(error) from error
        try:
            layers = json.loads((folder / "manifest.json").read_text())["layers"]
            return {str(one["annotations"][TITLE]): folder / hex_of(one["digest"]) for one in layers}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FetchError(
                f"{tag} in the store {self} is not an entry that imgbuild has made",
                "delete that tag in the registry, or use a repository for imgbuild alone",
            ) from error

    def push(self, tag: str, kind: str, files: Mapping[str, Path], folder: Path) -> str:
        """Store files under their names; return why that was refused, or nothing. ``folder`` is made and removed.

        Raises:
            HostError: skopeo is not installed.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            layers = []
            for name, path in files.items():
                digest = sha256_of(path)
                (folder / digest).symlink_to(path.resolve())
                layers.append({
                    "mediaType": "application/octet-stream", "digest": f"sha256:{digest}",
                    "size": path.stat().st_size, "annotations": {TITLE: name},
                })  # fmt: skip
            empty = hashlib.sha256(_EMPTY).hexdigest()
            (folder / empty).write_bytes(_EMPTY)
            config = {"mediaType": EMPTY, "digest": f"sha256:{empty}", "size": len(_EMPTY)}
            (folder / "manifest.json").write_text(json.dumps({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": config,
                "layers": layers,
            }))  # fmt: skip
            (folder / "version").write_text("Directory Transport Version: 1.1\n")
            skopeo(
                ["copy", "--quiet", "--preserve-digests", *self._tls("dest"), f"dir:{folder}", self._at(tag)], _SECONDS
            )
        except AnswerError as error:
            self.writable = False
            return str(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return ""

    def _check(self, tag: str) -> None:
        """Ask the registry once for something small: a server that never answers costs no more than a minute.

        Raises:
            FetchError: it does not answer, or not as a registry does.
        """
        with self._lock:
            if self._broken is not None:
                raise self._unusable(self._broken)
            if self._answers:
                return
            tls = ["--tls-verify=false"] if self.plain else []
            try:
                skopeo(["inspect", "--raw", *tls, self._at(tag)], _ANSWER_SECONDS)
            except AnswerError as error:
                if not error.absent and (error.anonymous or not error.denied):
                    self._broken = error
                    raise self._unusable(error) from error
            self._answers = True

    def _at(self, tag: str) -> str:
        return f"docker://{self.host}/{self.path}:{tag}"

    def _tls(self, side: str) -> list[str]:
        return [f"--{side}-tls-verify=false"] if self.plain else []

    def _unusable(self, why: AnswerError) -> FetchError:
        other = "with TLS is oci" if self.plain else "without TLS is oci+http"
        hint = f"check the registry's address and the network; a registry {other}://{self.host}/{self.path}"
        if why.certificate:
            hint = (
                "renew the registry's certificate if it has expired; put the authority that signed it into "
                f"/etc/containers/certs.d/{self.host}/ca.crt"
            )
        elif why.anonymous:
            tls = "--tls-verify=false " if self.plain else ""
            hint = f"log in, as the user that runs imgbuild: skopeo login {tls}{self.host}"
        return FetchError(f"the store {self} cannot be used: {why}", hint)


def repository(place: str) -> Repository:
    """The repository at an address.

    Raises:
        UsageError: it is not a valid address.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        raise UsageError(
            f"{place} is not a valid address of a store in a registry",
            "write oci://HOST/PATH, or oci+http://HOST/PATH for a registry without TLS; a path is in lower case",
        )
    return Repository(found["host"], found["path"], found["plain"] is not None)
