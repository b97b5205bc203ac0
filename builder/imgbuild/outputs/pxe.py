"""pxe/: boot.ipxe, one GRUB file per MAC, and one seed folder per node that cloud-init reads over HTTP.

The seed argument is ``ds=nocloud-net;s=…/``: ``ds=nocloud`` with a URL does nothing before cloud-init 23.2, and from
24.1 on the old name is a warning, so it is ``nocloud`` there. The slash at the end is needed before 23.1. GRUB reads an
unquoted ``;`` as the end of the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgbuild.config.cluster import Cluster, Node
from imgbuild.facts.derive import since
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.pxenet import data_source
from imgbuild.render.templates import environment

KERNEL, INITRD = "vmlinuz", "initrd.img"
"""Names of the kernel and the initramfs in pxe/; both come from the disk image, once one is built."""
ANY = "any"
"""The seed folder for a machine whose MAC no node has: that of `fallback`."""
SEED = ("user-data", "meta-data", "vendor-data")


def folder(node: Node) -> str | None:
    """The node's folder, as matchbox and iPXE's ``${mac:hexhyp}`` write it; None if it has no MAC."""
    return f"mac-{node.boot_mac.replace(':', '-')}" if node.boot_mac else None


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


def pxe_files(
    resolved: Resolved,
    cluster: Cluster,
    seeds: Mapping[str, Mapping[str, bytes]],
    arguments: Mapping[str, Sequence[str]],
    *,
    keys: bool,
) -> dict[str, bytes]:
    """Everything below pxe/ except kernel and initramfs.

    By node name: ``seeds`` are the NoCloud files, ``arguments`` their `boot_arguments`. ``keys``: the seeds have the
    cluster's keys or its token.
    """
    profile, target = resolved.profile, resolved.target
    made = environment("cloudinit")
    other = fallback(cluster, keys=keys)
    entries: list[dict[str, Any]] = [
        {
            "name": node.name,
            "mac": node.boot_mac,
            "folder": folder(node) or ANY,
            "network": " ".join(arguments[node.name]),
        }
        for node in cluster.nodes
        if node.boot_mac or node is other
    ]
    context = {
        "arguments": " ".join(dict.fromkeys([*resolved.kernel_arguments, *profile.pxe.console])),
        "cluster": cluster.name,
        "commands": target.boot.linux[profile.firmware],
        "entries": [entry for entry in entries if entry["mac"]],
        "initrd": INITRD,
        "kernel": KERNEL,
        "source": data_source(resolved),
        "other": next((entry for entry in entries if not entry["mac"]), None),
        "target": target.name,
        "url": profile.pxe.url,
    }
    out = {
        "boot.ipxe": made.get_template("pxe/boot.ipxe.j2").render(context).encode(),
        "README.txt": made.get_template("pxe/README.txt.j2").render(context).encode(),
        "grub/grub.cfg": made.get_template("pxe/grub.cfg.j2").render(context, shown=entries, own=False).encode(),
    }
    grub = made.get_template("pxe/grub.cfg.j2")
    names = (*SEED, "network-config") if _fetches_network(resolved) else SEED
    for entry in entries:
        if entry["mac"]:
            name = f"grub/grub.cfg-01-{entry['mac'].replace(':', '-')}"
            out[name] = grub.render(context, shown=[entry], own=True).encode()
        seed = seeds[entry["name"]]
        out |= {f"{entry['folder']}/{name}": seed[name] for name in names if name in seed}
    return out


def _fetches_network(resolved: Resolved) -> bool:
    return resolved.cloud_init >= since("cloud-init", "network_config_http")
