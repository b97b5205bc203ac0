"""Digests in manifests that nobody has read before: they name files, and nothing outside the store and a bundle."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from imgbuild.bundle.layout import BLOBS
from imgbuild.bundle.push import push
from imgbuild.bundle.read import DamagedError, open_bundle
from imgbuild.bundle.write import part_of, write_bundle
from imgbuild.config.load import load
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.facts.images import Image
from imgbuild.facts.registries import Source
from imgbuild.fetch.images import Blob, Found
from imgbuild.fetch.oci_format import INDEX, MANIFEST
from imgbuild.fetch.registry import Registries
from imgbuild.fetch.store import Store
from imgbuild.image.platforms import fetch_platforms
from tests.support.checking import ADMIN
from tests.support.publishers import sha256
from tests.unit.bundle.conftest import about

BAD = ["sha256:/{there}", "sha256:../../../there", "sha256:" + "A" * 64, "sha512:" + "a" * 128, 5, ["a"]]


def profile() -> Profile:
    sets = (ADMIN, "containerd.registries={'a.test': {server: 'https://a.test'}}")
    loaded = load("debian12-efi", (), sets, None, Findings())
    assert loaded is not None
    return loaded.profile


def manifest(bad: object, folder: Path) -> bytes:
    text = bad.replace("/{there}", str(folder / "there")) if isinstance(bad, str) else bad
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": text, "size": 1}
    return json.dumps({"mediaType": MANIFEST, "config": layer, "layers": [layer]}).encode()


@pytest.mark.parametrize("bad", [*BAD, b"[]", b'{"layers": 5}'])
def test_another_platform_names_no_file_of_the_host(tmp_path: Path, bad: object) -> None:
    """What it names was looked for in the store, compared, and moved aside."""
    there = tmp_path / "there"
    there.write_text("of the host")
    store, steps = Store(tmp_path / "store"), PlainSteps(io.StringIO())
    with store.workshop("x", steps):  # which makes the folders
        pass
    arm = bad if isinstance(bad, bytes) else manifest(bad, tmp_path)
    index = json.dumps({"mediaType": INDEX, "manifests": [{"digest": f"sha256:{sha256(arm)}"}]}).encode()
    for content in (arm, index):
        store.path(sha256(content)).write_bytes(content)
    root, amd64 = (Blob(INDEX, f"sha256:{sha256(each)}", 1) for each in (index, b"amd64"))
    source = Source("https", "a.test", "")
    found = Found(Image("a.test/web:1", "extra", ()), source, root, amd64, {}, ())
    with pytest.raises(HostError, match=r"a manifest of a\.test/web:1 cannot be read"):
        fetch_platforms(profile(), [found], store, steps)
    assert there.read_text() == "of the host"


@pytest.mark.parametrize("bad", BAD)
def test_a_bundle_of_images_makes_no_file_elsewhere(
    tmp_path: Path, bad: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = manifest(bad, tmp_path)
    digest = f"sha256:{sha256(content)}"
    image = {"name": "a.test/web:1", "digest": digest, "manifest": digest, "by_digest": False}
    contents = about().model_validate({**about().model_dump(), "images": (image,)})
    write_bundle(tmp_path / "bundle", contents, [part_of(f"{BLOBS}{sha256(content)}", "image", content)], None)
    monkeypatch.setattr(Registries, "manifest", lambda *_: b"another")
    with pytest.raises(HostError, match="a manifest in the bundle cannot be read"):
        push(open_bundle(tmp_path / "bundle"), profile(), "a.test", "charts", PlainSteps(io.StringIO()))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_chart_of_a_bundle_is_named_by_its_checksum(tmp_path: Path) -> None:
    contents = about().model_copy(update={"charts": {"web": str(tmp_path / "there")}})
    write_bundle(tmp_path / "bundle", contents, [part_of("oci-layout", "layout", b"{}")], None)
    with pytest.raises(DamagedError, match=r"bundle\.json is not one of a bundle"):
        open_bundle(tmp_path / "bundle")
