"""Protobuf's wire format, as much as CRI's messages need (protobuf.dev, "Encoding").

A message is written as fields by number and read back to lists of raw values by number: without a schema a
string, bytes and a message within look the same, so the reader says which it wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Fields = dict[int, list["int | bytes"]]


def encode(fields: Mapping[int, int | bool | str | bytes]) -> bytes:
    """A message of these fields. A message within is given encoded; defaults (0, "", False) are left out."""
    out = bytearray()
    for number, value in fields.items():
        if isinstance(value, int):
            if value:
                out += _varint(number << 3) + _varint(int(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            if data or isinstance(value, bytes):
                out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(out)


def decode(data: bytes) -> Fields:
    """The raw values of each field, in order; ValueError for what is no message."""
    fields: Fields = {}
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        wire = key & 7
        if wire == 0:
            value, position = _read_varint(data, position)
            fields.setdefault(key >> 3, []).append(value)
            continue
        if wire == 2:
            size, position = _read_varint(data, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at {position}")
        if position + size > len(data):
            raise ValueError("a field is cut short")
        fields.setdefault(key >> 3, []).append(data[position : position + size])
        position += size
    return fields


def text(fields: Fields, number: int) -> str:
    """A string field, "" if it isn't there."""
    value = fields.get(number, [b""])[-1]
    if isinstance(value, int):
        raise ValueError(f"field {number} is a number")
    return value.decode()


def flag(fields: Fields, number: int) -> bool:
    """A bool field."""
    return bool(fields.get(number, [0])[-1])


def messages(fields: Fields, number: int) -> Iterator[Fields]:
    """Each message of a repeated field."""
    for value in fields.get(number, []):
        if isinstance(value, int):
            raise ValueError(f"field {number} is a number")
        yield decode(value)


def string_map(fields: Fields, number: int) -> dict[str, str]:
    """A map<string, string>: messages of key (1) and value (2)."""
    return {text(entry, 1): text(entry, 2) for entry in messages(fields, number)}


def _varint(number: int) -> bytes:
    if number < 0:
        raise ValueError("negative numbers are not needed here")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number is cut short or too long")
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return number, position
