"""What pxe/ needs to boot a machine: an address that it reaches, and a root file system that it can mount."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.facts.live import live_image, stable_machine_id, writable


def check(context: Context) -> None:
    """All findings about ``pxe``."""
    pxe, target = context.profile.pxe, context.target
    if pxe.url is not None and not pxe.url.startswith(("http://", "https://")):
        context.report(
            "IB805", ("pxe", "url"),
            f"pxe.url is {pxe.url}: a node that boots over the network does not have this file",
            "give the http:// address where pxe/ will be served",
        )  # fmt: skip
        return
    if pxe.live and context.profile.mode == "stock":
        context.report(
            "IB850", ("pxe", "live"), "a live root is made of the disk image, and stock mode builds none",
            "set mode: baked, or pxe.live: false",
        )  # fmt: skip
    if not live_image(context.profile):
        if pxe.url is not None and context.profile.mode == "baked":
            context.report(
                "IB852", ("pxe", "url"), "pxe/ has no root file system: a machine that boots from it finds none",
                "set pxe.live: true, and build the image",
            )  # fmt: skip
        return
    if target.live.tool == "live-boot" and pxe.url is not None and pxe.url.startswith("https:"):
        context.report(
            "IB853", ("pxe", "url"), f"{target.name}'s initramfs cannot fetch the live root over https: {pxe.url}",
            "give an http:// address",
        )  # fmt: skip
    if context.profile.kernel.secure_boot:
        context.report(
            "IB854", ("kernel", "secure_boot"), "firmware with Secure Boot does not start iPXE, and pxe/ has no signed "
            "boot loader", "serve shim and the distribution's signed GRUB beside pxe/grub/ (docs/how-to/pxe.md)",
        )  # fmt: skip
    if pxe.boot == "diskless":
        _diskless(context)


def _diskless(context: Context) -> None:
    target = context.target
    if target.live.snapshot_mib is not None:
        context.report(
            "IB851", ("pxe", "boot"), f"a diskless node on {target.name} writes to {writable(target.live)}: when it is "
            "full, every write to the root file system fails",
            "set pxe.boot: install, or keep what writes to / and /var/log small",
        )  # fmt: skip
    if not stable_machine_id(target):
        context.report(
            "IB855", ("pxe", "boot"), f"a diskless node on {target.name} has another machine id at each boot: its "
            f"systemd ({target.systemd}) takes none from the kernel's command line",
            "nothing to do for Kubernetes; have the DHCP server go by the MAC",
        )  # fmt: skip
