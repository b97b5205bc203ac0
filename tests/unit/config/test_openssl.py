"""Keys and certificates: what OpenSSL reads and makes."""

from __future__ import annotations

import base64
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from imgbuild.config.openssl import Kind, check_key, is_rsa, new_key, public_key

KINDS: tuple[Kind, ...] = ("ecdsa", "rsa")
STEP = {"ecdsa": 1, "rsa": 7}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_with_one_wrong_bit_is_damaged_wherever_it_is(kind: Kind) -> None:
    pem = new_key(kind)
    check_key(pem)
    head, *lines, end = pem.splitlines()
    content = base64.b64decode("".join(lines))
    for place in range(0, len(content), STEP[kind]):
        wrong = bytearray(content)
        wrong[place] ^= 1 << place % 8
        text = "\n".join((head, *textwrap.wrap(base64.b64encode(wrong).decode(), 64), end))
        with pytest.raises(ValueError):  # OpenSSL has its own texts
            check_key(f"{text}\n")


@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_of_a_public_key_are_the_same_key(kind: Kind) -> None:
    pem = new_key(kind)
    lines = public_key(pem).decode().splitlines()
    assert base64.b64decode("".join(lines[1:-1])) == public_key(pem, der=True)
    assert is_rsa(pem) == (kind == "rsa")


def written(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_a_users_own_authority_has_a_key_that_kubernetes_reads() -> None:
    check_key(written(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(ValueError):
        check_key(written(ec.generate_private_key(ec.SECP256K1())))
    with pytest.raises(ValueError, match="neither RSA nor ECDSA"):
        check_key(written(ed25519.Ed25519PrivateKey.generate()))
