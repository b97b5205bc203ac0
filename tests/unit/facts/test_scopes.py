"""Each setting takes effect where it declares that it does: proven by rendering the image with another value."""

from __future__ import annotations

from functools import cache
from typing import Any

from imgbuild.config.declared import Place, others, places
from imgbuild.config.load import Loaded, load
from imgbuild.config.profile import Profile
from imgbuild.config.secrets import make
from imgbuild.diagnostics.findings import Findings
from tests.support.checking import ADMIN
from tests.support.in_image import in_image, value_at, with_values
from tests.support.places import ROOT

PROFILES = ("debian12-efi", "centos8-efi", "centos7-bios")  # the first that changes is enough
A_KEY = (ROOT / "node/etc/pki/rpm-gpg/RPM-GPG-KEY-EPEL-8").read_text()
BESIDE: dict[str, dict[str, Any]] = {
    "repositories.epel": {"repositories.epel_enabled": True},
    "repositories.keys.epel": {"repositories.epel_enabled": True},
    "kubernetes.binaries": {"kubernetes.source": "binaries"},
    # Without any disk the image has neither the script nor xfsprogs.
    "disks": {"disks": [{"mount": "/srv", "path": "/dev/vdb", "filesystem": "xfs"}]},
}
"""What a setting needs beside it to take effect."""
NO_OTHER_VALUE = {"crictl.endpoint": "its type has one value only"}


def is_leaf(place: Place) -> bool:
    """Whether it is one value to set: not a section, not a part of an item that replaces the whole list."""
    return not {"[]", "NAME"} & set(place.path) and (place.model is None or place.nullable)


LEAVES = [place for place in places(Profile) if is_leaf(place) and not any(p.nullable for p in list(place.line)[1:-1])]


@cache
def authority() -> str:
    """The certificate of some CA."""
    return next(iter(make("lab", 1_800_000_000).authorities.values())).certificate


@cache
def loaded(name: str) -> Loaded:
    out = load(name, (), [ADMIN], "baked", Findings())
    assert out is not None
    return out


def alternatives(base: Loaded, place: Place) -> list[Any]:
    """Other values of a setting; OpenPGP keys and certificates are too long for an example, and logins secret."""
    if place.key.startswith("repositories.keys."):
        return [[A_KEY]]
    if place.key == "trust.certificates":
        return [[authority()]]
    if place.key == "repositories.logins":
        return [{"mirror.example.com": {"username": "nodes", "password": "secret"}}]
    return others(place, value_at(base, place))


@cache
def image(name: str, beside: str = "") -> dict[str, object]:
    return in_image(with_values(loaded(name), BESIDE.get(beside, {})))


def changes(name: str, place: Place) -> list[bool]:
    """For each other value: whether the image of this profile changes with it."""
    beside = place.key if place.key in BESIDE else ""
    base = with_values(loaded(name), BESIDE.get(beside, {}))
    values = alternatives(base, place)
    return [in_image(with_values(base, {place.key: value})) != image(name, beside) for value in values]


def by_scope(scope: str) -> list[str]:
    return [place.key for place in LEAVES if place.scope == scope and place.key not in NO_OTHER_VALUE]


BY_KEY = {place.key: place for place in LEAVES}


def test_there_are_settings_of_each_scope() -> None:
    assert len(by_scope("image")) > 45 and len(by_scope("cluster")) > 20
    assert set(by_scope("seed")) == {
        "users", "run", "cloud.providers", "cloud.include_url", "kernel.secure_boot", "kubernetes.advertise_address",
        "kubernetes.node_ip",
        "kubernetes.schedulable_control_plane",
        "proxy.http", "proxy.https", "proxy.no_proxy", "trust.certificates", "hosts", "disks", "time.allow",
        "time.local_stratum", "kubernetes.kubelet", "kubernetes.node_registration", "kubernetes.patches",
        "repositories.logins", "pxe.boot", "report.url", "report.phone_home",
    }  # fmt: skip
    assert set(NO_OTHER_VALUE) <= set(BY_KEY)


def test_what_is_for_the_seed_leaves_every_image_as_it_is() -> None:
    for key in by_scope("seed"):
        told = [changed for name in PROFILES for changed in changes(name, BY_KEY[key])]
        assert told and not any(told), key


def test_what_is_for_the_image_changes_one() -> None:
    lost = [key for key in by_scope("image") if not any(any(changes(name, BY_KEY[key])) for name in PROFILES)]
    assert not lost


def test_what_holds_for_the_cluster_says_what_to_do_instead() -> None:
    assert not [key for key in by_scope("cluster") if len(BY_KEY[key].instead) < 20]
