"""Where things come from: base image, package repositories, packages; and the time zone."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime
from functools import cache

from builder.checks.context import Context
from builder.layers import closest
from builder.openpgp import dearmour, key_facts
from builder.profile import RepositoryKeys
from builder.repositories import key_kind, repository_keys

_ARCHIVES = (".qcow2", ".img", ".raw", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".xz", ".iso")


def check(context: Context) -> None:
    """All findings about ``base``, ``repositories``, ``packages`` and ``time``."""
    _base(context)
    _repositories(context)
    _keys(context)
    _time(context)


def _base(context: Context) -> None:
    base = context.profile.base
    if base.source is None:
        if base.sha256 is not None:
            context.error(
                "IB431", ("base", "sha256"), "a sha256 without base.source: the target's own image has its own",
                "set base.source as well, or base.sha256: null",
            )  # fmt: skip
        return
    if any(ord(c) < 32 for c in base.source) or not base.source.strip():
        context.error("IB430", ("base", "source"), "this is no path and no URL", "give a folder, a file or a URL")
    elif base.sha256 is None and ("://" in base.source or base.source.lower().endswith(_ARCHIVES)):
        context.error(
            "IB430", ("base", "source"), "a base image without a checksum: its content may change",
            "set base.sha256 (sha256sum FILE); only a folder goes without",
        )  # fmt: skip
    if context.target.image.base is None:
        context.warning(
            "IB432", ("base", "source"), f"{context.target.name} is installed from packages: no base image is read",
            "set base.source: null",
        )  # fmt: skip


def _repositories(context: Context) -> None:
    repositories, target = context.profile.repositories, context.target
    for name in ("elrepo", "epel"):
        if getattr(repositories, name) is not None and getattr(target.repositories, name) is None:
            context.warning(
                "IB433", ("repositories", name), f"{target.name} does not use {name}: this is not read",
                f"set repositories.{name}: null",
            )  # fmt: skip
    if repositories.epel_enabled and target.repositories.epel is None:
        context.error(
            "IB433", ("repositories", "epel_enabled"), f"there is no EPEL for {target.name}", "set it to false"
        )
    for name in ("distribution", "security", "elrepo", "epel", "kubernetes"):
        urls = getattr(repositories, name)
        if urls is not None and not urls:
            context.error(
                "IB434", ("repositories", name), "an empty list: there would be no repository at all",
                "set it to null for the target's own, or give a URL",
            )  # fmt: skip
        if urls and len(set(urls)) != len(urls):
            context.warning("IB435", ("repositories", name), "a repository stands twice", "take one out")


def _keys(context: Context) -> None:
    """Without its key no package of a repository is installed: that must not come to light on the node."""
    own = context.profile.repositories.keys
    used = repository_keys(context.profile, context.target)
    for kind in RepositoryKeys.model_fields:
        given, path = getattr(own, kind), ("repositories", "keys", kind)
        if given is None:
            continue
        if kind not in map(key_kind, used):
            context.warning(
                "IB439", path, f"no address of {kind} is in use, so its keys are not read", "set it to null"
            )
        if len(set(given)) != len(given):
            context.warning("IB435", path, "a key stands twice", "take one out")
        for index, text in enumerate(given):
            expires = key_facts(dearmour(text)).expires
            # rpm does not look at the date. Shipped keys that expire are renewed on the node (lib/keys.sh).
            if context.target.package_manager == "apt" and expires is not None and expires <= context.moment.second:
                day = datetime.fromtimestamp(expires, UTC).date()
                context.error(
                    "IB438", (*path, index), f"this key expired on {day}: apt refuses what it signed",
                    "get a newer copy from its owner, who may have extended it",
                )  # fmt: skip
    for name, keys in used.items():
        # The distribution's own key comes with its base image.
        for key in keys if name not in ("distribution", "security") else ():
            if key.content is None:
                context.error(
                    "IB437", ("repositories", "keys", name),
                    f"imgbuild ships no key for {name}, and no base image has one: its packages could not be checked",
                    f"get it from {key.origin}{f', fingerprint {key.fingerprint},' if key.fingerprint else ''} "
                    f"and give its text in repositories.keys.{name}",
                )  # fmt: skip


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _time(context: Context) -> None:
    zone = context.profile.time.zone
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # A host without tzdata knows no zone at all: then nothing can be said.
        if _zones():
            context.warning(
                "IB436", ("time", "zone"), f"this host knows no time zone {zone}",
                closest(zone, sorted(_zones())) or "take a name of the IANA database, such as Asia/Shanghai",
            )  # fmt: skip
