"""`imgbuild plan`: the parts of a build by what is in the cache and in the store, and the last build's times."""

from __future__ import annotations

import hashlib
import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.diagnostics.timed import Taken, Timed
from imgbuild.image.build import kept_plan
from imgbuild.image.rootfs.build import kept_tar
from imgbuild.image.times import LastRun, last_run, save
from imgbuild.outputs.manifest import GroupRecord
from imgbuild.pipeline import Request, disk, prepare, write
from tests.support.checking import ADMIN
from tests.support.events import of_kind, result_of
from tests.support.locks import whole_lock

DIGEST = "sha256:" + "0" * 64
EXTRA = f"images.extra=[shop.test/web:1@{DIGEST}]"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMGBUILD_STORE", raising=False)
    return tmp_path / "cache"


def plan(*words: str) -> str:
    done = CliRunner().invoke(main, ["plan", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def items(*words: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in of_kind("item", plan(*words, "--format", "json"))}


def test_without_a_cache_everything_is_fetched_and_nothing_is_written(cache: Path) -> None:
    found = items("-p", "centos8-efi", "--set", "images.preload=true")
    kinds = {name: each["action"] for name, each in found.items()}
    assert kinds["root file system of CentOS 8.5.2111"] == kinds["disk image centos8-efi.qcow2"] == "build"
    assert {kinds["helm 4.3.0"], kinds["nerdctl-full 2.3.5"]} == {"fetch"}
    assert any(name.startswith("CentOS-8-GenericCloud") for name in kinds)
    assert "container image quay.io/cilium/cilium:v1.19.6" in kinds
    assert not cache.exists()
    assert "which does not exist yet" in CliRunner().invoke(main, ["plan", "-p", "centos8-efi"]).stderr


def test_what_is_kept_is_not_fetched(cache: Path) -> None:
    content = b"helm"
    sha256 = hashlib.sha256(content).hexdigest()
    blobs = cache / "store/blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / sha256).write_bytes(content)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    sets = (
        "--set",
        f"helm={{enabled: true, version: 4.3.0, urls: ['https://x.test/helm-v4.3.0.tar.gz'], sha256: {sha256}}}",
    )
    found = items("-p", "centos8-efi", *sets)
    assert (found["helm 4.3.0"]["action"], found["helm 4.3.0"]["bytes"]) == ("kept", len(content))

    ready = prepare(Request("centos8-efi", (), sets[1:]), Findings())
    root = kept_plan(ready.resolved, ready.rendered.install, cache, PlainSteps(StringIO()))
    assert root is not None
    tar = kept_tar(root.key, cache)
    tar.parent.mkdir()
    tar.write_bytes(b"tar")
    found = items("-p", "centos8-efi", *sets)
    assert [(each["name"], each["action"], each["bytes"]) for each in found.values()] == [
        ("root file system of CentOS 8.5.2111", "kept", 3),
        ("disk image centos8-efi.qcow2", "build", None),
    ]
    assert "nothing is fetched" in plan("-p", "centos8-efi", *sets)


def test_an_image_with_a_known_digest_is_found_in_the_store(cache: Path) -> None:
    blobs = cache / "store/blobs/sha256"
    blobs.mkdir(parents=True)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")

    def stored(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": "application/x", "digest": f"sha256:{digest}", "size": len(content)}

    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"mediaType": kind, "config": stored(b"config"), "layers": [stored(b"layer")]}
    digest = stored(json.dumps(manifest).encode())["digest"]
    sets = ("--set", "images.preload=true", "--set", f"images.extra=[shop.test/web:1@{digest}]")
    name = f"container image shop.test/web:1@{digest}"
    found = items("-p", "centos8-efi", *sets)
    assert (found[name]["action"], found[name]["bytes"]) == ("kept", len(b"configlayer"))
    (blobs / hashlib.sha256(b"layer").hexdigest()).unlink()
    assert items("-p", "centos8-efi", *sets)[name]["action"] == "fetch"


def test_steps_are_remembered_with_their_depth_and_without_logins() -> None:
    out = StringIO()
    timed = Timed(PlainSteps(out))
    with timed.step("outer"), timed.step("Fetch https://me:secret@x.test/a"):
        timed.note("a note")
    with pytest.raises(ValueError, match="broken"), timed.step("fails"):
        raise ValueError("broken")
    assert [each.depth for each in timed.taken] == [0, 1]
    assert all("secret" not in each.text for each in timed.taken)
    assert "a note" in out.getvalue() and len(timed.taken) == 2


def test_a_build_leaves_its_times_for_the_next_plan(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_image(*args: Any, **more: Any) -> Any:
        with args[6].step("Make the disk"):
            (args[2] / "image").mkdir()
            return SimpleNamespace(described=dict, sums={})

    monkeypatch.setattr(disk, "build_image", build_image)
    monkeypatch.setattr(disk, "host_problems", lambda *_, **__: [])
    monkeypatch.setattr(write, "_with_boot_files", lambda *_: GroupRecord("run", {}))
    ready = prepare(Request("debian12-efi", (), (ADMIN,)), Findings())
    more = {"cache": cache, "fresh": False}
    write.write(ready, Path("out"), PlainSteps(StringIO()), image=False, **more)  # type: ignore[arg-type]
    assert last_run(cache, "debian12-efi") is None, "a run without an image has no times worth keeping"
    write.write(ready, Path("out"), PlainSteps(StringIO()), image=True, **more)  # type: ignore[arg-type]
    text = plan("-p", "debian12-efi")
    assert "the last build, of " in text and "  Make the disk\n" in text
    assert "Make the disk" not in plan("-p", "debian12-efi", "--name", "another")


def test_times_in_json_and_a_damaged_record(cache: Path) -> None:
    save(cache, "debian12-efi", LastRun(1_700_000_000, [Taken("a", 0, 2.0), Taken("b", 1, 1.5), Taken("c", 0, 0.5)]))
    text = plan("-p", "debian12-efi", "--format", "json")
    assert [(each["text"], each["depth"], each["seconds"]) for each in of_kind("took", text)][1] == ("b", 1, 1.5)
    assert result_of(text)["last_run"] == {"ended": "2023-11-14T22:13:20+00:00", "seconds": 2.5}
    (cache / "times/debian12-efi.json").write_text('{"ended": 1, "steps": [{}]}')
    assert "last_run" not in result_of(plan("-p", "debian12-efi", "--format", "json"))


def test_sizes_of_the_lock_each_content_once_and_the_store_that_is_asked_first(cache: Path) -> None:
    own = {
        "extends": ["debian12-efi", "distro-containerd"],
        "images": {"preload": True, "extra": [f"shop.test/web:1@{DIGEST}"]},
        "cilium": {"enabled": False}, "kubernetes": {"kube_proxy": True},
    }  # fmt: skip
    Path("node.yaml").write_text(json.dumps(own))
    lock = yaml.safe_load(whole_lock("node.yaml", (ADMIN,)))
    pins = lock["profiles"]["node"]["images"]
    pins[f"shop.test/web:1@{DIGEST}"] = {**pins.pop("shop.test/web:1"), "digest": DIGEST}
    for pin in pins.values():
        pin["size"] = 1000
    Path("imgbuild.lock").write_text(json.dumps(lock))
    store = "oci://127.0.0.1:1/farm"  # nothing answers there, and nothing is asked
    for _ in range(2):
        found = items("-p", "node.yaml", "--set", ADMIN, "--store", store)
        images = [each for name, each in found.items() if name.startswith("container image")]
        assert len(images) == len(pins) == 8 and {each["bytes"] for each in images} == {1000}
        for each in (*images, found["helm 4.3.0"]):
            assert each["sources"][0] == store and len(each["sources"]) > 1
        done = result_of(plan("-p", "node.yaml", "--set", ADMIN, "--store", store, "--format", "json"))
        assert done["bytes"] == 2000  # seven images have one digest
        cache.mkdir(exist_ok=True)
