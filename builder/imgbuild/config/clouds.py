"""The clouds that accept user-data, and what imgbuild knows of each. A new cloud is a row here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


@dataclass(frozen=True)
class Limit:
    """A cloud and its limit: ``most`` bytes as sent, or of their base64."""

    title: str
    most: int
    base64: bool
    source: str
    text_only: bool = False
    """What is not text is sent as base64, and counted so."""
    address_pairs: bool = False
    """Its network delivers an address to the machine that announces it by ARP, if its port allows it (neutron's API:
    allowed_address_pairs). The networks of all others assign addresses by their API and answer ARP themselves (EC2:
    "VPCs and subnets", Google: "Routes", Azure: "Virtual network FAQ", on ARP and gratuitous ARP)."""


LIMITS: Mapping[str, Limit] = {
    "ec2": Limit("EC2", 16_384, False, "16 KB raw, before base64 (EC2 user guide)"),
    "openstack": Limit(
        "OpenStack", 65_535, True, "65535 bytes of base64 (nova: user-data.rst)", address_pairs=True
    ),
    "azure": Limit("Azure", 65_535, False, "custom data of 65535 bytes, decoded (API, OSProfile.customData)"),
    "gcp": Limit("GCP", 262_144, False, "262144 bytes a metadata value; gzip goes there as base64", text_only=True),
    "alibaba": Limit("Alibaba", 32_768, False, "32 KB raw, before base64 (ECS: user data of Linux instances)"),
    "tencent": Limit("Tencent", 16_384, True, "16 KB of base64 (CVM API, RunInstances: UserData)"),
    "huawei": Limit("Huawei", 32_768, False, "32 KB raw, before base64 (ECS user guide: Injecting User Data)"),
}  # fmt: skip

if TYPE_CHECKING:
    Provider = str
else:
    Provider = Literal[tuple(LIMITS)]
"""The name of one of these clouds."""
