"""Look up an image in a registry with skopeo, which knows every registry's logins, proxies and own CAs."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from urllib.parse import urlsplit

from imgbuild.diagnostics.errors import HostError


class ImageMissingError(HostError):
    """No address has the image, or none could be reached."""


_SECONDS = 60
"""The time limit for one manifest from one registry."""


def digest(name: str, addresses: Sequence[str]) -> tuple[str, str]:
    """The digest of an image's manifest or index, and the first address that has the image (`manifest`)."""
    found, address = manifest(name, addresses)
    return f"sha256:{hashlib.sha256(found).hexdigest()}", address


def manifest(name: str, addresses: Sequence[str]) -> tuple[bytes, str]:
    """An image's manifest or index, as the registry sends it, and the first address that has the image.

    Args:
        name: registry, path and tag, as containerd would request it.
        addresses: URLs of registries, in the order to try them.

    Raises:
        ImageMissingError: no address has the image; each one's answer is in the message.
        HostError: skopeo is not installed.
    """
    answers = []
    for address in addresses:
        parts = urlsplit(address)
        place = f"{parts.netloc}{parts.path.rstrip('/')}/{_path(name)}"
        command = ["skopeo", f"--command-timeout={_SECONDS}s", "inspect", "--raw"]
        if parts.scheme == "http":
            command.append("--tls-verify=false")
        try:
            done = subprocess.run([*command, f"docker://{place}"], capture_output=True, timeout=_SECONDS + 30)
        except FileNotFoundError as error:
            raise HostError("skopeo is not installed", "run apt-get install skopeo (or dnf install skopeo)") from error
        except subprocess.TimeoutExpired:
            answers.append(f"{parts.netloc}: no answer in {_SECONDS} s")
            continue
        if done.returncode == 0:
            return done.stdout, address
        answers.append(f"{parts.netloc}: {_reason(done.stderr.decode(errors='replace'))}")
    raise ImageMissingError(f"{'; '.join(answers)}", "check the image's name and the mirror's address")


def _path(name: str) -> str:
    """The image's path and tag below its registry: docker.io's own images have the folder library."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return rest if first != "docker.io" or "/" in rest else f"library/{rest}"
    return name if slash else f"library/{name}"


def _reason(text: str) -> str:
    """The last message of skopeo's log line: time="…" level=fatal msg="…"."""
    lines = text.strip().splitlines() or ["no reason given"]
    _, found, message = lines[-1].partition('msg="')
    return (message.rstrip('"') if found else lines[-1])[-300:]
