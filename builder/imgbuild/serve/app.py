"""The HTTP side that machines see: boot scripts, files, seeds, reports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from imgbuild.outputs.bootline import filled
from imgbuild.serve import scripts
from imgbuild.serve.desk import Answer, Desk, Refused
from imgbuild.serve.door import peer
from imgbuild.serve.files import OpenFile
from imgbuild.serve.page import Page, add_page
from imgbuild.serve.reports import MAX_BODY, BadReport, read_report
from imgbuild.serve.tree import open_below
from imgbuild.serve.who import read_mac

_BODY_SECONDS = 10.0
_CLAIMS = ("serial", "product")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(desk: Desk, page: Page, loaders: Path | None, url: str | None = None) -> web.Application:
    """The application. ``loaders`` is the folder with iPXE's own files; ``url`` is the address of pxe/ as machines see
    it, if it is not that which they ask.
    """
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_plain_errors])
    app.on_response_prepare.append(_unnamed)
    machines = _Machines(desk, loaders, url)
    app.router.add_get("/boot.ipxe", machines.first)
    app.router.add_get("/boot/{mac}.ipxe", machines.ipxe)
    app.router.add_get("/grub/grub.cfg-01-{mac}", machines.grub)
    app.router.add_get("/t/{token}/{folder}/{name}", machines.seed)
    app.router.add_post("/r/{token}", machines.report)
    app.router.add_post("/report", machines.report)
    add_page(app, page)
    app.router.add_get("/{path:.*}", machines.file)
    return app


async def _unnamed(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "imgbuild"  # not which versions of Python and aiohttp


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as one line of text; nothing of a request is repeated in it."""
    try:
        return await handler(request)
    except Refused as error:
        return web.Response(status=error.status, text=f"{error}\n")
    except BadReport as error:
        return web.Response(status=400, text=f"{error}\n")
    except web.HTTPException as error:
        if error.status >= 400:
            return web.Response(status=error.status, text=f"{error.status} {error.reason}\n")
        raise


class _Machines:
    def __init__(self, desk: Desk, loaders: Path | None, url: str | None) -> None:
        self._desk, self._loaders, self._url = desk, loaders, url

    def _base(self, request: web.Request) -> str:
        """Where this machine reaches pxe/: the address that it asked, not the Host that it names."""
        if self._url is not None:
            return self._url
        scheme = "https" if request.secure else "http"
        return f"{scheme}://{_asked(request)}/"

    async def first(self, request: web.Request) -> web.Response:
        return web.Response(text=scripts.first_ipxe(self._base(request)))

    async def ipxe(self, request: web.Request) -> web.Response:
        mac = _mac(request)
        claims = ", ".join(request.query[name] for name in _CLAIMS if request.query.get(name))
        answer = self._desk.script(mac, _address(request), "".join(c for c in claims if c.isprintable()))
        base = self._base(request)
        return web.Response(text=scripts.ipxe(answer, self._desk.tree.nodes, self._words(answer, base, mac), base, mac))

    async def grub(self, request: web.Request) -> web.Response:
        mac = _mac(request)
        answer = self._desk.script(mac, _address(request))
        base = self._base(request)
        words = self._words(answer, base, mac)
        host = base.split("://", 1)[1].strip("/")
        return web.Response(text=scripts.grub(answer, self._desk.tree.nodes, words, host, mac))

    def _words(self, answer: Answer, base: str, mac: str) -> list[str]:
        if answer.kind != "boot" or answer.machine is None:
            return []
        seeds, bootif = f"{base}t/{answer.token}/", f"01-{mac.replace(':', '-')}"
        words = filled(answer.machine.arguments(answer.boot), base, seeds, bootif)
        return [*words, f"imgbuild.report={base}r/{answer.reports}"]

    async def seed(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info
        machine = self._desk.seed(path["token"], path["folder"], _address(request))
        descriptor = self._desk.tree.private(machine, path["name"])
        if descriptor is None:
            raise web.HTTPNotFound
        with os.fdopen(descriptor, "rb") as stream:
            return web.Response(body=stream.read(), headers={"Cache-Control": "no-store"})

    async def report(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-www-form-urlencoded":
            raise BadReport("a report is a form: application/x-www-form-urlencoded")
        try:
            body = await asyncio.wait_for(request.read(), _BODY_SECONDS)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        report = read_report(body.decode(errors="replace"))
        self._desk.report(report, request.match_info.get("token"), _address(request))
        return web.Response(status=204)

    async def file(self, request: web.Request) -> web.StreamResponse:
        path, desk = request.match_info["path"], self._desk
        descriptor = desk.tree.public(path)
        if descriptor is None and self._loaders is not None and "/" not in path:
            descriptor = open_below(self._loaders, [path])
        if descriptor is None:
            raise web.HTTPNotFound
        address = _address(request)
        if path == desk.tree.nodes.kernel:
            desk.loads_kernel(address)

        def progress(done: int, total: int) -> None:
            record = desk.at_address(address)
            if record is not None:
                desk.downloads(record, path, done, total)

        return OpenFile(descriptor, path, progress)


def _mac(request: web.Request) -> str:
    mac = read_mac(request.match_info["mac"])
    if mac is None:
        raise web.HTTPNotFound
    return mac


def _address(request: web.Request) -> str:
    return peer(request.transport) if request.transport is not None else ""


def _asked(request: web.Request) -> str:
    """HOST:PORT of our end of the connection; without the port where it is HTTP's own."""
    name = request.transport.get_extra_info("sockname") if request.transport is not None else ("", 0)
    host = f"[{name[0]}]" if ":" in name[0] else str(name[0])
    return host if name[1] == (443 if request.secure else 80) else f"{host}:{name[1]}"
