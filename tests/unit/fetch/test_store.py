"""The store: right files, fetched once, from whichever mirror has them, by several runs at once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from imgbuild.diagnostics.progress import JsonSteps, PlainSteps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.hold import in_use, unlink_unused
from imgbuild.fetch.several import fetch_all, missing
from imgbuild.fetch.store import Store
from tests.support.deadline import HUNG, Deadline
from tests.support.fetch_server import CONTENT, Server, Talk, cut, right, status
from tests.support.fetching import artifacts, contents, serve
from tests.support.image.recorder import Recorder
from tests.support.places import ROOT
from tests.unit.fetch.test_misbehaviour import QUICK, SUM, silent_in_the_body

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def one(*urls: str, size: int | None = len(CONTENT)) -> Artifact:
    return Artifact("base", SUM, size, urls)


def left(store: Store) -> list[str]:
    """What is in the store besides blobs and records."""
    return sorted(path.name for name in ("parts", "aside") for path in (store.folder / name).iterdir())


def no_reading(*_: object) -> None:
    raise AssertionError("a file was read for its sha256")


def test_a_file_is_fetched_once_and_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(right) as server:
        assert store.fetch(one(server.url), Recorder(), QUICK)
        monkeypatch.setattr(hashlib, "file_digest", no_reading)
        assert not store.fetch(one(server.url), Recorder(), QUICK)
        assert Store(store.folder).has(one(), Recorder())
        assert len(server.requests) == 1
    with pytest.raises(AssertionError, match="was read"):
        store.has(one(), Recorder(), verify=True)
    assert store.path(SUM).read_bytes() == CONTENT
    assert left(store) == []
    assert json.loads((store.folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((store.folder / "index.json").read_text())["manifests"] == []


def _other_byte(path: Path) -> None:
    """As long as before, and with the time of before."""
    before = path.stat()
    with path.open("r+b") as out:
        out.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "another byte": _other_byte,
    "cut short": lambda path: os.truncate(path, 1000),
    "empty": lambda path: os.truncate(path, 0),
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "a folder": lambda path: path.mkdir(),
    "a fifo": os.mkfifo,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_does_not_match_is_moved_aside_and_fetched_again(kind: str, store: Store) -> None:
    with Server(right) as server:
        wanted = one(server.url, size=None)
        store.fetch(wanted, Recorder(), QUICK)
        if kind.startswith("a "):
            store.path(SUM).unlink()
        DAMAGE[kind](store.path(SUM))
        steps = Recorder()
        assert [a.name for a in fetch_all([wanted], store, steps, QUICK).new] == ["base"]
        assert len(server.requests) == 2
    assert store.path(SUM).read_bytes() == CONTENT
    (kept,) = left(store)
    assert kept.startswith(f"{SUM}.")
    assert any(f"moved to {store.folder}/aside/{kept}" in line for line in steps.lines)


def test_a_file_that_nobody_verified_is_read_before_it_is_used(store: Store) -> None:
    """Copied into the folder by hand, right or wrong."""
    place = store.path(SUM)
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert store.has(one(), Recorder())
    place.write_bytes(CONTENT[::-1])
    with pytest.raises(FetchError, match="is not in the store"), store.held(one(), Recorder()):
        pass


def test_a_pin_with_a_wrong_size_does_not_cost_the_file(store: Store) -> None:
    """The checksum decides: other profiles use this file too."""
    with Server(right) as server:
        store.fetch(one(server.url), Recorder(), QUICK)
        assert store.has(one(size=5), Recorder())
        other = Store(store.folder.with_name("other"))
        with pytest.raises(FetchError, match=f"it has {len(CONTENT)} bytes there, not 5"):
            other.fetch(one(server.url, size=5), Recorder(), QUICK)


def test_a_record_counts_only_where_others_cannot_write(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(right) as server:
        store.fetch(one(server.url), Recorder(), QUICK)
    assert store.private
    (store.folder / "verified").chmod(0o777)
    again = Store(store.folder)
    assert not again.private
    monkeypatch.setattr(hashlib, "file_digest", no_reading)
    with pytest.raises(AssertionError, match="was read"):
        again.has(one(), Recorder())


@pytest.mark.parametrize("end", [0, 1, 65_536, 100_000, len(CONTENT) - 1])
def test_what_one_mirror_began_another_continues(end: int, store: Store) -> None:
    with Server(cut(end, 'ETag: "other"')) as origin, Server(right) as mirror:
        store.fetch(one(origin.url, mirror.url), Recorder(), QUICK)
        assert len(origin.requests) == 1
        assert mirror.ranges() == [f"bytes={end}-" if end else None]
        assert "If-Range" not in mirror.requests[0]  # the tag is that of another server
    assert store.path(SUM).read_bytes() == CONTENT


def _longer(talk: Talk) -> None:
    talk.head("200 OK", f"Content-Length: {len(CONTENT) + 1}")
    talk.send(CONTENT + b"x")


def _wrong(talk: Talk) -> None:
    talk.head("200 OK", f"Content-Length: {len(CONTENT)}")
    talk.send(CONTENT[::-1])


@pytest.mark.parametrize("act", [status("404 X"), status("500 X"), _longer, _wrong, silent_in_the_body, Talk.hang])
def test_the_next_mirror_is_asked(act: Callable[[Talk], None], store: Store) -> None:
    steps = Recorder()
    with Server(act) as origin, Server(right) as mirror:
        fetch_all([one(origin.url, mirror.url)], store, steps, QUICK)
        assert len(origin.requests) == 1
    assert store.path(SUM).read_bytes() == CONTENT
    assert any(f"trying {mirror.url}" in line for line in steps.lines)
    assert len(left(store)) == (act is _wrong)


def test_the_origin_is_asked_again_if_the_mirror_has_it_not(store: Store) -> None:
    with Server(status("503 X"), right) as origin, Server(status("404 X")) as mirror:
        store.fetch(one(origin.url, mirror.url), Recorder(), QUICK)
        assert (len(origin.requests), len(mirror.requests)) == (2, 1)


def test_a_part_that_mirrors_with_other_files_made_is_fetched_afresh(store: Store) -> None:
    """The first has another file and breaks off; the second continues it, and then sends all of it."""

    def broken(talk: Talk) -> None:
        talk.head("200 OK", f"Content-Length: {len(CONTENT)}")
        talk.send(b"x" * 1000)

    with Server(broken, status("404 X")) as origin, Server(right) as mirror:
        store.fetch(one(origin.url, mirror.url), Recorder(), QUICK)
    assert store.path(SUM).read_bytes() == CONTENT
    assert left(store) == []


def test_every_address_is_named_if_none_has_it(store: Store) -> None:
    with Server(status("404 X")) as origin, Server(_wrong) as mirror, pytest.raises(FetchError) as caught:
        store.fetch(one(origin.url, mirror.url), Recorder(), QUICK)
    text = str(caught.value)
    assert f"{origin.url} cannot be fetched: the server answers with status 404" in text
    assert f"{mirror.url} has the sha256" in text
    assert str(store.folder / "aside") in text
    assert len(left(store)) == 1


@pytest.mark.parametrize(
    ("act", "size", "fix"),
    [
        (status("404 X"), None, "correct the address"),
        (status("401 X"), None, "set a login for this host in repositories.logins"),
        (status("400 X"), None, "correct the address"),
        (right, 5, "imgbuild lock --update all"),
        (status("503 X"), None, "check the network"),
    ],
)
def test_each_failure_has_its_own_fix(
    act: Callable[[Talk], None], size: int | None, fix: str, store: Store
) -> None:  # fmt: skip
    with Server(act) as server, pytest.raises(FetchError) as caught:
        store.fetch(one(server.url, size=size), Recorder(), QUICK)
    assert fix in caught.value.hint
    assert ("network" in caught.value.hint) == ("network" in fix)


def test_a_disk_that_is_too_small_and_a_file_that_cannot_be_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("gone", "."):
        with pytest.raises(FetchError) as caught:
            store.fetch(one(f"file://{tmp_path}/{place}"), Recorder(), QUICK)
        assert str(tmp_path) in caught.value.hint and "network" not in caught.value.hint
    monkeypatch.setattr("imgbuild.fetch.piece.shutil.disk_usage", lambda _: type("usage", (), {"free": 1 << 20}))
    with Server(right) as server, pytest.raises(FetchError, match="16 MiB of which stay free") as caught:
        store.fetch(one(server.url), Recorder(), QUICK)
    assert caught.value.hint == "free some space, or use a folder on a larger disk: --store DIR"


def test_a_file_of_this_host_is_copied(store: Store, tmp_path: Path) -> None:
    (tmp_path / "ä b").write_bytes(CONTENT)
    store.fetch(one(f"file://{tmp_path}/%C3%A4%20b"), Recorder(), QUICK)
    assert store.path(SUM).read_bytes() == CONTENT
    assert (tmp_path / "ä b").exists()


def test_several_files_of_which_some_are_not_there(store: Store) -> None:
    files = contents(6, 50_000)
    with Server(serve({n: d for n, d in files.items() if n not in {"file2", "file4"}})) as server:
        wanted = artifacts(files, f"http://127.0.0.1:{server.port}")
        with pytest.raises(FetchError, match="2 of 6 files") as caught:
            fetch_all([*wanted, *wanted], store, Recorder(), QUICK)
        assert "/file2" in str(caught.value)
        assert "/file4" in str(caught.value)
        assert len(server.requests) == 6
        assert [a.name for a in missing(wanted, store, Recorder())] == ["file2", "file4"]
        good = [a for a in wanted if a.name not in {"file2", "file4"}]
        assert fetch_all(good, store, Recorder(), QUICK).new == ()
        assert len(server.requests) == 6


def test_so_many_transfers_at_once_and_no_more(store: Store) -> None:
    files = contents(8, 1000)
    now, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3)

    def act(talk: Talk) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(HUNG)  # passes only if three are there
        with lock:
            now -= 1
        serve(files)(talk)

    with Server(act) as server:
        wanted = artifacts(dict(list(files.items())[:6]), f"http://127.0.0.1:{server.port}")
        fetch_all(wanted, store, Recorder(), replace(QUICK, stall_seconds=HUNG), at_once=3)
    assert most == 3


def test_each_transfer_is_told_by_its_name(store: Store) -> None:
    files = contents(2, 3 << 20)
    lines, events = io.StringIO(), io.StringIO()
    with Server(serve(files, 256 << 10, 0.001)) as server:
        wanted = artifacts(files, f"http://127.0.0.1:{server.port}")
        fetch_all(wanted, store, PlainSteps(lines))
        fetch_all(wanted, Store(store.folder.with_name("other")), JsonSteps(events))
    assert "> Fetch 2 files (6 MiB)" in lines.getvalue()
    assert "\r" not in lines.getvalue()
    for name in files:
        assert f"{name}: 100 % of 3 MiB" in lines.getvalue()
    said = [json.loads(line) for line in events.getvalue().splitlines()]
    assert {event["what"] for event in said if event["event"] == "transfer"} == set(files)


_RUN = """
import json, sys
from pathlib import Path
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.several import fetch_all
from imgbuild.fetch.store import Store
wanted = [Artifact(name, sha256, size, tuple(urls)) for name, sha256, size, urls in json.loads(sys.argv[2])]
try:
    fetch_all(wanted, Store(Path(sys.argv[1])), PlainSteps(sys.stdout))
