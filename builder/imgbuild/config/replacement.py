"""What to write in place of an invalid value: only valid values, so that no fix leads to the next error."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from imgbuild.config.characters import QUOTES
from imgbuild.config.data import versions
from imgbuild.config.declared import Place
from imgbuild.config.flow import flow
from imgbuild.config.zones import zones

_TRUE = ("true", "yes", "on", "1", "enabled", "enable")
_FALSE = ("false", "no", "off", "0", "disabled", "disable")
_SCALES: tuple[Mapping[str, int], ...] = (
    {"day": 1, "d": 1, "week": 7, "w": 7, "month": 30, "mo": 30, "year": 365, "y": 365},
    {"second": 1, "s": 1, "sec": 1, "minute": 60, "m": 60, "min": 60, "hour": 3600, "h": 3600},
    {"millisecond": 1, "ms": 1, "second": 1000, "s": 1000},
)
_PREFERRED = (
    "enabled", "disabled", "preload", "address", "zone", "flavour", "version", "mode", "source", "install",
    "interfaces", "providers", "name",
)  # fmt: skip
"""The keys of a section that a plain value in its place most likely means."""
_UNITS = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}  # in MiB
_PEERS: Mapping[str, tuple[str, ...]] = {
    # roles: kubeadm's old word, k3s, Docker Swarm, Talos, RKE
    **dict.fromkeys(("master", "server", "manager", "controlplane", "control_plane", "control"), ("control-plane",)),
    **dict.fromkeys(("node", "agent", "slave", "minion", "compute"), ("worker",)),
    # bonding.rst's numbers and common short forms
    **dict(zip("0123456", ((m,) for m in ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad",
                                          "balance-tlb", "balance-alb")), strict=True)),
    **dict.fromkeys(("lacp", "802.3ad", "8023ad", "dynamic"), ("802.3ad",)),
    **dict.fromkeys(("failover", "backup", "active_backup"), ("active-backup",)),
    **dict.fromkeys(("uefi", "ovmf"), ("efi",)),
    **dict.fromkeys(("legacy", "mbr", "pcbios", "seabios"), ("bios",)),
    **dict.fromkeys(("cn", "prc", "china-mainland"), ("china",)),
    **dict.fromkeys(("global", "us", "eu", "default"), ("world",)),
    **dict.fromkeys(("aws", "amazon"), ("ec2",)),
    **dict.fromkeys(("google", "gce"), ("gcp",)),
    **dict.fromkeys(("nova",), ("openstack",)),
    **dict.fromkeys(("aliyun", "alicloud", "alibabacloud", "alibaba-cloud", "ecs"), ("alibaba",)),
    **dict.fromkeys(("tencentcloud", "tencent-cloud", "qcloud", "cvm"), ("tencent",)),
    **dict.fromkeys(("huaweicloud", "huawei-cloud", "hwcloud"), ("huawei",)),
    **dict.fromkeys(("cgroupv1", "cgroup1", "legacy"), ("v1",)),
    **dict.fromkeys(("cgroupv2", "cgroup2", "unified"), ("v2",)),
    **dict.fromkeys(("cloud-init", "live", "runtime"), ("stock",)),
    **dict.fromkeys(("image", "golden", "bake"), ("baked",)),
    **dict.fromkeys(("package", "rpm", "deb", "repo"), ("packages",)),
    **dict.fromkeys(("binary", "tarball"), ("binaries",)),
    **dict.fromkeys(("open-vm-tools", "vmtoolsd", "vmware-tools", "vsphere", "esxi"), ("vmware",)),
    **dict.fromkeys(("qemu-guest-agent", "qemu-ga", "kvm", "proxmox"), ("qemu",)),
    **dict.fromkeys(("hyperv-daemons", "hyper-v"), ("hyperv",)),
    **dict.fromkeys(("disk", "local"), ("install",)),
    **dict.fromkeys(("ram", "memory", "netboot"), ("diskless",)),
}  # fmt: skip


@dataclass(frozen=True)
class Replacement:
    """A valid value, and a note about it."""

    value: Any
    note: str = ""

    @property
    def text(self) -> str:
        """As it is written in a file, on one line."""
        return f"{flow(self.value)}{f' ({self.note})' if self.note else ''}"


def find(place: Place | None, value: Any, written: str) -> Replacement | None:
    """The nearest valid value at ``place``; None if unknown. ``written``: the value's own text."""
    if place is None:
        return None
    for candidate in _candidates(place, value, written):
        other = candidate.value != value or type(candidate.value) is not type(value)
        if other and fits(place.hint, candidate.value):
            return candidate
    return None


