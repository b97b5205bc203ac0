"""Digests from Cilium's chart: the image that the node requests, and not what a registry has under its tag."""

from __future__ import annotations

import hashlib
import io
import tarfile
from io import StringIO
from pathlib import Path

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.facts.images import images
from imgbuild.fetch.store import Store
from imgbuild.image.chart_digests import exact
from tests.support.profiles import resolved

ENVOY, GENERIC, AGENT = (f"sha256:{letter * 64}" for letter in "abc")
VALUES = f"""
image: {{repository: quay.io/cilium/cilium, digest: "{AGENT}"}}
envoy: {{image: {{digest: "{ENVOY}"}}}}
operator: {{image: {{genericDigest: "{GENERIC}", awsDigest: "sha256:{"d" * 64}"}}}}
"""


def chart(text: str = VALUES, name: str = "cilium/values.yaml") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(text.encode())
        tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def digests(folder: Path, content: bytes, *sets: str, kept: bool = True) -> dict[str, str | None]:
    """The digest of each of Cilium's images, by its part."""
    sha256 = hashlib.sha256(content).hexdigest()
    store = Store(folder / "store", offline=True)
    if kept:
        store.path(sha256).parent.mkdir(parents=True)
        store.path(sha256).write_bytes(content)
    pin = f"cilium.chart={{urls: ['https://x.test/cilium-1.19.6.tgz'], sha256: {sha256}}}"
    profile = resolved("debian12-efi", sets=[pin, *sets])
    found = exact(profile.profile, images(profile, DEFAULT), store, PlainSteps(StringIO()), fetch=True)
    return {image.part.removeprefix("cilium "): image.digest for image in found if image.part.startswith("cilium ")}


def test_an_image_by_digest_has_the_charts(tmp_path: Path) -> None:
    # Ours are by tag alone (profiles/base.yaml): a mirror may have packed them again.
    assert digests(tmp_path, chart()) == {"agent": None, "operator": None, "envoy": ENVOY}


def test_the_operators_digest_is_that_of_its_cloud(tmp_path: Path) -> None:
    both = ("cilium.values.operator.image.useDigest=true", "cilium.values.image.useDigest=true")
    assert digests(tmp_path, chart(), *both) == {"agent": AGENT, "operator": GENERIC, "envoy": ENVOY}


def test_a_digest_of_the_profile_is_kept(tmp_path: Path) -> None:
    own = f"cilium.values.envoy.image={{useDigest: true, digest: '{AGENT}'}}"
    assert digests(tmp_path, chart(), own)["envoy"] == AGENT


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", chart(name="other/values.yaml"), chart("a: [")],
    ids=["empty", "no archive", "no values", "no YAML"],
)
def test_what_is_not_a_chart_has_no_digests(tmp_path: Path, content: bytes) -> None:
    assert digests(tmp_path, content)["envoy"] is None


def test_without_the_chart_and_a_network_nothing_is_known(tmp_path: Path) -> None:
    assert digests(tmp_path, chart(), kept=False)["envoy"] is None
