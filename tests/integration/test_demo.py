"""`make demo`: what it finds out about the network, and what it then runs; servers are on the loopback interface."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imgbuild.config.load import load
from imgbuild.config.target import load_target
from imgbuild.diagnostics.findings import Findings
from tools import demo

QUICK = replace(demo._QUICK, connect_seconds=1.0, stall_seconds=1.0, total_seconds=2.0)


@contextmanager
def server(status: int, asked: list[str]) -> Iterator[str]:
    """A server that answers everything with ``status`` and notes what it was asked; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_place_is_there_if_it_answers_as_it_should() -> None:
    with server(200, []) as good, server(401, []) as registry, server(403, []) as refused, server(503, []) as broken:
        asked = {"good": good, "registry": f"{registry}/v2/", "refused": refused, "broken": broken}
        assert demo.silent(asked, QUICK) == ["refused", "broken"]


def test_a_place_that_accepts_and_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
        closed.close()
        asked = {"mute": f"http://127.0.0.1:{mute.getsockname()[1]}", "closed": f"http://127.0.0.1:{port}"}
        assert demo.silent(asked, QUICK) == ["mute", "closed"]


def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with server(200, seen) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        assert demo.silent({"GitHub": "http://github.invalid/releases"}, QUICK) == []
        assert seen == ["http://github.invalid/releases"]
        monkeypatch.setenv("no_proxy", "github.invalid")
        assert demo.silent({"GitHub": "http://github.invalid/releases"}, QUICK) == ["GitHub"]


def test_the_places_are_those_of_the_targets_kubernetes() -> None:
    minor = str(load_target(demo.TARGET).defaults["kubernetes"]["version"]).rpartition(".")[0]
    assert f"/v{minor}/" in demo.places()["pkgs.k8s.io"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for imgbuild, which reports a guest over SSH, and for ssh; both note their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    login = json.dumps({"event": "ssh", "port": 1, "command": f"{folder}/ssh imgbuild@127.0.0.1"})
    (folder / "imgbuild").write_text(
        f'#!/bin/sh\necho "imgbuild $*" >> {tmp_path}/calls\ncase "$*" in boot*--ssh*)\n'
        f"trap 'kill $! ; echo interrupted >> {tmp_path}/calls; exit 0' INT\necho '{login}'\nsleep 60 & wait\nesac\n"
    )
    (folder / "ssh").write_text(
        f'#!/bin/sh\necho "ssh $*" >> {tmp_path}/calls\ncase "$*" in *"$FAIL_AT"*) exit 5;; esac\n'
    )
    for program in folder.iterdir():
        program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("FAIL_AT", "nothing fails")
    monkeypatch.delenv("ACCEL", raising=False)
    return tmp_path / "calls"


def test_without_the_registries_it_builds_a_node_and_says_so_first(
    programs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with server(200, []) as good, server(503, []) as broken:
        code = demo.main({"GitHub": good, "quay.io": broken, "registry.k8s.io": broken}, QUICK)
    assert code == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert (
        first == "== quay.io, registry.k8s.io cannot be reached from here: a node with containerd, without Kubernetes"
    )
    assert programs.read_text().splitlines() == [
        "imgbuild --profile debian12-efi --layer distro-containerd --layer container-host",
        "imgbuild boot out/debian12-efi --check",
    ]


def test_with_them_it_ends_with_the_nodes_and_ciliums_status(
    programs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCEL", "kvm")
    with server(200, []) as good, server(401, []) as registry:
        code = demo.main({"GitHub": good, "quay.io": registry}, QUICK)
    assert code == 0
    assert "a whole control plane, with Cilium" in capfd.readouterr().out.splitlines()[0]
    calls = programs.read_text().splitlines()
    assert calls[0] == "imgbuild --profile debian12-efi"
    assert "--ssh --online" in calls[1] and calls[1].endswith("--accel kvm")
    assert [call.removeprefix("ssh imgbuild@127.0.0.1 ") for call in calls[2:-1]] == list(demo._STEPS)
    assert "get nodes" in calls[-3] and "cilium-dbg status" in calls[-2]
    assert calls[-1] == "interrupted"


def test_the_node_gets_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo.proxied() == []
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "localhost, .corp.example.com,*")
    options = demo.proxied()
    assert options == [
        "--set", "proxy.https={env: HTTPS_PROXY}", "--set", 'proxy.no_proxy=["localhost", ".corp.example.com"]',
    ]  # fmt: skip
    findings = Findings()
    assert load("debian12-efi", [], [word for word in options if word != "--set"], None, findings) is not None
    assert not findings.errors


def test_a_proxy_that_only_this_machine_reaches(
    programs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(200, []) as good:
        monkeypatch.setenv("http_proxy", good)
        assert demo.main({"GitHub": "http://github.invalid/"}, QUICK) == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert first == "== a guest does not reach the proxy at 127.0.0.1: a node with containerd, without Kubernetes"
    assert "--check" in programs.read_text()


def test_a_step_that_fails_ends_it_with_its_code(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_AT", "imgbuild-status")
    with server(200, []) as good:
        assert demo.main({"GitHub": good}, QUICK) == 5
    calls = programs.read_text().splitlines()
    assert calls[-1] == "interrupted" and len(calls) == 5
