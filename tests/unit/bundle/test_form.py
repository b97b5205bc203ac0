"""The form of a bundle: what is written is read back, by other tools too, and all damage is found."""

from __future__ import annotations

import hashlib
import io
import os
import random
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from imgbuild.bundle.layout import BLOBS, CONTENTS, END, SIGNATURE, header, is_path, read_sums, sums_text
from imgbuild.bundle.read import Bundle, DamagedError, open_bundle
from imgbuild.bundle.verify import wrong_with
from imgbuild.bundle.write import Part, part_of, refuse_target, write_bundle
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.hold import in_use
from imgbuild.fetch.store import Store
from imgbuild.outputs.signature import SUMS, Signer
from tests.support.image.recorder import Recorder
from tests.support.publishers import sha256
from tests.unit.bundle.conftest import LARGE, SMALL, about, parts


def wrong(file: Path, signers: Path | None) -> list[str]:
    """What is reported about a bundle, at opening or later. ``signers`` None: without its signature."""
    try:
        return [str(error) for error in wrong_with(open_bundle(file), signers)[1]]
    except DamagedError as error:
        return [str(error)]


def test_what_is_written_is_read_back(bundle: Path, signers: Path) -> None:
    found = open_bundle(bundle)
    trust, problems = wrong_with(found, signers)
    assert (problems, trust.signer) == ([], "builds@example.com")
    assert found.end == bundle.stat().st_size
    assert found.contents.profile == "node"
    assert found.text("profile/empty") == b""
    out = io.BytesIO()
    found.copy_blob(sha256(LARGE), out)
    assert out.getvalue() == LARGE and found.has_blob(sha256(SMALL)) and not found.has_blob(sha256(b""))


def test_tar_sha256sum_and_ssh_keygen_are_enough(bundle: Path, signers: Path, tmp_path: Path) -> None:
    """Where imgbuild is not installed yet."""
    place = tmp_path / "unpacked"
    place.mkdir()
    subprocess.run(["tar", "-xf", str(bundle), "-C", str(place)], check=True)
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", SUMS], cwd=place, check=True)
    words = f"ssh-keygen -Y verify -f {signers} -I builds@example.com -n imgbuild -s {SIGNATURE}"
    verify = words.split()
    subprocess.run(verify, cwd=place, check=True, input=(place / SUMS).read_bytes())
    assert (place / BLOBS / sha256(LARGE)).read_bytes() == LARGE
    listed = subprocess.run(["tar", "-tf", bundle], check=True, capture_output=True, text=True).stdout.split()
    assert listed[:3] == [SUMS, SIGNATURE, CONTENTS]
    with tarfile.open(bundle) as tar:
        assert {(member.uid, member.gid, member.mode, member.mtime) for member in tar} == {(0, 0, 0o644, 1_700_000_000)}


def test_the_same_input_gives_the_same_bytes(bundle: Path, key: Path, tmp_path: Path) -> None:
    os.utime(tmp_path / "large", (1, 1))
    write_bundle(tmp_path / "again", about(), parts(tmp_path), Signer(key))
    assert (tmp_path / "again").read_bytes() == bundle.read_bytes()
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o644


def test_a_bundle_that_is_cut_anywhere_is_found(bundle: Path, tmp_path: Path) -> None:
    whole = bundle.read_bytes()
    edges = {0, 1, 511, 512, 513, len(whole) - 1, len(whole) - 512, len(whole) - 1024, len(whole) - 1025}
    edges |= {member.offset + by for member in open_bundle(bundle).members.values() for by in (0, 1, 512)}
    edges |= set(random.Random(12).sample(range(len(whole)), 60))  # noqa: S311 - any places
    cut = tmp_path / "cut"
    cut.write_bytes(whole)
    for size in sorted(edges, reverse=True):
        os.truncate(cut, size)
        assert wrong(cut, None), size


def test_a_cut_names_what_is_lost(bundle: Path, signers: Path) -> None:
    found = open_bundle(bundle)
    last = list(found.members.values())[-1]
    os.truncate(bundle, last.start + 10)
    (said,) = wrong(bundle, signers)
    assert said.startswith(f"it is cut short: it has {last.start + 10} bytes of {found.end}; it lacks 1 of 8 files")


def test_any_changed_byte_is_found(bundle: Path, signers: Path) -> None:
    whole = bundle.read_bytes()
    signed = open_bundle(bundle).members[CONTENTS].offset
    front = range(0, signed, 151)
    small = open_bundle(bundle).members[f"{BLOBS}{sha256(SMALL)}"]
    places = {*front, *range(small.offset, small.end, 31), *range(len(whole) - 1024, len(whole), 101)}
    places |= set(random.Random(5).sample(range(len(whole)), 60))  # noqa: S311 - any places
    for place in sorted(places):
        changed = bytearray(whole)
        changed[place] ^= 0x11
        bundle.write_bytes(changed)
        assert wrong(bundle, signers if place < signed else None), place


