"""The cache: whatever somebody or something did to an entry, it is named, removed and made anew."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.checksum import sha256_of
from imgbuild.image.cache import Unfit, open_cache, store, subfolder, take, verified, write_record
from imgbuild.image.rootfs.dibcache import DibCache
from tests.support.image.recorder import Recorder


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An entry that is as it should be, with another one beside it."""
    for name in ("one", "two"):
        made = tmp_path / "made"
        made.write_bytes(f"root:x:0:0:{name}".encode())
        store(made, tmp_path / f"{name}.tar", sha256_of(made), {"of": name})
    return tmp_path / "one.tar"


def _record(entry: Path) -> Path:
    return entry.with_suffix(".json")


def _same_size(entry: Path) -> None:
    content = entry.read_bytes().replace(b"root:x:", b"root::\n")
    assert len(content) == entry.stat().st_size
    entry.write_bytes(content)


def _swapped(entry: Path) -> None:
    """Both files of another entry, under the names of this one."""
    other = entry.with_name("two.tar")
    other.replace(entry)
    _record(other).replace(_record(entry))


def _link(entry: Path) -> None:
    entry.replace(entry.with_name("elsewhere"))
    entry.symlink_to(entry.with_name("elsewhere"))


def _record_link(entry: Path) -> None:
    record = _record(entry)
    record.replace(entry.with_name("elsewhere"))
    record.symlink_to(entry.with_name("elsewhere"))


def _folder(entry: Path) -> None:
    entry.unlink()
    (entry / "below").mkdir(parents=True)


