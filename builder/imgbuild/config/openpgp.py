"""OpenPGP public keys as text: what a profile may give for a repository, in the form that every target reads.

Sources: RFC 4880 (6.2 armour, 4.2 packet headers, 5.5.2 keys, 12.2 fingerprints, 5.2.3 signatures). rpm 4.11 refuses
armour without a checksum, which newer programs no longer write, and silently uses only the first key of
a block: so keys are rewritten, one key per block.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_BLOCK = re.compile(r"-----BEGIN PGP ([A-Z ]+)-----\s*?\n(.*?)-----END PGP \1-----", re.DOTALL)
_BEGIN = re.compile(r"-----BEGIN PGP ([A-Z ]+?)( BLOCK)?-----")
_HEADER = re.compile(r"[A-Za-z][A-Za-z-]*: ?.*")
_PUBLIC = "PUBLIC KEY BLOCK"
_SIGNATURE, _PRIMARY, _USER_ID, _SUBKEY = 2, 6, 13, 14
_SECRET = (5, 7)
_SELF = frozenset({0x10, 0x11, 0x12, 0x13, 0x1F})  # certifications of a user ID, and the key about itself
_CREATED, _KEY_EXPIRES, _ISSUER, _KEY_FLAGS = 2, 9, 16, 27
_SIGNS = 0x02


@dataclass(frozen=True)
class KeyFacts:
    """A public key's own data. ``expires``: seconds since 1970, null: never. No signature is verified."""

    fingerprint: str
    expires: int | None


def public_key(text: str) -> str:
    """One ASCII-armoured public key, rewritten.

    Raises:
        ValueError: it is not one; the text has the fix.
    """
    kinds = [name + block for name, block in _BEGIN.findall(text)]
    if any("PRIVATE" in kind or "SECRET" in kind for kind in kinds):
        raise ValueError(_private())
    if not kinds:
        raise ValueError(
            "write an ASCII-armoured public key, from -----BEGIN PGP PUBLIC KEY BLOCK----- to its END line, "
            "as `gpg --armor --export KEY` prints it; in YAML a block scalar: `- |` and the lines below, indented"
        )
    if set(kinds) != {_PUBLIC}:
        raise ValueError(f"give a {_PUBLIC} and nothing else, not {', '.join(dict.fromkeys(kinds))}")
    if len(kinds) > 1:
        raise ValueError("give each public key block as a separate item: each becomes a separate file")
    found = _BLOCK.search(text.replace("\r\n", "\n"))
    if found is None:
        raise ValueError("the public key block has no END line: copy the whole block")
    data = _decoded(found[2])
    key_facts(data)
    return _armoured(data)


@cache
def dearmour(text: str) -> bytes:
    """The packets of one public key that ``public_key`` accepts; cached, because reading is slow in Python."""
    found = _BLOCK.search(public_key(text))
    assert found is not None  # noqa: S101 - public_key has written it
    return _decoded(found[2])


def blocks(text: str) -> Iterator[bytes]:
    """The packets of each key of a file with several, as publishers have it, with words between them.

    Raises:
        ValueError: a block is damaged.
    """
    for kind, body in _BLOCK.findall(text):
        if kind == _PUBLIC:
            yield _decoded(body)


@cache
def verifying(text: str) -> str:
    """The key that ``public_key`` accepts, without what verifies no package: subkeys that do not sign, and what others
    certified. The packets that stay are byte for byte the same, so the key's own signatures remain valid.
    """
    data, out, subkey = dearmour(text), b"", b""
    key_id = bytes.fromhex(key_facts(data).fingerprint)[-8:]
    for tag, body in _packets(data):
        packet = bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body  # the old format, RFC 4880, 4.2.1
        if tag == _SUBKEY:
            subkey = packet
        elif tag != _SIGNATURE:
            out, subkey = out + packet, b""
        elif subkey:
            if _key_flags(body) & _SIGNS:
                out, subkey = out + subkey + packet, b""
        elif _self_signature(body, key_id) is not None:
            out += packet
    return _armoured(out)


