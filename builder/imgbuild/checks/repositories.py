"""Where things come from: base image, package repositories, packages; and the time zone."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, date, datetime

from imgbuild.checks import early
from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.config.layers import closest
from imgbuild.config.openpgp import dearmour, key_facts
from imgbuild.config.profile import RepositoryKeys
from imgbuild.config.zones import zones
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.repositories import key_kind

_FORM = re.compile(
    r"(\.iso|\.(?:qcow2?|img|raw|vmdk|vhdx?|vdi)(\.(?:xz|gz|bz2|zst|zip|7z|lz4|lzma|Z))|\.(?:ova|box|zip|7z))$",
    re.IGNORECASE,
)
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
            context.report(
                "IB431", ("base", "sha256"),
                "a sha256 without base.source: the target's own image has its own checksum",
                "set base.source as well, or base.sha256: null",
            )  # fmt: skip
        return
    if context.target.image.base is None:
        context.report(
            "IB432", ("base", "source"), f"{context.target.name} is installed from packages: no base image is read",
            "set base.source: null",
        )  # fmt: skip
        return  # what is wrong with it does not matter
    if any(ord(c) < 32 for c in base.source) or not base.source.strip():
        context.report(
            "IB430", ("base", "source"), "this is neither a path nor a URL", "give a folder, a file or a URL"
        )
    elif found := _FORM.search(base.source):
        what = "an installer's ISO image" if found[1].lower() == ".iso" else f"packed ({found[1]})"
        file = base.source.rpartition("/")[2]
        fix = f"unpack it first, and give {file.removesuffix(found[2] or '')} and its sha256"
        if found[1].lower() == ".iso":
            fix = "give the distribution's cloud image (qcow2), an archive of its root file system or a folder"
        elif found[2] is None:
            tool = {".ova": "tar -xf", ".box": "tar -xf", ".zip": "unzip", ".7z": "7z x"}[found[1].lower()]
            fix = f"unpack it first ({tool} {file}), and give the disk image in it and its sha256"
        context.report(
            "IB448", ("base", "source"), f"this base image is {what}: no root file system can be read from it", fix
        )
    elif base.sha256 is None and ("://" in base.source or base.source.lower().endswith(_ARCHIVES)):
        context.report(
            "IB430", ("base", "source"), "a base image without a checksum: its content may change",
            "set base.sha256 (sha256sum FILE); only a folder needs none",
        )  # fmt: skip
    _other_system(context, base.source)


# The names of the distributions' own cloud images and archives: CentOS-8-GenericCloud-…, debian-12-generic-…
_SYSTEM = re.compile(
    r"(CentOS-Stream|CentOS|Rocky|AlmaLinux|debian|ubuntu|Fedora|rhel|openEuler|Anolis\w*|OracleLinux|OL)"
    r"(?:-(?:[A-Za-z]+-)*)?([0-9]{1,2})(?![0-9])",
    re.IGNORECASE,
)


def _other_system(context: Context, source: str) -> None:
    """A base image that is of another distribution or release, by its name."""
    target = context.target
    found = _SYSTEM.match(source.rstrip("/").rpartition("/")[2])
    release = target.os_release.version_id.partition(".")[0]
    if found is None or (found[1].lower() == target.os_release.id and found[2] == release):
        return
    if target.image.base is not None:  # otherwise no base image is read
        context.report(
            "IB445", ("base", "source"),
            f"by its name this base image is {found[1]} {found[2]}, but the target is {target.name}",
            f"give an image of {target.name}, or set base.source: null and base.sha256: null for the target's own",
        )  # fmt: skip


def _repositories(context: Context) -> None:
    repositories, target = context.profile.repositories, context.target
    for name in ("elrepo", "epel"):
        if getattr(repositories, name) is not None and getattr(target.repositories, name) is None:
            context.report(
                "IB433", ("repositories", name), f"{target.name} does not use {name}: this setting is ignored",
                f"set repositories.{name}: null",
                lesser=True,
            )  # fmt: skip
    if repositories.epel_enabled and target.repositories.epel is None:
        context.report(
            "IB433", ("repositories", "epel_enabled"), f"there is no EPEL for {target.name}", "set it to false"
        )
    for name in ("distribution", "security", "elrepo", "epel", "kubernetes"):
        urls = getattr(repositories, name)
        if urls is not None and not urls:
            context.report(
                "IB434", ("repositories", name), "an empty list: there would be no repository at all",
                "set it to null for the target's own repositories, or give a URL",
            )  # fmt: skip
        if urls and len(set(urls)) != len(urls):
            context.report("IB435", ("repositories", name), "duplicate repository", "remove one of them")


def _keys(context: Context) -> None:
    """Without its key no package of a repository is installed: that must show before the build, not on the node."""
    own = context.profile.repositories.keys
    used = context.resolved.repository_keys
    for kind in RepositoryKeys.model_fields:
        given, path = getattr(own, kind), ("repositories", "keys", kind)
        if given is None:
            continue
        if kind not in map(key_kind, used):
            context.report("IB439", path, f"no address of {kind} is in use, so its keys are ignored", "set it to null")
        if len(set(given)) != len(given):
            context.report("IB435", path, "duplicate key", "remove one of them")
        for index, text in enumerate(given):
            _own_expiry(context, (*path, index), key_facts(dearmour(text)).expires)
    for name, keys in used.items():
        # The distribution's own key is in its base image.
        for key in keys if name not in ("distribution", "security") else ():
            if key.content is None:
                context.report(
                    "IB437", ("repositories", "keys", name),
                    f"imgbuild ships no key for {name}, and no base image has one: its packages could not be verified",
                    f"get it from {key.origin}{f', fingerprint {key.fingerprint},' if key.fingerprint else ''} "
                    f"and put its text in repositories.keys.{name}",
                )  # fmt: skip
        if getattr(own, key_kind(name)) is None:
            _shipped_expiry(context, name, [key.expires for key in keys if key.content is not None])


def _expiry(context: Context, expires: int | None) -> tuple[date, bool] | None:
    """The day on which a key expires and whether it has passed; None if not within 60 days or not checked.

    rpm does not check the date: 4.11 and 4.14 of CentOS accept packages that an expired key has signed.
    """
    if expires is None or context.target.package_manager != "apt":
        return None
    at, now = (datetime.fromtimestamp(second, UTC) for second in (expires, context.moment.second))
    return (at.date(), at <= now) if at - now <= early.KEY else None


def _own_expiry(context: Context, path: Path, expires: int | None) -> None:
    found = _expiry(context, expires)
    fix = "get a newer copy from its owner, who may have extended it"
    if found is not None and found[1]:
        context.report("IB438", path, f"this key expired on {found[0]}: apt refuses what it signed", fix)
    elif found is not None:
        context.report(
            "IB438", path, f"this key expires on {found[0]}: from then on apt refuses what it signed", fix, lesser=True
        )


def _shipped_expiry(context: Context, name: str, ends: Sequence[int | None]) -> None:
    """One valid key of several is enough."""
    found = [_expiry(context, expires) for expires in ends]
    if not found or None in found:
        return
    day, over = max(each for each in found if each is not None)
    context.report(
        "IB438", ("repositories", "keys", key_kind(name)),
        f"the key of {name} that imgbuild ships {'expired' if over else 'expires'} on {day}: "
        f"{'apt' if over else 'from then on apt'} refuses what it signed, and each installation has to find the same "
        "key with a later date in the repositories of its own or a newer minor version",
        "nothing to do if the nodes (baked: the build host) reach them; else put a newer copy with the same "
        "fingerprint in "
        f"repositories.keys.{name} (docs/how-to/mirrors.md, An expired key)",
        lesser=True,
    )  # fmt: skip


def _time(context: Context) -> None:
    zone = context.profile.time.zone
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # A host without tzdata knows no zone at all: then nothing can be checked.
        if zones():
            near = _meant(context, zone) or closest(zone, sorted(zones()))
            context.report(
                "IB436", ("time", "zone"), f"there is no time zone {zone}",
                near or "use an IANA name, for example Asia/Shanghai",
            )  # fmt: skip
        return
    known = _known(context, zone)
    if known != zone:
        row = versions("zones-since")[zone]
        context.report(
            "IB436", ("time", "zone"),
            f"the time zone {zone} is new in tzdata {row['since']}, and {context.target.name} was released with "
            f"{context.target.tzdata}",
            f"write {known}, which has the same rules",
        )  # fmt: skip


def _known(context: Context, zone: str) -> str:
    """The name that the target's database has for a zone."""
    row = versions("zones-since").get(zone)
    return row["instead"] if row is not None and context.target.tzdata < row["since"] else zone


def _meant(context: Context, zone: str) -> str:
    """The database's zone for a city or a short form that it does not have; the sign of Etc/GMT zones is inverted."""
    offset = re.fullmatch(r"(?:Etc/)?(?:UTC|GMT)([+-])0?([0-9]{1,2})(?::?00)?", zone, re.IGNORECASE)
    if offset is not None and 0 < int(offset[2]) <= 12:
        sign = "-" if offset[1] == "+" else "+"
        return f"write Etc/GMT{sign}{int(offset[2])}, whose sign is inverted, or the zone of a city"
    city = zone.rpartition("/")[2].replace(" ", "_").lower()
    for name, words in versions("zones").items():
        if city in words.lower().split():
            return f"write {_known(context, name)}"
    return ""
