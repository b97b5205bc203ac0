"""The types of values that only a cluster file has: MACs, interfaces, addresses, labels, images with a tag."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from imgbuild.config.fields import Cidr, host, pattern
from imgbuild.config.setting import Words


def _interface_address(value: str) -> str:
    if "/" not in value:
        raise ValueError(f"the prefix length is missing: {value}/24")
    try:
        if "%" in value:
            raise ValueError(value)
        return str(ipaddress.ip_interface(value))
    except ValueError as error:
        raise ValueError("write an address with its prefix length, such as 192.168.1.10/24") from error


def _mac(value: str) -> str:
    digits = re.sub("[-:.]", "", value).lower()
    if not re.fullmatch("[0-9a-f]{12}", digits):
        raise ValueError("a MAC is six pairs of hexadecimal digits: 52:54:00:12:34:56")
    mac = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    if mac != value.lower():
        raise ValueError(f"write it {mac}")
    if int(digits[:2], 16) & 1 or digits == "0" * 12:
        raise ValueError("write the card's own MAC: no card has this one (the first pair is odd, or all are zero)")
    return mac


def _endpoint(value: str) -> str:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([a-z0-9.-]+)):[0-9]{1,5}", value)
    try:
        if found is None:
            raise ValueError(value)
        if found[1]:
            ipaddress.IPv6Address(found[1])
        else:
            host(found[2])
    except ValueError as error:
        raise ValueError("write host:port: 10.0.0.10:6443, k8s.example.org:6443 or [2001:db8::10]:6443") from error
    return value


# A qualified name and a label's value: k8s.io/apimachinery, pkg/util/validation.
_NAME = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_QUALIFIED = rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
_QUALIFIED_HINT = "write NAME or DOMAIN/NAME: letters, digits, - _ . and at most 63 of them"
LabelName = Annotated[str, pattern(_QUALIFIED, _QUALIFIED_HINT), Words("label name")]
LabelValue = Annotated[
    str,
    pattern(f"({_NAME})?", "at most 63 letters, digits, - _ . with a letter or digit at each end"),
    Words("label value"),
]
PinnedImage = Annotated[
    str,
    pattern(
        r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})",
        "registry, path and tag (or digest) of an image: ghcr.io/kube-vip/kube-vip:v0.8.9",
    ),
    Words("image with its tag or digest"),
]
Mac = Annotated[str, AfterValidator(_mac), Words("MAC")]
_INTERFACE = r"[A-Za-z][A-Za-z0-9_.-]{0,14}"
InterfaceName = Annotated[
    str,
    pattern(_INTERFACE, "an interface name has at most 15 letters, digits, . _ -"),
    Words("interface name"),
]


def _node_ip(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        pass
    if not re.fullmatch(_INTERFACE, value):
        raise ValueError("write the name of an interface, such as eth1, or one of the node's addresses")
    return value


NodeIp = Annotated[str, AfterValidator(_node_ip), Words("interface name or IP address")]
InterfaceAddress = Annotated[str, AfterValidator(_interface_address), Words("address with prefix length")]
InstallDisk = Annotated[
    str,
    pattern(
        r"auto|/dev(/[A-Za-z0-9#+.:=@_,-]*[A-Za-z0-9#+:=@_,-])+|serial:[A-Za-z0-9][A-Za-z0-9+.:=@_,-]{0,127}",
        "write auto, the path of a disk such as /dev/disk/by-id/NAME, or serial: and its serial number",
    ),
    Words("auto, path of a disk or serial number"),
]
Mtu = Annotated[int, Field(ge=576, le=9216)]
Endpoint = Annotated[str, AfterValidator(_endpoint), Words("host:port")]


def _no_default(value: str) -> str:
    if value == "default":
        raise ValueError("write gateway: for the default route, or to: 0.0.0.0/0 (cloud-init < 25.3 drops default)")
    return value


Destination = Annotated[Cidr, BeforeValidator(_no_default)]