def key_facts(data: bytes) -> KeyFacts:
    """Fingerprint and expiry of one public key.

    Raises:
        ValueError: these packets are not a single public key of version 4.
    """
    fingerprint, made, expires, newest = "", 0, None, -1
    of_primary = True
    for tag, body in _packets(data):
        if tag in _SECRET:
            raise ValueError(_private())
        if not fingerprint and tag != _PRIMARY:
            raise ValueError("the block does not contain a public key")
        if tag == _PRIMARY:
            if fingerprint:
                raise ValueError(
                    "the block has several keys: give each as a separate item (CentOS 7's rpm uses only the first)"
                )
            if len(body) < 7 or body[0] != 4:
                raise ValueError("give an OpenPGP key of version 4: rpm of CentOS 7 and 8 reads no other")
            fingerprint = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest()
            made = int.from_bytes(body[1:5], "big")
        elif tag == _SIGNATURE and of_primary:
            signed = _self_signature(body, bytes.fromhex(fingerprint)[-8:])
            if signed is not None and signed[0] >= newest:
                newest = signed[0]
                expires = made + signed[1] if signed[1] else None
        elif tag not in (_SIGNATURE, _USER_ID, 17):
            of_primary = False  # subkeys follow, with signatures of their own
    if not fingerprint:
        raise ValueError("the block is empty")
    return KeyFacts(fingerprint.upper(), expires)


def _private() -> str:
    return (
        "THIS IS A PRIVATE KEY: whoever reads this file can sign packages with it. Remove it, replace that key if "
        "the file was ever shared, and give the public key: `gpg --armor --export KEY`"
    )


def _decoded(block: str) -> bytes:
    lines = [line.strip() for line in block.splitlines()]
    while lines and (not lines[0] or _HEADER.fullmatch(lines[0])):
        lines.pop(0)
    lines = [line for line in lines if line]
    sums = [line for line in lines if re.fullmatch(r"=[A-Za-z0-9+/]{4}", line)]
    text = "".join(line for line in lines if line not in sums)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or (sums and [base64.b64encode(_crc24(data)).decode()] != [s[1:] for s in sums]):
        raise ValueError("the key is truncated or changed: its lines do not decode; copy the whole block again")
    return data


def _armoured(data: bytes) -> str:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    crc = base64.b64encode(_crc24(data)).decode()
    return "\n".join([f"-----BEGIN PGP {_PUBLIC}-----", "", *lines, f"={crc}", f"-----END PGP {_PUBLIC}-----", ""])


def _crc24(data: bytes) -> bytes:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return (crc & 0xFFFFFF).to_bytes(3, "big")


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        first, at = data[at], at + 1
        if not first & 0x80:
            raise ValueError("the block does not contain an OpenPGP key")
        if first & 0x40:
            tag, (length, at) = first & 0x3F, _length(data, at)
        else:
            tag, size = first >> 2 & 0xF, 1 << (first & 3)
            if size == 8:
                raise ValueError("the block does not contain an OpenPGP key")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("the key is truncated: copy the whole block again")
        yield tag, data[at : at + length]
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A length in the new format, and the offset after it."""
    first = data[at] if at < len(data) else 255
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + int.from_bytes(data[at + 1 : at + 2], "big") + 192, at + 2
    if first < 255:
        raise ValueError("the block does not contain an OpenPGP key")
    return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5


def _self_signature(body: bytes, key_id: bytes) -> tuple[int, int] | None:
    """When a key signed itself, and for how many seconds after its creation; null for every other signature."""
    if len(body) < 6 or body[0] != 4 or body[1] not in _SELF:
        return None
    hashed = int.from_bytes(body[4:6], "big")
    area, rest = body[6 : 6 + hashed], body[6 + hashed :]
    unhashed = rest[2 : 2 + int.from_bytes(rest[:2], "big")]
    fields = dict(_subpackets(area))
    issuer = fields.get(_ISSUER) or dict(_subpackets(unhashed)).get(_ISSUER)
    if issuer is not None and issuer != key_id:
        return None
    return int.from_bytes(fields.get(_CREATED, b""), "big"), int.from_bytes(fields.get(_KEY_EXPIRES, b""), "big")


def _key_flags(body: bytes) -> int:
    """What a signature that binds a subkey lets it do (RFC 4880, 5.2.3.21); without flags it is for everything."""
    if len(body) < 6 or body[0] != 4:
        return 0xFF
    area = body[6 : 6 + int.from_bytes(body[4:6], "big")]
    return int.from_bytes(dict(_subpackets(area)).get(_KEY_FLAGS, b"\xff")[:1], "big")


def _subpackets(area: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(area):
        length, at = _length(area, at)
        if length:
            yield area[at] & 0x7F, area[at + 1 : at + length]
        at += length
