"""What all unit tests share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from imgbuild.config import openssl

_KEYS = 12  # three clusters' own


@pytest.fixture(scope="session", autouse=True)
def few_keys() -> Iterator[None]:
    """Make a dozen RSA keys at most: each takes a tenth of a second.

    Three clusters in a row have different keys, as they would without this.
    """
    real, numbers = openssl._key, count()
    made: list[RSAPrivateKey | EllipticCurvePrivateKey] = []

    def key(kind: openssl.Kind) -> RSAPrivateKey | EllipticCurvePrivateKey:
        if kind == "ecdsa":
            return real(kind)
        if len(made) < _KEYS:
            made.append(real(kind))
        return made[next(numbers) % len(made)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openssl, "_key", key)
        yield
