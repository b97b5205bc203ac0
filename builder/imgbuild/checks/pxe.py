"""The address at which pxe/ is served."""

from __future__ import annotations

from imgbuild.checks.context import Context


def check(context: Context) -> None:
    """All findings about ``pxe``."""
    url = context.profile.pxe.url
    if url is not None and not url.startswith(("http://", "https://")):
        context.report(
            "IB805", ("pxe", "url"), f"pxe.url is {url}: a node that boots over the network does not have this file",
            "give the http:// address where pxe/ will be served",
        )  # fmt: skip