def find_key(place: Place | None, key: str) -> str | None:
    """The nearest valid name in a mapping whose names the user chooses."""
    if place is None or get_origin(place.type) is not dict:
        return None
    wanted = get_args(place.type)[0]
    return next((each.value for each in _texts(key, wanted) if each.value != key and fits(wanted, each.value)), None)


def fits(hint: Any, value: Any) -> bool:
    """Whether a type accepts this value as it is."""
    try:
        _adapter(hint).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def _adapter(hint: Any) -> TypeAdapter[Any]:
    """Cached per type, by identity, because annotations need not be hashable."""
    if id(hint) not in _ADAPTERS:
        _ADAPTERS[id(hint)] = (hint, TypeAdapter(hint))
    return _ADAPTERS[id(hint)][1]


def _candidates(place: Place, value: Any, written: str) -> Iterator[Replacement]:
    if place.path[-1:] == ("zone",) and not isinstance(value, str | list):
        return  # in quotes it is not the name of a zone either
    if isinstance(value, str):
        if get_origin(place.type) is Literal:
            yield Replacement(re.sub("[_ ]", "-", value.strip().lower()))
        if place.path[-1:] == ("zone",):
            yield from _zones(value)
        if place.path[:1] == ("pxe",) and "://" not in value:  # what boots over the network has no https
            yield Replacement(f"http://{value.strip()}")
        if place.path[:1] != ("packages",) or not re.match(r"@|.*/", value):  # neither a group nor a file is a package
            yield from _texts(value, place.hint)
        yield from _numbers(place, value)
        yield from _versions(place, value)
        if not fits(place.hint, "d"):
            yield from _durations(value)
        yield from _addresses(place, value)
        yield from _booleans(value)
    elif isinstance(value, bool):
        yield Replacement(int(value))
        yield Replacement("true" if value else "false")
    elif isinstance(value, int | float):
        yield from _versions(place, written)
        if value in (0, 1):
            yield Replacement(bool(value))
        if get_origin(place.type) is Literal:
            yield from _peers(str(value))
        yield Replacement(written)
        if not fits(place.hint, "d"):  # where a name belongs, a duration is not meant
            yield from (Replacement(f"{value}{unit}") for unit in "dh")
        if isinstance(value, float) and value.is_integer():
            yield Replacement(int(value))
    yield from _shapes(place, value)


def _zones(value: str) -> Iterator[Replacement]:
    """The time zone that is meant: as people write its name, with blanks and without capitals."""
    words = re.sub(r"\s+", "_", unicodedata.normalize("NFKC", value).strip().strip(QUOTES))
    known = {name.lower(): name for name in zones()}
    yield Replacement(known.get(words.lower(), words))


def _texts(value: str, hint: Any) -> Iterator[Replacement]:
    """The same text without surrounding characters, and the names of other tools; ``hint``: what it is for."""
    bare = value.strip().strip(QUOTES)
    for text in dict.fromkeys((bare, unicodedata.normalize("NFKC", bare))):
        yield Replacement(text)
        yield from _peers(text)
        yield Replacement(text.lower())
        for prefix in ("sha256:", "sha256=", "sha-256:", "v", "V", "=", "docker://", "oci://"):
            if text.lower().startswith(prefix):
                yield Replacement(text[len(prefix) :].strip().lower())
        digest = re.match(r"[0-9a-fA-F]{64}(?=\s)", text)
        if digest:  # sha256sum prints the file's name too
            yield Replacement(digest[0].lower())
        listed = re.match(r"(?:deb(?:-src)?\s+(?:\[[^]]*\]\s+)?|baseurl\s*=\s*)?(https?://[^\s@]+)(?:\s|$)", text)
        if listed:  # of apt's sources.list and yum's .repo files
            yield Replacement(listed[1])
        without = re.sub(r"^[a-z][a-z0-9+.-]*://", "", text, flags=re.IGNORECASE).rstrip("/")
        yield Replacement(without)
        if "@" in without.partition("/")[0]:  # a login
            yield Replacement(without.partition("/")[0].rpartition("@")[2])
        if "://" not in text and "@" not in text and ("." in text or ":" in text):
            yield Replacement(f"https://{text.lstrip('/')}")
        host, slash, path = without.partition("/")
        if slash:  # an image's tag and digest; a port is before the path
            untagged = re.sub(r"(?::[\w.-]{1,128})?(?:@sha256:[0-9a-fA-F]*)?$", "", path)
            yield Replacement(f"{host}/{untagged}".lower())
        # A network is not its first address, and what may have a path is not its host alone.
        if (without != text or not _is_address(host)) and not (slash and fits(hint, "a/b")):
            yield Replacement(host)
        yield Replacement(re.sub(r"\.(?:x86_64|amd64|noarch|src)(?:\.(?:rpm|deb))?$", "", text))  # of a package
        yield Replacement(text.lower().replace("_", "-"))
        yield Replacement(re.sub(r"\.ko(?:\.(?:gz|xz|zst))?$", "", text))
        yield Replacement(
            re.sub(r"^(?:server|pool|peer)\s+|\s+(?:iburst|prefer|minpoll|maxpoll)\b.*", "", text)
        )  # chrony
        octal = re.fullmatch(r"0?o?([0-7]{3,4})", text.lower())
        if octal:
            yield Replacement(f"0{octal[1]}" if len(octal[1]) == 3 else octal[1])


