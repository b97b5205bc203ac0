"""The seed ISO: the same bytes whenever it is made, and read by others than the library that wrote it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from imgbuild.outputs import seed as module
from imgbuild.outputs.iso import empty_iso
from imgbuild.outputs.seed import SeedGroup, seed_iso
from imgbuild.outputs.tree import OutFile
from tests.support.nodes import STATIC, resolved, seed_of

EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def seed() -> dict[str, bytes]:
    return seed_of(resolved("centos7-efi", "stock"), STATIC)


def xorriso(image: Path, *more: str) -> str:
    done = subprocess.run(
        ["xorriso", "-indev", image, *more],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"LC_ALL": "C"},
    )
    return done.stdout


def test_the_bytes_follow_from_the_input_alone(seed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    first = seed_iso(seed, EPOCH)
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    empty_iso.cache_clear()
    try:
        time.sleep(1.1)  # the format counts seconds
        assert seed_iso(dict(reversed(seed.items())), EPOCH) == first
    finally:
        monkeypatch.undo()
        time.tzset()
    assert seed_iso(seed, EPOCH + 1) != first
    assert seed_iso({**seed, "user-data": b"#cloud-config\n{}\n"}, EPOCH) != first


def test_the_clock_of_others_runs_on() -> None:
    before = time.time()
    seed_iso({"user-data": b"a", "meta-data": b"b"}, 0)
    assert time.time() >= before


@pytest.mark.parametrize("epoch", [0, 99_999_999_999])
def test_any_epoch_does(epoch: int) -> None:
    assert seed_iso({"user-data": b"", "meta-data": b""}, epoch)


@pytest.mark.parametrize("names", ["rockridge", "joliet"])
def test_xorriso_finds_the_very_names_and_bytes(seed: dict[str, bytes], names: str, tmp_path: Path) -> None:
    image = tmp_path / "seed.iso"
    image.write_bytes(seed_iso(seed, EPOCH))
    read = ["-read_fs", "norock" if names == "joliet" else "any"]
    done = subprocess.run(
        ["xorriso", *read, "-osirrox", "on", "-indev", image, "-extract", "/", tmp_path / "x"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "FAILURE" not in done.stderr
    found = {p.name: p.read_bytes() for p in (tmp_path / "x").iterdir()}
    assert found == seed
    assert set(found) == {"user-data", "meta-data", "vendor-data", "network-config"}


def test_seeds_of_the_same_sizes_do_not_mix(seed: dict[str, bytes], tmp_path: Path) -> None:
    other = {name: bytes(reversed(content)) for name, content in seed.items()}
    images = {"one": seed_iso(seed, EPOCH), "other": seed_iso(other, EPOCH), "again": seed_iso(seed, EPOCH)}
    assert images["one"] == images["again"]
    for name, files in (("one", seed), ("other", other)):
        (tmp_path / name).write_bytes(images[name])
        for file, content in files.items():
            place = tmp_path / f"{name}.{file}"
            command: list[str | Path] = [
                "xorriso",
                "-osirrox",
                "on",
                "-indev",
                tmp_path / name,
                "-extract",
                f"/{file}",
                place,
            ]
            subprocess.run(command, capture_output=True, check=True)
            assert place.read_bytes() == content


def test_both_labels_are_cidata(seed: dict[str, bytes], tmp_path: Path) -> None:
    image = tmp_path / "seed.iso"
    image.write_bytes(seed_iso(seed, EPOCH))
    said = subprocess.run(["blkid", "-p", "-o", "export", image], capture_output=True, text=True, check=True).stdout
    assert "LABEL=cidata" in said.splitlines()
    assert "TYPE=iso9660" in said.splitlines()
    assert "cidata".encode("utf-16-be") in image.read_bytes()


def test_secrets_are_roots_on_the_medium(seed: dict[str, bytes], tmp_path: Path) -> None:
    image = tmp_path / "seed.iso"
    image.write_bytes(seed_iso(seed, EPOCH))
    listed = xorriso(image, "-lsl", "/")
    assert sum(line.startswith("-r--------") for line in listed.splitlines()) == len(seed)


def test_a_big_seed(tmp_path: Path) -> None:
    image = tmp_path / "seed.iso"
    content = os.urandom(3_000_001)
    image.write_bytes(seed_iso({"user-data": content, "meta-data": b""}, EPOCH))
    subprocess.run(
        ["xorriso", "-osirrox", "on", "-indev", image, "-extract", "/user-data", tmp_path / "u"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert (tmp_path / "u").read_bytes() == content


def test_an_image_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them at once are seventy megabytes."""
    made: list[int] = []

    def counted(files: Mapping[str, bytes], epoch: int) -> bytes:
        made.append(epoch)
        return seed_iso(files, epoch)

    monkeypatch.setattr(module, "seed_iso", counted)
    seeds = {"a": {"user-data": b"a", "meta-data": b"m"}, "b": {"user-data": b"b"}}
    group = SeedGroup(seeds, EPOCH)
    assert list(group) == ["a/user-data", "a/meta-data", "a/seed.iso", "b/user-data", "b/seed.iso"]
    assert len(group) == 5 and "a/seed.iso" in list(group)
    assert group["a/user-data"] == OutFile(b"a", 0o600)
    assert made == []
    assert group["b/seed.iso"] == OutFile(seed_iso(seeds["b"], EPOCH), 0o600)
    assert made == [EPOCH]
    for path in ("b/meta-data", "c/user-data", "a", "a/user-data/x"):
        with pytest.raises(KeyError):
            group[path]
