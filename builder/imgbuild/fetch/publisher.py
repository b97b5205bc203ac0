"""What publishers and servers tell about a file: its checksum, its size, whether it is there."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence

from imgbuild.fetch.address import shown
from imgbuild.fetch.ask import ask
from imgbuild.fetch.exchange import exchange
from imgbuild.fetch.failure import AGAIN, Failure, FetchError
from imgbuild.fetch.limits import QUESTION, Limits

# sha256sum's own forms: "HASH  NAME", "HASH *NAME", and with --tag "SHA256 (NAME) = HASH"; or the hash alone.
_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[ \t]+[ *]?(\S.*?))?[ \t]*")
_TAGGED = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})[ \t]*")
ABSENT = frozenset({401, 403, 404, 410})
"""What servers answer for a file that is not there: S3 without the right to list has 403."""
_NO_HEAD = frozenset({403, 405, 501})


def checksum_in(text: str, name: str) -> str | None:
    """The sha256 that a publisher's checksum file has for the file ``name``; None if it has none.

    A hash alone is that of the only file. A file of several lines is searched for the name, with or without a folder;
    two hashes of one name are none.
    """
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        tagged = _TAGGED.fullmatch(line.strip())
        plain = _LINE.fullmatch(line.strip())
        if tagged is not None:
            found.append((tagged[1].rpartition("/")[2], tagged[2].lower()))
        elif plain is not None:
            found.append(((plain[2] or "").rpartition("/")[2], plain[1].lower()))
    sums = {sha256 for other, sha256 in found if other == name}
    if not sums and len(found) == 1 and not found[0][0]:
        sums = {found[0][1]}
    return sums.pop() if len(sums) == 1 else None


def published(addresses: Sequence[str], name: str) -> tuple[str, str] | None:
    """The sha256 of the file ``name`` and the address it is from; None if no address has a checksum of it.

    Raises:
        FetchError: nobody has it, and an address could not be asked.
    """
    silent: list[str] = []
    for address in addresses:
        try:
            answer = ask(address)
        except FetchError as error:
            silent.append(f"{shown(address)}: {error}")
            continue
        if answer.status == 200:
            sha256 = checksum_in(answer.body.decode(errors="replace"), name)
            if sha256 is not None:
                return sha256, address
        elif answer.status not in ABSENT:
            silent.append(f"{shown(address)}: the server answers with status {answer.status}")
    if silent:
        raise FetchError(
            f"its publisher's checksum cannot be read: {'; '.join(silent)}",
            "check the network, and http_proxy, https_proxy and no_proxy",
        )
    return None


def text_at(address: str, limits: Limits = QUESTION) -> str:
    """A small text.

    Raises:
        FetchError: it is not there, or the server does not answer.
    """
    hint = "check the address"
    try:
        answer = ask(address, limits=limits)
    except FetchError as error:
        raise FetchError(f"{shown(address)}: {error}", error.hint) from error
    if answer.status != 200:
        raise FetchError(f"{shown(address)}: the server answers with status {answer.status}", hint)
    return answer.body.decode(errors="replace")


def size_at(addresses: Sequence[str]) -> int | None:
    """The size of the file at the first address that has it; None if that server does not tell it.

    Raises:
        FetchError: no address has it; each one's answer is in the message.
    """
    answers = []
    for address in addresses:
        try:
            with exchange("HEAD", address, {}, QUESTION) as reply:
                status, length = reply.status, reply.length
            if status in _NO_HEAD:
                with exchange("GET", address, {}, QUESTION) as reply:  # the body is not read
                    status, length = reply.status, reply.length
        except Failure as error:
            answers.append(f"{shown(address)}: {error}")
            continue
        if status == 200:
            return length
        answers.append(f"{shown(address)}: the server answers with status {status}")
    raise _nowhere(answers)


def seen_at(addresses: Sequence[str], limits: Limits | None = None) -> tuple[str, int, str]:
    """The sha256 and size of the file at the first address that sends it, and that address. Nothing is stored.

    Raises:
        FetchError: no address sends it; each one's answer is in the message.
    """
    used = limits or Limits(tries=3)
    answers = []
    for address in addresses:
        for failed in range(1, used.tries + 1):
            try:
                return (*_hashed(address, used), address)
            except Failure as error:
                if not error.again or failed == used.tries:
                    answers.append(f"{shown(address)}: {error}")
                    break
                time.sleep(used.pause(failed))
    raise _nowhere(answers)


def _hashed(address: str, limits: Limits) -> tuple[str, int]:
    with exchange("GET", address, {}, limits) as reply:
        if reply.status != 200:
            raise Failure(f"the server answers with status {reply.status}", again=reply.status in AGAIN)
        digest, size = hashlib.sha256(), 0
        for block in reply.blocks():
            digest.update(block)
            size += len(block)
            if size > limits.max_bytes:
                raise Failure(f"it has more than {limits.max_bytes} bytes")
        if reply.length not in (None, size):
            raise Failure(f"the server sent {size} of {reply.length} bytes", again=True)
        if not reply.ends:
            raise Failure("the end of the file is not marked, so that a part of it would look complete")
    return digest.hexdigest(), size


def _nowhere(answers: Sequence[str]) -> FetchError:
    return FetchError(
        f"no address has it: {'; '.join(answers)}",
        "check the version and the addresses; and the network, http_proxy, https_proxy and no_proxy",
    )