def _peers(text: str) -> Iterator[Replacement]:
    yield from (Replacement(word) for word in _PEERS.get(text.lower(), ()))


def _numbers(place: Place, value: str) -> Iterator[Replacement]:
    text = unicodedata.normalize("NFKC", value).strip().replace("_", "").replace(",", "")
    if re.fullmatch(r"[-+]?[0-9]{1,17}", text):
        yield Replacement(int(text))
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([kmgt])i?b?", text.lower())
    if found and place.path and place.path[-1].endswith("_mib"):
        yield Replacement(round(float(found[1]) * _UNITS[found[2]]))
    found = re.fullmatch(r"([0-9]{1,9})\s*([a-z]+)", text.lower())
    unit = (place.setting.unit if place.setting else "") or (place.field.description if place.field else "") or ""
    for scale in _SCALES if found else ():
        if found and unit and unit.rstrip("s") in scale:
            yield from (
                Replacement(int(found[1]) * times // scale[unit.rstrip("s")])
                for word, times in scale.items()
                if word in (found[2], found[2].rstrip("s"))
            )
    found = re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", text)
    if found:
        yield Replacement(int(text, 16))


def _versions(place: Place, value: str) -> Iterator[Replacement]:
    """A package's version without its release; one without its patch: the newest known patch of that minor."""
    release = re.match(r"[vV]?([0-9]+\.[0-9]+\.[0-9]+)[-+~]", value.strip().strip(QUOTES))
    if release is not None:
        yield Replacement(release[1])
    found = re.fullmatch(
        r"[vV]?([0-9]+\.[0-9]+)(?:\.[xX*])?", unicodedata.normalize("NFKC", value).strip().strip(QUOTES)
    )
    if found is None:
        return
    tables = versions("newest")
    for name in reversed(place.path):
        newest = tables.get(name, {}).get(found[1])
        if newest is not None:
            yield Replacement(newest, f"the newest patch of {found[1]} that imgbuild knows")


def _durations(value: str) -> Iterator[Replacement]:
    found = re.fullmatch(r"([0-9]{1,5})\s*([a-z]*)", value.strip().lower())
    if found is None:
        return
    count, unit = int(found[1]), found[2][:2]
    if unit[:1] in ("", "d"):
        yield Replacement(f"{count}d")
    elif unit[:1] == "w":
        yield Replacement(f"{7 * count}d")
    elif unit[:1] == "h":
        yield Replacement(f"{count}h")
    elif unit == "mo":
        yield Replacement(f"{30 * count}d")
    elif unit[:1] == "y":
        yield Replacement(f"{365 * count}d")
    elif unit[:1] in ("m", "s"):
        hours = count / (60 if unit[:1] == "m" else 3600)
        if hours >= 1 and hours.is_integer():
            yield Replacement(f"{int(hours)}h")


def _addresses(place: Place, value: str) -> Iterator[Replacement]:
    text = unicodedata.normalize("NFKC", value).strip()
    address, _, length = text.partition("/")
    if not length or not _is_address(address):
        return
    if not any(fits(place.hint, network) for network in ("10.0.0.0/8", "fd00::/8")):
        yield Replacement(str(ipaddress.ip_address(address)))
    try:
        yield Replacement(str(ipaddress.ip_interface(text)))  # 10.0.0.5/255.255.255.0
        yield Replacement(str(ipaddress.ip_network(text, strict=False)))
    except ValueError:
        return


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _booleans(value: str) -> Iterator[Replacement]:
    text = unicodedata.normalize("NFKC", value).strip().lower()
    if text in _TRUE or text in _FALSE:
        yield Replacement(text in _TRUE)


def _shapes(place: Place, value: Any) -> Iterator[Replacement]:
    """A plain value where a list or a mapping belongs, and the reverse."""
    if isinstance(value, list) and len(value) == 1:
        yield Replacement(value[0])
    if isinstance(value, dict):
        if value and all(isinstance(item, dict | None) for item in value.values()):
            yield Replacement([{"name": name, **(item or {})} for name, item in value.items()])
        yield Replacement([value])
        return
    if get_origin(place.type) is dict:
        parts = re.split(r"[\s,;]+", value) if isinstance(value, str) else value if isinstance(value, list) else []
        if parts and all(isinstance(part, str) and "=" in part for part in parts):  # kubectl label, --node-labels
            yield Replacement(dict(part.split("=", 1) for part in parts))
    if value is None or isinstance(value, bool | list):
        return
    if get_origin(place.type) is list:
        item = Place((), None, get_args(place.type)[0], ())
        parts = re.split(r"[\s,;]+", value.strip("[]() ")) if isinstance(value, str) else [value]
        yield Replacement([value])
        for several in (parts, [value]) if len(parts) > 1 else ([value],):  # a separator is seldom a mistake
            yield Replacement(several)
            yield Replacement([one if fits(item.hint, one) else _first(item.hint, one) for one in several])
            yield Replacement([_taint(one) for one in several])
    if place.model is not None:
        yield Replacement(_taint(value))


def _taint(value: Any) -> Any:
    """A taint as kubectl writes it, ``key=value:Effect``; anything else as it is."""
    taint = re.fullmatch(r"([^=:]+)(?:=([^:]*))?:([A-Za-z]+)", value) if isinstance(value, str) else None
    if taint is None:
        return value
    return {"key": taint[1], **({"value": taint[2]} if taint[2] else {}), "effect": taint[3]}


def _first(hint: Any, value: Any) -> Any:
    """The first valid replacement for this text, else the value itself."""
    if not isinstance(value, str):
        return str(value)
    return next((each.value for each in _texts(value, hint) if fits(hint, each.value)), value)


def several(place: Place | None, value: Any) -> list[str]:
    """The items that a text in place of one item has; empty if it is not several valid ones."""
    parts = re.split(r"[\s,;]+", value.strip()) if place is not None and isinstance(value, str) else []
    return parts if place is not None and len(parts) > 1 and all(fits(place.hint, part) for part in parts) else []


def section(place: Place | None, value: Any) -> str:
    """How a plain value is written as the mapping that belongs there; empty if unknown."""
    if place is None or place.model is None or value is None or isinstance(value, dict):
        return ""
    fields = place.model.model_fields
    known = {name: below for name in _PREFERRED if name in fields and (below := place.below(name)) is not None}
    for name, inner in [*_as_it_is(known, value), *_nearest(known, value)]:
        more = [other for other, field in fields.items() if field.is_required() and other != name]
        # In a list nothing else provides the other keys; a section has defaults.
        rest = "".join(f", {other}: …" for other in more) if "[]" in place.key else ""
        return f"{{{name}: {flow(inner)}{rest}}}"
    return ""


def _as_it_is(known: Mapping[str, Place], value: Any) -> Iterator[tuple[str, Any]]:
    for name, below in known.items():
        if fits(below.hint, value):
            yield name, not value if name == "disabled" else value  # firewall: false


def _nearest(known: Mapping[str, Place], value: Any) -> Iterator[tuple[str, Any]]:
    """Words for on and off, a version as a number, an address with a prefix length."""
    switch = next((each.value for each in _booleans(value)), None) if isinstance(value, str) else None
    for name, below in known.items():
        if below.type is bool:
            if switch is not None:
                yield name, not switch if name == "disabled" else switch
        elif name in ("address", "version") and (found := find(below, value, str(value))) is not None:
            yield name, found.value


def is_switch(value: Any) -> bool:
    """Whether a value is a word for on or off."""
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in (*_TRUE, *_FALSE))


def reason(place: Place | None, text: str) -> str:
    """Why this text would be invalid too; empty if it is valid, or only its type is wrong."""
    if place is None:
        return ""
    try:
        _adapter(place.hint).validate_python(text, strict=True)
    except ValidationError as error:
        said = [item["ctx"]["error"] for item in error.errors(include_url=False) if item["type"] == "value_error"]
        return str(said[0]) if said else ""
    return ""


def listed(place: Place | None, value: Any) -> str:
    """How a mapping of names is written as the list that belongs there: its first item; empty if it does not apply."""
    if place is None or get_origin(place.type) is not list or not isinstance(value, dict) or not value:
        return ""
    item = get_args(place.type)[0]
    while get_args(item) and not isinstance(item, type):
        item = get_args(item)[0]
    named = isinstance(item, type) and issubclass(item, BaseModel) and "name" in item.model_fields
    first = next(iter(value))
    if not named:
        return ""
    return f"- {first}: …" if first == "name" else f"- name: {flow(first)}, with its other keys below it"
