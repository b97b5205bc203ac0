"""Public keys as text, against gpg itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbuild.config.load import load
from imgbuild.config.openpgp import dearmour, key_facts, public_key
from imgbuild.diagnostics.findings import Findings

Gpg = Callable[..., str]


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    """gpg with a home of its own."""
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)

    def run(*args: str, given: str = "") -> str:
        command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *args]
        environment = {**os.environ, "GNUPGHOME": str(home), "LC_ALL": "C"}
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True, check=False)


def made(gpg: Gpg, name: str, *, kind: str = "rsa2048", expires: str = "never") -> str:
    """A new key pair; its public key."""
    gpg("--quick-generate-key", f"{name} <{name}@example.com>", kind, "sign", expires)
    return gpg("--armor", "--export", f"{name}@example.com")


def facts_of_gpg(gpg: Gpg, key: str) -> tuple[str, str]:
    """Fingerprint and expiry, as gpg reads them."""
    rows = [line.split(":") for line in gpg("--with-colons", "--show-keys", given=key).splitlines()]
    return next(r[9] for r in rows if r[0] == "fpr"), next(r[6] for r in rows if r[0] == "pub")


@pytest.mark.parametrize(("kind", "expires"), [("rsa2048", "never"), ("ed25519", "2y"), ("dsa1024", "10d")])
def test_what_gpg_reads(gpg: Gpg, kind: str, expires: str) -> None:
    key = made(gpg, f"one-{kind}", kind=kind, expires=expires)
    fingerprint, until = facts_of_gpg(gpg, key)
    facts = key_facts(dearmour(key))
    assert facts.fingerprint == fingerprint
    assert str(facts.expires or "") == until


def test_a_later_expiry_counts(gpg: Gpg) -> None:
    key = made(gpg, "later", expires="1d")
    fingerprint, first = facts_of_gpg(gpg, key)
    gpg("--quick-set-expire", fingerprint, "3y")
    key = gpg("--armor", "--export", fingerprint)
    assert facts_of_gpg(gpg, key)[1] > first
    assert str(key_facts(dearmour(key)).expires) == facts_of_gpg(gpg, key)[1]


def test_the_text_is_written_anew(gpg: Gpg) -> None:
    key = made(gpg, "anew")
    plain = public_key(key)
    lines = key.splitlines()
    without_sum = [line for line in lines if not line.startswith("=")]
    variants = [
        "\r\n".join(lines) + "\r\n",
        "from our web page:\n\n" + key + "\nthat was it\n",
        key.replace("BLOCK-----\n\n", "BLOCK-----\nVersion: GnuPG v1\nComment: ours\n\n", 1),
        "\n".join(without_sum),  # as newer programs write it; rpm 4.11 wants a checksum
        "\n".join(f"  {line}" for line in lines),
    ]
    for text in [plain, *variants]:
        assert public_key(text) == plain
    assert "\n=" in plain
    assert facts_of_gpg(gpg, plain) == facts_of_gpg(gpg, key)


def test_what_is_refused(gpg: Gpg) -> None:
    key = made(gpg, "refused")
    other = made(gpg, "other")
    both = gpg("--armor", "--export", "refused@example.com", "other@example.com")
    private = gpg("--armor", "--export-secret-keys", "refused@example.com")
    signature = gpg("--armor", "--detach-sign", given="text")
    message = gpg("--armor", "--store", given="text").replace("PGP MESSAGE", "PGP PUBLIC KEY BLOCK")
    disguised = private.replace("PRIVATE", "PUBLIC")
    lines = key.splitlines()
    swapped = key.replace(lines[5], lines[5][::-1])
    bare = [line for line in lines if not line.startswith("=")]
    for text, why in [
        (private, "PRIVATE KEY"),
        (key + private, "PRIVATE KEY"),
        (disguised, "PRIVATE KEY"),
        ("", "ASCII-armoured"),
        ("/etc/pki/rpm-gpg/RPM-GPG-KEY-x", "ASCII-armoured"),
        (key + signature, "nothing else"),
        (signature, "nothing else"),
        (key + other, "separate item"),
        (both, "separate item"),
        (message, "does not contain"),
        ("\n".join(lines[:-1]), "no END line"),
        ("\n".join([*lines[:6], *lines[7:]]), "truncated or changed"),
        (swapped, "truncated or changed"),
        ("\n".join([*bare[:6], *bare[-1:]]), "truncated"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n", "truncated"),
    ]:
        with pytest.raises(ValueError, match=why):
            public_key(text)


def test_any_bytes_are_a_key_or_an_error(gpg: Gpg) -> None:
    data = dearmour(made(gpg, "bytes"))
    for at in range(0, len(data), 3):
        for part in (data[:at], data[:at] + b"\xff" + data[at + 1 :], data[:at] + b"\x00" + data[at + 1 :]):
            try:
                key_facts(part)
            except ValueError as error:
                assert str(error)


def test_a_private_key_is_never_shown(gpg: Gpg, tmp_path: Path) -> None:
    made(gpg, "never-shown")
    private = gpg("--armor", "--export-secret-keys", "never-shown@example.com")
    layer = tmp_path / "mine.yaml"
    text = "".join(f"        {line}\n" for line in private.splitlines())
    layer.write_text(f"repositories:\n  keys:\n    elrepo:\n      - |\n{text}")
    findings = Findings()
    load("centos7-efi", [str(layer)], [], None, findings)
    assert [(f.code, f.key, f.mark and (f.mark.line, f.mark.column)) for f in findings.items] == [
        ("IB113", "repositories.keys.elrepo[0]", (4, 9))
    ]
    said = str(findings.items)
    assert "THIS IS A PRIVATE KEY" in said
    assert not [line for line in private.splitlines()[2:-1] if line[:12] in said]
