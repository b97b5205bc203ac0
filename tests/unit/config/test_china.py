"""The layer china has another address for every origin, or a reason why not."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import yaml

from imgbuild.config.cluster import DEFAULT
from imgbuild.config.data import versions
from imgbuild.config.load import Loaded, load
from imgbuild.config.mirrors import with_mirrors
from imgbuild.config.target import load_target, target_names
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.images import images, sources
from imgbuild.facts.resolved import resolve
from tests.support.places import ROOT

EXCEPTIONS = {
    "helm.cilium.io": "no mirror is known; the build host downloads the chart, by its checksum",
    "raw.githubusercontent.com": "a Dockerfile, which only `imgbuild lock` reads, for an unknown version of nerdctl",
}
"""Hosts that keep their address."""
PROFILES = ("centos7-efi", "centos8-efi", "debian12-efi")


def china(profile: str, *sets: str) -> Loaded:
    loaded = load(profile, ("china",), sets, None, Findings())
    assert loaded is not None
    return loaded


def origins() -> Iterator[str]:
    """Every address that a table or a target names, with a version in it where it has one."""
    text = yaml.safe_dump(versions("origins"))
    for word in text.replace("'", " ").replace('"', " ").split():
        if word.startswith("https://"):
            yield word.format(version="1.2.3", name="kubelet")
    for target in map(load_target, target_names()):
        if target.image.base is not None:
            yield target.image.base.url


@pytest.mark.parametrize("url", sorted({*origins()}))
def test_files(url: str) -> None:
    first = with_mirrors([url], china("centos7-efi").profile.mirrors)[0]
    host = urlsplit(url).hostname
    assert (first == url) == (host in EXCEPTIONS), first
    if first != url:
        assert str(urlsplit(first).hostname).endswith((".cn", ".daocloud.io", ".huaweicloud.com"))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("layer", ["", "kubernetes.source=binaries"])
def test_what_a_build_fetches(profile: str, layer: str) -> None:
    """The profile's own addresses, Cilium's chart among them."""
    found = china(profile, *([layer] if layer else [])).profile
    lists = [found.helm.urls, found.containerd.nerdctl_full.urls, *(b.urls for b in found.kubernetes.binaries.values())]
    assert found.cilium.chart is not None
    for urls in (*lists, found.cilium.chart.urls):
        same = urls[0] == with_mirrors([urls[-1]], {})[0]
        assert same == (urlsplit(urls[-1]).hostname in EXCEPTIONS), urls


@pytest.mark.parametrize("profile", PROFILES)
def test_repositories(profile: str) -> None:
    """Each list of the target has one for China, with nothing of the other; aliyun's ELRepo serves both."""
    world, here = load(profile, (), (), None, Findings()), china(profile)
    assert world is not None and here.profile.repositories.region == "china"
    own = load_target(here.profile.target).repositories
    found = {name: getattr(own, name) for name in ("distribution", "security", "epel", "elrepo", "kubernetes")}
    for name, places in found.items():
        if places is None:
            continue
        assert places.china, name
        for url in places.china:
            assert str(urlsplit(url).hostname).startswith("mirrors.") and "coreix" not in url


@pytest.mark.parametrize("profile", PROFILES)
def test_images(profile: str) -> None:
    """Each image of a node is asked for at a mirror first, and each registry that the tables name."""
    loaded = china(profile, "images.extra=[docker.io/library/nginx:1]", "images.preload=true")
    for image in images(resolve(loaded), DEFAULT):
        first = sources(loaded.profile, image)[0].host
        assert first.endswith((".daocloud.io", ".aliyuncs.com")), (image.name, first)


def test_the_page_names_every_exception() -> None:
    page = (ROOT / "docs/how-to/mirrors.md").read_text().split("Without a mirror")[1].split("## ")[0]
    for host in EXCEPTIONS:
        assert f"- {host}: " in page
    assert page.count("\n- ") == len(EXCEPTIONS)
