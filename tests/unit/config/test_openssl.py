"""Keys and certificates: what OpenSSL reads and makes."""

from __future__ import annotations

import base64

import pytest

from imgbuild.config.openssl import check_key, new_key, public_key

HEAD, END = "-----BEGIN RSA PRIVATE KEY-----\n", "-----END RSA PRIVATE KEY-----\n"


def test_a_key_with_one_wrong_bit_is_damaged_wherever_it_is() -> None:
    pem = new_key()
    check_key(pem)
    content = base64.b64decode(pem.removeprefix(HEAD).removesuffix(END))
    for place in range(0, len(content), 7):
        wrong = bytearray(content)
        wrong[place] ^= 1 << place % 8
        with pytest.raises(ValueError):  # OpenSSL has its own texts
            check_key(f"{HEAD}{base64.encodebytes(bytes(wrong)).decode()}{END}")


def test_both_forms_of_a_public_key_are_the_same_key() -> None:
    pem = new_key()
    lines = public_key(pem).decode().splitlines()
    assert base64.b64decode("".join(lines[1:-1])) == public_key(pem, der=True)
