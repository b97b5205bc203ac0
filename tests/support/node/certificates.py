"""Certificates with dates of one's choice, as PEM and as kubeconfigs."""

from __future__ import annotations

import base64
import datetime
import os
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)
_NOW = datetime.datetime.now(datetime.UTC)
"""Of all certificates: two that begin on the same day do so in the same second."""


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def pem(left: float, life: float = 365) -> str:
    """A certificate that ends in ``left`` days, ``life`` days after it began."""
    end = _NOW + left * DAY
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - life * DAY)
        .not_valid_after(end)
        .sign(_key(), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def kubeconfig(left: float, life: float = 365) -> str:
    """The same as the client's certificate of a kubeconfig."""
    return f"users:\n- user:\n    client-certificate-data: {base64.b64encode(pem(left, life).encode()).decode()}\n"


def written(file: Path, days: float) -> None:
    """The file was written so many days ago."""
    at = (_NOW - days * DAY).timestamp()
    os.utime(file, (at, at))