def test_all_damage_is_reported_at_once(bundle: Path, signers: Path, tmp_path: Path) -> None:
    found = open_bundle(bundle)
    with bundle.open("r+b") as stream:
        for path in ("wheels/a.whl", f"{BLOBS}{sha256(LARGE)}"):
            stream.seek(found.members[path].start + 1)
            stream.write(b"#")
        stream.seek(0, 2)
        stream.write(b"more")
    other = tmp_path / "others"
    other.write_text(signers.read_text().replace("imgbuild", "git"))
    said = wrong(bundle, other)
    assert len(said) == 4
    assert "signature" in said[0] and said[1].startswith("wheels/a.whl: it has the sha256")
    assert said[2].startswith(BLOBS) and said[3] == "it has 4 bytes after its end"


def test_swapped_members(bundle: Path, signers: Path) -> None:
    """Two files of the same size with their headers, each in the other's place."""
    found = open_bundle(bundle)
    content = bytearray(bundle.read_bytes())
    one, two = found.members["profile/node.yaml"], found.members["wheels/a.whl"]
    first, second = content[one.offset : one.end], content[two.offset : two.end]
    assert len(first) == len(second)
    content[one.offset : one.end], content[two.offset : two.end] = second, first
    bundle.write_bytes(content)
    said = wrong(bundle, signers)
    assert [text.partition(":")[0] for text in said] == ["profile/node.yaml", "wheels/a.whl"]


def _made(file: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))


def _hostile(path: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> list[tuple[tarfile.TarInfo, bytes]]:
    """What somebody else has made: every checksum is right, one member is not what imgbuild writes."""
    content = b"root::0:0::/:/bin/sh\n"
    listed = about().model_dump_json().replace(
        '"files":[]', f'"files":[{{"path":"{path}","size":{len(content)},"kind":"profile","name":""}}]'
    ).encode()  # fmt: skip
    sums = sums_text({CONTENTS: sha256(listed), path: sha256(content)})
    last = tarfile.TarInfo(path)
    last.type, last.linkname = kind, link
    front = [tarfile.TarInfo(SUMS), tarfile.TarInfo(CONTENTS)]
    for info in (*front, last):
        info.mtime, info.mode = 1_700_000_000, 0o644
    return [(front[0], sums), (front[1], listed), (last, content)]


@pytest.mark.parametrize(
    "path", ["../evil", "/etc/passwd", "profile/../../evil", "profile/./x", "profile//x", "profile/", ".", "a\\\\b", ""]
)
def test_a_path_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    _made(tmp_path / "b", _hostile(path))
    with pytest.raises(DamagedError, match=SUMS):
        open_bundle(tmp_path / "b")
    assert not is_path(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_or_device_in_place_of_a_file(kind: bytes, tmp_path: Path) -> None:
    _made(tmp_path / "b", _hostile("profile/x", kind, "/etc/passwd"))
    with pytest.raises(DamagedError, match="profile/x"):
        open_bundle(tmp_path / "b").text("profile/x")


def test_a_good_one_made_by_another_tar(tmp_path: Path) -> None:
    """The counterpart of the hostile ones: it is their content that is refused, not how they are made."""
    _made(tmp_path / "b", _hostile("profile/x"))
    assert open_bundle(tmp_path / "b").text("profile/x").startswith(b"root")


@pytest.mark.parametrize(
    "front",
    [
        header(SUMS, 1 << 40),
        header(SUMS, 65 << 20),
        header(SUMS, 0),
        header(CONTENTS, 0),
        header("profile/" + "x" * 5000, 0),
        b"\0" * 512,
        b"\xff" * 512,
        b"",
        b"PK\x03\x04" + b"\0" * 600,
        header(SUMS, 10)[:100],
    ],
)
def test_a_front_that_is_huge_or_something_else(front: bytes, tmp_path: Path) -> None:
    """Nothing is read into memory because a header says so."""
    (tmp_path / "b").write_bytes(front + END)
    with pytest.raises(DamagedError):
        open_bundle(tmp_path / "b")


def test_a_huge_size_in_the_list_reads_nothing(tmp_path: Path) -> None:
    members = _hostile("profile/x")
    listed = members[1][1].replace(b'"size":21', b'"size":1099511627776')
    sums = sums_text({CONTENTS: sha256(listed), "profile/x": "0" * 64})
    _made(tmp_path / "b", [(members[0][0], sums), (members[1][0], listed), members[2]])
    found = open_bundle(tmp_path / "b")
    (said,) = found.damage()
    assert "it lacks 1 of 2 files" in said


def test_a_later_format_is_said(tmp_path: Path) -> None:
    members = _hostile("profile/x")
    listed = members[1][1].replace(b'"format":1', b'"format":2')
    sums = sums_text({CONTENTS: sha256(listed), "profile/x": "0" * 64})
    _made(tmp_path / "b", [(members[0][0], sums), (members[1][0], listed), members[2]])
    with pytest.raises(HostError, match="another format than 1"):
        open_bundle(tmp_path / "b")


def _strip(bundle: Path, found: Bundle) -> None:
    """Remove the signature, as somebody would who cannot make one."""
    first = found.members[CONTENTS].offset
    size = len(header(SIGNATURE, 0)) + 512
    content = bundle.read_bytes()
    bundle.write_bytes(content[: first - size] + content[first:])


def test_without_its_signature(bundle: Path, signers: Path) -> None:
    _strip(bundle, open_bundle(bundle))
    trust, problems = wrong_with(open_bundle(bundle), signers)
    (problem,) = problems
    assert (str(problem), trust.signer) == ("it is not signed", None) and "--sign-key" in problem.hint
    trust, problems = wrong_with(open_bundle(bundle), None)
    assert not problems and str(trust) == "it is not signed"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda text: text.replace('"imgbuild"', '"git"'), 'must have "imgbuild"'),
        (lambda _: "", "ask whoever made it for the public key"),
    ],
)
def test_a_signer_who_may_not(bundle: Path, signers: Path, change: Callable[[str], str], fix: str) -> None:
    """To copy it again, which helps a damaged one, helps neither."""
    signers.write_text(change(signers.read_text()))
    (problem,) = wrong_with(open_bundle(bundle), signers)[1]
    assert "signature" in str(problem) and fix in problem.hint


