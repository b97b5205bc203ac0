"""Mirrors of files: each replaces an address that something is fetched from."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.facts.outside import needs


def check(context: Context) -> None:
    """A finding for each origin that no file comes from: its mirrors would never be asked."""
    profile = context.profile
    if not profile.mirrors:
        return
    urls = [url for need in needs(profile, context.target, {}) for url in need.urls]
    for origin in profile.mirrors:
        used = any(url.startswith(f"{origin.rstrip('/')}/") for url in urls)
        if not used and not context.shipped("mirrors", origin):
            context.report(
                "IB816", ("mirrors", origin), f"nothing that this profile fetches as a file is at {origin}",
                "remove it, or correct the address; packages have repositories, container images "
                "containerd.registries, Cilium's chart at first boot cilium.repository", of_key=True,
            )  # fmt: skip
