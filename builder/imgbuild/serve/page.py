"""The operator's page: what each machine does, by server-sent events, and two actions. All of it needs the page's key.

What machines send is only ever JSON here and text in the browser. Its own policy forbids the page every other source.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from imgbuild.diagnostics.errors import UsageError
from imgbuild.serve.desk import LIFETIME, Desk
from imgbuild.serve.state import Record
from imgbuild.serve.who import read_mac

COOKIE, HEADER = "imgbuild-serve", "X-Imgbuild"
"""The cookie with the key, and a header that a page of another site cannot send."""
_FILES = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}
_HERE = Path(__file__).parent / "page"
_MOST_READERS, _INTERVAL, _PING = 32, 0.5, 15.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PRIVATE = {"token", "reports", "console", "confirmed", "version"}


class Page:
    """The page's handlers. ``names`` are host names by which it may be opened, besides any address."""

    def __init__(self, desk: Desk, key: str, names: frozenset[str]) -> None:
        self._desk, self._key = desk, key
        self._names = names | {"localhost", socket.gethostname().lower()}
        self._readers = 0

    def _opened(self, request: web.Request) -> None:
        """Let through only who has the key, under a name that is ours (a site could point its own name at us)."""
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
        if not _is_address(host) and host not in self._names:
            raise web.HTTPForbidden(reason="Unknown host name: open the page by its address")
        given = request.cookies.get(COOKIE, "")
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            given = bearer
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            raise web.HTTPUnauthorized(reason="Open the link with the key that imgbuild serve printed at its start")

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The page and what belongs to it. A key in the address becomes a cookie, and the address is one without."""
        given = request.query.get("key", "")
        if given and hmac.compare_digest(given.encode(), self._key.encode()):
            found = web.Response(status=303, headers={"Location": "/", **_HEADERS})
            found.set_cookie(COOKIE, self._key, httponly=True, samesite="Strict", secure=request.secure, path="/")
            return found
        self._opened(request)
        name, kind = _FILES[request.path.lstrip("/")]
        text = await asyncio.to_thread((_HERE / name).read_text)
        return web.Response(text=text, content_type=kind, charset="utf-8", headers=_HEADERS)

    async def state(self, request: web.Request) -> web.StreamResponse:
        """Everything that the page shows, as JSON."""
        self._opened(request)
        return web.json_response(self.snapshot(), headers=_HEADERS)

    async def console(self, request: web.Request) -> web.StreamResponse:
        """The end of a machine's console log, as it sent it."""
        self._opened(request)
        record = self._desk.state.nodes.get(read_mac(request.match_info["mac"]) or "")
        if record is None:
            raise web.HTTPNotFound
        return web.Response(text=record.console, headers=_HEADERS)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: first everything, then the machines that have changed."""
        self._opened(request)
        async with self._reader():
            response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            seen, quiet = -1, 0.0
            while True:
                if self._desk.version != seen:
                    data = self.snapshot(since=seen)
                    seen, quiet = self._desk.version, 0.0
                    await response.write(f"data: {json.dumps(data)}\n\n".encode())
                elif quiet >= _PING:
                    quiet = 0.0
                    await response.write(b": still here\n\n")
                await asyncio.sleep(_INTERVAL)
                quiet += _INTERVAL

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[None]:
        if self._readers >= _MOST_READERS:
            raise web.HTTPServiceUnavailable(reason="Too many open pages")
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Rearm or confirm a machine: ``{"mac": …}`` as JSON, from our own page or a program with the key."""
        self._opened(request)
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            raise web.HTTPForbidden(reason="A page of another site cannot do this")
        if HEADER not in request.headers:
            raise web.HTTPForbidden(reason=f"The header {HEADER} is missing")
        try:
            name = str((await asyncio.wait_for(request.json(), 10))["mac"])
        except (ValueError, KeyError, TypeError):
            raise web.HTTPBadRequest from None
        try:
            if request.match_info["what"] == "rearm":
                self._desk.rearm(name)
            else:
                self._desk.confirm_boot(read_mac(name) or "")
        except UsageError as error:
            return web.json_response({"error": str(error)}, status=404, headers=_HEADERS)
        return web.json_response({}, headers=_HEADERS)

    def snapshot(self, since: int = -1) -> dict[str, Any]:
        """The machines that changed after ``since``, and everything else that the page shows."""
        desk = self._desk
        return {
            "version": desk.version,
            "whole": since < 0,
            "now": desk.now(),
            "cluster": desk.tree.cluster,
            "order": [record.mac for record in desk.listed()],
            "nodes": [self._shown(record) for record in desk.listed() if record.version > since],
            "strangers": [vars(stranger) for stranger in reversed(desk.strangers.values())],
        }

    def _shown(self, record: Record) -> dict[str, Any]:
        """A record without anything secret."""
        out = record.model_dump(exclude=_PRIVATE)
        token, ends = record.token, None
        if token is not None and token.used is not None:
            ends = token.used + LIFETIME
        return {**out, "seed_open": token is not None, "seed_ends": ends, "console": len(record.console)}


def add_page(app: web.Application, page: Page) -> None:
    """The page's addresses."""
    for name in _FILES:
        app.router.add_get(f"/{name}", page.file)
    app.router.add_get("/state.json", page.state)
    app.router.add_get("/events", page.events)
    app.router.add_get("/console/{mac}", page.console)
    app.router.add_post("/do/{what:rearm|confirm}", page.act)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
