"""Booting over the network: what a machine gets, and from where."""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator

from imgbuild.config.fields import KernelArg, Model, Url, pattern
from imgbuild.config.setting import Setting, Words

NetworkBoot = Literal["diskless", "install"]


def _ipv4(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError as error:
        raise ValueError("write an IPv4 address, as 10.0.0.2") from error


def _base_url(value: str) -> str:
    if ";" in value or "?" in value:
        raise ValueError("an address to which file names can be added, without ; (it ends cloud-init's seedfrom) and ?")
    return value if value.endswith("/") else value + "/"


class Pxe(Model):
    """``url``: where pxe/ is served from; null: ${cwduri} of iPXE. ``live``: a root file system comes with it."""

    live: Annotated[
        bool,
        Setting(
            "Whether the image build also makes a live root: the node's root file system as pxe/root.squashfs, and an "
            "initramfs that fetches it. Without it no machine boots over the network by itself.",
            example=True,
        ),
    ]
    boot: Annotated[
        NetworkBoot,
        Setting(
            "What a machine does that boots over the network. `diskless`: it is a node, with everything in memory. "
            "`install`: it writes the image to its disk, and boots from there.",
            example="install",
            scope="seed",
        ),
    ]
    memory_disk: Annotated[
        Annotated[str, pattern(r"[1-9][0-9]*[kmgKMG%]", "write a number with k, m, g or %: 8g, 50%")],
        Setting(
            "How much of the memory of a diskless node containerd, kubelet and etcd may fill with their files: the "
            "size of a tmpfs, in bytes with `k`, `m` or `g`, or a share of the memory.",
            example="16g",
        ),
    ]
    server: Annotated[
        Annotated[str, AfterValidator(_ipv4), Words("IPv4 address")] | None,
        Setting(
            "Address of the server that the examples for dnsmasq, Kea and ISC DHCP name. `null`: the host of "
            "`pxe.url`, if that is an address.",
            example="10.0.0.2",
        ),
    ]

    url: Annotated[
        Annotated[Url, AfterValidator(_base_url)] | None,
        Setting(
            "Address that pxe/ is served from; a slash is appended if it is missing. `null`: relative to the "
            "place of boot.ipxe.",
            example="http://10.0.0.1:8080/pxe/",
        ),
    ]
    console: Annotated[
        list[KernelArg],
        Setting("Consoles of the kernel when it is started over PXE.", example=["console=ttyS1,115200"]),
    ]
