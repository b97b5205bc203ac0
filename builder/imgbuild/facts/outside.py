"""Which files a profile needs from outside: what `imgbuild lock` pins, and where each pin's values belong.

Packages come from repositories, and container images are in imgbuild.facts.images. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from imgbuild.config.data import versions
from imgbuild.config.lock import Component, Kind, Pin
from imgbuild.config.mirrors import RELEASE, with_mirrors
from imgbuild.config.profile import Profile
from imgbuild.config.target import Target
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import minor

VERSION_KEYS: Mapping[Component, Path] = {
    "cilium": ("cilium", "version"),
    "helm": ("helm", "version"),
    "kubernetes": ("kubernetes", "version"),
    "nerdctl": ("containerd", "nerdctl_full", "version"),
}
"""The profile's key with the version of a component; crictl's follows from Kubernetes' minor."""
_OWN = "http://", "https://"


@dataclass(frozen=True)
class Chart:
    """A chart in a repository, or in a registry (``oci://``), in which case ``name`` is empty."""

    repository: str
    name: str

    def __str__(self) -> str:
        return f"{self.repository.rstrip('/')}/{self.name}".rstrip("/")


@dataclass(frozen=True)
class Signed:
    """A checksum file with an OpenPGP signature. ``signature`` None: it is clear-signed. ``keys``: in profiles/keys."""

    sums: str
    keys: str
    signature: str | None = None


@dataclass(frozen=True)
class Need:
    """One file."""

    name: str
    """As it is in the lock."""
    kind: Kind
    key: Path
    """The setting of the profile that decides about it."""
    version: str | None = None
    urls: tuple[str, ...] = ()
    """Its addresses, in the order to try them; none of a chart whose repository has to be asked."""
    checksums: tuple[str, ...] = ()
    """Addresses of files that may have its checksum, the origin's first."""
    signed: Signed | None = None
    """A checksum file that is tried before those, and whose signature is verified."""
    sha256: str | None = None
    """The profile's own checksum, if that is of this version."""
    chart: Chart | None = None
    containerd_from: str | None = None
    """Of nerdctl-full: the text that tells which containerd is in it, if neither imgbuild nor the profile knows."""
    component: Component | None = None
    """What `imgbuild lock --update` calls it."""
    fills: Literal["archive", "file", "base", "sha256"] = "archive"
    """What of the pin goes below ``key``: urls and sha256; a whole new section of these; source and sha256; sha256."""


def needs(profile: Profile, target: Target, chosen: Mapping[Component, str]) -> list[Need]:
    """The files, without those that are on the build host. ``chosen``: versions that no key of the profile has."""
    found = [*_base(profile, target), *_containerd(profile), *_helm(profile), *_kubernetes(profile, chosen)]
    found += [*_cilium(profile), *_addons(profile)]
    found = [replace(need, urls=tuple(with_mirrors(need.urls, profile.mirrors))) for need in found]
    return [need for need in found if not need.urls or any(url.startswith(_OWN) for url in need.urls)]


def values(need: Need, pin: Pin, mirrors: Mapping[str, Sequence[str]]) -> Iterator[tuple[Path, Any]]:
    """The keys of the profile that the pin fills, with their values. The profile's own mirrors are tried first."""
    urls = with_mirrors([*need.urls, *pin.urls], mirrors)
    if need.fills == "file":
        yield need.key, {"urls": urls, "sha256": pin.sha256}
        return
    if need.fills == "base":
        yield (*need.key, "source"), pin.urls[-1]  # after its mirrors, which the profile has
    if need.fills == "archive":
        yield (*need.key, "urls"), urls
    yield (*need.key, "sha256"), pin.sha256
    if pin.containerd is not None:
        yield (*need.key, "containerd"), pin.containerd


def another(need: Need, pin: Pin) -> tuple[str, str] | None:
    """What the profile names now and what was pinned, if these are two files. Versions and checksums tell other cases.

    A file that has a version may move to another address: its checksum is that of the version.
    """
    if need.chart is not None:
        return None if pin.chart in (None, str(need.chart)) else (str(need.chart), pin.chart)
    return None if need.version is not None or {*need.urls} & {*pin.urls} else (need.urls[-1], pin.urls[-1])


def of_version(urls: Sequence[str], version: str) -> tuple[tuple[str, ...], bool]:
    """The addresses with this version in place of another, and whether they had it already."""
    out, same = [], True
    for url in urls:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        found = RELEASE.findall(path)
        if found and version not in path:
            path, same = path.replace(found[-1], version), False
        out.append(f"{scheme}://{host}{slash}{path}")
    return tuple(dict.fromkeys(out)), same


def _archive(component: Component, name: str, key: Path, version: str, urls: Sequence[str], sha256: str | None) -> Need:
    """An archive with keys of its own: version, urls, sha256."""
    places, same = of_version(urls, version)
    sums = _checksums(component, (_origin(component, version), *places))
    return Need(name, "archive", key, version, places, sums, sha256=sha256 if same else None, component=component)


def _origin(component: Component, version: str, name: str = "") -> str:
    url: str = versions("origins")[component]["url"]
    return url.format(version=version, name=name)


