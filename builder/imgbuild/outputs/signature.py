"""Signatures by an SSH key (PROTOCOL.sshsig of OpenSSH, 8.1 and later), and the checksums that they cover."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.fetch.checksum import sha256_of
from imgbuild.outputs.tree import OutFile, write_file

NAMESPACE = "imgbuild"
SUFFIX = ".sig"
SUMS = "SHA256SUMS"
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>[^/]+)")


@dataclass(frozen=True)
class Signer:
    """A key that has signed before: `--sign-key` is tried before any work starts."""

    key: Path

    def sign(self, content: bytes) -> bytes:
        """The signature of ``content``, armoured.

        Raises:
            HostError: ssh-keygen is missing or did not sign.
        """
        argv = ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(self.key)]
        # Without a terminal and a window, so that it never waits for a passphrase.
        environment = {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
        try:
            done = subprocess.run(
                argv, input=content, capture_output=True, check=False, env=environment, start_new_session=True
            )
        except FileNotFoundError as error:
            raise HostError(
                "cannot sign: ssh-keygen is not installed", "install the Debian package openssh-client"
            ) from error
        if done.returncode:
            raise self._refused(done.stderr.decode(errors="replace"))
        return done.stdout

    def _refused(self, said: str) -> HostError:
        if "UNPROTECTED PRIVATE KEY" in said:
            return HostError(f"others can read the key {self.key}, and ssh-keygen refuses it", f"chmod 600 {self.key}")
        if "passphrase" in said:
            return HostError(
                f"the key {self.key} has a passphrase, which imgbuild does not ask for",
                f"load it into ssh-agent: ssh-add {self.key}; with sudo, keep the agent: "
                "sudo --preserve-env=SSH_AUTH_SOCK imgbuild …",
            )
        last = " | ".join(line.strip() for line in said.strip().splitlines()[-2:]) or "no message"
        return HostError(
            f"ssh-keygen cannot sign with {self.key}: {last}",
            "pass a private key in OpenSSH's format, or the .pub file of a key that ssh-agent has",
        )


def open_signer(key: Path) -> Signer:
    """The signer with this key, which has signed something already.

    Raises:
        UsageError: there is no such file.
        HostError: it cannot be used.
    """
    if not key.is_file():
        raise UsageError(
            f"there is no key file {key}", f"correct the path, or make one: ssh-keygen -t ed25519 -f {key}"
        )
    try:
        with key.open("rb"):
            pass
    except OSError as error:
        raise HostError(f"cannot read the key {key}: {error.strerror}", "run imgbuild as its owner") from error
    signer = Signer(key)
    signer.sign(b"")
    return signer


def verified_by(content: bytes, signature: bytes, signers: Path) -> str:
    """Who signed ``content``, as the file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS) names them.

    Raises:
        UsageError: there is no such file of signers.
        HostError: the signature is not by one of them, or not of this content; or ssh-keygen is missing.
    """
    if not signers.is_file():
        raise UsageError(
            f"there is no file {signers}", 'write one line for each signer: NAME namespaces="imgbuild" PUBLIC-KEY'
        )
    with tempfile.TemporaryDirectory(prefix="imgbuild-signature-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        where = ["-s", str(file), "-f", str(signers)]
        names = _ssh_keygen(["-Y", "find-principals", *where], b"")
        for name in names.stdout.decode(errors="replace").splitlines():
            if _ssh_keygen(["-Y", "verify", "-n", NAMESPACE, "-I", name, *where], content).returncode == 0:
                return name
    if names.returncode:
        raise HostError(
            f"the signature is not by a signer in {signers}",
            f"ask whoever made it for the public key, by another way, and add its line to {signers}",
        )
    raise HostError(
        "the signature does not match: what it is for was changed, or signer or signature are for something else than "
        "imgbuild",
        f'copy it again from where it was made; namespaces in {signers} must have "imgbuild"',
    )


def _ssh_keygen(words: Sequence[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *words], input=content, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError as error:
        raise HostError(
            "cannot verify the signature: ssh-keygen is not installed", "install the Debian package openssh-client"
        ) from error


def read_sums(folder: Path) -> dict[str, str]:
    """The sums in a folder's SHA256SUMS, by name; empty if there is none."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, ValueError):
        return {}
    found = [_LINE.fullmatch(line) for line in lines]
    return {line["name"]: line["sum"] for line in found if line is not None}


def write_sums(folder: Path, signer: Signer | None, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write SHA256SUMS of the files in ``folder``, as `sha256sum -c` reads it, and its signature; return the sums.

    ``known``: those of files that this run has just written and read.

    Raises:
        HostError: they cannot be signed.
    """
    from concurrent.futures import ThreadPoolExecutor  # only for an image

    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    sums = dict(known or {})
    todo = [name for name in names if name not in sums]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        sums |= zip(todo, pool.map(sha256_of, (folder / name for name in todo)), strict=True)
    content = "".join(f"{sums[name]}  {name}\n" for name in names).encode()
    write_file(folder / SUMS, OutFile(content))
    if signer is not None:
        write_file(folder / f"{SUMS}{SUFFIX}", OutFile(signer.sign(content)))
    return sums
