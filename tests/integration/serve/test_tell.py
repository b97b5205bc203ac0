"""The node's own reporter, with real bash and curl: against serve's reader, a server that is away, one that hangs."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from imgbuild.serve.reports import Report, read_report
from tests.support.deadline import HUNG, Deadline
from tests.support.places import ROOT

TELL = ROOT / "node/usr/libexec/imgbuild/tell"
TOKEN = "abcdef.0123456789abcdef"
SERVES = "Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0"  # as serve makes them


class Taking(http.server.BaseHTTPRequestHandler):
    """Takes reports as serve does, and refuses the first ``refuse`` of them."""

    got: ClassVar[list[Report]] = []
    refuse: ClassVar[int] = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if Taking.refuse > 0:
            Taking.refuse -= 1
            self.send_response(503)
        else:
            Taking.got.append(read_report(body))
            self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    Taking.got, Taking.refuse = [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Node:
    """A root of its own, with the files that the reporter reads."""

    def __init__(self, folder: Path, url: str) -> None:
        self.root = folder
        for name in ("etc/imgbuild", "run/imgbuild", "run/cloud-init", "var/lib/imgbuild", "var/lib/cloud/data",
                     "usr/libexec/imgbuild"):  # fmt: skip
            (folder / name).mkdir(parents=True)
        (folder / "usr/libexec/imgbuild/firstboot").touch()
        (folder / "var/lib/cloud/data/instance-id").write_text("iid-node1-1234\n")
        conf = f"report_url={url}\nreport_node=node1\nreport_mac=52:54:00:00:00:01\n"
        (folder / "etc/imgbuild/report.conf").write_text(conf)

    def status(self, stage: str, state: str, done: str = "", error: str = "") -> None:
        """As lib/stage.sh writes it."""
        text = (
            f'{{"program": "firstboot", "stage": "{stage}", "state": "{state}", "attempt": 1, "done": [{done}], '
            f'"time": "2026-11-29T00:00:00Z", "next": "", "error": {json.dumps(error)}}}\n'
        )
        fresh = self.root / "run/imgbuild/status.json.new"
        fresh.write_text(text)
        fresh.replace(self.root / "run/imgbuild/status.json")

    def cloud_init(self, errors: list[str]) -> None:
        data = {"v1": {"datasource": "DataSourceNoCloud", "errors": errors}}
        (self.root / "run/cloud-init/result.json").write_text(json.dumps(data, indent=1))

    def finished(self) -> None:
        self.status("finished", "ok", '"clock", "kernel", "kubeadm"')
        (self.root / "var/lib/imgbuild/firstboot.done").touch()

    def journal(self, text: str) -> None:
        """What journalctl prints, whatever it is asked for."""
        program = self.root / "usr/bin/journalctl"
        program.parent.mkdir(exist_ok=True)
        (self.root / "journal").write_text(text)
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {self.root}/asked\ncat {self.root}/journal\n")
        program.chmod(0o755)

    def start(self) -> subprocess.Popen[str]:
        env = {**os.environ, "IMGBUILD_ROOT": str(self.root), "IMGBUILD_PAUSE": "0"}
        return subprocess.Popen(["bash", TELL], env=env, stderr=subprocess.PIPE, text=True)


def until(there: Callable[[], bool]) -> None:
    limit = Deadline(60)
    while not there():
        assert not limit.passed(), Taking.got
        time.sleep(0.05)


def test_every_stage_once_in_order_and_ready_at_the_end(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, f"http://127.0.0.1:{port}/report")
    node.status("clock", "running")
    with node.start() as told:
        until(lambda: len(Taking.got) == 1)
        node.cloud_init([])
        until(lambda: len(Taking.got) == 2)
        node.status("kubeadm", "retrying", '"clock", "kernel"', f'http://bob:secret@x/?k=v said "no" to {TOKEN}\\')
        until(lambda: len(Taking.got) == 5)
        node.finished()
        assert told.wait(timeout=HUNG) == 0
    assert [(r.event, r.stage, r.state) for r in Taking.got] == [
        ("stage", "clock", "running"), ("cloud-init", "", "done"), ("stage", "clock", "done"),
        ("stage", "kernel", "done"), ("stage", "kubeadm", "retrying"), ("stage", "kubeadm", "done"), ("ready", "", ""),
    ]  # fmt: skip
    assert {(r.node, r.mac) for r in Taking.got} == {("node1", "52:54:00:00:00:01")}
    assert Taking.got[1].instance == "iid-node1-1234" and all(r.at for r in Taking.got)
    assert Taking.got[4].message == 'http://(not shown)@x/?(not shown) said "no" to (not shown)\\'
    with node.start() as again:  # the next boot
        assert again.wait(timeout=HUNG) == 0
    assert len(Taking.got) == 7


def test_what_was_not_taken_is_told_again(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, f"http://127.0.0.1:{port}/report")
    node.cloud_init(["('scripts-user', RuntimeError('a password'))"])
    node.finished()
    Taking.refuse = 3
    with node.start() as told:
        assert told.wait(timeout=HUNG) == 0
    assert [r.event for r in Taking.got] == ["cloud-init", "stage", "stage", "stage", "ready"]
    assert Taking.got[0].state == "failed" and "password" not in str(Taking.got)


def test_a_server_that_never_answers_costs_one_request_at_a_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = Node(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/report")
        node.finished()
        node.cloud_init([])
        with node.start() as told:
            with silent.accept()[0]:
                status = (node.root / "run/imgbuild/status.json").read_text()
                assert told.poll() is None and "finished" in status
            told.kill()


def test_the_address_is_not_in_the_list_of_processes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = Node(tmp_path, f"http://bob:pw@127.0.0.1:{silent.getsockname()[1]}/report")
        node.status("clock", "running")
        with node.start() as told:
            with silent.accept()[0] as connection:
                head = connection.recv(4096)
                children = Path(f"/proc/{told.pid}/task/{told.pid}/children").read_text().split()
                lines = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
            told.kill()
    assert b"Authorization: Basic" in head
    assert any(b"curl" in line for line in lines) and not any(b"pw" in line for line in lines)


def test_a_node_without_kubernetes_is_ready_after_cloud_init(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, f"http://127.0.0.1:{port}/report")
    (node.root / "usr/libexec/imgbuild/firstboot").unlink()
    node.cloud_init([])
    with node.start() as told:
        assert told.wait(timeout=HUNG) == 0
    assert [r.event for r in Taking.got] == ["cloud-init", "ready"]


JOURNAL = f"""\
-- Logs begin at Mon 2026-11-30 00:00:00 UTC. --
Nov 30 00:00:01 node1 kernel: ata1: SRST failed
Nov 30 00:00:02 node1 systemd[1]: Failed to start imgbuild: a long name.
Nov 30 00:00:03 node1 firstboot[812]: imgbuild: kubeadm
Nov 30 00:00:04 node1 firstboot[812]: kubeadm join 10.0.0.1:6443 --token {TOKEN}
Nov 30 00:00:05 node1 firstboot[812]: password: hunter2
                                      second line: hunter2
