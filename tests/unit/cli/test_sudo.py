"""Under sudo the output is the calling user's, but for files with secrets, which stay root's."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import imgbuild
from imgbuild.cli.main import main
from imgbuild.image.cache import default_cache
from imgbuild.outputs.caller import Caller, caller, give_tree, make_folder
from imgbuild.outputs.tree import OutFile, output_folder, swap_group
from tests.support.deadline import HUNG
from tests.support.events import of_kind

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
UID, GID = 4242, 4343
WORDS = ("--profile", "debian12-efi", "--cluster", "lab.yaml", "--no-image")
LAB = "name: lab\nendpoint: 10.0.0.9:6443\nnodes: [{name: a, role: control-plane, mac: '52:54:00:00:00:01'}]\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the calling user's, and sudo's environment."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "lab.yaml").write_text(LAB)
    for path in (folder, folder / "lab.yaml"):
        os.chown(path, UID, GID)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SUDO_UID", str(UID))
    monkeypatch.setenv("SUDO_GID", str(GID))
    yield folder


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def wrong(folder: Path) -> list[str]:
    """What does not belong to whom it should, or could be read by others although it is secret."""
    out = []
    for path in (folder, *folder.rglob("*")):
        there = path.lstat()
        private = stat.S_ISREG(there.st_mode) and there.st_mode & 0o077 == 0 and path.name != ".lock"
        if (there.st_uid, there.st_gid) != ((0, 0) if private else (UID, GID)) and path.name != ".lock":
            out.append(f"{path}: {there.st_uid}:{there.st_gid} {stat.filemode(there.st_mode)}")
    return out


def test_a_build_gives_all_but_secrets(home: Path) -> None:
    done = run(*WORDS, "--output", "deep/er")
    assert done.exit_code == 0, done.stderr
    assert wrong(home / "deep") == []
    out = home / "deep/er/debian12-efi"
    assert (out / "nodes/a/user-data").stat().st_mode & 0o777 == 0o600
    assert (out / "nodes/a/user-data").stat().st_uid == 0
    assert (home / "lab.secrets.yaml").stat().st_uid == 0
    said = "deep/er/debian12-efi belongs to uid 4242; its files with secrets (mode 0600) and lab.secrets.yaml belong"
    assert said in done.stderr
    notes = of_kind("note", run(*WORDS, "--output", "deep/er", "--format", "json").stdout)
    assert any("its files with secrets (mode 0600) belong to root" in note["text"] for note in notes)
    assert wrong(home / "deep") == []


def test_the_user_goes_on_without_sudo_and_can_delete_it(home: Path) -> None:
    """A second run of the user's own writes there; rm needs no root."""
    words = ("--profile", "debian12-efi", "--no-image")
    assert run(*words).exit_code == 0
    as_user = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "env", "-u", "SUDO_UID", f"HOME={home}"]
    for parent in home.parents:
        parent.chmod(parent.stat().st_mode | 0o011)
    # The interpreter may be in root's home, where the system's may do as well.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    paths = ":".join([*packages, str(Path(imgbuild.__file__).parents[1])])
    for python in (sys.executable, "/usr/bin/python3"):
        program = [*as_user, f"PYTHONPATH={paths}", python, "-m", "imgbuild"]
        if subprocess.run([*program, "--version"], capture_output=True).returncode == 0:
            break
    else:
        pytest.skip("another user cannot run this checkout")
    done = subprocess.run([*program, *words], capture_output=True, text=True, timeout=HUNG)
    assert done.returncode == 0, done.stderr
    assert {path.stat().st_uid for path in (home / "out").rglob("*")} == {UID}
    assert run(*words).exit_code == 0
    done = subprocess.run([*as_user, "rm", "-r", "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_was_there_keeps_its_owner(home: Path) -> None:
    (home / "out").mkdir()  # root's
    assert run(*WORDS).exit_code == 0
    assert (home / "out").stat().st_uid == 0
    assert wrong(home / "out/debian12-efi") == []


def test_links_are_not_followed(tmp_path: Path, home: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("")
    folder = home / "new"
    folder.mkdir()
    (folder / "link").symlink_to(victim / "file")
    (folder / "folder").symlink_to(victim)
    (folder / "hard").hardlink_to(victim / "file")
    (folder / "plain").write_text("")
    give_tree(folder)
    assert (victim / "file").stat().st_uid == 0 and victim.stat().st_uid == 0
    assert (folder.stat().st_uid, (folder / "plain").stat().st_uid) == (UID, UID)


def test_the_lock_is_given_only_when_it_is_new(tmp_path: Path, home: Path) -> None:
    """Or whoever owns the folder puts another name of a file of root's in its place."""
    (tmp_path / "victim").write_text("")
    folder = home / "x"
    folder.mkdir()
    os.chown(folder, UID, GID)
    (folder / ".lock").hardlink_to(tmp_path / "victim")
    with output_folder(folder):
        pass
    assert (tmp_path / "victim").stat().st_uid == 0


def test_files_that_have_not_changed_are_taken_over_with_the_right_owner(home: Path) -> None:
    files = {"public": OutFile(b"a"), "secret": OutFile(b"b", 0o600)}
    with output_folder(home / "x") as folder:
        swap_group(folder, "g", files, "1")
        before = {name: (folder / "g" / name).stat().st_ino for name in files}
        swap_group(folder, "g", files, "2")
        assert {name: (folder / "g" / name).stat().st_ino for name in files} == before
        os.chown(folder / "g/secret", UID, GID)  # as an earlier run without sudo left it
        os.chown(folder / "g/public", 0, 0)
        swap_group(folder, "g", files, "3")
        assert wrong(folder) == []


def test_init_and_made_folders(home: Path) -> None:
    assert run("init", "--cluster", "new/er").exit_code == 0
    assert wrong(home / "new") == []
    with pytest.raises(FileExistsError):
        make_folder(home / "new", 0o700)


@pytest.mark.parametrize(
    "uid", ["", "0", "-1", "4294967295", "4294967296", "99999999999", "x", "٤٢", "0x10", " 42", "42\n", "4.2", "1e3"]
)
def test_numbers_that_are_no_users(uid: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", str(GID))
    assert caller() is None
    monkeypatch.chdir(tmp_path)
    assert run("--profile", "debian12-efi", "--no-image").exit_code == 0
    assert {path.stat().st_uid for path in Path("out").rglob("*")} == {0}


@pytest.mark.parametrize("gid", ["", "-1", "4294967295", "x"])
def test_groups_that_are_none(gid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_GID", gid)
    known = next(user for user in pwd.getpwall() if user.pw_uid)
    monkeypatch.setenv("SUDO_UID", str(known.pw_uid))
    assert caller() == Caller(known.pw_uid, known.pw_gid) and str(caller()) == known.pw_name
    monkeypatch.setenv("SUDO_UID", str(UID))
    assert caller() == Caller(UID, -1)


def test_without_root_the_variables_mean_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    assert caller() is None


def test_the_cache_is_in_roots_home_under_sudo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMGBUILD_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(home))  # sudo -E
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    root = Path(pwd.getpwuid(0).pw_dir)
    assert default_cache() == root / ".cache/imgbuild"
    monkeypatch.setenv("IMGBUILD_CACHE", "/srv/cache")
    assert default_cache() == Path("/srv/cache")
    monkeypatch.delenv("IMGBUILD_CACHE")
    monkeypatch.delenv("SUDO_UID")
    assert default_cache() == home / ".cache/imgbuild"
