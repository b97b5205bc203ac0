"""Machines that fetch at once: a load generator with a bound for its own memory, in a process of its own.

    python -m tests.support.serving.fleet URL MACHINES BYTES SHA256

Each machine sends from an address of its own (127.1.x.y), fetches the file whole and compares its checksum. Prints one
JSON object: how many had it whole, the bytes a second of all of them, what went wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

_CHUNK = 64 << 10


async def _machine(url: str, number: int, size: int, digest: str) -> str:
    """Empty, or what went wrong."""
    address = f"127.1.{number // 250}.{number % 250 + 1}"
    found, done = hashlib.sha256(), 0
    try:
        connector = TCPConnector(local_addr=(address, 0), limit=1)
        timeout = ClientTimeout(total=None, sock_connect=120, sock_read=120)
        session = ClientSession(connector=connector, timeout=timeout, read_bufsize=_CHUNK)
        async with session as client, client.get(url) as answer:
            async for part in answer.content.iter_chunked(_CHUNK):
                done += len(part)
                if digest:
                    found.update(part)
    except (ClientError, TimeoutError, OSError) as error:
        return f"{address}: {error!r} after {done} bytes"
    if done != size or (digest and found.hexdigest() != digest):
        return f"{address}: {done} bytes, another checksum"
    return ""


async def fleet(url: str, machines: int, size: int, digest: str) -> dict[str, object]:
    """Let them fetch. ``digest``: the SHA-256 of the file; empty: only its length is compared."""
    begin = time.monotonic()
    found = await asyncio.gather(*(_machine(url, number, size, digest) for number in range(machines)))
    problems = [text for text in found if text]
    return {
        "whole": machines - len(problems),
        "bytes_per_second": round((machines - len(problems)) * size / (time.monotonic() - begin)),
        "problems": problems[:5],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fleet(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))))
