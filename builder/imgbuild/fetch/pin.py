"""Pin what a profile needs from outside: each file by its publisher's checksum, each image by its digest.

What was pinned before and is still needed is kept as it is, without asking anybody. All failures are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from imgbuild.config.lock import ImagePin, Pin
from imgbuild.config.profile import Profile
from imgbuild.config.value_errors import wording
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import format_path
from imgbuild.facts.images import Image
from imgbuild.facts.outside import Need, another
from imgbuild.facts.registries import Source
from imgbuild.fetch.address import shown
from imgbuild.fetch.charts import Charts
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.images import find
from imgbuild.fetch.publisher import published, seen_at, size_at, text_at
from imgbuild.fetch.registry import Registries, registries
from imgbuild.fetch.signed import signed_sum

P = TypeVar("P", Pin, ImagePin)
_AT_ONCE = 8
_CONTAINERD = re.compile(r"(?m)^ARG CONTAINERD_VERSION=v?([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*)")


@dataclass(frozen=True)
class Outcome(Generic[P]):
    """The pins by name, and why others cannot be pinned."""

    pins: Mapping[str, P]
    failures: Mapping[str, HostError]


@dataclass(frozen=True)
class Pulled:
    """An image, and where nodes request it."""

    image: Image
    sources: Sequence[Source]


def pin_files(profile: Profile, needs: Sequence[Need], old: Mapping[str, Pin], again: Set[str]) -> Outcome[Pin]:
    """Pin files. ``profile`` has the logins and authorities of registries.

    ``old``: pins that are kept if they still fit, but for those whose names are in ``again``.
    """
    kept = {need.name: pin for need in needs if (pin := _kept(need, old, again)) is not None}
    with registries(profile) as asked:
        charts = Charts(asked)

        def one(need: Need) -> Callable[[], Pin]:
            return lambda: pinned(need, charts)

        new = _all({need.name: one(need) for need in needs if need.name not in kept})
    return Outcome({**kept, **new.pins}, new.failures)


def pin_images(profile: Profile, images: Mapping[str, Pulled]) -> Outcome[ImagePin]:
    """Pin images, by the names that they have in the lock."""
    with registries(profile) as asked:

        def one(pulled: Pulled) -> Callable[[], ImagePin]:
            return lambda: _image(pulled, asked)

        return _all({name: one(pulled) for name, pulled in images.items()})


def _all(makers: Mapping[str, Callable[[], P]]) -> Outcome[P]:
    """What each of them makes, several at a time."""
    pins: dict[str, P] = {}
    failures: dict[str, HostError] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, future in [(name, pool.submit(make)) for name, make in makers.items()]:
            try:
                pins[name] = future.result()
            except HostError as error:
                failures[name] = error
    return Outcome(pins, failures)


def _kept(need: Need, old: Mapping[str, Pin], again: Set[str]) -> Pin | None:
    """The pin that is there already, with the profile's mirrors of today; None if it has to be made."""
    found = old.get(need.name)
    if found is None or need.name in again or (found.kind, found.version) != (need.kind, need.version):
        return None
    if need.sha256 not in (None, found.sha256) or (need.containerd_from is not None and found.containerd is None):
        return None
    if another(need, found) is not None:
        return None
    if need.chart is not None:
        return found if found.chart is not None else None  # its addresses are the repository's
    return found.model_copy(update={"urls": list(need.urls)}) if need.urls else found


def pinned(need: Need, charts: Charts) -> Pin:
    """One file.

    Raises:
        HostError: it cannot be pinned.
    """
    containerd = None if need.containerd_from is None else _containerd(need.containerd_from)
    if need.chart is not None:
        return _chart(need, charts)
    name = need.urls[0].rpartition("/")[2]
    try:
        signed = signed_sum(need.signed, name) if need.signed is not None else None
        if signed is not None and need.signed is not None:
            _compare(need, signed[0], need.signed.sums)
            pin = _pin(need, signed[0], size_at(need.urls), "publisher", need.signed.sums, containerd)
            return pin.model_copy(update={"signed_by": signed[1]})
        found = published(need.checksums, name)
    except FetchError as error:
        if need.sha256 is None:
            hint = f"{error.hint}; or set {format_path((*need.key, 'sha256'))} to the publisher's, by other means"
            raise FetchError(str(error), hint) from error
        found = None  # the profile has one
    if found is not None:
        _compare(need, *found)
        return _pin(need, found[0], size_at(need.urls), "publisher", found[1], containerd)
    if need.sha256 is not None:
        return _pin(need, need.sha256, size_at(need.urls), "profile", None, containerd)
    sha256, size, address = seen_at(need.urls)
    return _pin(need, sha256, size, "seen", address, containerd)


def _chart(need: Need, charts: Charts) -> Pin:
    assert need.chart is not None and need.version is not None  # noqa: S101 - the caller's
    try:
        found = charts.find(need.chart, need.version)
    except FetchError:
        if need.sha256 is None or not need.urls:
            raise
        return _pin(need, need.sha256, size_at(need.urls), "profile", None)
    urls = tuple(dict.fromkeys((*need.urls, *found.urls)))
    if found.sha256 is None:
        sha256, size, address = seen_at(urls)
        _compare(need, sha256, address)
        return _pin(need, sha256, size, "seen", address, urls=urls)
    _compare(need, found.sha256, found.source)
    size_known = found.size if found.size is not None else size_at(urls)
    how = "index" if need.chart.name else "registry"
    return _pin(need, found.sha256, size_known, how, found.source, urls=urls)


def _pin(
    need: Need,
    sha256: str,
    size: int | None,
    obtained: str,
    source: str | None,
    containerd: str | None = None,
    urls: Sequence[str] = (),
) -> Pin:
    fields = {
        "kind": need.kind, "version": need.version, "containerd": containerd,
        "chart": None if need.chart is None else str(need.chart), "urls": list(urls or need.urls),
        "size": size, "sha256": sha256, "obtained": obtained, "checksum_from": source,
    }  # fmt: skip
    return _made(Pin, fields)


def _compare(need: Need, sha256: str, address: str) -> None:
    """Refuse a checksum that the profile contradicts: the file was replaced, or the profile's is of another one."""
    if need.sha256 is not None and need.sha256 != sha256:
        key = format_path((*need.key, "sha256"))
        raise FetchError(
            f"its sha256 is {sha256} by {shown(address)}, and {need.sha256} by {key}",
            f"compare with the publisher's announcement; then remove or correct {key}",
        )


def _containerd(address: str) -> str:
    """The version of the containerd in nerdctl-full, by the Dockerfile that it is built with."""
    try:
        found = _CONTAINERD.search(text_at(address))
    except FetchError as error:
        hint = "set containerd.nerdctl_full.containerd (the archive's README lists it)"
        raise FetchError(f"it is not known which containerd is in it: {error}", hint) from error
    if found is None:
        hint = "set containerd.nerdctl_full.containerd (the archive's README lists it)"
        raise FetchError(f"{shown(address)} does not tell which containerd is in it", hint)
    return found[1]


def _image(pulled: Pulled, asked: Registries) -> ImagePin:
    found = find(asked, pulled.image, pulled.sources)
    fields = {"digest": found.digest, "size": found.size, "obtained": "registry", "registry": found.source.url}
    return _made(ImagePin, fields)


def _made(model: type[P], fields: Mapping[str, object]) -> P:
    """A pin of what servers have answered: a size or an address there can be anything."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        what, _ = wording(first, None, private=False)
        raise FetchError(
            f"the answer of a server cannot be pinned: {first['loc'][0]}: {what}",
            "tell whoever runs that server, or use another one",
        ) from error
