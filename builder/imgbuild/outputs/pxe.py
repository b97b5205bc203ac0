"""pxe/: boot.ipxe, a GRUB file per MAC, examples for DHCP servers; pxe-private/: the seeds, read over HTTP.

The seed argument is ``ds=nocloud-net;s=…/``: ``ds=nocloud`` with a URL does nothing before cloud-init 23.2, and from
24.1 on the old name is a warning, so it is ``nocloud`` there. The slash at the end is needed before 23.1. GRUB reads an
unquoted ``;`` as the end of the command.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from imgbuild.config.cluster import Cluster, Node
from imgbuild.facts.derive import since
from imgbuild.facts.live import ROOT, live_image, medium_arguments
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.bootfile import NAME, PRIVATE, BootFile, MediumFacts
from imgbuild.outputs.bootline import ANY, INSTALLING, BootLine, filled
from imgbuild.outputs.bootline import seed_folder as folder
from imgbuild.outputs.pxenet import data_source
from imgbuild.render.templates import environment

KERNEL, INITRD = "vmlinuz", "initrd.img"
"""Names of the kernel and the initramfs in pxe/; both come from the disk image, once one is built."""
SEED = ("user-data", "meta-data", "vendor-data")
MEDIUM = "IMGBUILD"
"""The name of the file system on a CD or a USB disk."""
INSTALL = "install"
"""Beside the seed: what the installer must know of its node."""
_DHCP = ("dnsmasq.conf", "dnsmasq-proxy.conf", "kea-dhcp4.json", "isc-dhcpd.conf")
_EXAMPLE = "192.0.2.2"  # RFC 5737

__all__ = ["ANY", "INITRD", "KERNEL", "SEED", "fallback", "folder", "private_files", "pxe_files"]


def fallback(cluster: Cluster, *, keys: bool) -> Node | None:
    """The node that machines with an unknown MAC become: the group that takes them, else the only one without a MAC.

    None if there is no such group and the seeds have a cluster's ``keys``: an unknown machine must get neither a
    control plane's CAs nor, unless the cluster file allows it, a worker's token, with which it could get a certificate
    in any node's name.
    """
    group = next((node for node in cluster.nodes if node.unknown_machines), None)
    if group is not None:
        return group
    without = [node for node in cluster.nodes if node.boot_mac is None and not node.shared]
    return without[0] if len(without) == 1 and not keys else None


def served(cluster: Cluster, lines: Sequence[BootLine], *, keys: bool) -> list[BootLine]:
    """The nodes that get PXE files: those with a MAC, and the `fallback`."""
    other = fallback(cluster, keys=keys)
    return [line for line in lines if line.mac or (other is not None and line.name == other.name)]


def pxe_files(resolved: Resolved, cluster: Cluster, lines: Sequence[BootLine], *, keys: bool) -> dict[str, bytes]:
    """Everything below pxe/ except what comes with the disk image. Nothing of it is secret.

    ``lines``: how each node boots; ``keys``: the seeds have the cluster's keys or its token.
    """
    profile, target = resolved.profile, resolved.target
    made = environment("cloudinit")
    entries = [_entry(line, profile.pxe.url) for line in served(cluster, lines, keys=keys)]
    context = {
        "cluster": cluster.name,
        "commands": target.boot.linux[profile.firmware],
        "entries": [entry for entry in entries if entry["mac"]],
        "files": {"vmlinuz": KERNEL, "initrd": INITRD, "root": ROOT},
        "initrd": INITRD,
        "kernel": KERNEL,
        "live": live_image(profile),
        "other": next((entry for entry in entries if not entry["mac"]), None),
        "private": PRIVATE,
        "target": target.name,
        "url": profile.pxe.url,
        **_server(resolved),
    }

    def text(name: str, **more: object) -> bytes:
        return made.get_template(f"pxe/{name}.j2").render(context, **more).encode()

    out = {"boot.ipxe": text("boot.ipxe"), "README.txt": text("README.txt")}
    out["grub/grub.cfg"] = text("grub.cfg", shown=entries, own=False)
    for entry in entries:
        if entry["mac"]:
            name = f"grub/grub.cfg-01-{entry['mac'].replace(':', '-')}"
            out[name] = text("grub.cfg", shown=[entry], own=True)
    return out | {f"dhcp/{name}": text(f"dhcp/{name}") for name in _DHCP}


def private_files(
    resolved: Resolved,
    cluster: Cluster,
    seeds: Mapping[str, Mapping[str, bytes]],
    lines: Sequence[BootLine],
    *,
    keys: bool,
) -> dict[str, bytes]:
    """Everything below pxe-private/: the seeds, by folder, and how each node boots, for a server that makes scripts.

    ``seeds``: the NoCloud files of each node that boots over the network, by its name.
    """
    out: dict[str, bytes] = {}
    shown = served(cluster, lines, keys=keys)
    for line in shown:
        seed = seeds[line.name]
        names = (*SEED, "network-config") if line.boot is not None or _fetches_network(resolved) else SEED
        out |= {f"{line.folder}/{name}": seed[name] for name in names if name in seed}
        if line.boot is not None:
            out[f"{line.folder}/{INSTALL}"] = line.install_file()
    live = resolved.target.live
    about = BootFile(
        cluster=cluster.name,
        live=live_image(resolved.profile),
        kernel=KERNEL,
        initrd=INITRD,
        root=ROOT,
        source=data_source(resolved),
        medium=MediumFacts(
            label=MEDIUM,
            root=live.medium_root,
            mount=live.medium_mount,
            arguments=medium_arguments(resolved, MEDIUM),
            install=INSTALLING,
        ),
        nodes=shown,
    )
    context = {"cluster": cluster.name, "keys": keys, "private": PRIVATE}
    out["README.txt"] = environment("cloudinit").get_template("pxe/private.txt.j2").render(context).encode()
    out[NAME] = about.content()
    return out


def _entry(line: BootLine, url: str | None) -> dict[str, Any]:
    """What the templates need of one node: its command line as iPXE and as GRUB take it."""
    base = url or "${web}"
    bootif = None if line.mac is None else f"01-{line.mac.replace(':', '-')}"
    grub = filled(line.chosen, base, f"{base}{PRIVATE}/", bootif)
    ipxe = filled(line.chosen, "${web}", "${seeds}", "01-${mac:hexhyp}")
    return {
        "name": line.name,
        "mac": line.mac,
        "folder": line.folder,
        "boot": line.boot,
        "ipxe": " ".join(ipxe),
        "grub": " ".join(_quoted(word, "'" if url else '"') for word in grub),
    }


def _quoted(word: str, mark: str) -> str:
    return f"{mark}{word}{mark}" if ";" in word else word


def _server(resolved: Resolved) -> dict[str, Any]:
    """The server in the examples: its address, where pxe/ is, and whether both are the profile's own."""
    pxe = resolved.profile.pxe
    host = urlsplit(pxe.url).hostname if pxe.url else None
    address = pxe.server or (host if host and _is_ipv4(host) else None)
    network = ipaddress.IPv4Network(f"{address or _EXAMPLE}/24", strict=False)
    return {
        "server": address or _EXAMPLE,
        "known": address is not None,
        "network": network,
        "first": network[100],
        "last": network[200],
        "http": pxe.url or f"http://{address or _EXAMPLE}/",
    }


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _fetches_network(resolved: Resolved) -> bool:
    return resolved.cloud_init >= since("cloud-init", "network_config_http")