def _fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def _old(entry: Path) -> None:
    """As imgbuild wrote them before it kept checksums."""
    _record(entry).write_text(json.dumps({"bytes": entry.stat().st_size, "of": "one"}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "other bytes of the same size": (_same_size, "it has the sha256"),
    "truncated": (lambda e: os.truncate(e, 3), "it has the sha256"),
    "empty": (lambda e: os.truncate(e, 0), "it has the sha256"),
    "longer": (lambda e: os.truncate(e, 100), "it has the sha256"),
    "another entry's tar": (lambda e: e.with_name("two.tar").replace(e), "it has the sha256"),
    "another entry's tar and record": (_swapped, "its record is for two.tar"),
    "no tar": (lambda e: e.unlink(), "one.tar is missing"),
    "no record": (lambda e: _record(e).unlink(), "one.json is missing"),
    "an old record": (_old, "no checksum"),
    "an empty record": (lambda e: _record(e).write_text(""), "no checksum"),
    "half a record": (lambda e: os.truncate(_record(e), 20), "no checksum"),
    "a list": (lambda e: _record(e).write_text("[]"), "no checksum"),
    "a number": (lambda e: _record(e).write_text('{"sha256": 1}'), "no checksum"),
    "a deep record": (lambda e: _record(e).write_text("[" * 100_000), "no checksum"),
    "not text": (lambda e: _record(e).write_bytes(b"\xff\xfe"), "no checksum"),
    "a link": (_link, "one.tar is not a regular file"),
    "a link as record": (_record_link, "one.json is not a regular file"),
    "a folder": (_folder, "one.tar is not a regular file"),
    "a FIFO": (_fifo, "one.tar is not a regular file"),
    "a second name": (lambda e: os.link(e, e.with_name("mine")), "second name"),
    "writable by all": (lambda e: e.chmod(0o666), "another user can write to one.tar"),
    "a record writable by a group": (lambda e: _record(e).chmod(0o660), "another user can write to one.json"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_an_entry_that_is_not_what_was_stored_is_named_and_removed(kind: str, entry: Path) -> None:
    damage, why = DAMAGE[kind]
    steps = Recorder()
    about = take(entry, "the base", steps)
    assert about is not None
    assert about["of"] == "one"
    assert not steps.lines

    damage(entry)
    with pytest.raises(Unfit):  # without the lock nothing is removed
        verified(entry)
    assert take(entry, "the base", steps) is None
    assert len(steps.lines) == 1
    assert why in steps.lines[0]
    assert str(entry) in steps.lines[0]
    assert not os.path.lexists(entry)
    assert not os.path.lexists(_record(entry))
    assert take(entry, "the base", steps) is None
    assert len(steps.lines) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_an_entry_or_folder_of_another_user(entry: Path, tmp_path: Path) -> None:
    os.chown(entry, 4321, 4321)
    with pytest.raises(Unfit, match="another user"):
        verified(entry)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 4321, 4321)
    with pytest.raises(HostError, match=r"belongs to another user \(uid 4321\)") as caught:
        open_cache(cache)
    assert "IMGBUILD_CACHE" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_who_called_sudo_may_own_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    os.chown(cache, 4321, 4321)
    monkeypatch.setenv("SUDO_UID", "4321")
    assert open_cache(cache) == cache


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_cache_folder_that_others_write_to(mode: int, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(HostError, match="other users can write") as caught:
        open_cache(cache)
    assert "chmod go-w" in caught.value.hint
    cache.chmod(0o755)
    (cache / "base").mkdir()
    (cache / "base").chmod(mode)
    with pytest.raises(HostError, match="other users can write"):
        subfolder(open_cache(cache), "base")


def test_a_folder_of_the_cache_that_is_a_link_or_a_file(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "new" / "cache")
    assert cache.stat().st_mode & 0o777 == 0o700
    (cache / "base").symlink_to(tmp_path)
    (cache / "rootfs").write_text("")
    for name in ("base", "rootfs"):
        with pytest.raises(HostError, match="is not a folder"):
            subfolder(cache, name)
    (tmp_path / "link").symlink_to(cache)  # the cache as a whole may be on another disk
    assert open_cache(tmp_path / "link") == cache


def test_a_store_that_was_killed_at_any_point_leaves_the_old_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is ended at each system call that changes something, one after the other."""
    stops = 0

    class Killed(BaseException):
        pass

    def stopping(real: Callable[..., object], at: int) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            nonlocal stops
            stops += 1
            if stops == at:
                raise Killed
            return real(*args, **more)

        return call

    entry = tmp_path / "one.tar"
    reached = []
    for at in range(1, 30):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        for content in (b"old", b"new"):
            made = tmp_path / "made"
            made.write_bytes(content)
            if content == b"old":
                store(made, entry, sha256_of(made))
        stops = 0
        with monkeypatch.context() as patch:
            for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (tempfile, "mkstemp")):
                patch.setattr(owner, name, stopping(getattr(owner, name), at))
            try:
                store(made, entry, sha256_of(made))
            except Killed:
                reached.append(at)
        steps = Recorder()
        kept = take(entry, "it", steps)
        assert kept is None or entry.read_bytes() in (b"old", b"new")
        assert kept is not None or steps.lines
        if at not in reached:
            assert kept is not None
            assert entry.read_bytes() == b"new"
            break
    assert len(reached) >= 8
    assert len(reached) < 28


def test_what_is_fetched_for_packages_is_compared_too(tmp_path: Path) -> None:
    """apt takes a package from its archives by its size."""
    folder = tmp_path / "dib"
    archives = folder / "apt/debian"
    (archives / "partial").mkdir(parents=True)
    other, package = folder / "base.tar.gz", archives / "sudo_1.9_amd64.deb"
    (archives / "lock").touch()
    other.write_text("root:x:0")
    package.write_text("a package")
    cache = DibCache(folder)
    cache.vouch()
    assert cache.discard_unknown() == [other.name]
    assert cache.discard_unknown() == []

    (tmp_path / "other.deb").write_text("a package")
    package.unlink()
    package.symlink_to(tmp_path / "other.deb")
    (archives / "new.deb").write_text("what a killed build fetched")
    (archives / "partial/half.deb").write_text("ha")
    (folder / "yum").symlink_to(tmp_path)
    assert cache.discard_unknown() == sorted([
        "apt/debian/sudo_1.9_amd64.deb", "apt/debian/new.deb", "apt/debian/partial/half.deb", "yum",
    ])  # fmt: skip
    assert (tmp_path / "other.deb").exists()
    assert (archives / "lock").exists()

    package.write_text("a package")
    cache.vouch()
    assert cache.discard_unknown() == [] and package.exists()
    for record in ("", "[]", "[" * 100_000, '{"apt/debian/sudo_1.9_amd64.deb": 1}'):
        (folder / "sha256.json").write_text(record)
        package.write_text("a package")
        assert cache.discard_unknown() == ["apt/debian/sudo_1.9_amd64.deb"]


@pytest.mark.parametrize("names", [("build",), ("dib", "logs"), ("thesis", "rootfs.txt"), (".bashrc", "build", "base")])
def test_a_folder_of_other_things_is_no_cache(names: tuple[str, ...], tmp_path: Path) -> None:
    """IMGBUILD_CACHE=$HOME: a build would remove the folder `build` with all that is in it."""
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "two years of work").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(HostError, match="did not make the cache folder") as caught:
        open_cache(tmp_path)
    assert "IMGBUILD_CACHE" in caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "names", [(), ("lost+found",), ("mirrors", "logs", "lock"), ("rootfs", "build", "dib", "tests")]
)
def test_a_cache_is_tagged_and_known_by_its_tag(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert open_cache(tmp_path) == tmp_path
    assert (tmp_path / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    (tmp_path / "build").mkdir(exist_ok=True)  # of a killed build
    assert open_cache(tmp_path) == tmp_path


def test_a_record_that_many_write_at_once_is_whole(tmp_path: Path) -> None:
    record = tmp_path / "mirrors.json"
    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda number: write_record(record, {"number": number, "text": "x" * 9999}), range(64)))
    assert json.loads(record.read_text())["text"] == "x" * 9999
    assert list(tmp_path.iterdir()) == [record]
