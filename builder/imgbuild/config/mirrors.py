"""Addresses of files at mirrors: one line of ``mirrors`` is for all files of an origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from imgbuild.config.layers import Layered
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Mark, Path

RELEASE = re.compile(r"(?<![0-9.])[0-9]+\.[0-9]+\.[0-9]+(?![0-9])")
"""A version of three numbers in an address."""
_VERSION = "{version}"


def with_mirrors(urls: Sequence[str], mirrors: Mapping[str, Sequence[str]]) -> list[str]:
    """The addresses with those at the mirrors of their origins before them. {version} is that of the file's name."""
    out: list[str] = []
    for url in urls:
        for origin, places in mirrors.items():
            start = origin.rstrip("/")
            if url.startswith(f"{start}/"):
                found = RELEASE.findall(url.removeprefix(start))
                release = found[-1] if found else _VERSION
                out += (place.rstrip("/").replace(_VERSION, release) + url.removeprefix(start) for place in places)
        out.append(url)
    return list(dict.fromkeys(out))


def mirrored(profile: Profile, layered: Layered) -> Iterator[tuple[Path, list[str], Mark]]:
    """The lists of addresses that get mirrors, with these, and the place of the mirrors."""
    mark = layered.mark(("mirrors",))
    if not profile.mirrors or mark is None:
        return
    for path, urls in _lists(profile):
        more = with_mirrors(urls, profile.mirrors)
        if more != list(urls):
            yield path, more, mark


def archives(profile: Profile) -> Iterator[tuple[Path, Sequence[str]]]:
    """The addresses of the archives that are in use, with their key."""
    used: dict[Path, bool] = {
        ("helm", "urls"): profile.helm.enabled,
        ("containerd", "nerdctl_full", "urls"): profile.containerd.source == "nerdctl-full",
        ("cilium", "chart", "urls"): profile.cilium.enabled,
    }
    for path, urls in _lists(profile):
        if used.get(path, path[:2] != ("kubernetes", "binaries") or profile.kubernetes.source == "binaries"):
            yield path, urls


def _lists(profile: Profile) -> Iterator[tuple[Path, Sequence[str]]]:
    yield ("helm", "urls"), profile.helm.urls
    yield ("containerd", "nerdctl_full", "urls"), profile.containerd.nerdctl_full.urls
    for number, archive in enumerate(profile.containerd.images):
        yield ("containerd", "images", number, "urls"), archive.urls
    for name, binary in profile.kubernetes.binaries.items():
        yield ("kubernetes", "binaries", name, "urls"), binary.urls
    if profile.cilium.chart is not None:
        yield ("cilium", "chart", "urls"), profile.cilium.chart.urls
