"""What input, signals and little memory may cost: bounded output, no traceback, no waiting."""

from __future__ import annotations

import ipaddress
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from imgbuild.cli.terminal import Console
from imgbuild.diagnostics.errors import HostError, InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.jsonform import finding_json
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.severity import Severity
from imgbuild.diagnostics.text import print_findings
from imgbuild.outputs.manifest import read_manifest
from imgbuild.pipeline import Request, prepare
from tests.support.deadline import HUNG
from tests.support.places import ROOT


def test_thousands_of_findings_are_bounded_as_text_and_whole_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    many = [Finding("IB999", Severity.WARNING, f"w{i}") for i in range(5000)]
    many += [Finding("IB998", Severity.ERROR, f"e{i}") for i in range(50_000)]
    print_findings(Console(), many)
    text = capsys.readouterr().out
    assert "and 4900 more warnings" in text
    assert "and 49900 more errors" in text
    assert text.rstrip().endswith("50000 errors, 5000 warnings")
    assert len(text.splitlines()) < 700  # a blank line between findings
    assert len({json.dumps(finding_json(finding)) for finding in many}) == 55_000


def test_every_unknown_key_is_found(tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    profile.write_text("extends: debian12-efi\n" + "".join(f"unknown{i}: 1\n" for i in range(2000)))
    findings = Findings()
    with pytest.raises(InvalidInput):
        prepare(Request(str(profile)), findings)
    assert len(findings.errors) == 2000


@pytest.mark.parametrize("text", ["? {}\n: 1\n", "mode: {}\n", "kernel: {{sysctl: {{? {} : 1}}}}\n", "extends: {}\n"])
def test_a_key_or_value_of_megabytes_is_shown_by_its_start(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "p.yaml"
    head = "" if text.startswith("extends") else "extends: debian12-efi\n"
    profile.write_text(head + text.format("k" * 3_900_000))
    findings = Findings()
    with pytest.raises(InvalidInput):
        prepare(Request(str(profile)), findings)
    print_findings(Console(), findings.items)
    out = capsys.readouterr().out
    assert len(out) < 5000
    assert "characters)" in out or "..." in out or "not shown" in out


@pytest.mark.parametrize(
    "text",
    ["? " + "k" * 400_000, "(" * 400_000 + "@", "a=b:" * 100_000 + "@ ", "-." * 400_000 + "@?"],
    ids=["letters", "brackets", "pairs", "dots"],
)
def test_masking_a_long_line_ends(text: str) -> None:
    """In seconds; it took minutes, by going through the rest of the line at each of its characters."""
    code = "import sys; from imgbuild.diagnostics.mask import mask; mask(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", code], input=text, text=True, cwd=ROOT, check=True, timeout=HUNG)
    assert mask("http://me:hunter2@h/?t=hunter2 k=me:hunter2@h") == "http://(not shown)@h/?(not shown) k=(not shown)@h"


def test_a_thousand_nodes_are_not_a_million_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    real = ipaddress.ip_address

    def counting(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        nonlocal asked
        asked += 1
        return real(text)

    def nodes(number: int) -> int:
        nonlocal asked
        lines = ["nodes:"]
        for i in range(number):
            card = (
                f"name: eth0, mac: '52:54:00:00:{i >> 8:02x}:{i & 255:02x}', addresses: ['10.0.{i >> 8}.{i & 255}/8']"
            )
            role = "worker" if i else "control-plane"
            lines.append(f"  - {{name: n{i}, role: {role}, network: {{interfaces: [{{{card}}}]}}}}")
        cluster = tmp_path / "c.yaml"
        cluster.write_text("\n".join(lines).replace("10.0.0.0/8", "10.0.255.1/8") + "\n")
        asked = 0
        with suppress(InvalidInput):
            prepare(Request("debian12-efi", cluster=cluster, secrets=tmp_path / "s.yaml"), Findings())
        return asked

    monkeypatch.setattr(ipaddress, "ip_address", counting)
    assert nodes(200) < 3 * nodes(100)


def test_a_pipe_in_place_of_the_manifest_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(HostError, match="not a regular file"):
        read_manifest(tmp_path)


# Sends itself a signal when the module that is the Nth to be looked for is looked for.
_INTERRUPT = """
import os, signal, sys
class Hook:
    left, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
    def find_spec(self, *_):
        Hook.left -= 1
        if Hook.left == 0:
            os.kill(os.getpid(), Hook.number)
from imgbuild.cli.start import main
sys.meta_path.insert(0, Hook())
main()
"""


def _signalled(at: int, number: int, *through: str) -> subprocess.CompletedProcess[str]:
    argv = [*through, sys.executable, "-c", _INTERRUPT, str(at), str(number), "check", "--profile", "debian12-efi"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("at", [1, 2, 5, 20, 60, 120, 200, 300, 400])  # of 491
def test_ctrl_c_while_importing_is_no_traceback(at: int) -> None:
    done = _signalled(at, signal.SIGINT)
    assert "Traceback" not in done.stderr
    assert done.returncode == 3
    assert "error: interrupted" in done.stderr


@pytest.mark.parametrize("at", [1, 300])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_as_ctrl_c_does(number: int, at: int) -> None:
    done = _signalled(at, number, "env", "--default-signal=HUP")  # the tests may have been started with nohup
    assert "Traceback" not in done.stderr
    assert done.returncode == 128 + number
    assert "error: interrupted" in done.stderr


def test_nohup_is_honoured() -> None:
    done = _signalled(300, signal.SIGHUP, "nohup")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mib", [60, 80, 100, 120, 150])
def test_little_memory_is_no_traceback(mib: int, tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    profile.write_text("extends: debian12-efi\n" + "".join(f"unknown{i}: 1\n" for i in range(20_000)))
    code = "from imgbuild.cli.start import main; main()"
    argv = [sys.executable, "-c", code, "check", "--profile", str(profile)]
    limit = (mib << 20, mib << 20)
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert done.returncode in (1, 3, -6)  # -6: a library written in Rust gave up by itself