except FetchError as error:
    print("ERROR", error, error.hint)
"""


def command(folder: Path, wanted: list[Artifact]) -> list[str]:
    return [sys.executable, "-c", _RUN, str(folder), json.dumps([astuple(artifact) for artifact in wanted])]


def test_two_runs_at_once_fetch_each_file_once(tmp_path: Path) -> None:
    files = contents(4, 1 << 20)
    with Server(serve(files, 64 << 10, 0.02)) as server:
        argv = command(tmp_path / "store", artifacts(files, f"http://127.0.0.1:{server.port}"))
        runs = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [run.communicate(timeout=HUNG)[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0]
        assert len(server.requests) == 4
    assert not any("ERROR" in text for text in said)
    assert left(Store(tmp_path / "store")) == []


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


def mounted(options: str, folder: Path, argv: list[str]) -> str:
    """Run a command where ``folder`` is mounted with these options, and nothing else is changed."""
    script = f'mount {options} "$0" && exec "$@"'
    run = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(folder), *argv]
    return subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True, timeout=HUNG).stdout


@needs_root
def test_a_store_that_is_read_only(tmp_path: Path, store: Store) -> None:
    with Server(right) as server:
        store.fetch(one(server.url), Recorder(), QUICK)
    bind = f'--bind "{store.folder}" "$0" && mount -o remount,bind,ro'
    assert mounted(bind, store.folder, command(store.folder, [one("http://127.0.0.1:1/x")])) == ""
    other = Artifact("other", "0" * 64, None, ("http://127.0.0.1:1/x",))
    said = mounted(bind, store.folder, command(store.folder, [other]))
    assert f"the store {store.folder} cannot be written" in said
    assert "what is in it can be used; to fetch more" in said


@needs_root
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_disk_that_is_full(size: int | None, tmp_path: Path) -> None:
    """Known before the transfer if the server says how much it is, and when the disk is full if not."""
    folder = tmp_path / "store"
    folder.mkdir()

    def endless(talk: Talk) -> None:
        talk.head("200 OK")
        talk.flood(CONTENT)

    with Server(right if size else endless) as server:
        said = mounted("-t tmpfs -o size=10m none", folder, command(folder, [one(server.url, size=size)]))
    assert ("MiB of which stay free" if size else "cannot be written: No space left") in said


def test_the_layout_is_written_whole_and_repaired(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full left both files empty for good."""

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(FetchError, match="No space left"), Server(right) as server:
        patch.setattr("imgbuild.fetch.layout.sync", full)
        store.fetch(one(server.url), Recorder(), QUICK)
    assert not (store.folder / "oci-layout").exists() and left(store) == []
    (store.folder / "index.json").write_text("")
    with Server(right) as server:
        store.fetch(one(server.url), Recorder(), QUICK)
    assert json.loads((store.folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((store.folder / "index.json").read_text())["manifests"] == []
    (store.folder / "index.json").write_text('{"manifests": ["of somebody"]}')
    with store.workshop("images", Recorder()):  # which makes what is missing, too
        pass
    assert "of somebody" in (store.folder / "index.json").read_text()


def test_a_file_in_use_is_not_removed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with in_use(file), in_use(file):
        assert not unlink_unused(file)
    assert unlink_unused(file)
    assert not file.exists()
    assert unlink_unused(file)


def test_ctrl_c_ends_all_transfers_at_once(tmp_path: Path) -> None:
    with Server(silent_in_the_body) as server:
        wanted = [replace(one(f"{server.url}?{n}", size=None), sha256=f"{n}" * 64) for n in range(6)]
        argv = command(tmp_path / "store", wanted)
        run = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = Deadline(HUNG)
        while len(server.requests) < 4:
            assert not deadline.passed()
        run.send_signal(2)
        _, said = run.communicate(timeout=20)  # a stall is noticed after 60 s
    assert "KeyboardInterrupt" in said