Nov 30 00:00:06 node1 install-disk[99]: imgbuild: install: http://10.0.0.2/t/{SERVES}/mac/user-data {TOKEN}
"""


def test_the_console_without_what_programs_print(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, f"http://127.0.0.1:{port}/report")
    node.journal(JOURNAL)
    node.finished()
    node.cloud_init([])
    with node.start() as told:
        assert told.wait(timeout=HUNG) == 0
    (text,) = [report.message for report in Taking.got if report.event == "console"]
    assert "SRST failed\n" in text and "Failed to start" in text and ": imgbuild: kubeadm\n" in text
    assert not [word for word in ("hunter2", TOKEN, SERVES, "join", "Logs begin") if word in text]
    assert Taking.got[-1].event == "ready", "the log comes before"
    assert "_SYSTEMD_UNIT=imgbuild-firstboot.service" in (tmp_path / "asked").read_text().splitlines()


def test_what_failed_comes_with_the_console_of_then(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, f"http://127.0.0.1:{port}/report")
    node.status("clock", "running")
    with node.start() as told:
        until(lambda: len(Taking.got) == 1)
        node.journal("Nov 30 00:00:01 node1 kernel: no link\n")
        node.status("clock", "retrying", "", "no time server")
        until(lambda: len(Taking.got) == 3)
        told.kill()
    assert [report.event for report in Taking.got] == ["stage", "console", "stage"]


def test_a_long_console_is_cut_at_its_begin(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, f"http://127.0.0.1:{port}/report")
    node.journal("".join(f"Nov 30 00:00:01 node1 kernel: {number} \u20ac\u20ac\u20ac\n" for number in range(5000)))
    node.finished()
    node.cloud_init([])
    with node.start() as told:
        assert told.wait(timeout=HUNG) == 0
    (text,) = [report.message for report in Taking.got if report.event == "console"]
    assert "kernel: 4999 " in text and "kernel: 1000 " not in text


def test_a_live_root_reports_where_it_was_booted_from(tmp_path: Path, port: int) -> None:
    node = Node(tmp_path, "unused")
    (tmp_path / "etc/imgbuild/report.conf").unlink()
    (tmp_path / "proc").mkdir()
    words = f'boot=live "ds=nocloud-net;s=http://x/" "imgbuild.report=http://127.0.0.1:{port}/r/{SERVES}" quiet'
    (tmp_path / "proc/cmdline").write_text(f"{words}\n")
    node.finished()
    node.cloud_init([])
    with node.start() as told:
        assert told.wait(timeout=HUNG) == 0
    assert [report.event for report in Taking.got][-1] == "ready"
    (tmp_path / "proc/cmdline").write_text("boot=live\n")
    (tmp_path / "var/lib/imgbuild/told").unlink()
    with node.start() as told:
        assert told.stderr is not None
        assert told.wait(timeout=HUNG) == 0 and "no address" in told.stderr.read()
