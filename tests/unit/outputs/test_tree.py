"""Groups are swapped in whole: after a kill, a full disk or an error the old one or the new one is there."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.tree import (
    OutFile,
    Written,
    group_run,
    new_group,
    output_folder,
    replace_file,
    swap_group,
    write_file,
)

OLD = {"a/user-data": OutFile(b"old", 0o600), "b": OutFile(b"old b")}
NEW = {"a/user-data": OutFile(b"new", 0o600), "c": OutFile(b"new c", 0o755)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_group_takes_the_others_place(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as folder:
        swap_group(folder, "nodes", OLD, "run1")
        swap_group(folder, "nodes", NEW, "run2")
    assert contents(folder / "nodes") == {"a/user-data": b"new", "c": b"new c", ".run": b"run2\n"}
    assert group_run(folder, "nodes") == "run2"
    assert group_run(folder, "cloud") is None
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "nodes"]


def test_what_has_not_changed_is_taken_over_and_nothing_else(tmp_path: Path) -> None:
    names = ("same", "a/same", "content", "size", "mode", "linked", "pipe", "gone")
    group = {name: OutFile(f"{name}\n".encode(), 0o600) for name in names}
    with output_folder(tmp_path / "out") as folder:
        swap_group(folder, "nodes", group, "run1")
        place = folder / "nodes"
        before = {name: (place / name).stat().st_ino for name in names}
        (place / "content").write_text("CONTENT\n")  # as after a power cut, or by a hand
        (place / "size").write_text("")
        (place / "mode").chmod(0o644)
        (place / "linked").rename(tmp_path / "elsewhere")
        (place / "linked").symlink_to(tmp_path / "elsewhere")
        (place / "pipe").unlink()
        os.mkfifo(place / "pipe")
        (place / "gone").unlink()
        swap_group(folder, "nodes", group, "run2")
    assert contents(place) == {**{name: f"{name}\n".encode() for name in names}, ".run": b"run2\n"}
    kept = {name for name in names if (place / name).lstat().st_ino == before[name]}
    assert kept == {"same", "a/same"}
    for name in names:
        there = (place / name).lstat()
        assert (there.st_mode, there.st_nlink) == (stat.S_IFREG | 0o600, 1), name


class Big(dict[str, OutFile]):
    """Files that two processes write, as if the disk were full at ``bad``."""

    bad = ""

    def __getitem__(self, path: str) -> OutFile:
        if path == self.bad:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().__getitem__(path)


def big() -> Big:
    # One folder is on both sides of the middle.
    return Big({f"node{n // 700}/{n}": OutFile(str(n).encode(), 0o600 if n % 2 else 0o644) for n in range(1400)})


def test_two_processes_write_a_big_group(tmp_path: Path) -> None:
    files = big()
    with output_folder(tmp_path / "out") as folder:
        written = swap_group(folder, "nodes", files, "run1")
    assert list(written) == sorted(files)
    assert contents(folder / "nodes") == {".run": b"run1\n", **{path: file.content for path, file in files.items()}}
    for path, file in files.items():
        there = (folder / "nodes" / path).stat()
        said = Written(hashlib.sha256(file.content).hexdigest(), there.st_size, f"0{stat.S_IMODE(there.st_mode):o}")
        assert written[path] == said and stat.S_IMODE(there.st_mode) == file.mode


@pytest.mark.parametrize("number", [0, -1])
def test_an_error_in_one_of_two_processes_keeps_the_old_group(tmp_path: Path, number: int) -> None:
    files = big()
    files.bad = sorted(files)[number]
    with output_folder(tmp_path / "out") as folder:
        swap_group(folder, "nodes", OLD, "run1")
        with pytest.raises(HostError, match=r"cannot write .*nodes: No space left on device; the old one is kept"):
            swap_group(folder, "nodes", files, "run2")
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "nodes"]
    assert contents(folder / "nodes") == {**{path: file.content for path, file in OLD.items()}, ".run": b"run1\n"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_the_file_of_another_is_not_taken_over(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as folder:
        swap_group(folder, "nodes", OLD, "run1")
        os.chown(folder / "nodes/b", 65534, 65534)
        swap_group(folder, "nodes", OLD, "run2")
    assert (folder / "nodes/b").stat().st_uid == os.geteuid()


def test_modes_hold_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        with output_folder(tmp_path / "out") as folder:
            swap_group(folder, "nodes", NEW, "run")
    finally:
        os.umask(before)
    modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in sorted((tmp_path / "out").rglob("*"))}
    assert modes["out/nodes"] == modes["out/nodes/a"] == 0o700
    assert modes["out/nodes/a/user-data"] == 0o600
    assert modes["out/nodes/c"] == 0o755
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_an_error_while_writing_keeps_the_old_group(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as folder:
        swap_group(folder, "nodes", OLD, "run1")
        with pytest.raises(RuntimeError), new_group(folder, "nodes", "run2") as fresh:
            write_file(fresh / "half", OutFile(b"half"))
            raise RuntimeError
        assert contents(folder / "nodes")["a/user-data"] == b"old"
        assert sorted(p.name for p in folder.iterdir()) == [".lock", "nodes"]


def test_a_second_imgbuild_is_refused(tmp_path: Path) -> None:
    with (
        output_folder(tmp_path / "out"),
        pytest.raises(HostError, match="another imgbuild"),
        output_folder(tmp_path / "out"),
    ):
        pass


def test_a_file_in_the_way_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(HostError, match="cannot write to") as caught, output_folder(tmp_path / "out"):
        pass
    assert "--output" in caught.value.hint


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All below a folder: mode, owner and content of each."""
    return {
        str(p.relative_to(folder)): (s.st_mode, s.st_uid, p.read_bytes() if stat.S_ISREG(s.st_mode) else b"")
        for p in [folder, *sorted(folder.rglob("*"))]
        if (s := p.lstat())
    }