def _checksums(table: str, urls: Sequence[str]) -> tuple[str, ...]:
    templates = versions("origins")[table]["checksum"]
    places = (url for url in urls if url.startswith(_OWN))
    return tuple(dict.fromkeys(t.format(url=u, folder=u.rpartition("/")[0]) for u in places for t in templates))


def _base(profile: Profile, target: Target) -> Iterator[Need]:
    if target.image.base is None:
        return
    own = profile.base
    url = own.source or target.image.base.url
    if url.startswith(_OWN):
        sha256 = own.sha256 if own.source else target.image.base.sha256
        sums = _checksums("base", (url, *with_mirrors([url], profile.mirrors)))
        row = versions("origins")["base"].get("signed")
        signed = Signed(row["sums"], row["keys"]) if row and url.startswith(row["start"]) else None
        yield Need("base", "disk-image", ("base",), None, (url,), sums, signed, sha256, fills="base")


def _containerd(profile: Profile) -> Iterator[Need]:
    archive = profile.containerd.nerdctl_full
    if profile.containerd.source == "nerdctl-full":
        key = ("containerd", "nerdctl_full")
        need = _archive("nerdctl", "nerdctl-full", key, archive.version, archive.urls, archive.sha256)
        told = archive.containerd is not None and need.sha256 is not None
        if not told and archive.version not in versions("nerdctl-full")["versions"]:
            address: str = versions("origins")["nerdctl"]["containerd"]
            need = replace(need, containerd_from=address.format(version=archive.version))
        yield need
    for number, images in enumerate(profile.containerd.images):
        key_of = ("containerd", "images", number)
        yield Need(f"images/{images.name}", "images", key_of, urls=tuple(images.urls), sha256=images.sha256)


def _helm(profile: Profile) -> Iterator[Need]:
    helm = profile.helm
    if helm.enabled:
        need = _archive("helm", "helm", ("helm",), helm.version, helm.urls, helm.sha256)
        row = versions("origins")["helm"].get("signed")
        if row:
            places = (row[key].format(version=helm.version) for key in ("sums", "signature"))
            need = replace(need, signed=Signed(next(places), row["keys"], next(places)))
        yield need


def _kubernetes(profile: Profile, chosen: Mapping[Component, str]) -> Iterator[Need]:
    kubernetes = profile.kubernetes
    if not kubernetes.enabled or kubernetes.source != "binaries":
        return
    for name in ("kubeadm", "kubectl", "kubelet", "crictl"):
        component: Component = "crictl" if name == "crictl" else "kubernetes"
        version = kubernetes.version
        if component == "crictl":
            by_minor: str = versions("origins")["crictl"]["version"]
            version = chosen.get("crictl") or by_minor.format(minor=minor(kubernetes.version))
        own = kubernetes.binaries.get(name)
        key: Path = ("kubernetes", "binaries", name)
        if own is not None and component == "crictl" and "crictl" not in chosen:
            versions_there = RELEASE.findall(urlsplit(own.urls[0]).path)
            if not versions_there:  # of a version that nobody knows
                yield Need(
                    name, "program", key, urls=tuple(own.urls), sha256=own.sha256, component=component, fills="file"
                )
                continue
            version = versions_there[-1]
        origin = _origin(component, version, name)
        urls, same = of_version(own.urls, version) if own is not None else ((origin,), False)
        sums = _checksums(component, (origin, *with_mirrors(urls, profile.mirrors)))
        kind: Kind = "archive" if urls[0].endswith(".tar.gz") else "program"
        sha256 = own.sha256 if own is not None and same else None
        yield Need(name, kind, key, version, urls, sums, sha256=sha256, component=component, fills="file")


def _cilium(profile: Profile) -> Iterator[Need]:
    cilium = profile.cilium
    if not profile.kubernetes.enabled or not cilium.enabled:
        return
    urls, same = of_version(cilium.chart.urls, cilium.version) if cilium.chart is not None else ((), False)
    yield Need(
        "cilium", "chart", ("cilium", "chart"), cilium.version, urls,
        sha256=cilium.chart.sha256 if cilium.chart is not None and same else None,
        chart=Chart(cilium.repository, "cilium"), component="cilium", fills="file",
    )  # fmt: skip


def _addons(profile: Profile) -> Iterator[Need]:
    if not profile.kubernetes.enabled:
        return
    for number, addon in enumerate(profile.addons):
        name, key = f"addons/{addon.name}", ("addons", number)
        if addon.url is not None:
            kind: Kind = "manifest" if addon.chart is None else "chart"
            yield Need(name, kind, key, addon.version, (addon.url,), sha256=addon.sha256, fills="sha256")
        elif addon.chart is not None and addon.version is not None:
            remote = addon.chart.startswith("oci://")
            if not remote and addon.repository is None:
                continue  # IB681
            chart = Chart(addon.chart, "") if remote else Chart(str(addon.repository), addon.chart)
            yield Need(name, "chart", key, addon.version, sha256=addon.sha256, chart=chart, fills="sha256")
