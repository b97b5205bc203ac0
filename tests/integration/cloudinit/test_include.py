"""cloudinit/include.sh against servers that misbehave: it ends, says why, and unpacks nothing but the right file."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir
from tests.support.deadline import HUNG
from tests.support.fetch_server import Act, Server, Talk, raw, status

_LIMITS = {
    "--connect-timeout 10": "--connect-timeout 2",
    "--speed-time 30 --max-time 300": "--speed-time 1 --max-time 5",
    "timeout 300 wget -q -t 1 -T 30": "timeout 2 wget -q -t 1 -T 1",
    'sleep "$((try * 2))"': "sleep 0",
    "ulimit -f 131072": "ulimit -f 2048",
}


def archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("etc/imgbuild-test")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    return out.getvalue()


GOOD = archive()
SUM = hashlib.sha256(GOOD).hexdigest()


def right(talk: Talk) -> None:
    talk.head("200 OK", f"Content-Length: {len(GOOD)}")
    talk.send(GOOD)


def drip(talk: Talk) -> None:
    talk.head("200 OK", "Content-Length: 100000")
    talk.drip(bytes(100_000))


def drips_headers(talk: Talk) -> None:
    talk.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000)


def flood(talk: Talk) -> None:
    talk.head("200 OK")
    talk.flood(bytes(1 << 20))


def another(talk: Talk) -> None:
    talk.head("200 OK", "Content-Length: 5")
    talk.send(b"login")


def cut(talk: Talk) -> None:
    talk.head("200 OK", f"Content-Length: {len(GOOD)}")
    talk.send(GOOD[:50])


CASES: dict[str, tuple[tuple[Act, ...], int]] = {
    "right": ((right,), 0),
    "not there yet": ((status("404 X"), status("503 X"), raw(b""), right), 0),
    "cut, then right": ((cut, right), 0),
    "a portal's page first": ((another, right), 0),
    "another file": ((another,), 1),
    "hangs": ((Talk.hang,), 1),
    "hangs once": ((Talk.hang, right), 0),
    "drips": ((drip,), 1),
    "drips headers": ((drips_headers,), 1),
    "never stops": ((flood,), 1),
    "to a file": ((status("302 X", "Location: file:///etc/passwd"),), 1),
    "around and around": ((status("302 X", "Location: /base.qcow2"),), 1),
    "nonsense": ((raw(b"SSH-2.0\r\n\r\n"),), 1),
}


@pytest.mark.parametrize("tool", ["curl", "wget"])
@pytest.mark.parametrize("kind", CASES)
def test_a_server_that_misbehaves(kind: str, tool: str, tmp_path: Path) -> None:
    acts, code = CASES[kind]
    text = (data_dir("cloudinit") / "include.sh").read_text()
    for old, new in _LIMITS.items():
        assert old in text
        text = text.replace(old, new)
    root, programs = tmp_path / "root", tmp_path / "bin"
    root.mkdir()
    programs.mkdir()
    text = text.replace("tar -xzf", f"tar -C {root} -xzf").replace(" -C / ", " ")
    (tmp_path / "include.sh").write_text(text)
    for name in (tool, "sh", "mktemp", "rm", "sha256sum", "cut", "sleep", "timeout", "tar", "gzip"):
        (programs / name).symlink_to(shutil.which(name) or "missing")
    with Server(*acts) as server:
        argv = ["sh", str(tmp_path / "include.sh"), server.url, SUM]
        environment = {"PATH": str(programs), "TMPDIR": str(tmp_path)}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=HUNG)
    assert done.returncode == code, done.stderr
    assert (root / "etc/imgbuild-test").exists() == (code == 0)
    assert {p.name for p in tmp_path.iterdir()} == {"root", "bin", "include.sh"}
    if code:
        assert f"imgbuild: cannot fetch {server.url}" in done.stderr
    if "another" in kind:
        assert f"not {SUM}: it is not used" in done.stderr
