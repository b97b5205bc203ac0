"""`imgbuild serve` as a whole: sockets, dnsmasq, the HTTP server, the state; and their end."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from imgbuild.config.profile.pxe import NetworkBoot
from imgbuild.diagnostics.errors import HostError
from imgbuild.serve import dnsmasq, scripts
from imgbuild.serve.app import make_app
from imgbuild.serve.client import Running
from imgbuild.serve.desk import Desk
from imgbuild.serve.door import MOST, listen
from imgbuild.serve.page import Page
from imgbuild.serve.state import LEASES, RUNNING, ServeState, replace_synced
from imgbuild.serve.tree import open_tree
from imgbuild.serve.who import Neighbours, Who

_SAVE_SECONDS, _KEEPALIVE = 1.0, 30.0
_NO_HTTPS = "fetch="
"""The argument of live-boot, whose busybox has no HTTPS (IB853)."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for. ``network``: DHCP and TFTP, None for HTTP only."""

    folder: Path
    address: str
    port: int
    network: dnsmasq.Network | None = None
    url: str | None = None
    tls: tuple[Path, Path] | None = None
    confirm: bool = False
    boot: NetworkBoot | None = None
    leases: Path | None = None


@dataclass(frozen=True)
class Tell:
    """Where lines go: ``line`` for the operator, ``detail`` for the log of DHCP.

    ``ready``, once it answers, gets the addresses of boot scripts and page, and whether DHCP and TFTP are there too.
    """

    line: Callable[[str], None]
    detail: Callable[[str], None]
    ready: Callable[[str, str, bool], None]


def serve(options: Options, state: Path, tell: Tell, who: Who | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM. ``state`` is locked for this process (`state_folder`). ``who``: tests only.

    Raises:
        HostError: the folder cannot be served, an address is in use, or dnsmasq ends.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))
    asyncio.run(_serve(options, state, tell, who))


async def _serve(options: Options, state: Path, tell: Tell, who: Who | None) -> None:
    tree = open_tree(options.folder)
    for name in tree.lacks(options.boot):
        tell.line(f"{options.folder} has no {name}: no machine boots from it until the image is built")
    kept = ServeState(state)
    leases = state / LEASES if options.network is not None and options.network.range else options.leases
    desk = Desk(
        tree, kept, who or Neighbours(leases), confirm=options.confirm, boot=options.boot, tell=tell.line
    )  # fmt: skip
    tls = _certificate(options.tls)
    if tls is not None and any(word.startswith(_NO_HTTPS) for node in tree.nodes.nodes for word in node.diskless):
        tell.line("live-boot of these nodes fetches no live root over https: none of them gets further than its kernel")
    async with AsyncExitStack() as stack:
        where = stack.enter_context(_bound(options.address, options.port))
        port = int(where.getsockname()[1])
        base = options.url or _url(options.address, port, tls is not None)
        loaders, server = None, None
        if options.network is not None:
            loaders = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgbuild-serve-")))
            server = await stack.enter_async_context(_dnsmasq(options.network, base, state, loaders, tell))
        names = frozenset({urlsplit(base).hostname or ""})
        runner = web.AppRunner(
            make_app(desk, Page(desk, kept.key, names), loaders, options.url),
            access_log=None, keepalive_timeout=_KEEPALIVE, shutdown_timeout=2.0, max_line_size=4096,
            max_field_size=4096, max_headers=64, handle_signals=False,
        )  # fmt: skip
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None  # noqa: S101 - set up above
        listening = await listen(runner.server, where, tls)
        stack.callback(listening.close)
        own = Running(url=_url(options.address, port, tls is not None), fingerprint=_fingerprint(options.tls))
        replace_synced(state / RUNNING, own.model_dump_json().encode())
        stack.callback(lambda: (state / RUNNING).unlink(missing_ok=True))
        tell.ready(base, f"{base}?key={kept.key}", server is not None)
        saving = asyncio.create_task(_keep_saved(desk))
        stack.callback(saving.cancel)
        try:
            await _until_the_end(server)
        finally:
            desk.save()


async def _keep_saved(desk: Desk) -> None:
    while True:
        await asyncio.sleep(_SAVE_SECONDS)
        if desk.dirty:
            desk.save()


async def _until_the_end(server: dnsmasq.Dnsmasq | None) -> None:
    """Return on a signal.

    Raises:
        HostError: dnsmasq ended first.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    waits = [asyncio.create_task(stop.wait())]
    if server is not None:
        waits.append(asyncio.create_task(server.ended.wait()))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
    if not stop.is_set():
        raise HostError(
            "dnsmasq has ended: no machine gets an address any more", "read the lines above, and start again"
        )


@asynccontextmanager
async def _dnsmasq(
    network: dnsmasq.Network, base: str, state: Path, loaders: Path, tell: Tell
) -> AsyncIterator[dnsmasq.Dnsmasq | None]:
    program = dnsmasq.find()
    missing = dnsmasq.copy_loaders(loaders, scripts.first_grub(base.split("://", 1)[1].strip("/")))
    if missing:
        tell.line(f"this host lacks {', '.join(missing)}, which a machine without iPXE needs: install the package ipxe")
    if program is None:
        tell.line("dnsmasq is not installed: HTTP only, no DHCP and no TFTP. Install the Debian package dnsmasq-base")
        yield None
        return
    problem = dnsmasq.in_use(network)
    if problem is not None:
        raise HostError(problem, dnsmasq.HINT)
    config = loaders.with_name(f"{loaders.name}.conf")
    try:
        config.write_text(dnsmasq.configuration(network, base, loaders, state / LEASES))
        server = dnsmasq.Dnsmasq(program, config, tell.line, tell.detail)
        try:
            await server.start()
            yield server
        finally:
            await server.stop()
    finally:
        config.unlink(missing_ok=True)


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise HostError(f"cannot listen at {address} port {port}: {error.strerror}", _bind_hint(error)) from error
    return sock


def _bind_hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "end the server that uses it, or pass another --port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "ports below 1024 need root: pass --port 8080, or run it with sudo"
    return "pass an address of this host with --listen: ip -brief address lists them"


def _certificate(files: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        hint = "pass a certificate chain and its key as PEM files: --tls-cert FILE --tls-key FILE"
        raise HostError(f"cannot use {files[0]} and {files[1]}: {error.strerror or error}", hint) from error
    return context


def _fingerprint(files: tuple[Path, Path] | None) -> str | None:
    """The SHA-256 of the first certificate in the chain: that of the server."""
    if files is None:
        return None
    found = x509.load_pem_x509_certificates(files[0].read_bytes())[0]
    return found.fingerprint(hashes.SHA256()).hex()


def _url(address: str, port: int, tls: bool) -> str:
    scheme, usual = ("https", 443) if tls else ("http", 80)
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}/" if port == usual else f"{scheme}://{host}:{port}/"
