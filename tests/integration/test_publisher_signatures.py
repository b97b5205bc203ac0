"""Signatures of publishers' checksum files, verified with the real gpgv; keys of the test's own sign."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir
from imgbuild.config.openpgp import blocks, key_facts
from imgbuild.config.target import load_target
from imgbuild.facts.outside import Need, Signed
from imgbuild.fetch import signed as module
from imgbuild.fetch.charts import Charts
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.pin import pinned
from imgbuild.fetch.registry import Registries
from imgbuild.fetch.signed import signed_sum
from tests.support.publishers import Publishers, publishers, sha256

if shutil.which("gpgv") is None or shutil.which("gpg") is None:
    pytest.skip("needs gpg and gpgv", allow_module_level=True)

DATA = b"helm"
NAME = "helm.tar.gz"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of gpg with two keys; the first is the publisher's."""
    folder = tmp_path / "gpg"
    folder.mkdir(mode=0o700)
    for name in ("publisher", "stranger"):
        words = ("--passphrase", "", "--quick-generate-key", f"{name}@example.com", "ed25519", "sign")
        gpg(folder, *words)
    keys = tmp_path / "profiles/keys"
    keys.mkdir(parents=True)
    (keys / "own.asc").write_bytes(b"Our keys:\n\n" + gpg(folder, "--armor", "--export", "publisher@example.com"))
    monkeypatch.setattr(module, "data_dir", lambda _: tmp_path / "profiles")
    return folder


@pytest.fixture
def server() -> Iterator[Publishers]:
    with publishers() as found:
        found.files[f"/{NAME}"] = DATA
        yield found


def gpg(home: Path, *words: str, data: bytes = b"") -> bytes:
    argv = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", *words]
    return subprocess.run(argv, input=data, capture_output=True, check=True).stdout


def sign(home: Path, form: str, text: bytes, who: str = "publisher") -> bytes:
    return gpg(home, "--local-user", f"{who}@example.com", "--armor", "--output", "-", form, data=text)


def detached(server: Publishers) -> Signed:
    return Signed(f"{server.url}/sums", "own", f"{server.url}/sums.asc")


def test_a_detached_signature(home: Path, server: Publishers) -> None:
    text = f"{sha256(DATA)}\n".encode()
    server.files |= {"/sums": text, "/sums.asc": sign(home, "--detach-sign", text)}
    found = signed_sum(detached(server), NAME)
    assert found is not None and found[0] == sha256(DATA)
    (own,) = map(key_facts, blocks((home.parent / "profiles/keys/own.asc").read_text()))
    assert found[1] == own.fingerprint


def test_a_clear_signed_file_counts_only_what_is_signed(home: Path, server: Publishers) -> None:
    text = sign(home, "--clear-sign", f"{sha256(DATA)}  {NAME}\n".encode())
    server.files["/sums"] = f"{'0' * 64}  other.tar.gz\n".encode() + text
    signed = Signed(f"{server.url}/sums", "own")
    found = signed_sum(signed, NAME)
    assert found is not None and found[0] == sha256(DATA)
    assert signed_sum(signed, "other.tar.gz") is None


@pytest.mark.parametrize("damage", ["content", "stranger", "garbage", "unsigned"])
def test_a_signature_that_is_not_valid(damage: str, home: Path, server: Publishers) -> None:
    text = f"{sha256(DATA)}\n".encode()
    signature = sign(home, "--detach-sign", text, "stranger" if damage == "stranger" else "publisher")
    if damage in ("garbage", "unsigned"):
        signature = b"not a signature" if damage == "garbage" else b""
    server.files |= {"/sums": b"0" * 64 if damage == "content" else text, "/sums.asc": signature}
    with pytest.raises(FetchError, match="is not valid"):
        signed_sum(detached(server), NAME)


def test_the_pin_tells_who_signed(home: Path, server: Publishers, tmp_path: Path) -> None:
    text = f"{sha256(DATA)}\n".encode()
    charts = Charts(Registries(tmp_path, frozenset(), frozenset()))
    url = f"{server.url}/{NAME}"
    need = Need("helm", "archive", ("helm",), "4.3.0", (url,), (f"{server.url}/sums",), detached(server))
    server.files |= {"/sums": text}
    plain = pinned(need, charts)  # nobody has signed it
    assert (plain.obtained, plain.signed_by, plain.sha256) == ("publisher", None, sha256(DATA))
    server.files |= {"/sums.asc": sign(home, "--detach-sign", text)}
    pin = pinned(need, charts)
    assert pin.obtained == "publisher" and pin.checksum_from == f"{server.url}/sums" and pin.signed_by is not None
    server.files |= {"/sums.asc": sign(home, "--detach-sign", text, "stranger")}
    with pytest.raises(FetchError, match="is not valid"):
        pinned(need, charts)


def test_the_shipped_keys_are_read_and_are_the_publishers() -> None:
    keys = {
        path.stem: [key_facts(block).fingerprint for block in blocks(path.read_text())]
        for path in (data_dir("profiles") / "keys").glob("*.asc")
    }
    (distribution,) = load_target("centos7").repositories.key_files["distribution"]
    assert keys["centos7"] == [distribution.fingerprint]
    assert len(keys["helm"]) == 10 and "672C657BE06B4B30969C4A57461449C25E36B98E" in keys["helm"]
