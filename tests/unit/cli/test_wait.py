"""`imgbuild wait`: whom it asks, when it ends, and what it tells."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.main import main
from imgbuild.cli.wait import Known, _of_serve, wait
from imgbuild.diagnostics.errors import HostError

LAB = (
    "name: lab\nendpoint: 10.0.0.10:6443\nnodes:\n  - {name: cp1, role: control-plane}\n  - {name: w1, role: worker}\n"
)
READY = {"type": "Ready", "status": "True"}
DOWN = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "cni plugin not initialized"}


class Api(BaseHTTPRequestHandler):
    """Answers as an API server (/api/v1/nodes) and as serve (/state.json), to the right login only."""

    nodes: ClassVar[dict[str, list[dict[str, str]]]] = {}
    state: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer good"
        if self.path == "/api/v1/nodes":
            rows = [{"metadata": {"name": n}, "status": {"conditions": c}} for n, c in Api.nodes.items()]
            body: dict[str, Any] = {"items": rows}
        else:
            body = {"nodes": Api.state}
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps(body if allowed else {}).encode())

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def kubeconfig(folder: Path, url: str) -> str:
    data = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "good"}}],
    }
    (folder / "conf").write_text(json.dumps(data))
    return str(folder / "conf")


def run(folder: Path, *words: str) -> Result:
    (folder / "lab.yaml").write_text(LAB)
    return CliRunner().invoke(main, ["wait", "--cluster", str(folder / "lab.yaml"), "--timeout", "1", *words])


def node(name: str, **more: Any) -> dict[str, Any]:
    nothing = {"ready": None, "waiting": "", "stage": "", "state": "new", "error": "", "first": None, "seen": None}
    return {"name": name, **nothing, **more}


def test_all_are_ready_by_the_api_server(tmp_path: Path, url: str) -> None:
    Api.nodes = {"cp1": [READY], "w1": [READY], "other": [DOWN]}
    done = run(tmp_path, "--kubeconfig", kubeconfig(tmp_path, url), "--format", "json")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.exit_code, last["ready"], last["missing"]) == (0, ["cp1", "w1"], {})


def test_the_one_that_is_not_and_why(tmp_path: Path, url: str) -> None:
    Api.nodes = {"cp1": [DOWN]}
    done = run(tmp_path, "--kubeconfig", kubeconfig(tmp_path, url), "--format", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == events[-1]["exit_code"] == 3
    assert events[-1]["missing"] == {"cp1": "KubeletNotReady: cni plugin not initialized", "w1": "it is not there yet"}
    assert [e["node"] for e in events if e["event"] == "node"] == ["cp1", "w1"]


def test_by_the_reports_that_serve_has(tmp_path: Path, url: str) -> None:
    Api.state = [node("cp1", ready=1.0), node("w1", stage="kubeadm", error="kubeadm: no route", seen=1.0)]
    done = run(tmp_path, "--serve", f"{url}/?key=good")
    assert done.exit_code == 3 and "cp1: ready" in done.output
    assert "w1 is not ready after 1 s: kubeadm: no route" in " ".join(done.output.split())
    Api.state = [node("cp1", ready=1.0), node("w1", ready=2.0)]
    assert run(tmp_path, "--serve", f"{url}/?key=good").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((), 2, "pass one of"),
        (("--serve", "{url}/?key=bad"), 3, "does not accept this key"),
        (("--serve", "{url}/"), 2, "not the link"),
        (("--serve", "http://127.0.0.1:1/?key=x"), 3, "does not answer"),
        (("--state", "{folder}"), 3, "no imgbuild serve runs"),
        (("--kubeconfig", "{folder}/none"), 2, "cannot read"),
        (("--kubeconfig", "{folder}/lab.yaml"), 2, "not a kubeconfig"),
        (("--kubeconfig", "{folder}/none", "--state", "{folder}"), 2, "pass one of"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, url: str, words: tuple[str, ...], code: int, text: str) -> None:
    done = run(tmp_path, *(word.format(url=url, folder=tmp_path) for word in words))
    assert done.exit_code == code and text in " ".join(done.output.split()), done.output


def test_a_broken_cluster_file_is_the_inputs_error(tmp_path: Path, url: str) -> None:
    (tmp_path / "bad.yaml").write_text("nodes: 7\n")
    done = CliRunner().invoke(main, ["wait", "--cluster", str(tmp_path / "bad.yaml"), "--state", str(tmp_path)])
    assert done.exit_code == 1


def test_a_server_that_comes_and_goes_is_asked_again() -> None:
    answers: list[dict[str, Known] | HostError] = [
        HostError("not up yet"), {"a": Known("NotReady", "starting")}, HostError("down"), {"a": Known("Ready")},
    ]  # fmt: skip

    def ask() -> dict[str, Known]:
        answer = answers.pop(0)
        if isinstance(answer, HostError):
            raise answer
        return answer

    told: list[str] = []
    last = wait(["a"], ask, lambda name, known: told.append(known.why), 900, pause=lambda seconds: None)
    assert last == {"a": Known("Ready")} and told == ["not up yet", "starting", "down", ""]


def test_what_serve_knows_in_words() -> None:
    assert "confirmation" in _of_serve(node("a", waiting="10.0.0.1")).why
    assert "has not booted" in _of_serve(node("a")).why
    assert _of_serve(node("a", stage="kubeadm", seen=1.0)).state == "first boot, stage kubeadm"
    assert "has not reported" in _of_serve(node("a", state="installed", first=1.0, seen=1.0)).why
