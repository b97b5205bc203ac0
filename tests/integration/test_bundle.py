"""A bundle of images from Debian's docker-registry, pushed to another one through Debian's skopeo."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.bundle.read import open_bundle
from imgbuild.cli.main import main
from tests.support.checking import ADMIN
from tests.support.cri.pause_image import pause_image
from tests.support.events import of_kind
from tests.support.publishers import sha256
from tests.support.registry import ROBOT, authority, docker_registry, push, push_index

if shutil.which("docker-registry") is None or shutil.which("skopeo") is None:
    pytest.skip("needs docker-registry and skopeo", allow_module_level=True)


COUNT = 9
"""Seven images of Kubernetes, one of the user's, and a chart."""


@dataclass(frozen=True)
class Site:
    """A profile with images of a registry, and its lock, which has a chart too."""

    folder: Path
    index: str
    chart: bytes

    def profile(self, entry: object) -> str:
        """The option that gives every registry this mirror."""
        names = ("registry.k8s.io", "shop.test")
        each = {name: {"server": f"https://{name}", "mirrors": [entry]} for name in names}
        return f"containerd.registries={json.dumps(each)}"


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def chart() -> bytes:
    """An archive of a chart."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in (
            ("web/values.yaml", "a: 1\n"),
            ("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3+a\n"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMGBUILD_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no logins of whoever runs the tests
    with docker_registry(tmp_path / "source") as port:
        amd64, arm64 = pause_image(tmp_path / "amd64.tar", "x"), pause_image(tmp_path / "arm64.tar", "y", "arm64")
        index = push_index(port, "web/shop:1.4.2", {"amd64": amd64, "arm64": arm64})
        found = Site(tmp_path, index, chart())
        archive = tmp_path / "web.tgz"
        archive.write_bytes(found.chart)
        extra = f"images: {{preload: true, extra: ['shop.test/web/shop:1.4.2@{index}']}}\n"
        own = "cilium: {enabled: false}\nkubernetes: {kube_proxy: true}\nhelm: {enabled: false}\n"
        Path("node.yaml").write_text(f"extends: [debian12-efi, distro-containerd]\n{own}{extra}")
        sets = ("--set", ADMIN, "--set", found.profile({"url": f"http://127.0.0.1:{port}"}))
        for name in run("images", "--names", "-p", "node.yaml", *sets).stdout.split():
            if name.startswith("registry.k8s.io/"):
                push(port, name.partition("/")[2], amd64)
        listed = of_kind("image", run("images", "--digests", "--format", "json", "-p", "node.yaml", *sets).stdout)
        pins = {
            one["image"]: {"digest": one["digest"], "obtained": "registry", "registry": "https://a.example"}
            for one in listed
        }
        pin = {"kind": "chart", "version": "1.2.3", "urls": [archive.as_uri()], "sha256": sha256(found.chart)}
        section = {"files": {"addons/web": pin | {"obtained": "index"}}, "images": pins}
        Path("imgbuild.lock").write_text(json.dumps({"format": 1, "profiles": {"node": section}}))
        for name, more in (("amd64.bundle", ()), ("whole.bundle", ("--all-platforms",))):
            run("bundle", "-p", "node.yaml", *sets, "-o", name, "--no-wheels", *more)
    yield found


def raw(place: str, *options: str) -> bytes:
    """The manifest at an address, as a node asks for it."""
    argv = ["skopeo", "inspect", "--raw", *options, f"docker://{place}"]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def test_to_a_registry_without_tls(site: Site) -> None:
    with docker_registry(site.folder / "registry") as port:
        host = f"127.0.0.1:{port}"
        words = ("bundle", "push", "whole.bundle", f"http://{host}/", "--unsigned")
        mirror = site.profile({"url": f"http://{host}/mirrored"})
        done = run(*words, "--set", mirror)
        assert (
            f"pushed  {host}/charts/web:1.2.3_a" in done.stdout and f"{host}: {COUNT} new, 0 were there" in done.stdout
        )
        for place in ("mirrored/pause:3.10.1", "mirrored/web/shop:1.4.2"):
            assert f"{host}/{place}" in done.stdout
        # As a node asks for it, by the tag and by the digest of the whole index.
        for place in (f"{host}/mirrored/web/shop:1.4.2", f"{host}/mirrored/web/shop@{site.index}"):
            assert f"sha256:{sha256(raw(place, '--tls-verify=false'))}" == site.index
        argv = [
            "skopeo",
            "copy",
            "-q",
            "--src-tls-verify=false",
            f"docker://{host}/mirrored/web/shop@{site.index}",
            "dir:got",
        ]
        subprocess.run(argv, check=True)
        # A chart as helm pulls it: one layer with the archive, and Chart.yaml for the configuration.
        found = json.loads(raw(f"{host}/charts/web:1.2.3_a", "--tls-verify=false"))
        assert [layer["digest"] for layer in found["layers"]] == [f"sha256:{sha256(site.chart)}"]
        assert found["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
        before = {
            path: path.stat().st_mtime_ns for path in (site.folder / "registry/storage").rglob("*") if path.is_file()
        }
        assert f"{host}: 0 new, {COUNT} were there" in run(*words, "--set", mirror).stdout
        after = {
            path: path.stat().st_mtime_ns for path in (site.folder / "registry/storage").rglob("*") if path.is_file()
        }
        assert before == after


def test_without_the_other_platforms_the_tag_is_that_of_amd64(site: Site) -> None:
    with docker_registry(site.folder / "registry") as port:
        host = f"127.0.0.1:{port}"
        words = ("bundle", "push", "amd64.bundle", host, "--unsigned", "--set", site.profile({"url": f"http://{host}"}))
        done = run(*words)
        assert done.stdout.count("make the bundle with --all-platforms") == 1  # the one that is requested by digest
        shop = json.loads(raw(f"{host}/web/shop:1.4.2", "--tls-verify=false"))
        assert "layers" in shop
        assert f"{host}: 0 new, {COUNT} were there" in run(*words).stdout


def test_with_tls_of_an_own_authority_and_a_login(site: Site) -> None:
    own, foreign = authority(site.folder / "own"), authority(site.folder / "other")
    expired = authority(site.folder / "expired", expired=True)
    user, password = ROBOT.split(":")
    words = ("bundle", "push", "whole.bundle")

    def entry(port: int, ca: str | None, auth: str = password) -> str:
        given = {"url": f"https://127.0.0.1:{port}/p", "auth": {"username": user, "password": auth}}
        return site.profile(given | ({"ca": ca} if ca is not None else {"skip_verify": True}))

    with docker_registry(site.folder / "registry", tls=own, login=True) as port:
        host = f"127.0.0.1:{port}"
        wrong = run(*words, host, "--unsigned", "--set", entry(port, own.certificate, "guess"), code=3)
        assert "auth of containerd.registries" in wrong.stderr and "guess" not in wrong.output
        done = run(*words, host, "--unsigned", "--set", entry(port, foreign.certificate), code=3)
        assert "certificate" in done.stderr and "into ca of containerd.registries" in done.stderr
        assert not (site.folder / "registry/storage").exists()
        done = run(*words, host, "--unsigned", "--set", entry(port, own.certificate))
        assert f"{host}: {COUNT} new" in done.stdout
    with docker_registry(site.folder / "late", tls=expired, login=True) as port:
        host = f"127.0.0.1:{port}"
        done = run(*words, host, "--unsigned", "--set", entry(port, expired.certificate), code=3)
        assert "expired" in done.stderr and "renew the registry's certificate" in done.stderr
        assert (
            f"{host}: {COUNT} new" in run(*words, host, "--unsigned", "--set", entry(port, None)).stdout
        )  # skip_verify


def test_what_the_profile_does_not_send_there(site: Site) -> None:
    done = run("bundle", "push", "whole.bundle", "harbor.example.com", "--unsigned", code=2)
    assert "do not ask harbor.example.com for images of registry.k8s.io, shop.test" in done.stderr
    assert run("bundle", "push", "whole.bundle", "harbor.example.com", code=2).stderr.count("--allowed-signers") == 1
    with docker_registry(site.folder / "registry") as port:
        host = f"127.0.0.1:{port}"
    done = run(
        "bundle", "push", "whole.bundle", host, "--unsigned", "--set", site.profile({"url": f"http://{host}"}), code=3
    )
    assert "connection refused" in done.stderr and "check the registry's address" in done.stderr


def test_skopeo_reads_an_image_from_the_bundle(site: Site) -> None:
    """It is an OCI archive as well."""
    source = "oci-archive:whole.bundle:shop.test/web/shop:1.4.2"
    subprocess.run(["skopeo", "copy", "-q", source, "dir:got"], check=True)
    assert (site.folder / "got/manifest.json").is_file()
    found = open_bundle(site.folder / "whole.bundle").contents.images
    assert [image.by_digest for image in found].count(True) == 1
    assert os.stat("amd64.bundle").st_size < os.stat("whole.bundle").st_size  # noqa: PTH116
