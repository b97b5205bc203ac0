"""Keys and certificates by the openssl command: EC keys, because emulated processors take seconds for RSA."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from tests.support.cluster.standins.schema import Refused

_DAYS = {"ca": "3650", "leaf": "365"}


def openssl(*words: str | Path, data: bytes = b"") -> bytes:
    """Run it. Refused with its own words when it fails."""
    done = subprocess.run(["openssl", *words], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise Refused(f"openssl {words[0]}: {said}")
    return done.stdout


def new_key() -> bytes:
    return openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def keep(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)


def ensure_ca(stem: Path, name: str) -> None:
    """A CA at stem.crt and stem.key: the one that lies there, checked, or a new one."""
    certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
    if certificate.exists():
        print(f"[certs] Using existing {'/'.join(stem.parts[4:])} certificate authority")
        check_ca(stem)
        return
    print(f'[certs] Generating "{"/".join(stem.parts[4:])}" certificate and key')
    keep(key, new_key())
    made = openssl(
        "req",
        "-x509",
        "-new",
        "-key",
        key,
        "-days",
        _DAYS["ca"],
        "-subj",
        f"/CN={name}",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign",
    )
    keep(certificate, made, 0o644)


def check_ca(stem: Path) -> None:
    """It can sign: the key is there and is the certificate's, which is a CA's and valid at this hour."""
    certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
    name = "/".join(stem.parts[4:])
    for path, what in ((certificate, "certificate"), (key, "private key")):
        if not path.exists():
            raise Refused(f"failure loading {name} {what}: couldn't load the {what} file {path}: no such file")
    if openssl("x509", "-in", certificate, "-pubkey", "-noout") != openssl("pkey", "-in", key, "-pubout"):
        raise Refused(f"failure loading {name}: {key} is not the key of {certificate}")
    if key.stat().st_mode & 0o077:
        raise Refused(f"{key}: a private key that others may read")
    try:
        openssl("verify", "-CAfile", certificate, certificate)
    except Refused as error:
        raise Refused(f"failure loading {name} certificate: {error}") from error
    if b"CA:TRUE" not in openssl("x509", "-in", certificate, "-noout", "-ext", "basicConstraints"):
        raise Refused(f"certificate {name} is not a CA")


def ensure_service_account(folder: Path) -> None:
    """sa.key and sa.pub."""
    key, public = folder / "sa.key", folder / "sa.pub"
    if key.exists():
        if not public.exists() or openssl("pkey", "-in", key, "-pubout") != public.read_bytes():
            raise Refused(f"{public} is missing or is not the public half of {key}")
        print('[certs] Using the existing "sa" key')
        return
    print('[certs] Generating "sa" key and public key')
    keep(key, new_key())
    keep(public, openssl("pkey", "-in", key, "-pubout"))


def sign(ca: Path, subject: str, sans: list[str] | None = None) -> tuple[bytes, bytes]:
    """Certificate and key by the CA at ``ca``.crt and .key. ``subject`` is openssl's: /O=system:masters/CN=x."""
    key = new_key()
    request = openssl("req", "-new", "-key", "/proc/self/fd/0", "-subj", subject, data=key)
    return sign_request(ca, request, sans), key


def sign_request(ca: Path, request: bytes, sans: list[str] | None = None) -> bytes:
    """Its certificate."""
    lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment"]
    lines.append(f"extendedKeyUsage={'serverAuth,clientAuth' if sans else 'clientAuth'}")
    if sans:
        lines.append("subjectAltName=" + ",".join(sans))
    reader, writer = os.pipe()
    os.write(writer, "\n".join(lines).encode())
    os.close(writer)
    try:
        done = subprocess.run(
            [
                "openssl",
                "x509",
                "-req",
                "-CA",
                ca.with_suffix(".crt"),
                "-CAkey",
                ca.with_suffix(".key"),
                "-days",
                _DAYS["leaf"],
                "-extfile",
                f"/proc/self/fd/{reader}",
                "-set_serial",
                str(int.from_bytes(os.urandom(8), "big") >> 1),
            ],
            input=request,
            capture_output=True,
            check=False,
            pass_fds=[reader],
        )
    finally:
        os.close(reader)
    if done.returncode != 0:
        raise Refused(f"openssl x509: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def pin(certificate: bytes) -> str:
    """sha256:HEX of the certificate's public key, as in caCertHashes."""
    public = openssl("x509", "-pubkey", "-noout", data=certificate)
    return "sha256:" + hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", data=public)).hexdigest()
