"""Container images in the disk image: from Debian's docker-registry through skopeo into Debian's containerd (1.6)."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.fetch.images import Found
from imgbuild.fetch.store import Store
from imgbuild.image.offline import image_lacks
from imgbuild.image.preload import FOLDER, Preload, fetch, look_up
from imgbuild.pipeline import Input, Request, prepare
from imgbuild.pipeline.disk import images_found
from imgbuild.render.containerd import config
from imgbuild.render.node import node_tree
from tests.support.checking import ADMIN
from tests.support.cri.daemon import containerd
from tests.support.cri.pause_image import pause_image
from tests.support.deadline import HUNG
from tests.support.profiles import HOST, resolved, write_tree
from tests.support.registry import Front, authority, docker_registry, free_port, front, push, push_index

if shutil.which("containerd") is None or shutil.which("docker-registry") is None or os.geteuid() != 0:
    pytest.skip("needs containerd, docker-registry, skopeo and root", allow_module_level=True)

EXTRA = "shop.test/web/shop"
CLUSTER = """
name: lab
vip: {address: 10.1.0.100}
nodes:
  - name: cp1
    role: control-plane
    network: {interfaces: [{name: eth0, mac: "52:54:00:00:01:10", addresses: [10.1.0.11/24], gateway: 10.1.0.1}], dns: [10.1.0.1]}
"""  # noqa: E501


class Site:
    """A registry with everything that the nodes of a profile run, and the profile."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        (folder / "lab.yaml").write_text(CLUSTER)
        self.archive = pause_image(folder / "amd64.tar", "x")
        other = pause_image(folder / "arm64.tar", "x", "arm64")
        self.index = push_index(port, "web/shop:1.4.2", {"amd64": self.archive, "arm64": other})
        push(port, "web/arm:1", other)
        for image in self.read(f"http://127.0.0.1:{port}").preload:
            if image.registry != "shop.test":
                push(port, f"{image.path}:{image.tag}", self.archive)

    def read(self, url: str, *sets: str, server: str = "") -> Input:
        """A profile that gets all images from ``url``."""
        given = server or json.dumps({"server": url, "mirrors": []})
        more = [f'containerd.registries."{name}"={given}' for name in ("registry.k8s.io", "quay.io", "ghcr.io")]
        more += [f'containerd.registries."shop.test"={given}', "images.preload=true", ADMIN]
        extra = f"images.extra=['{EXTRA}:1.4.2@{self.index}']"
        request = Request(
            "debian12-efi", ("distro-containerd",), (extra, *more, *sets), cluster=self.folder / "lab.yaml"
        )
        return prepare(request, Findings())

    def refused(self, *sets: str, url: str = "", server: str = "") -> list[Finding]:
        with pytest.raises(InvalidInput) as caught:
            images_found(
                self.read(url or f"http://127.0.0.1:{self.port}", *sets, server=server),
                Store(self.folder / "none"),
                steps(),
            )
        return caught.value.findings.items


def steps() -> PlainSteps:
    return PlainSteps(StringIO())


def looked_up(ready: Input, store: Store) -> list[Found]:
    return images_found(ready, store, steps())


def had(found: list[Found], ready: Input, store: Store, out: StringIO | None = None) -> Preload:
    return fetch(ready.resolved.profile, found, store, PlainSteps(out or StringIO()))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with docker_registry(folder / "registry") as port:
        yield Site(folder, port)


def asked_for(registry: Front, part: str) -> list[str]:
    return [path for path in registry.paths() if part in path]


