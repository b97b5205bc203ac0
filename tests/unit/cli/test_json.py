"""`--format json`: one stream of events on standard output, whatever the command and however it ends."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.commands import COMMANDS, load_command
from imgbuild.cli.main import main
from imgbuild.diagnostics.timed import Taken
from imgbuild.image.times import LastRun, save
from imgbuild.machine.result import BootResult, result_fields
from tests.support.events import Event, events, of_kind, result_of
from tests.support.places import ROOT

PAGE = (ROOT / "docs/reference/json.md").read_text()
CLUSTER = "name: lab\nendpoint: 10.0.0.9:6443\nnodes: [{name: a, role: control-plane, mac: '52:54:00:00:00:01'}]\n"
SUM = hashlib.sha256(CLUSTER.encode()).hexdigest()
FILE = f'containerd.images=[{{name: lab, urls: ["file:///proc/self/cwd/lab.yaml"], sha256: "{SUM}"}}]'
LAB = ("--cluster", "lab.yaml")
RUNS: dict[str, tuple[Sequence[str], int]] = {
    "build": (("-p", "debian12-efi", "--no-image", *LAB), 0),
    "build, unknown key": (("-p", "debian12-efi", "--no-image", "--set", "x=1"), 1),
    "build, output is a file": (("-p", "debian12-efi", "--no-image", "-o", "lab.yaml"), 3),
    "build, no profile": (("--no-image",), 2),
    "build, unknown option": (("--frobnicate",), 2),
    "profiles": (("profiles",), 0),
    "check": (("check", "-p", "centos7-efi", *LAB), 0),
    "check, errors": (("check", "-p", "centos7-efi", "--set", "time.zone=nowhere", "--layer", "chian"), 1),
    "check, twice": (("check", "-p", "centos7-efi", "-p", "debian12-efi"), 2),
    "check, no command": (("chekc", "-p", "centos7-efi"), 2),
    "explain": (("explain", "time", "-p", "centos7-efi", "--layer", "china"), 0),
    "explain, no such key": (("explain", "tmie", "-p", "centos7-efi"), 2),
    "schema": (("schema", "profile"), 0),
    "explain, no profile": (("explain", "time.zone"), 0),
    "explain, a code": (("explain", "IB205"), 0),
    "explain, a code without an example": (("explain", "IB901"), 0),
    "lock, no such profile": (("lock", "-p", "nowhere.yaml"), 1),
    "fetch": (("fetch", "-p", "debian12-efi", "-l", "distro-containerd", "-l", "container-host", "--set", FILE), 0),
    "fetch, not there": (("fetch", "-p", "debian12-efi", "--offline", "--store", "other"), 3),
    "bundle, no lock": (("bundle", "-p", "debian12-efi", "-o", "b"), 2),
    "bundle, nothing there": (("bundle", "verify", "b", "--unsigned"), 2),
    "cache": (("cache", "list"), 0),
    "cache, verify": (("cache", "verify"), 0),
    "cache, prune": (("cache", "prune", "--older-than", "1d"), 0),
    "cache, prune what": (("cache", "prune"), 2),
    "lock, unknown name": (("lock", "-p", "debian12-efi", "--update", "nothing"), 2),
    "images": (("images", "-p", "debian12-efi", *LAB), 0),
    "plan": (("plan", "-p", "debian12-efi", "--set", "images.preload=true"), 0),
    "plan, stock": (("plan", "-p", "debian12-efi", "--mode", "stock"), 0),
    "diff": (("diff", "debian12-efi", "debian12-bios"), 0),
    "diff, files": (("diff", "debian12-efi", "centos8-efi"), 0),
    "token": (("token", *LAB, "--keep"), 0),
    "token, no cluster": (("token",), 2),
    "boot, nothing there": (("boot", "nowhere"), 3),
    "iso, nothing there": (("iso", "nowhere"), 3),
    "export": (("export", "--to", "libvirt", "-p", "debian12-efi", *LAB), 0),
    "export, to nothing": (("export", "--to", "nothing", "-p", "debian12-efi", *LAB), 2),
    "serve, nothing there": (("serve", "nowhere"), 3),
    "wait, for whom": (("wait", *LAB), 2),
    "doctor": (("doctor",), -1),  # 0 or 3, by the host
    "init": (("init", "new"), 0),
    "init, exists": (("init", "lab.yaml"), 2),
}


def run(words: Sequence[str]) -> Result:
    done = CliRunner().invoke(main, [*words, "--format", "json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Every run, in a folder with a cluster file; the first one makes its keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("json"))
        patch.setenv("IMGBUILD_CACHE", str(Path("cache").resolve()))
        patch.delenv("IMGBUILD_STORE", raising=False)
        Path("lab.yaml").write_text(CLUSTER)
        save(Path("cache"), "debian12-efi", LastRun(1_700_000_000, [Taken("Make the disk", 0, 2.0)]))
        return {name: run(words) for name, (words, _) in RUNS.items()}


@pytest.mark.parametrize("name", RUNS)
def test_the_stream_ends_with_the_result_and_its_exit_code(name: str, done: dict[str, Result]) -> None:
    result, wanted = done[name], RUNS[name][1]
    assert result.stderr == ""
    assert wanted in (-1, result.exit_code), result.stdout
    last = result_of(result.stdout)
    assert last["exit_code"] == result.exit_code
    assert last["command"] == ("build" if name in ("check, no command",) else name.split(",")[0])
    errors = of_kind("error", result.stdout)
    assert len(errors) == (1 if result.exit_code in (2, 3) and name != "doctor" else 0)
    assert all(error["message"] and error["hint"] for error in errors)


def test_every_command_is_tried(done: dict[str, Result]) -> None:
    assert {name.split(",")[0] for name in RUNS} == {"build", *COMMANDS}


def test_what_the_events_say(done: dict[str, Result]) -> None:
    def kinds(name: str) -> list[str]:
        return [event["event"] for event in events(done[name].stdout)]

    assert result_of(done["build"].stdout)["folder"] == "out/debian12-efi"
    assert {"finding", "start", "end", "note"} <= set(kinds("build"))
    assert {"IB106", "IB436"} <= {f["code"] for f in of_kind("finding", done["check, errors"].stdout)}
    values = result_of(done["explain"].stdout)["values"]
    assert [v["value"] for v in values if v["key"] == "time.zone"] == ["UTC", "Asia/Shanghai"]
    assert "registry.k8s.io/pause" in done["images"].stdout and "image" in kinds("images")
    parts = {item["name"]: item for item in of_kind("item", done["plan"].stdout)}
    assert parts["container image registry.k8s.io/pause:3.10.1"]["sources"] == ["https://registry.k8s.io"]
    assert of_kind("item", done["plan, stock"].stdout) == [] and "note" in kinds("plan, stock")
    first, _ = of_kind("difference", done["diff"].stdout)
    assert (first["kind"], first["name"], first["b"]) == ("value", "firmware", "bios")
    (file,) = of_kind("file", done["fetch"].stdout)
    assert (file["name"], file["sha256"], file["fetched"]) == ("the images lab", SUM, True)
    assert [(e["kind"], e["name"], e["bytes"]) for e in of_kind("entry", done["cache"].stdout)] == [
        ("file", "the images lab", len(CLUSTER))
    ]
    assert result_of(done["cache, verify"].stdout)["damaged"] == []
    assert result_of(done["diff"].stdout)["differences"] == 2
    assert any(d["diff"].startswith("--- ") for d in of_kind("difference", done["diff, files"].stdout) if "diff" in d)
    assert result_of(done["token"].stdout)["secret"]["kind"] == "Secret"
    assert [task["task"] for task in of_kind("task", done["doctor"].stdout)]
    assert result_of(done["init"].stdout)["files"] == ["new/node.yaml"]


def test_the_page_describes_every_event_and_field(done: dict[str, Result]) -> None:
    """Each event has a section with a row for each of its fields; fields of a result are listed by command."""
    sections = {part.split("\n")[0].strip("` "): part for part in re.split(r"(?m)^## ", PAGE)}
    seen: list[Event] = [event for result in done.values() for event in events(result.stdout)]
    for event in seen:
        section = sections[event["event"]]
        for name in event.keys() - {"event"}:
            assert f"`{name}`" in section, f"json.md, {event['event']}: {name} is missing"
    # A download, a machine, a server and what lock asks publishers for are not tried here.
    elsewhere = {"transfer", "ssh", "pin", "package", "serving", "dhcp", "node", "pushed"}
    assert {event["event"] for event in seen} | elsewhere == {s for s in sections if re.fullmatch("[a-z]+", s)}


def test_every_command_takes_it() -> None:
    for name in COMMANDS:
        assert any("--format" in parameter.opts for parameter in load_command(name).params), name


def test_the_page_describes_the_result_of_boot() -> None:
    section = PAGE.split("## result")[1]
    for name in result_fields(BootResult(checked=False)):
        assert f"`{name}` | `boot`" in section, name
