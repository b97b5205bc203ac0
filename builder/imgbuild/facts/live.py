"""What the kernel is told of the root file system that a network boot brings."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from imgbuild.config.profile import Profile
from imgbuild.config.target import LiveRoot, Target
from imgbuild.facts.resolved import Resolved

ROOT = "root.squashfs"
"""The live root's name in pxe/; live-boot takes only an address that ends in .squashfs, .iso, .tar or .tgz."""
INITRD = "/usr/share/imgbuild/live-initrd.img"
"""Where the build leaves the live root's initramfs; the disk does not have it."""
MARK = "/usr/share/imgbuild/live"
"""A file that only a live root has."""
BASE, SEEDS, BOOTIF = "{base}", "{seeds}", "{bootif}"
"""In a list of arguments: the addresses of pxe/ and pxe-private/, and the card that the machine booted from."""
DHCP = ("ip=dhcp", f"BOOTIF={BOOTIF}")
"""The network by DHCP, on the card that the machine booted from: 01-52-54-00-12-34-56, as pxelinux writes it."""
_MACHINE_IDS = uuid.UUID("5a7a3f1e-6a4c-5d0f-9d3b-1f1a2c6f3f7e")
_SYSTEMD_MACHINE_ID = 229  # kernel-command-line(7): systemd.machine_id=


def live_image(profile: Profile) -> bool:
    """Whether the image build makes a live root."""
    return profile.pxe.live and profile.mode == "baked"


def arguments(resolved: Resolved, network: Sequence[str] = DHCP) -> list[str]:
    """The kernel's arguments for the live root over the network, with {base} and {bootif} to be replaced.

    ``network``: how the initramfs gets its address.
    """
    return _with_own(resolved, [*resolved.target.live.arguments, *network])


def medium_arguments(resolved: Resolved, label: str) -> list[str]:
    """The same for a live root on a CD or a USB disk whose file system has this ``label``."""
    return _with_own(resolved, [word.replace("{label}", label) for word in resolved.target.live.medium])


def _with_own(resolved: Resolved, root: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*root, *resolved.kernel_arguments, *resolved.profile.pxe.console]))


def stable_machine_id(target: Target) -> bool:
    """Whether its systemd takes the machine id from the kernel's command line."""
    return target.systemd >= _SYSTEMD_MACHINE_ID


def machine_id(resolved: Resolved, cluster: str, node: str) -> str | None:
    """The id that a diskless node has at each boot: 32 hexadecimal digits; None if its systemd takes none.

    Derived, not the board's UUID: there are boards that all have the same one.
    """
    if not stable_machine_id(resolved.target):
        return None
    return uuid.uuid5(_MACHINE_IDS, f"{cluster} {node}").hex


def writable(live: LiveRoot) -> str:
    """What is written to on a diskless node's root, in words."""
    return "memory" if live.snapshot_mib is None else f"a snapshot of {live.snapshot_mib} MiB"