def test_first_boot_has_every_image_and_asks_no_registry(site: Site, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with front(site.port) as registry:
        ready = site.read(f"http://{registry.host}")
        found = looked_up(ready, store)
        preload = had(found, ready, store)
        layers = asked_for(registry, "/blobs/")
        assert layers
        again = looked_up(ready, store)  # looks at the configurations of images without an index
        registry.asked.clear()
        had(again, ready, store)
        assert registry.asked == [], "a second build fetches no layer"

        root = tmp_path / "root"
        write_tree(node_tree(ready.resolved), root)
        (root / "etc/imgbuild/cluster.conf").write_text("node_role=init\n")
        (root / "run/imgbuild").mkdir(parents=True)
        preload.lay(root, 1_700_000_000)
        sets = [f"containerd.root={tmp_path}/c", f"containerd.state={tmp_path}/s", "containerd.snapshotter=native"]
        text = config(resolved("debian12-efi", HOST, sets))
        with containerd(tmp_path / "containerd", text) as cri:
            environment = {
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "IMGBUILD_ROOT": str(root), "CONTAINERD_ADDRESS": cri.socket,
            }  # fmt: skip
            stage = root / "usr/libexec/imgbuild/firstboot.d/40-images"
            done = subprocess.run([stage], env=environment, capture_output=True, text=True, timeout=HUNG)
            assert done.returncode == 0, done.stderr
            for one in found:
                for name in one.image.stored_as(one.digest):
                    assert cri.image(name) is not None, name
            # As the kubelet asks for the extra image, which has a tag and a digest.
            assert cri.image(f"{EXTRA}:1.4.2@{site.index}") is not None
            listed = subprocess.run(
                ["ctr", "-n", "k8s.io", "images", "list"], env=environment, capture_output=True, text=True, check=True
            ).stdout
            rows = {line.split()[0]: line for line in listed.splitlines()[1:]}
            assert site.index in rows[f"{EXTRA}:1.4.2"] and "linux/amd64" in rows[f"{EXTRA}:1.4.2"]
            names = {name for one in found for name in one.image.stored_as(one.digest)}
            assert all("io.cri-containerd.pinned=pinned" in rows[name] for name in names)
            # Again, after a power cut: nothing is imported, and what was lost comes back.
            lost = f"{EXTRA}:1.4.2"
            subprocess.run(["ctr", "-n", "k8s.io", "images", "rm", lost], env=environment, check=True, timeout=HUNG)
            done = subprocess.run([stage], env=environment, capture_output=True, text=True, timeout=HUNG)
            assert done.returncode == 0 and cri.image(lost) is not None, done.stderr
            (root / FOLDER[1:] / "images.list").write_text(f"absent.test/x:1 sha256:{'0' * 64}\n")
            done = subprocess.run([stage], env=environment, capture_output=True, text=True, timeout=HUNG)
            assert done.returncode == 1 and "does not have absent.test/x:1" in done.stderr
        assert registry.asked == []
    assert any("kube-vip" in one.image.part for one in found)


def test_the_archive_has_each_layer_once_and_is_the_same_each_time(site: Site, tmp_path: Path) -> None:
    ready = site.read(f"http://127.0.0.1:{site.port}")
    found = looked_up(ready, Store(tmp_path / "none"))
    sums = []
    for name in ("a", "b"):
        preload = had(found, ready, Store(tmp_path / f"store-{name}"))
        preload.lay(tmp_path / name, 1_700_000_000)
        sums.append(hashlib.sha256((tmp_path / name / FOLDER[1:] / "images.tar").read_bytes()).hexdigest())
    assert sums[0] == sums[1]
    with tarfile.open(tmp_path / "a" / FOLDER[1:] / "images.tar") as tar:
        members = tar.getnames()
        assert len(members) == len(set(members))
        for member in members:
            if member.startswith("blobs/"):
                file = tar.extractfile(member)
                assert file is not None and hashlib.sha256(file.read()).hexdigest() == member.rpartition("/")[2]


def test_a_damaged_layer_in_the_store_is_fetched_again(site: Site, tmp_path: Path) -> None:
    ready, store = site.read(f"http://127.0.0.1:{site.port}"), Store(tmp_path)
    found = looked_up(ready, store)
    had(found, ready, store)
    blob = store.path(found[0].blobs[-1].digest.partition(":")[2])
    blob.write_bytes(b"x" * blob.stat().st_size)
    out = StringIO()
    had(found, ready, store, out)
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert "has the sha256" in out.getvalue() and "Fetch registry.k8s.io/" in out.getvalue()


def test_images_with_known_digests_come_from_the_store_without_a_registry(site: Site, tmp_path: Path) -> None:
    ready, store = site.read(f"http://127.0.0.1:{site.port}"), Store(tmp_path, offline=True)
    found = looked_up(ready, store)
    had(found, ready, store)
    digests = {one.image.name: one.digest for one in found}
    exact = [replace(image, digest=digests[image.name]) for image in ready.preload]
    nowhere = site.read("http://127.0.0.1:1").resolved.profile
    again, missing = look_up(nowhere, exact, store, steps())
    assert not missing and [one.blobs for one in again] == [one.blobs for one in found]
    assert image_lacks(nowhere, exact, store, steps()) == []
    (lack,) = image_lacks(nowhere, ready.preload, store, steps())
    assert "is not known" in lack.what and f"{EXTRA}:" not in lack.what and "imgbuild lock" in lack.hint
    store.path(found[-1].blobs[0].digest.partition(":")[2]).unlink()
    (lack,) = image_lacks(nowhere, exact, store, steps())
    assert "not in the store" in lack.what and "imgbuild fetch" in lack.hint


def test_login_authority_and_unverified_certificates_are_those_of_the_mirrors(site: Site, tmp_path: Path) -> None:
    own = authority(tmp_path / "ca")
    with front(site.port, project="hub", login="robot:secret", bearer=True, tls=own) as harbor:
        login = {"username": "robot", "password": "secret"}
        mirror = {"url": f"https://{harbor.host}/hub", "ca": own.certificate, "auth": login}
        given = json.dumps({"server": "http://127.0.0.1:1", "mirrors": [mirror]})
        ready = site.read("", server=given)
        assert had(looked_up(ready, Store(tmp_path / "none")), ready, Store(tmp_path / "store")).found
        assert asked_for(harbor, "/v2/hub/pause/blobs/")
        unverified = {"url": mirror["url"], "skip_verify": True, "auth": login}
        given = json.dumps({"server": "http://127.0.0.1:1", "mirrors": [unverified]})
        assert looked_up(site.read("", server=given), Store(tmp_path / "none"))
        for wrong in ({**mirror, "auth": {**login, "password": "bad"}}, {"url": mirror["url"], "auth": login}):
            given = json.dumps({"server": "http://127.0.0.1:1", "mirrors": [wrong]})
            assert {each.code for each in site.refused(server=given)} == {"IB838"}


class _Proxy(http.server.BaseHTTPRequestHandler):
    """It alone knows the registry's name."""

    port = 0
    asked: ClassVar[set[str]] = set()

    def do_CONNECT(self) -> None:
        self.send_error(502)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.asked.add(url.netloc)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(self.command, url.path, headers={"Accept": ", ".join(self.headers.get_all("Accept") or [])})
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Docker-Content-Digest"):
            self.send_header(name, answer.getheader(name) or "")
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_the_proxy_of_the_site_is_used(site: Site, tmp_path: Path) -> None:
    _Proxy.port = site.port
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        ready, store = site.read("http://images.invalid"), Store(tmp_path)
        profile = ready.resolved.profile
        # No node could use a proxy at 127.0.0.1, so the checks refuse it.
        profile = profile.model_copy(update={"proxy": profile.proxy.model_copy(update={"http": url, "https": url})})
        found, missing = look_up(profile, ready.preload, store, steps())
        assert not missing, [str(each.why) for each in missing]
        assert fetch(profile, found, store, steps()).found
        server.shutdown()
    assert "images.invalid" in _Proxy.asked
    assert "http_proxy" not in os.environ


def test_all_that_cannot_be_had_is_told_at_once_at_its_place(site: Site, tmp_path: Path) -> None:
    absent, moved, arm = f"{EXTRA}:9", f"{EXTRA}:1.4.2@sha256:{'0' * 64}", "shop.test/web/arm:1"
    gone = "silent.test/x:1"
    (tmp_path / "node.yaml").write_text(
        f"extends: [debian12-efi, distro-containerd]\nimages:\n  preload: true\n  extra:\n"
        f"    - {absent}\n    - {moved}\n    - {arm}\n    - {gone}\n"
        f"containerd:\n  registries:\n"
        f"    silent.test: {{server: 'http://127.0.0.1:{free_port()}', mirrors: []}}\n"
        + "".join(
            f"    {name}: {{server: 'http://127.0.0.1:{site.port}', mirrors: []}}\n"
            for name in ("registry.k8s.io", "quay.io", "ghcr.io", "shop.test")
        )
    )
    request = Request(str(tmp_path / "node.yaml"), (), (ADMIN,))
    with pytest.raises(InvalidInput) as caught:
        images_found(prepare(request, Findings()), Store(tmp_path / "none"), steps())
    told = {each.code: each for each in caught.value.findings.items}
    assert [each.key for each in caught.value.findings.items] == [f"images.extra[{n}]" for n in range(4)]
    assert set(told) == {"IB837", "IB838", "IB839"}
    lines = [each.mark.line for each in caught.value.findings.items if each.mark is not None]
    assert lines == [5, 6, 7, 8]
    messages = [each.message for each in caught.value.findings.items]
    assert f"its tag 1.4.2 has {site.index}" in messages[1]
    assert "it is for linux/arm64" in messages[2]
    assert "connection refused" in messages[3]
