"""Work in two processes: the same results and errors as in one, and no process that stays."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.outputs import rendered
from imgbuild.outputs.halves import in_halves
from imgbuild.pipeline import Request, prepare

CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core: there is no other process")


def children() -> list[str]:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 401, 1000])
def test_the_results_are_in_order(count: int) -> None:
    before = children()
    assert in_halves(lambda number: {"square": number**2}, range(count), 0) == [{"square": n**2} for n in range(count)]
    assert children() == before


@CORES
def test_another_process_does_the_second_half() -> None:
    mine, *others = dict.fromkeys(in_halves(lambda _: os.getpid(), range(10), 10))
    assert mine == os.getpid() and len(others) == 1
    assert set(in_halves(lambda _: os.getpid(), range(9), 10)) == {mine}


def test_a_thread_stays_alone() -> None:
    # Other threads may hold locks, which a forked process would wait for forever.
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(in_halves(lambda _: os.getpid(), range(10), 1)))
    thread.start()
    thread.join()
    assert set(found) == {os.getpid()}


@pytest.mark.parametrize("where", [[1], [8], [1, 8], [8, 9]])
def test_the_first_error_in_order_is_raised(where: list[int]) -> None:
    def work(number: int) -> int:
        if number in where:
            raise OSError(28, "No space left on device", f"file{number}")
        return number

    before = children()
    with pytest.raises(OSError, match="No space") as caught:
        in_halves(work, range(10), 1)
    assert (caught.value.errno, caught.value.filename) == (28, f"file{where[0]}")
    assert children() == before


@CORES
def test_a_killed_process_is_an_error_that_tells_why() -> None:
    first = os.getpid()

    def work(number: int) -> int:
        if os.getpid() != first:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(HostError, match="was killed") as caught:
        in_halves(work, range(10), 1)
    assert "memory" in caught.value.hint


@CORES
def test_ctrl_c_ends_both(capfd: pytest.CaptureFixture[str]) -> None:
    first, before = os.getpid(), children()

    def work(number: int) -> int:
        if os.getpid() == first:
            for child in set(children()) - set(before):
                os.kill(int(child), signal.SIGINT)  # as a terminal does, to both
            raise KeyboardInterrupt
        time.sleep(600)
        return number

    with pytest.raises(KeyboardInterrupt):
        in_halves(work, range(10), 1)
    assert children() == before
    assert capfd.readouterr() == ("", "")


CLUSTER = """\
name: lab
endpoint: 10.0.0.9:6443
nodes:
  - {name: cp1, role: control-plane, mac: "52:54:00:00:00:01"}
  - {name: w1, role: worker, mac: "52:54:00:00:00:02", settings: {run: [one]}}
  - {name: w2, role: worker, mac: "52:54:00:00:00:03"}
  - {name: w3, role: worker, mac: "52:54:00:00:00:04", settings: {cloud: {providers: [gcp]}}}
"""


def test_two_processes_render_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(CLUSTER)

    def made(most: int) -> tuple[object, ...]:
        monkeypatch.setattr(rendered, "_MANY", most)
        findings = Findings()
        ready = prepare(Request("debian12-efi", mode="stock", cluster=cluster), findings)
        assert ready.kept is not None
        ready.kept.save()  # the same keys each time
        out = ready.rendered
        files = {name: [(path, group[path]) for path in group] for name, group in out.groups.items()}
        return files, out.run, [(f.code, f.message, f.mark) for f in findings.items]

    made(1000)
    assert made(1) == made(1000)
