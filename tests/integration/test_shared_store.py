"""A store in a registry: Debian's docker-registry and skopeo; one machine fetches or builds, the others take it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.main import main
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Findings
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.oci import repository
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
from imgbuild.image import preload
from imgbuild.image.cache import default_cache, open_store, store, verified
from imgbuild.image.preload import look_up
from imgbuild.image.rootfs.shared import pull, push
from imgbuild.pipeline import Request, prepare
from tests.support.checking import ADMIN
from tests.support.cri.pause_image import pause_image
from tests.support.fetch_server import Server, Talk, status
from tests.support.fetching import artifacts, contents, serve
from tests.support.image.recorder import Recorder
from tests.support.registry import authority, docker_registry, front
from tests.support.registry import push as push_image
from tests.unit.cli.test_store import FILES, SUMS, images

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "IMGBUILD_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with docker_registry(tmp_path_factory.mktemp("registry") / "registry") as port:
        yield port


def fetch(place: str, origin: str, cache: Path, patch: pytest.MonkeyPatch) -> Result:
    patch.setenv("IMGBUILD_CACHE", str(cache))
    return CliRunner().invoke(main, ["fetch", *images(origin), "--store", place])


def test_what_one_machine_has_fetched_another_takes(
    registry: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"oci+http://127.0.0.1:{registry}/farm/store"
    with Server(serve(FILES)) as server:
        origin = f"http://127.0.0.1:{server.port}"
        first = fetch(place, origin, tmp_path / "one", monkeypatch)
        assert first.exit_code == 0, first.output
    second = fetch(place, origin, tmp_path / "two", monkeypatch)  # the origin is gone
    assert second.exit_code == 0, second.output
    for name, data in FILES.items():
        assert f"the images {name}: from {place}" in second.stderr
        assert (tmp_path / "two/store/blobs/sha256" / SUMS[name]).read_bytes() == data
    assert not list((tmp_path / "two/store/parts").iterdir())
    third = fetch("", origin, tmp_path / "two", monkeypatch)
    assert third.exit_code == 2  # an unset variable


def test_another_content_in_the_registry_is_not_used(registry: int, tmp_path: Path) -> None:
    shared = repository(f"oci+http://127.0.0.1:{registry}/farm/wrong")
    (tmp_path / "wrong").write_bytes(b"wrong")
    files = contents(1, 9000)
    with Server(serve(files)) as server:
        (wanted,) = artifacts(files, f"http://127.0.0.1:{server.port}")
        assert shared.push(f"sha256-{wanted.sha256}", "x", {"file0": tmp_path / "wrong"}, tmp_path / "push") == ""
        steps = Recorder()
        place = Store(tmp_path / "store", shared=shared)
        assert place.fetch(wanted, steps)
        assert len(server.requests) == 1
    assert place.has(wanted, steps)
    assert any("another content" in line for line in steps.lines)
    # What is right is there from now on.
    assert Store(tmp_path / "other", shared=shared).fetch(wanted, steps)


def test_a_registry_that_is_only_read(registry: int, tmp_path: Path) -> None:
    """Its front takes no uploads."""
    files = contents(3, 9000)
    with front(registry) as read_only, Server(serve(files)) as server:
        shared = repository(f"oci+http://{read_only.host}/farm/store")
        steps = Recorder()
        place = Store(tmp_path / "store", shared=shared)
        for wanted in artifacts(files, f"http://127.0.0.1:{server.port}"):
            assert place.fetch(wanted, steps)
    assert sum("is only read" in line for line in steps.lines) == 1


@pytest.mark.parametrize(
    ("expired", "words"), [(True, "certificate has expired"), (False, "certificate signed by unknown authority")]
)
def test_a_certificate_that_is_not_trusted(expired: bool, words: str, registry: int, tmp_path: Path) -> None:
    with front(registry, tls=authority(tmp_path / "ca", expired=expired)) as secure:
        place = Store(tmp_path / "store", shared=repository(f"oci://{secure.host}/farm/store"))
        (wanted,) = artifacts(contents(1, 10), "http://127.0.0.1:1")
        with pytest.raises(FetchError, match=words) as caught:
            place.fetch(wanted, Recorder())
    assert f"/etc/containers/certs.d/{secure.host}/ca.crt" in caught.value.hint
    assert "renew" in caught.value.hint


def test_a_login_that_is_missing(registry: int, tmp_path: Path) -> None:
    with front(registry, login="farm:hunter2") as closed:
        place = Store(tmp_path / "store", shared=repository(f"oci+http://{closed.host}/farm/store"))
        (wanted,) = artifacts(contents(1, 10), "http://127.0.0.1:1")
        with pytest.raises(FetchError) as caught:
            place.fetch(wanted, Recorder())
    assert f"skopeo login --tls-verify=false {closed.host}" in caught.value.hint


def _refused(port: int, folder: Path) -> FetchError:
    """The error of a store in a registry at that port; no address of a file is asked."""
    files = contents(9, 900)
    with Server(serve(files)) as server:
        place = Store(folder, shared=repository(f"oci+http://127.0.0.1:{port}/farm"))
        with pytest.raises(FetchError) as caught:
            fetch_all(artifacts(files, f"http://127.0.0.1:{server.port}"), place, Recorder())
        assert not server.requests
    assert str(caught.value).startswith(f"the store {place.shared} cannot be used: ")
    assert str(caught.value).count("cannot be used") == 1  # for all nine files
    assert f"a registry with TLS is oci://127.0.0.1:{port}/farm" in caught.value.hint
    return caught.value


def test_a_registry_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgbuild.fetch.oci._ANSWER_SECONDS", 2)
    with Server(Talk.hang) as silent:
        assert "no answer in 2 s" in str(_refused(silent.port, tmp_path / "store"))


def test_a_web_server_is_not_an_empty_registry(registry: int, tmp_path: Path) -> None:
    """It answers with 404 to everything, also to the question whether it is a registry."""
    with front(registry, project="elsewhere") as web:
        assert "404 (Not Found)" in str(_refused(web.port, tmp_path / "store"))
        assert web.paths() == ["/v2/", "/v1/_ping"]


def test_a_repository_that_is_denied_before_it_exists(tmp_path: Path) -> None:
    """Reported once, and so is that nothing can be put into it."""

    def registry(talk: Talk) -> None:
        if "GET /v2/ " in talk.request:
            talk.head("200 OK", "Content-Length: 2")
            talk.send(b"{}")
            return
        status("403 Forbidden", "Content-Type: application/json", body=b'{"errors": [{"code": "DENIED"}]}')(talk)

    files = contents(2, 900)
    with Server(registry) as denying, Server(serve(files)) as server:
        place = Store(tmp_path / "store", shared=repository(f"oci+http://127.0.0.1:{denying.port}/farm"))
        steps = Recorder()
        for wanted in artifacts(files, f"http://127.0.0.1:{server.port}"):
            assert place.fetch(wanted, steps)
    assert sum("denies access" in line for line in steps.lines) == 1
    assert sum("is only read" in line for line in steps.lines) == 1


def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    place = Store(tmp_path / "store", shared=repository("oci+http://127.0.0.1:1/farm"))
    (wanted,) = artifacts(contents(1, 10), "http://127.0.0.1:1")
    with pytest.raises(FetchError, match="connection refused"):
        place.fetch(wanted, Recorder())


def test_a_root_file_system_that_one_machine_has_built_another_takes(registry: int, tmp_path: Path) -> None:
    shared = repository(f"oci+http://127.0.0.1:{registry}/farm/store")
    content = b"root" * 100_000
    tar, there = tmp_path / "one/abc.tar", tmp_path / "two/abc.tar"
    tar.parent.mkdir()
    there.parent.mkdir()
    assert not pull("abc", there, shared, tmp_path / "work", Recorder())
    (tmp_path / "made").write_bytes(content)
    store(tmp_path / "made", tar, hashlib.sha256(content).hexdigest(), {"name": "debian12", "packages": [{"a": "b"}]})
    push("abc", tar, shared, tmp_path / "work", Recorder())
    assert pull("abc", there, shared, tmp_path / "work", Recorder())
    assert there.read_bytes() == content
    about = verified(there)
    assert about is not None
    assert (about["name"], about["packages"]) == ("debian12", [{"a": "b"}])
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("place", ["oci://", "oci://host", "oci:///x", "oci://host/UPPER", "oci://user:pw@host/x"])
def test_an_address_that_is_not_valid(place: str) -> None:
    with pytest.raises(UsageError, match="not a valid address"):
        open_store(default_cache(), place)


def test_a_registry_without_a_network() -> None:
    done = CliRunner().invoke(main, ["fetch", "-p", "debian12-efi", "--offline", "--store", "oci://host/x"])
    assert done.exit_code == 2
    assert "needs a network" in done.stderr


def test_layers_of_images_are_shared_by_their_digests(registry: int, tmp_path: Path) -> None:
    """What one machine has of an image, another takes: its registry is gone, and the images share a layer."""
    shared = f"oci+http://127.0.0.1:{registry}/farm/layers"
    given = '{"server": "http://127.0.0.1:%d", "mirrors": []}'
    with docker_registry(tmp_path / "origin") as port:
        archive = pause_image(tmp_path / "amd64.tar", "x")
        sets = ["images.preload=true", ADMIN, f'containerd.registries."registry.k8s.io"={given % port}']
        own = ("cilium.enabled=false", "kubernetes.kube_proxy=true", "helm.enabled=false")
        ready = prepare(Request("debian12-efi", ("distro-containerd",), (*sets, *own)), Findings())
        for image in ready.preload:
            push_image(port, f"{image.path}:{image.tag}", archive)
        one = Store(tmp_path / "one", shared=repository(shared))
        profile, steps = ready.resolved.profile, Recorder()
        found, missing = look_up(profile, ready.preload, one, steps)
        assert not missing and len(found) == 7
        preload.fetch(profile, found, one, steps)
    blobs = {path.name for path in (tmp_path / "one/blobs/sha256").iterdir()}
    assert len(blobs) == 3  # a manifest, a configuration and a layer, which all seven images have
    two = Store(tmp_path / "two", shared=repository(shared))
    known = [replace(each.image, digest=each.digest) for each in found]
    again, missing = look_up(profile, known, two, steps)
    assert not missing and [each.digest for each in again] == [each.digest for each in found]
    preload.fetch(profile, again, two, steps)
    assert {path.name for path in (tmp_path / "two/blobs/sha256").iterdir()} == blobs
    assert sum("from oci+http://" in line for line in steps.lines) == 3
