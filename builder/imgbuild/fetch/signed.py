"""A publisher's checksum file whose OpenPGP signature is verified, with gpgv and the keys that imgbuild ships."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from imgbuild.config.data import data_dir
from imgbuild.config.openpgp import blocks
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.outside import Signed
from imgbuild.fetch.address import shown
from imgbuild.fetch.ask import Answer, ask
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.publisher import ABSENT, checksum_in

_SECONDS = 60
_VALID = re.compile(r"(?m)^\[GNUPG:\] VALIDSIG (?:\S+ )*([0-9A-F]{40})$")
"""The last field is the fingerprint of the primary key (doc/DETAILS of GnuPG)."""


def signed_sum(signed: Signed, name: str) -> tuple[str, str] | None:
    """The sha256 of the file ``name``, and the fingerprint of the key that vouches for it; None if nobody has signed.

    Raises:
        FetchError: the signature is wrong, or a server does not answer.
        HostError: gpgv is not installed.
    """
    sums = _asked(signed.sums)
    signature = _asked(signed.signature) if signed.signature is not None else sums
    if sums.status in ABSENT or signature.status in ABSENT:
        return None
    for address, answer in ((signed.sums, sums), (signed.signature or signed.sums, signature)):
        if answer.status != 200:
            raise FetchError(f"{shown(address)}: the server answers with status {answer.status}", "run it again later")
    text, key = verified(sums.body, None if signed.signature is None else signature.body, signed)
    sha256 = checksum_in(text.decode(errors="replace"), name)
    return None if sha256 is None else (sha256, key)


def verified(content: bytes, signature: bytes | None, signed: Signed) -> tuple[bytes, str]:
    """What is signed of ``content``, and the fingerprint of the key. ``signature`` None: it is clear-signed.

    Raises:
        FetchError: it is not signed by one of the keys.
        HostError: gpgv is not installed.
    """
    armour = (data_dir("profiles") / "keys" / f"{signed.keys}.asc").read_text()
    with tempfile.TemporaryDirectory(prefix="imgbuild-keys-") as name:
        folder = Path(name)
        (folder / "keys.gpg").write_bytes(b"".join(blocks(armour)))
        (folder / "sums").write_bytes(content)
        files = ["--output", str(folder / "text"), str(folder / "sums")]
        if signature is not None:
            (folder / "sums.asc").write_bytes(signature)
            files = [str(folder / "sums.asc"), str(folder / "sums")]
        argv = ["gpgv", "--homedir", name, "--status-fd", "1", "--keyring", str(folder / "keys.gpg"), *files]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except FileNotFoundError as error:
            raise HostError(
                "cannot verify the publisher's signature: gpgv is not installed", "install the Debian package gpgv"
            ) from error
        found = _VALID.search(done.stdout)
        if done.returncode or found is None:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("gpgv: ")
            raise FetchError(
                f"the signature of {shown(signed.sums)} is not valid: {last}",
                "compare with the publisher's announcement: the file may have been replaced; or the publisher has a "
                "new key, which a newer imgbuild has",
            )
        text = (folder / "text").read_bytes() if signature is None else content
    return text, found[1]


def _asked(address: str) -> Answer:
    try:
        return ask(address)
    except FetchError as error:
        raise FetchError(f"{shown(address)}: {error}", error.hint) from error
