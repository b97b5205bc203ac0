"""serve's own HTTP server on loopback addresses, which stand in for machines: 127.0.0.N has the MAC of one.

Only who has an address is replaced; server, limits, rules and files are the real ones.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web

from imgbuild.serve.app import make_app
from imgbuild.serve.desk import Desk
from imgbuild.serve.door import listen
from imgbuild.serve.page import Page
from imgbuild.serve.state import ServeState
from imgbuild.serve.tree import open_tree
from imgbuild.serve.who import Holder
from tests.support.serving.tree import CP1, W1, make_tree


@dataclass
class Loopback:
    """127.0.0.11 and 127.0.0.12 are the machines of the tree; others are nobody's."""

    macs: dict[str, str] = field(default_factory=lambda: {"127.0.0.11": CP1, "127.0.0.12": W1})

    def holder(self, address: str) -> Holder:
        mac = self.macs.get(address)
        return Holder(mac) if mac else Holder(None, f"{address} has no lease here")


@dataclass
class Served:
    """A running server. ``url`` ends with a slash."""

    url: str
    port: int
    desk: Desk
    who: Loopback
    folder: Path
    server: web.Server

    def open_connections(self) -> int:
        """Connections that the server has at the moment."""
        return len(self.server.connections)

    def machine(self, address: str) -> ClientSession:
        """A client that sends from this address."""
        return ClientSession(connector=TCPConnector(local_addr=(address, 0)))

    def operator(self) -> ClientSession:
        """A program with the page's key."""
        return ClientSession(headers={"Authorization": f"Bearer {self.desk.state.key}", "X-Imgbuild": "1"})


@asynccontextmanager
async def served(
    folder: Path, *, confirm: bool = False, root_bytes: int = 1000, idle: float = 3.0
) -> AsyncIterator[Served]:
    """Serve a new tree below ``folder``."""
    tree = make_tree(folder / "lab", root_bytes=root_bytes)
    (folder / "state").mkdir()
    who = Loopback()
    desk = Desk(open_tree(tree), ServeState(folder / "state"), who, confirm=confirm)
    runner = web.AppRunner(
        make_app(desk, Page(desk, desk.state.key, frozenset()), None), access_log=None, keepalive_timeout=idle,
        shutdown_timeout=0.1, max_line_size=4096, max_field_size=4096, max_headers=64,
    )  # fmt: skip
    await runner.setup()
    assert runner.server is not None
    where = socket.create_server(("127.0.0.1", 0))
    listening = await listen(runner.server, where, None)
    port = where.getsockname()[1]
    try:
        yield Served(f"http://127.0.0.1:{port}/", port, desk, who, tree, runner.server)
    finally:
        listening.close()
        await runner.cleanup()


def run(
    folder: Path,
    test: Callable[[Served], Awaitable[None]],
    *,
    confirm: bool = False,
    root_bytes: int = 1000,
    idle: float = 3.0,
) -> None:
    """Run ``test`` with a server, for at most two minutes. ``idle``: seconds after which it ends an idle connection."""

    async def whole() -> None:
        async with served(folder, confirm=confirm, root_bytes=root_bytes, idle=idle) as server:
            await test(server)

    asyncio.run(asyncio.wait_for(whole(), 120))