def foreign(folder: Path) -> Path:
    """A folder of somebody's, with names in it that imgbuild uses as well."""
    folder.mkdir(mode=0o755)
    (folder / "photos").mkdir()
    (folder / ".new-nodes-abcd0123").mkdir()
    (folder / ".new-nodes-abcd0123/precious").write_text("precious")
    (folder / ".new-ideas").write_text("precious")
    (folder / "nodes").mkdir()
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "empty folder of another", "another's", "a pipe"])
def test_what_imgbuild_did_not_make_is_refused_and_not_touched(kind: str, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    if kind == "folder":
        foreign(out)
    elif kind == "link":
        out.symlink_to(foreign(elsewhere))
    elif kind == "dangling":
        out.symlink_to(elsewhere)
    elif kind == "a pipe":
        os.mkfifo(out)
    elif os.geteuid() != 0:
        pytest.skip("needs root to give a folder away")
    else:
        out.mkdir(mode=0o755)
        if kind == "another's":
            with output_folder(out) as folder:
                swap_group(folder, "nodes", OLD, "run1")
        os.chown(out, 65534, 65534)
    before = everything(tmp_path)
    with pytest.raises(HostError) as caught, output_folder(out, ("nodes", "cloud")):
        pass
    assert str(out) in str(caught.value) and "--output" in caught.value.hint
    assert everything(tmp_path) == before


def test_a_group_of_somebody_else_s_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    for place in (out, other):
        with output_folder(place) as folder:
            swap_group(folder, "nodes", OLD, "run1")
    out.chmod(0o755)
    (out / "cloud").mkdir()
    (out / "cloud/mine").write_text("precious")
    before = everything(tmp_path)
    with pytest.raises(HostError, match="cloud, which would be lost"), output_folder(out, ("nodes", "cloud")):
        pass
    assert everything(tmp_path) == before
    (out / "cloud/mine").unlink()
    (out / "cloud").rmdir()
    (out / "cloud").symlink_to(other / "nodes")  # a group of imgbuild's, and not here
    before = everything(tmp_path)
    with pytest.raises(HostError, match="cloud, which would be lost"), output_folder(out, ("nodes", "cloud")):
        pass
    assert everything(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_under_sudo_the_folder_may_be_the_caller_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", 1234, 1234)
    monkeypatch.setenv("SUDO_UID", "1234")
    with output_folder(tmp_path / "out") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("SUDO_UID", "1235")
    with pytest.raises(HostError, match="another user"), output_folder(tmp_path / "out"):
        pass


def test_only_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with output_folder(out) as folder:
        swap_group(folder, "nodes", OLD, "run1")
    for name in (".new-nodes-abcd0123", ".new-cloud-abcd_123-old", ".new-nodes-abcd0123-old"):
        (out / name).mkdir()
        (out / name / "half").write_text("")
    (out / ".new-ideas").write_text("mine")
    (out / ".new-photos").mkdir()
    (out / ".new-photos/1.jpg").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").write_text("mine")
    (out / ".new-pxe-abcd0123").symlink_to(tmp_path / "elsewhere")
    with output_folder(out):
        pass
    # The old group that stood aside when the run was killed, with no other in its place, is back.
    assert {p.name for p in out.iterdir()} == {
        ".lock", "nodes", "cloud", ".new-ideas", ".new-photos", ".new-pxe-abcd0123",
    }  # fmt: skip
    assert contents(out / "nodes") == {"a/user-data": b"old", "b": b"old b", ".run": b"run1\n"}
    assert contents(out / "cloud") == {"half": b""}
    assert (out / ".new-photos/1.jpg").exists() and (tmp_path / "elsewhere/x").exists()


def test_the_first_run_may_have_been_killed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.lock").touch()
    (tmp_path / "out/.new-nodes-abcd0123").mkdir()
    (tmp_path / "out/lost+found").mkdir()  # the folder is a disk of its own
    with output_folder(tmp_path / "out", ("nodes",)) as folder:
        assert {p.name for p in folder.iterdir()} == {".lock", "lost+found"}


def test_what_a_link_in_the_old_group_leads_to_is_not_taken_over(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as folder:
        swap_group(folder, "nodes", OLD, "run1")
        (folder / "nodes/a").rename(tmp_path / "elsewhere")
        (folder / "nodes/a").symlink_to(tmp_path / "elsewhere")
        swap_group(folder, "nodes", OLD, "run2")
    assert (tmp_path / "elsewhere/user-data").stat().st_nlink == 1
    assert contents(folder / "nodes")["a/user-data"] == b"old" and not (folder / "nodes/a").is_symlink()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "link", OutFile(b"x"))
    replace_file(tmp_path / "link", OutFile(b"x"))
    assert victim.read_text() == "precious"
    assert not (tmp_path / "link").is_symlink()


WRITER = """
import sys
from pathlib import Path
from imgbuild.outputs.tree import OutFile, output_folder, swap_group
files = {f"{n}/same": OutFile(b"same") for n in range(20)}
with output_folder(Path(sys.argv[1])) as folder:
    for number in range(1_000_000):
        run = f"run{number}"
        swap_group(folder, "nodes", files | {f"{n}/file": OutFile(run.encode()) for n in range(20)}, run)
        print(number, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.011, 0.02])
def test_kill_9_leaves_one_whole_group(tmp_path: Path, delay: float) -> None:
    out = tmp_path / "out"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(out)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(3):
        writer.stdout.readline()
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    run = group_run(out, "nodes")
    assert run is not None
    files = contents(out / "nodes")
    assert len(files) == 41
    assert {files.pop(f"{n}/same") for n in range(20)} == {b"same"}
    assert {text.decode().strip() for text in files.values()} == {run}
    # The next run clears away what the killed one left.
    with output_folder(out) as folder:
        assert sorted(p.name for p in folder.iterdir()) == [".lock", "nodes"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a small file system of its own")
def test_a_full_disk_keeps_the_old_group(tmp_path: Path) -> None:
    script = """
set -e
mount -t tmpfs -o size=256k none "$1"
"$2" - "$1" <<'PY'
import sys
from pathlib import Path
from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.tree import OutFile, output_folder, swap_group
with output_folder(Path(sys.argv[1]) / "out") as folder:
    swap_group(folder, "nodes", {"a": OutFile(b"old")}, "run1")
    try:
        swap_group(folder, "nodes", {"a": OutFile(b"x" * 1_000_000)}, "run2")
    except HostError as error:
        print("said:", error, "/", error.hint)
    print(sorted(str(p.relative_to(folder)) for p in folder.rglob("*")), (folder / "nodes/a").read_bytes())
PY
"""
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "sh", str(tmp_path), sys.executable],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "No space left on device; the old one is kept / free some space" in done.stdout
    assert "['.lock', 'nodes', 'nodes/.run', 'nodes/a'] b'old'" in done.stdout
