"""The CRI client against a real containerd of its own, here without systemd and so with the cgroupfs driver."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cri.client import Cri, report
from tests.support.cri.daemon import containerd as daemon
from tests.support.cri.grpc import NOT_FOUND, UNAVAILABLE, UNIMPLEMENTED, GrpcError, call
from tests.support.cri.pack import pack_client
from tests.support.cri.pause_image import pause_image
from tests.support.cri.protobuf import decode, encode, flag, messages, string_map, text
from tests.support.deadline import HUNG, Deadline

PAUSE = "registry.example/pause:3.6"

_CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{folder}/certs.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a containerd with nothing of the host's."""
    if shutil.which("containerd") is None or os.geteuid() != 0:
        pytest.skip("needs containerd, and root to run it")
    folder = tmp_path_factory.mktemp("cd")
    socket = folder / "c.sock"
    try:
        with daemon(folder, _CONFIG.format(folder=folder, pause=PAUSE).encode()):
            image = pause_image(folder / "pause.tar", PAUSE)
            ctr = ["ctr", "-a", str(socket), "-n", "k8s.io", "images", "import", "--snapshotter=native", str(image)]
            subprocess.run(ctr, check=True, timeout=HUNG, stdout=subprocess.DEVNULL)
            yield str(socket)
    finally:
        for cgroup in Path("/sys/fs/cgroup").glob("**/imgbuildtest"):
            _remove(cgroup)


def _remove(cgroup: Path) -> None:
    """runc removes the sandbox's own cgroup, not its parent, whose last process may still be on its way out."""
    deadline = Deadline(30)
    while True:
        for child in [p for p in cgroup.iterdir() if p.is_dir()]:
            with contextlib.suppress(OSError):
                child.rmdir()
        try:
            cgroup.rmdir()
            return
        except OSError as error:
            if error.errno != errno.EBUSY or deadline.passed():
                raise
        time.sleep(0.2)


def test_it_answers_with_its_own_configuration(containerd: str) -> None:
    answer = report(Cri(containerd), sandbox=False)
    assert answer["version"]["name"] == "containerd"  # type: ignore[index]
    assert answer["conditions"]["RuntimeReady"]["ok"] is True  # type: ignore[index]
    assert answer["conditions"]["NetworkReady"]["ok"] is False  # type: ignore[index]
    assert answer["systemd_cgroup"] is False
    assert answer["sandbox_image"] == PAUSE
    assert answer["sandbox_image_present"] is True
    assert answer["cni_bin_dir"] == "/opt/cni/bin"
    assert str(answer["registry_config_path"]).endswith("/certs.d")


def test_a_sandbox_runs_and_is_removed(containerd: str) -> None:
    answer = report(Cri(containerd), sandbox=True)["sandbox"]
    assert isinstance(answer, dict)
    assert answer["ready"] is True
    assert answer["command"] == ["/pause"]
    assert answer["host_network"] is True
    assert any(f"/imgbuildtest/{answer['id']}" in line for line in answer["cgroup"])
    assert Cri(containerd).sandboxes() == []


def test_images(containerd: str) -> None:
    cri = Cri(containerd)
    image = cri.image(PAUSE)
    assert image is not None
    assert image["tags"] == [PAUSE]
    assert cri.image("registry.example/none:1") is None


def test_errors_have_their_code(containerd: str, tmp_path: Path) -> None:
    with pytest.raises(GrpcError) as caught:
        Cri(containerd).sandbox("nothing-of-that-name")
    assert caught.value.code == NOT_FOUND
    assert "not found" in str(caught.value)
    with pytest.raises(GrpcError) as caught:
        call(containerd, "/runtime.v1.RuntimeService/Nothing", b"")
    assert caught.value.code == UNIMPLEMENTED
    with pytest.raises(GrpcError) as caught:
        Cri(str(tmp_path / "none.sock")).version()
    assert caught.value.code == UNAVAILABLE


def test_the_packed_client_needs_python_alone(containerd: str, tmp_path: Path) -> None:
    client = pack_client(tmp_path / "cri.pyz")
    # -I and -S: neither this folder nor any installed package.
    command = [sys.executable, "-I", "-S", str(client)]
    run = subprocess.run([*command, containerd], capture_output=True, text=True, timeout=HUNG, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["sandbox_image"] == PAUSE
    run = subprocess.run([*command, "/none"], capture_output=True, text=True, timeout=HUNG, cwd=tmp_path)
    assert run.returncode == 1
    assert "gRPC status 14" in json.loads(run.stdout)["error"]


def test_the_pause_image_is_the_same_every_time(tmp_path: Path) -> None:
    first = pause_image(tmp_path / "a.tar", PAUSE).read_bytes()
    assert pause_image(tmp_path / "b.tar", PAUSE).read_bytes() == first


def test_protobuf_round_trip() -> None:
    inner = encode({1: "key", 2: "välue"})
    fields = decode(encode({1: True, 2: inner, 3: "", 4: 300, 5: b""}))
    assert flag(fields, 1)
    assert not flag(fields, 9)
    assert string_map(fields, 2) == {"key": "välue"}
    assert text(fields, 3) == ""
    assert fields[4] == [300]
    assert list(messages(fields, 5)) == [{}]


def test_protobuf_reads_what_it_does_not_know_and_refuses_what_is_none() -> None:
    assert decode(b"\x0d\1\2\3\4\x11\1\2\3\4\5\6\7\x08") == {1: [b"\1\2\3\4"], 2: [b"\1\2\3\4\5\6\7\x08"]}
    for bad in (b"\x0a\x05ab", b"\x08", b"\x0b", b"\x08" + b"\xff" * 11):
        with pytest.raises(ValueError, match=r"cut short|wire type"):
            decode(bad)
