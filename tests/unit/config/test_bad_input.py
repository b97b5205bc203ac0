"""Bad input through the command: all findings at once with file, line, column and fix, exit code 1, nothing written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imgbuild.cli.main import main
from tests.support.deadline import HUNG
from tests.support.events import findings_of
from tests.support.places import ROOT


def imgbuild(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings of `imgbuild check` in JSON."""
    result = CliRunner().invoke(main, ["check", "--format", "json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, findings_of(result.stdout)


def refused(folder: Path, files: dict[str, str | bytes], *arguments: str) -> list[tuple[str, str, int, int]]:
    """Write the files, check p.yaml (unless told otherwise): code, file, line and column of each error."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    before = sorted(folder.rglob("*"))
    code, found = imgbuild(*(arguments if "--profile" in arguments else ("--profile", "p.yaml", *arguments)))
    assert code == 1
    assert sorted(folder.rglob("*")) == before  # nothing written
    errors = [f for f in found if f["severity"] == "error"]
    assert errors and all(f["message"] and f["hint"] for f in found)
    assert "Traceback" not in json.dumps(found)
    return [(f["code"], f["file"], f["line"], f["column"]) for f in errors]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


BASE = "extends: centos7-efi\n"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join(['*' + b] * 10)}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
)

ONE_FILE: dict[str, tuple[str | bytes, Sequence[tuple[str, int, int]]]] = {
    "unknown key": (BASE + "kernel:\n  flavor: kernel-ml\n", [("IB111", 3, 3)]),
    "wrong type": (BASE + "swap: {enabled: 1}\n", [("IB113", 2, 17)]),
    "octal-looking mode": (BASE + "files:\n  - path: /etc/x\n    content: y\n    mode: 0644\n", [("IB105", 5, 11)]),
    "duplicate key": (BASE + "swap: {enabled: false}\nswap: {enabled: true}\n", [("IB102", 3, 1)]),
    "extends itself": ("extends: p.yaml\ntarget: centos7\nfirmware: efi\n", [("IB107", 1, 10)]),
    "extends nothing": ("extends: nowhere\ntarget: centos7\nfirmware: efi\n", [("IB106", 1, 10)]),
    "broken YAML": (BASE + "kernel: {flavour: x\n", [("IB101", 3, 1)]),
    "tab": (BASE + "kernel:\n\tflavour: x\n", [("IB101", 3, 1)]),
    "binary": (b"\x7fELF\x02\x01\x01" + bytes(100), [("IB100", 1, 1)]),
    "gzip": (b"\x1f\x8b\x08\x00abc", [("IB100", 1, 2)]),
    "not UTF-8": (BASE.encode() + b"time: {zone: \xe9}\n", [("IB100", 2, 14)]),
    "UTF-16": (BASE.encode("utf-16"), [("IB100", 1, 1)]),
    "empty": ("", [("IB109", 1, 1), ("IB112", 1, 1)]),
    "only a comment": ("# soon\n", [("IB109", 1, 1), ("IB112", 1, 1)]),
    "huge": ("# " + "x" * (4 << 20) + "\n" + BASE, [("IB100", 1, 1)]),
    "billion laughs": (BASE + LAUGHS, [("IB104", 0, 0), *[("IB111", 0, 0)] * 9]),
    "python object": (BASE + "run: !!python/object/apply:os.system [reboot]\n", [("IB103", 2, 6)]),
    "merge key": (BASE + "x: &x {a: 1}\nswap:\n  <<: *x\n", [("IB103", 4, 3), ("IB111", 2, 1)]),
    "list": ("- a\n", [("IB103", 1, 1)]),
    "CRLF with an error": ("extends: centos7-efi\r\nswap:\r\n  on: true\r\n", [("IB111", 3, 3)]),
    "BOM with an error": (b"\xef\xbb\xbfextnds: centos7-efi\n", [("IB109", 1, 1), ("IB111", 1, 1), ("IB112", 1, 1)]),
    "CIDR overlap": (BASE + "kubernetes:\n  pod_cidr: 10.96.0.0/16\n", [("IB220", 0, 0)]),
    "1.35 on cgroup v1": (BASE + "kubernetes: {version: 1.35.8, cgroup_v1: refuse}\n", [("IB205", 2, 23)]),
    "1.37 on cgroup v1": (BASE + "kubernetes: {version: 1.37.0, cgroup_v1: refuse}\n", [("IB205", 2, 23)]),
    "1.38 accepted": (BASE + "kubernetes: {version: 1.38.0, cgroup_v1: accept}\n", [("IB204", 2, 23)]),
    "version as a number": (BASE + "kubernetes: {version: 1.30}\n", [("IB113", 2, 23)]),
    # Five more.
    "a password in plain": (BASE + "users: [{name: bob, password: hunter2}]\n", [("IB111", 2, 21)]),
    "a template for a value": (BASE + "time: {zone: '{{ zone }}'}\n", [("IB113", 2, 14)]),
    "a shell in a URL": (BASE + "helm: {urls: ['https://x.org/$(id)']}\n", [("IB113", 2, 15)]),
    "a file outside of the tree": (BASE + "files: [{path: /etc/../../x, content: y}]\n", [("IB113", 2, 16)]),
    "a module with an option": (BASE + "kernel: {modules: ['br_netfilter; reboot']}\n", [("IB113", 2, 20)]),
    "two documents": (BASE + "---\n" + BASE, [("IB101", 2, 1)]),
    "an escape for the terminal": (BASE + 'time: {zone: "\\e[2J"}\n', [("IB113", 2, 14)]),
    "a URL with a password": (BASE + "cilium: {repository: 'https://bob:hunter2@x.org/'}\n", [("IB113", 2, 22)]),
    "a bad line beside a private one": (BASE + "files: [{path: x, content: hunter2}]\n", [("IB113", 2, 16)]),
    "a secret that is no text": (BASE + "run: [echo hunter2, 5]\n", [("IB113", 2, 21)]),
    "a private text with a tag": (BASE + "run:\n  - !secret hunter2\n", [("IB103", 3, 5)]),
    "one command, not a list": (BASE + "run: echo hunter2\n", [("IB113", 2, 6)]),
    "an octal as YAML 1.2 has it": (
        BASE + "files: [{path: /etc/x, content: y, mode: 0o644}]\n",
        [("IB105", 2, 42)],
    ),
    "a list for a version": (BASE + "helm: {version: [1]}\n", [("IB113", 2, 17)]),
    "a list for a mapping": (BASE + "kernel: [a]\n", [("IB113", 2, 9)]),
    "null for a mapping": (BASE + "kernel:\n", [("IB113", 2, 8)]),
    "a date": (BASE + "kubernetes: {version: 2020-01-01}\n", [("IB113", 2, 23)]),
    "a number with an underscore": (BASE + "crictl: {timeout: 1_0}\n", [("IB113", 2, 19)]),
    "a number past all bounds": (BASE + "crictl: {timeout: 99999999999999999999}\n", [("IB113", 2, 19)]),
    "a key that is a list": (BASE + "? [a, b]\n: c\n", [("IB103", 2, 3)]),
    "an alias of nothing": (BASE + "swap: *x\n", [("IB101", 2, 7)]),
    "UTF-16 without a mark": (BASE.encode("utf-16-le"), [("IB100", 1, 1)]),
    "Ctrl-Z at the end": (BASE + "\x1a", [("IB101", 2, 1)]),
    "deep nesting": (BASE + "a: " + "[" * 500 + "]" * 500 + "\n", [("IB104", 2, 65)]),
    "null for a profile": ("null\n", [("IB103", 1, 1)]),
    "a number for a name": (BASE + "users: [{name: 007}]\n", [("IB105", 2, 16)]),
}


@pytest.mark.parametrize("name", ONE_FILE)
def test_one_bad_profile(name: str, tmp_path: Path) -> None:
    content, wanted = ONE_FILE[name]
    found = refused(tmp_path, {"p.yaml": content})
    assert sorted(f[0] for f in found) == sorted(w[0] for w in wanted)
    for (code, file, line, column), (_, at_line, at_column) in zip(sorted(found), sorted(wanted), strict=True):
        if at_line:
            assert (code, file, line, column) == (code, "p.yaml", at_line, at_column)
    text = CliRunner().invoke(main, ["check", "--profile", "p.yaml"])
    assert text.exit_code == 1 and "fix:" in text.stderr and "hunter2" not in text.stderr + text.stdout
    assert all(c == "\n" or c.isprintable() for c in text.stderr)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--profile", "nowhere"), "IB106"), (("--profile", "folder"), "IB106"), (("--profile", "./folder"), "IB100"),
        (("--profile", "./nowhere"), "IB106"), (("--profile", "/" + "x" * 300), "IB106"),
        (("--profile", "folder.yaml"), "IB100"),
        (("--profile", "x" * 5000), "IB106"), (("--profile", "centos7-efi", "--layer", "nowhere"), "IB106"),
        (("--profile", "centos7-efi", "--layer", "folder.yaml"), "IB100"), (("--profile", ""), "IB106"),
        (("--profile", "centos7-efi", "--cluster", "nowhere.yaml"), "IB100"), (("--profile", "/dev/null"), "IB100"),
        (("--profile", "centos7-efi", "--cluster", "folder"), "IB100"),
        (("--profile", "centos7-efi", "--set", "nonsense"), "IB108"),
        (("--profile", "centos7-efi", "--set", "extends=debian12-efi"), "IB111"),
    ],
)  # fmt: skip
def test_bad_words_on_the_command_line(arguments: Sequence[str], code: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.yaml").mkdir()
    assert [f[0] for f in refused(tmp_path, {}, *arguments)] == [code]


@pytest.mark.parametrize(
    ("number", "fix"),
    [("2000000", "write a number of at most 1048576"), ("9" * 23, "write a number with fewer digits"),
     ("20.5", "write decimal digits alone, without quotes")],
)  # fmt: skip
def test_a_number_that_does_not_fit_is_told_what_is_wrong_with_it(number: str, fix: str) -> None:
    _, found = imgbuild("--profile", "centos7-efi", "--set", f"image.size_mib={number}")
    assert [(f["code"], f["hint"]) for f in found if f["severity"] == "error"] == [("IB113", fix)]


def test_a_circle_of_layers(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.yaml": "extends: b.yaml\n",
        "b.yaml": "swap: {enabled: false}\nextends: a.yaml\n",
    }
    found = refused(tmp_path, files, "--profile", "centos7-efi", "--layer", "a.yaml")
    assert found == [("IB107", "b.yaml", 2, 10)]


def test_a_layer_that_extends_another_is_fine(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: china\nkernel: {cgroup: auto}\n")
    code, found = imgbuild("--profile", "centos7-efi", "--layer", "mine.yaml")
    assert code == 0 and [f["code"] for f in found if f["code"] != "IB228"] == ["IB450"]


@pytest.mark.parametrize("option", ["--profile", "--layer", "--cluster"])
def test_a_pipe_is_not_waited_for(option: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    words = [option, "pipe.yaml"] if option == "--profile" else ["--profile", "centos7-efi", option, "pipe.yaml"]
    assert refused(tmp_path, {}, *words) == [("IB100", "pipe.yaml", 1, 1)]


def test_an_argument_that_is_no_text() -> None:
    for argument in ("a\udcff=1", "time.zone=\udcff", "\udcff"):
        code, found = imgbuild("--profile", "centos7-efi", "--set", argument)
        assert code == 1 and [f["code"] for f in found if f["severity"] == "error"] == ["IB108"]


def test_a_key_that_stands_twice_in_set_is_called_as_the_user_does() -> None:
    _, found = imgbuild("--profile", "centos7-efi", "--set", "kernel.sysctl={a.b: 1, a.b: 2}")
    assert [f["message"] for f in found if f["code"] == "IB102"] == [
        'duplicate key: "a.b", first in line 1; YAML would use the last one'
    ]


@pytest.mark.parametrize("value", ["a: b", "@x", "`id`", "%x", "- a", "*a"])
def test_set_says_how_yaml_s_own_letters_are_quoted(value: str) -> None:
    _, found = imgbuild("--profile", "centos7-efi", "--set", f"kernel.flavour={value}")
    assert [f["hint"] for f in found if f["code"] == "IB101"] == [
        "quote text that YAML reads as something else, and protect the quotes from the shell: "
        "--set 'kernel.flavour=\"…\"'"
    ]


@pytest.mark.parametrize(
    ("mac", "fix"),
    [
        ("52-54-00-00-00-AA", "write it 52:54:00:00:00:aa"), ("5254.0000.00aa", "write it 52:54:00:00:00:aa"),
        ("01:00:5e:00:00:01", "no card has this one"), ("ff:ff:ff:ff:ff:ff", "no card has this one"),
        ("00:00:00:00:00:00", "no card has this one"), ("52:54:00:00:00", "six pairs"),
    ],
)  # fmt: skip
def test_a_mac_that_is_none(mac: str, fix: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"name: c\nnodes:\n  - {{name: a, role: worker, mac: '{mac}'}}\n")
    code, found = imgbuild("--profile", "centos7-efi", "--cluster", "c.yaml")
    assert code == 1 and [fix in f["hint"] for f in found if f["code"] == "IB113"] == [True]


@pytest.mark.parametrize("endpoint", ["10.0.0.1", "https://a:6443", "[fe80::1%eth0]:6443", "2001:db8::1:6443", "a b:1"])
def test_an_endpoint_that_is_none(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"name: c\nendpoint: '{endpoint}'\nnodes: [{{name: a, role: control-plane}}]\n")
    code, found = imgbuild("--profile", "centos7-efi", "--cluster", "c.yaml")
    assert code == 1 and [f["code"] for f in found if f["severity"] == "error"] == ["IB113"]


@pytest.mark.parametrize(
    "name", ['"a\\"b"', '"a\\nb: c"', "'{{ 7 * 7 }}'", "'${HOST}'", "'$(id)'", "'a b'", "A", "localhost", "'123'"]
)
def test_a_host_name_that_is_none(name: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"c.yaml": f"name: c\nnodes:\n  - name: {name}\n    role: control-plane\n"}
    found = refused(tmp_path, files, "--profile", "centos7-efi", "--cluster", "c.yaml")
    assert found == [("IB113", "c.yaml", 3, 11)]


def test_profile_layer_set_and_cluster_all_at_once(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "p.yaml": BASE + "kernel: {flavor: x, secure_boot: true}\nkubernetes: {service_cidr: 10.244.0.0/16}\n",
        "l.yaml": "swap: {enabled: 'no'}\nhelm: {version: 3.9.2}\n",
        "c.yaml": "name: c\nnodes: [{name: a, role: worker}, {name: a, role: worker}]\n",
        "d.yaml": "name: c\nnodes: [{name: A, rol: worker}]\n",
    }
    words = ("--profile", "p.yaml", "--layer", "l.yaml", "--set", "nonsense", "--set", "time.zone=[]")
    both = {
        ("IB108", "--set", 1, 1), ("IB111", "p.yaml", 2, 10), ("IB113", "l.yaml", 1, 17), ("IB113", "--set", 2, 1),
        ("IB305", "p.yaml", 2, 34), ("IB220", "p.yaml", 3, 28), ("IB605", "l.yaml", 2, 17),
    }  # fmt: skip
    found = {f for f in refused(tmp_path, files, *words, "--cluster", "c.yaml") if f[0] != "IB603"}
    assert found == both | {("IB401", "c.yaml", 2, 41), ("IB410", "c.yaml", 2, 25)}
    found = {f for f in refused(tmp_path, files, *words, "--cluster", "d.yaml") if f[0] != "IB603"}
    assert found == both | {("IB113", "d.yaml", 2, 16), ("IB111", "d.yaml", 2, 19)}


@pytest.mark.parametrize("command", [(), ("check",)])
def test_a_real_process_ends_with_1_and_writes_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(BASE + "kernel: {flavor: x}\n")
    done = subprocess.run(
        [sys.executable, "-c", "from imgbuild.cli.main import main; main()", *command, "--profile", "p.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=HUNG, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "builder"), "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "--> p.yaml:2:10" in done.stderr and 'did you mean "flavour"?' in done.stderr
    assert "Traceback" not in done.stderr and sorted(p.name for p in tmp_path.iterdir()) == ["p.yaml"]
