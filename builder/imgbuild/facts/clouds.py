"""The clouds that accept user-data, and their limits. A new cloud is a row here and a name in Provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgbuild.config.profile.extras import Provider


@dataclass(frozen=True)
class Limit:
    """A cloud's limit: ``most`` bytes as sent, or of their base64."""

    title: str
    most: int
    base64: bool
    source: str


LIMITS: Mapping[Provider, Limit] = {
    "ec2": Limit("EC2", 16_384, False, "16 KB raw, before base64 (EC2 user guide)"),
    "openstack": Limit("OpenStack", 65_535, True, "65535 bytes of base64 (nova: user-data.rst)"),
    "azure": Limit("Azure", 65_535, True, "64 KB of base64 (custom data)"),
    "gcp": Limit("GCP", 262_144, False, "262144 bytes a metadata value; gzip goes there as base64"),
}

ADDRESS_PAIRS: frozenset[Provider] = frozenset({"openstack"})
"""Clouds whose network delivers an address to the machine that announces it by ARP, if its port allows it (neutron's
API: allowed_address_pairs). The networks of all others assign addresses by their API and answer ARP themselves (EC2:
"VPCs and subnets", Google: "Routes", Azure: "Virtual network FAQ", on ARP and gratuitous ARP)."""
