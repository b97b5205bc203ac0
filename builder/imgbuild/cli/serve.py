"""`imgbuild serve DIR`: boot the nodes of one output folder over the network, and show what they do."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from pathlib import Path

import click

from imgbuild.cli.options import Place
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.profile.pxe import NetworkBoot
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.serve.client import rearm, running
from imgbuild.serve.desk import Desk
from imgbuild.serve.dnsmasq import Network
from imgbuild.serve.interfaces import Interface, interfaces, read
from imgbuild.serve.run import Options, Tell, serve
from imgbuild.serve.state import ServeState, state_folder
from imgbuild.serve.tree import open_tree
from imgbuild.serve.who import Neighbours

_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?", re.ASCII)


@click.command("serve", cls=Command)
@click.argument("folder", type=Place())
@ends_well
@click.option(
    "--interface",
    metavar="NAME",
    help="The interface of the nodes' network. Default: the only one that has an address.",
)
@click.option("--listen", metavar="ADDRESS", help="Serve HTTP at this address. Default: that of the interface.")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Serve HTTP at this port.",
)
@click.option(
    "--dhcp",
    metavar="FIRST,LAST",
    help="Be the network's DHCP server, with these addresses; and TFTP. Needs root and dnsmasq.",
)
@click.option(
    "--proxy-dhcp",
    is_flag=True,
    help="Answer only what to boot, next to a DHCP server that gives the addresses; and TFTP.",
)
@click.option(
    "--boot",
    type=click.Choice(["diskless", "install"]),
    help="Boot all nodes this way. Default: as their profile sets it (pxe.boot).",
)
@click.option("--confirm", is_flag=True, help="Give a machine its seed only once you have confirmed it on the page.")
@click.option("--tls-cert", metavar="FILE", type=Place(), help="Serve HTTPS with this certificate chain (PEM).")
@click.option("--tls-key", metavar="FILE", type=Place(), help="The key of --tls-cert.")
@click.option(
    "--url", metavar="URL", help="Address of the server as machines see it, if it is not the one that they ask."
)
@click.option(
    "--state",
    metavar="DIR",
    type=Place(),
    help="What is known of the nodes, over restarts. Default: a folder per FOLDER below ~/.local/state/imgbuild/serve.",
)
@click.option(
    "--rearm",
    "rearmed",
    metavar="NODE",
    multiple=True,
    help="Let this node boot as a new one again, and exit (repeatable).",
)
def command(
    says: Says, folder: Path, interface: str | None, listen: str | None, port: int, dhcp: str | None,
    proxy_dhcp: bool, boot: NetworkBoot | None, confirm: bool, tls_cert: Path | None,
    tls_key: Path | None, url: str | None, state: Path | None, rearmed: tuple[str, ...],
) -> None:  # fmt: skip
    """Boot machines over the network from FOLDER, such as out/debian12-efi, and show what they do."""
    place = state or default_state(folder)
    if rearmed:
        _rearm(says, folder, place, rearmed)
        return
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together: pass both")
    if dhcp is not None and proxy_dhcp:
        raise click.UsageError("pass --dhcp or --proxy-dhcp: a network has one DHCP server that gives addresses")
    where = _interface(interface, listen, needed=dhcp is not None or proxy_dhcp)
    address = listen or (where.address if where is not None else "")
    network = _network(where, dhcp) if where is not None and (dhcp is not None or proxy_dhcp) else None
    if url is None and address in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        raise UsageError(f"{address} is not an address that a machine can ask", "pass --url http://ADDRESS:PORT/ too")
    options = Options(
        folder, address, port, network, _url(url),
        (tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None, confirm, boot,
    )  # fmt: skip
    with state_folder(place) as kept:
        serve(options, kept, _tell(says, network))
    says.note("serve has ended")


def default_state(folder: Path) -> Path:
    """The state folder of an output folder, in the user's own state (XDG Base Directory Specification)."""
    whole = folder.resolve()
    above = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    return Path(above).expanduser() / "imgbuild" / "serve" / f"{whole.name}-{digest}"


def _rearm(says: Says, folder: Path, state: Path, names: tuple[str, ...]) -> None:
    """Rearm nodes, in the serve that runs with this state or in the state itself."""
    found = running(state)
    if found is not None:
        for name in names:
            rearm(found, name)
            says.note(f"{name}: the next network boot gives it a seed again")
        return
    with state_folder(state) as kept:
        desk = Desk(open_tree(folder), ServeState(kept), Neighbours(None), tell=says.note)
        for name in names:
            desk.rearm(name)


def _interface(name: str | None, listen: str | None, *, needed: bool) -> Interface | None:
    """The interface to serve.

    Raises:
        HostError: it does not exist or has no address.
        UsageError: it is not clear which one is meant.
    """
    there = interfaces()
    told = ", ".join(f"{each.name} ({each.address})" for each in there) or "none"
    if name is not None:
        found = read(name)
        if found is None:
            raise HostError(f"there is no interface {name} with an IPv4 address", f"use one of: {told}")
        return found
    if listen is not None and not needed:
        return None
    if len(there) != 1:
        raise UsageError("it is not clear which network the nodes are in", f"pass --interface NAME, one of: {told}")
    return there[0]


def _network(where: Interface, dhcp: str | None) -> Network:
    if dhcp is None:
        return Network(where.name, where.address, where.prefix, None)
    first, _, last = (word.strip() for word in dhcp.partition(","))
    try:
        ends = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
    except ValueError:
        raise click.BadParameter(f"{dhcp!r} is not two IPv4 addresses: FIRST,LAST", param_hint="'--dhcp'") from None
    if any(end not in where.network for end in ends) or ends[0] > ends[1]:
        text = f"{dhcp} is not a range in {where.network}, the network of {where.name}"
        raise click.BadParameter(text, param_hint="'--dhcp'")
    if ends[0] <= ipaddress.IPv4Address(where.address) <= ends[1]:
        raise click.BadParameter(f"{dhcp} contains {where.address}, which {where.name} has", param_hint="'--dhcp'")
    return Network(where.name, where.address, where.prefix, (str(ends[0]), str(ends[1])))


def _url(url: str | None) -> str | None:
    """Scheme, host and port alone: there is nothing below a path."""
    if url is None:
        return None
    if not _URL.fullmatch(url):
        raise click.BadParameter(f"{url!r} is not an address such as http://10.0.0.2:8080/", param_hint="'--url'")
    return url if url.endswith("/") else f"{url}/"


def _tell(says: Says, network: Network | None) -> Tell:
    def ready(url: str, page: str, dhcp: bool) -> None:
        if says.json:
            says.event("serving", url=url, page=page, dhcp=dhcp)
            return
        what = "HTTP only: your DHCP server has to name the boot script"
        if network is not None and dhcp:
            what = "HTTP, TFTP and " + ("DHCP" if network.range else "proxy DHCP") + f" on {network.interface}"
        says.out.print(
            f"{what}\nboot script: {url}boot.ipxe\npage: {page}", markup=False, soft_wrap=True, highlight=False
        )

    def detail(text: str) -> None:
        if says.json:
            says.event("dhcp", text=text)

    return Tell(says.note, detail, ready)
