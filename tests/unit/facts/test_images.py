"""The names of container images, and which containerd keeps them pinned."""

from __future__ import annotations

import pytest
from packaging.version import Version

from imgbuild.checks.preload import _pins
from imgbuild.config.cluster import DEFAULT
from imgbuild.facts.images import Image, images, sources
from tests.support.checking import codes, findings
from tests.support.profiles import resolved

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("name", "path", "stored"),
    [
        ("registry.k8s.io/pause:3.10", "pause", "registry.k8s.io/pause:3.10"),
        ("registry:5000/a/b:1", "a/b", "registry:5000/a/b:1"),
        ("nginx:1", "library/nginx", "docker.io/library/nginx:1"),
        ("docker.io/nginx:1", "library/nginx", "docker.io/library/nginx:1"),
        ("grafana/grafana:11", "grafana/grafana", "docker.io/grafana/grafana:11"),
    ],
)
def test_an_image_is_stored_under_the_name_that_the_kubelet_looks_up(name: str, path: str, stored: str) -> None:
    image = Image(name, "extra", ())
    assert image.path == path
    assert image.stored_as(DIGEST) == [stored, f"{stored.rpartition(':')[0]}@{DIGEST}"]


def test_an_image_without_a_tag_is_stored_by_its_digest() -> None:
    assert Image("a.test/x", "extra", (), digest=DIGEST).stored_as(DIGEST) == [f"a.test/x@{DIGEST}"]


def test_digests_that_the_profile_has_are_known() -> None:
    envoy = f"cilium.values.envoy.image={{useDigest: true, digest: '{DIGEST}'}}"
    operator = f"cilium.values.operator.image={{useDigest: true, genericDigest: '{DIGEST}'}}"
    own = [envoy, operator, f"images.extra=[a.test/x:1@{DIGEST}]", "images.preload=true"]
    found = {image.part: image for image in images(resolved("debian12-efi", sets=own), DEFAULT)}
    assert {part for part, image in found.items() if image.digest == DIGEST} == {
        "cilium envoy",
        "cilium operator",
        "extra",
    }
    assert found["extra"].name == "a.test/x:1" and found["extra"].by_digest


def test_sources_are_the_mirrors_and_then_the_registry() -> None:
    found = resolved("debian12-efi", sets=['containerd.registries."quay.io".mirrors=["https://m.example.com/hub"]'])
    assert [one.url for one in sources(found.profile, Image("quay.io/x:1", "extra", ()))] == [
        "https://m.example.com/hub",
        "https://quay.io",
    ]


@pytest.mark.parametrize(
    ("release", "pins"),
    [("1.6.21", False), ("1.6.22", True), ("1.7.0", False), ("1.7.2", False), ("1.7.3", True), ("2.0.0", True)],
)
def test_which_containerd_pins(release: str, pins: bool) -> None:
    assert _pins(Version(release)) is pins


def test_with_images_in_the_disk_image_nobody_asks_for_mirrors() -> None:
    site = ["kubernetes.image_repository=registry.example.com/k8s", "cilium.repository=https://charts.example.com"]
    assert "IB518" in codes(findings("debian12-efi", site))
    assert "IB518" not in codes(findings("debian12-efi", [*site, "images.preload=true"]))


def test_a_name_without_registry_or_tag_is_refused() -> None:
    for name in ("nginx:1", "docker.io/library/nginx", "https://a.test/x:1", "a.test/x:1@sha256:1"):
        assert codes(findings("debian12-efi", ["images.preload=true", f"images.extra=[{name!r}]"])) == {"IB113"}, name


def test_without_pins_the_kubelet_must_not_collect() -> None:
    sets = ["images.preload=true", "kubernetes.version=1.34.11"]
    never = "kubernetes.kubelet.imageGCHighThresholdPercent=100"
    assert "IB840" in codes(findings("debian12-efi", sets, layers=["distro-containerd"]))
    assert "IB840" not in codes(findings("debian12-efi", [*sets, never], layers=["distro-containerd"]))
