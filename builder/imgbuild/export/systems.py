"""The systems that nodes can be exported to. A new one is a row here and a module beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imgbuild.export import ironic, kubevirt, libvirt, maas, metal3, proxmox, tinkerbell
from imgbuild.export.given import Files, Given

SYSTEMS: Mapping[str, Callable[[Given], Files]] = {
    "metal3": metal3.files,
    "ironic": ironic.files,
    "tinkerbell": tinkerbell.files,
    "maas": maas.files,
    "libvirt": libvirt.files,
    "kubevirt": kubevirt.files,
    "proxmox": proxmox.files,
}
"""Name -> what makes its files. Findings go to ``Given.findings``."""
