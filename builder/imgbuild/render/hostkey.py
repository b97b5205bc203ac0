"""The SSH host key of a diskless node: it would make another one at each boot, and every client would warn.

Derived from one of the cluster's keys, so that each run and each boot has the same and nothing more must be kept. Who
has the node's key cannot compute the cluster's (HKDF, RFC 5869).
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass, field

from imgbuild.config.secrets import Secrets

_TYPE = b"ssh-ed25519"
_LINE = 70


@dataclass(frozen=True)
class HostKey:
    """An ed25519 key as files of /etc/ssh: ``private`` in OpenSSH's format, ``public`` one line."""

    private: str = field(repr=False)
    public: str


def host_key(secrets: Secrets, node: str) -> HostKey:
    """The key of this node."""
    from cryptography.hazmat.primitives import hashes, serialization  # 50 ms, and few runs make one
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"imgbuild ssh_host_ed25519_key {secrets.cluster} {node}".encode()
    kept = secrets.service_account_private_key.encode()
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(kept)
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(*raw)
    blob = _text(_TYPE) + _text(public)
    comment = f"root@{node}"
    return HostKey(_private(seed, public, blob, comment), f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}")


def _private(seed: bytes, public: bytes, blob: bytes, comment: str) -> str:
    """openssh-key-v1 without a passphrase (PROTOCOL.key of OpenSSH); its check number is for those with one."""
    check = hashlib.sha256(public).digest()[:4]
    body = check + check + blob + _text(seed + public) + _text(comment.encode())
    body += bytes(range(1, 1 + -len(body) % 8))
    none = _text(b"none")
    whole = b"openssh-key-v1\0" + none + none + _text(b"") + struct.pack(">I", 1) + _text(blob) + _text(body)
    text = base64.b64encode(whole).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""])


def _text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
