"""Container images that cannot be had: where that is reported, with which fix and which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.main import main
from imgbuild.config.lock_file import read_lock
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.images import Image
from imgbuild.fetch.registry import AnswerError, ImageMissingError, Trouble, _reason
from imgbuild.image.preload import Missing
from tests.support.checking import ADMIN
from tests.support.locks import whole_lock

OWN = {
    "extends": ["debian12-efi", "distro-containerd"],
    "images": {"preload": True},
    "cilium": {"enabled": False},
    "kubernetes": {"kube_proxy": True},
    "helm": {"enabled": False},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that fetches nothing but images, and its lock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMGBUILD_STORE", raising=False)
    Path("node.yaml").write_text(json.dumps(OWN))
    Path("imgbuild.lock").write_text(whole_lock("node.yaml", (ADMIN,)))


def answered(kind: Trouble, *words: str, patch: pytest.MonkeyPatch) -> Result:
    """What imgbuild reports if no registry has the images."""

    def nothing(_profile: object, images: list[object], *_: object) -> tuple[list[object], list[object]]:
        return [], [Missing(image, ImageMissingError("the answer", "the fix", kind)) for image in images]  # type: ignore[arg-type]

    patch.setattr("imgbuild.pipeline.disk.look_up", nothing)
    return CliRunner().invoke(main, [*words, "-p", "node.yaml", "--set", ADMIN])


@pytest.mark.parametrize("kind", ["missing", "another"])
def test_a_digest_of_the_lock_is_pinned_again(kind: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    done = answered(kind, "fetch", patch=monkeypatch)
    assert done.exit_code == 1
    lock = read_lock(Path("imgbuild.lock"), Findings())
    assert lock is not None
    name = next(iter(lock.lock.profiles["node"].images))
    line = next(n for n, text in enumerate(Path("imgbuild.lock").read_text().splitlines(), 1) if name in text)
    assert f"imgbuild.lock:{line}:" in done.stderr
    assert f"--no-packages --update {name};" in " ".join(done.stderr.split())


def test_what_no_node_can_use_is_the_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    done = answered("unfit", "fetch", patch=monkeypatch)
    assert done.exit_code == 1 and "fix: the fix" in done.stderr and "--update" not in done.stderr


@pytest.mark.parametrize("words", [("fetch",), ("bundle", "--no-wheels", "-o", "b.bundle")])
def test_a_registry_that_does_not_answer_is_the_environment(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for `images --digests` and `lock`."""
    done = answered("silent", *words, patch=monkeypatch)
    assert done.exit_code == 3 and "IB838" in done.stderr and "--update" not in done.stderr


def test_a_lock_without_packages_is_completed_without_root() -> None:
    text = Path("imgbuild.lock").read_text()
    Path("imgbuild.lock").write_text(text[: text.index("    images:")] + "    images: {}\n")
    done = CliRunner().invoke(main, ["fetch", "-p", "node.yaml", "--set", ADMIN])
    assert done.exit_code == 1 and "IB814" in done.stderr
    words = " ".join(done.stderr.split())  # lines are as wide as the terminal
    assert "fix: run imgbuild lock --profile node.yaml --set 'users=(not shown)' --no-packages" in words


def test_the_reason_is_whole_words_of_the_cause() -> None:
    name = "docker://harbor.example.com/hub/pause@sha256:" + "0" * 64
    said = f'time="…" level=fatal msg="Error parsing image name \\"{name}\\": reading manifest: manifest unknown"'
    assert _reason(said) == "reading manifest: manifest unknown"
    long = _reason('level=fatal msg="' + "several words " * 40 + 'manifest unknown"')
    assert long.startswith("… ") and long.split()[1] in ("several", "words") and long.endswith("manifest unknown")
    assert len(long) <= 302


def test_a_web_server_does_not_lack_an_image() -> None:
    assert not AnswerError("pinging container registry h: invalid status code from registry 404 (Not Found)").absent
    assert AnswerError("reading manifest 1 in h/x: manifest unknown").absent


def test_names_with_digests_tell_what_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bare tag was printed as if it were pinned, and nothing told why the exit code was 3."""

    def found(_asked: object, image: Image, _sources: object) -> tuple[str, None]:
        if "etcd" in image.name:
            raise ImageMissingError("the answer", "the fix")
        return f"sha256:{'a' * 64}", None

    monkeypatch.setattr("imgbuild.cli.images.digest_of", found)
    done = CliRunner().invoke(main, ["images", "--names", "--digests", "-p", "node.yaml", "--set", ADMIN])
    assert done.exit_code == 3 and all("@sha256:" in line for line in done.stdout.splitlines())
    assert "pause" in done.stdout and "etcd" not in done.stdout
    assert "has no digest, and is not listed: the answer" in " ".join(done.stderr.split())