def test_there_is_no_file_of_signers(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        wrong_with(open_bundle(bundle), tmp_path / "nobody")


def test_a_file_that_changes_while_it_is_written(tmp_path: Path) -> None:
    made = parts(tmp_path)
    for content in (LARGE + b"x", LARGE[:-1], b"y" + LARGE[1:]):
        (tmp_path / "large").write_bytes(content)
        (tmp_path / "b").write_text("the old one")
        with pytest.raises(HostError, match="helm has changed"):
            write_bundle(tmp_path / "b", about(), made, None)
        assert (tmp_path / "b").read_text() == "the old one"
    (tmp_path / "large").unlink()
    with pytest.raises(HostError, match="helm cannot be read"):
        write_bundle(tmp_path / "b", about(), made, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_where_it_cannot_be_written(tmp_path: Path, bundle: Path) -> None:
    refuse_target(bundle)  # its own earlier one is replaced
    refuse_target(tmp_path / "new")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(bundle)
    for target in (tmp_path / "notes.txt", tmp_path / "link", tmp_path, tmp_path / "nowhere/b"):
        with pytest.raises(HostError):
            refuse_target(target)


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    """But nothing of another name, and no file that another run is writing."""
    left, foreign, link = (tmp_path / name for name in (".b.abcd1234.part", ".b.mine.part", ".b.abcd123l.part"))
    for file in (left, foreign):
        file.write_bytes(b"x")
    link.symlink_to(foreign)
    used = tmp_path / ".b.abcd123x.part"
    used.write_bytes(b"y")
    with in_use(used):
        write_bundle(tmp_path / "b", about(), parts(tmp_path), None)
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted(each.name for each in (foreign, link, used))


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgbuild.bundle.write.shutil.disk_usage", lambda _: type("usage", (), {"free": 1 << 20}))
    with pytest.raises(HostError, match=r"has 1 MiB free, the bundle has 3 MiB"):
        write_bundle(tmp_path / "b", about(), parts(tmp_path), None)
    assert not (tmp_path / "b").exists()


def test_sums_are_strict() -> None:
    good = hashlib.sha256(b"").hexdigest()
    assert read_sums(f"{good}  a b\n".encode()) == {"a b": good}
    for text in (f"{good}  a", f"{good} *a\n", f"{good}  a\n{good}  a\n", f"{good}  {SUMS}\n", f"{good.upper()}  a\n"):
        with pytest.raises(ValueError, match=r"line|end"):
            read_sums(text.encode())
    with pytest.raises(ValueError, match="codec"):
        read_sums(b"\xff\n")


def test_the_front_is_in_order() -> None:
    assert part_of("a", "layout", b"x") == Part("a", "layout", 1, sha256(b"x"), b"x")


EVIL = b"root::0:0::/:/bin/sh\n"


def _renamed(file: Path, wanted: str) -> None:
    """A bundle in which a file has the name of another content. All sums of its list are right."""
    path = f"{BLOBS}{wanted}"
    write_bundle(file, about(), [part_of(path, "file", EVIL, "helm")], None)


def test_a_file_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    _renamed(tmp_path / "b", sha256(SMALL))
    with pytest.raises(DamagedError, match=f"has the sha256 {sha256(EVIL)} for {BLOBS}{sha256(SMALL)}, whose name"):
        open_bundle(tmp_path / "b")
    with pytest.raises(ValueError, match="another one"):
        read_sums(f"{sha256(EVIL)}  {BLOBS}x\n".encode())


def test_a_store_takes_only_what_it_asked_for(tmp_path: Path) -> None:
    """Whatever a file beside it lists, and whichever kind of content it is: all take this way."""

    class Liar:
        def has_blob(self, sha256: str) -> bool:
            return True

        def copy_blob(self, sha256: str, out: BinaryIO) -> None:
            out.write(EVIL)

    store = Store(tmp_path / "store", carried=Liar())
    with pytest.raises(FetchError, match=f"for {sha256(SMALL)} has the sha256 {sha256(EVIL)}"):
        store.has(Artifact("helm", sha256(SMALL), None, ()), Recorder())
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.read_bytes() == EVIL]
    assert not list((tmp_path / "store/verified").iterdir())
