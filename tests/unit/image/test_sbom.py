"""The bill of materials, against CycloneDX's own schema."""

from __future__ import annotations

import json
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from imgbuild.facts.images import Image
from imgbuild.facts.registries import Source
from imgbuild.fetch.images import Blob, Found
from imgbuild.image.rootfs.packages import Package
from imgbuild.image.sbom import Contents, sbom
from tests.support.profiles import resolved

DIGEST = f"sha256:{'b' * 64}"
DISK = "a" * 64
RPMS = (
    Package("bash", "5.0-1.el8", "x86_64", "baseos", "base", "GPLv3+"),
    Package("bind-libs", "32:9.11.36-3.el8", "x86_64", "baseos", "dependency", "MPLv2.0"),
    Package("libstdc++", "8.5.0-4.el8", "x86_64", "unknown", "profile"),
)
DEBS = (Package("libc6", "2.36-9+deb12u7", "amd64", "http://me:pw@deb.test/debian", "base"),)


def made(profile: str, packages: tuple[Package, ...], *sets: str, name: str = "node") -> bytes:
    found = resolved(profile, sets=sets)
    root = Blob("application/vnd.oci.image.index.v1+json", DIGEST, 1)
    images = [
        Found(Image(image, "extra", ()), Source("https", "m.test", "hub"), root, root, {}, ())
        for image in ("quay.io/cilium/cilium:v1.19.6", "nginx:1")
    ]
    return sbom(Contents(name, found.profile, found.target, packages, images, DISK, 1_700_000_000))


def by_purl(content: bytes) -> dict[str, dict[str, Any]]:
    return {each["purl"].partition("?")[0]: each for each in json.loads(content)["components"]}


def test_it_is_valid_and_the_same_each_time() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for profile, packages in (("centos8-efi", RPMS), ("debian12-efi", DEBS)):
        content = made(profile, packages)
        assert validator.validate_str(content.decode()) is None
        assert content == made(profile, tuple(reversed(packages)))
    assert validator.validate_str(content.decode().replace('"operating-system"', '"pet"')) is not None


def test_packages_have_versions_licences_and_where_they_came_from() -> None:
    rpms = by_purl(made("centos8-efi", RPMS))
    assert rpms["pkg:rpm/centos/bash@5.0-1.el8"]["licenses"] == [{"license": {"name": "GPLv3+"}}]
    bind = rpms["pkg:rpm/centos/bind-libs@9.11.36-3.el8"]
    assert "epoch=32" in bind["purl"] and bind["version"] == "9.11.36-3.el8"
    deb = by_purl(made("debian12-efi", DEBS))["pkg:deb/debian/libc6@2.36-9%2Bdeb12u7"]
    assert "licenses" not in deb
    assert {"name": "imgbuild:repository", "value": "http://deb.test/debian"} in deb["properties"]


def test_binaries_charts_and_images_have_their_checksums() -> None:
    chart = "cilium.chart={urls: ['https://files.test/c.tgz?key=secret'], sha256: '" + "c" * 64 + "'}"
    content = made("debian12-efi", DEBS, chart)
    found = by_purl(content)
    assert found["pkg:generic/cilium-chart@1.19.6"]["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert found["pkg:generic/cilium-chart@1.19.6"]["externalReferences"][0]["url"] == "https://files.test/c.tgz"
    assert {"pkg:generic/helm@4.3.0", "pkg:generic/nerdctl-full@2.3.5"} <= set(found)
    image = found[f"pkg:oci/cilium@{DIGEST}"]
    assert "repository_url=quay.io/cilium/cilium" in image["purl"] and "tag=v1.19.6" in image["purl"]
    assert "docker.io/library/nginx" in found[f"pkg:oci/nginx@{DIGEST}"]["purl"]
    assert b"secret" not in content and b"pw" not in content


def test_the_image_itself_is_named_by_its_checksum() -> None:
    data = json.loads(made("debian12-efi", DEBS, name="lab"))
    assert data["metadata"]["component"]["properties"] == [{"name": "imgbuild:blocks_sha256", "value": DISK}]
    assert data["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert len(data["dependencies"][0]["dependsOn"]) == len(data["components"])
