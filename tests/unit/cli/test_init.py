"""`imgbuild init`: what it writes is valid for every target, and it overwrites nothing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from imgbuild.cli.init import CLUSTER, PROFILE, write_new
from imgbuild.cli.main import main
from imgbuild.config.shipped import shipped
from imgbuild.diagnostics.errors import HostError
from tests.support.checking import ADMIN
from tests.support.events import Event, findings_of

KEY = re.search(r"ssh-ed25519 [^ ,\]}]+", ADMIN)
ASKED = {"IB450"}  # no SSH key: only the user has one
DATED = {"IB228", "IB436", "IB438"}  # ends of life, and keys that expire: a target's own
INFORMS = {"IB802"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def check(*words: str) -> dict[str, Event]:
    done = run("check", *words, "--format", "json")
    assert done.exit_code == 0, done.stdout
    return {finding["code"]: finding for finding in findings_of(done.stdout)}


@pytest.mark.parametrize("profile", shipped("profiles"))
def test_what_it_writes_lacks_only_what_the_user_knows(profile: str) -> None:
    done = run("init", "--profile", profile, "--cluster", "new")
    assert done.exit_code == 0 and done.stdout == "new/node.yaml\nnew/cluster.yaml\n"
    command = done.stderr.partition("imgbuild ")[2].split()[1:]
    found = check(*command)
    assert found.keys() - DATED == ASKED | INFORMS
    assert found["IB450"]["file"] == "new/node.yaml"
    text = Path("new/node.yaml").read_text()
    assert KEY is not None
    Path("new/node.yaml").write_text(text.replace("ssh_keys: []", f"ssh_keys: [{KEY[0]}]"))
    assert check(*command).keys() - DATED == INFORMS
    assert run(*command, "--no-image").exit_code == 0


@pytest.mark.parametrize("profile", ["centos7-efi", "debian12-efi"])
def test_every_line_that_is_commented_out_is_valid_too(profile: str) -> None:
    assert run("init", "--profile", profile).exit_code == 0
    head, extends, text = Path("node.yaml").read_text().partition("extends:")
    Path("node.yaml").write_text(head + extends + re.sub(r"(?m)^#", "", text))
    assert "vm.max_map_count" in run("explain", "kernel.sysctl", "--profile", "node.yaml").stdout
    assert check("--profile", "node.yaml").keys() - DATED == ASKED


def test_an_editor_finds_the_schema_and_marks_nothing() -> None:
    assert run("init", "--cluster").exit_code == 0
    for file, kind in (("node.yaml", "profile"), ("cluster.yaml", "cluster")):
        text, schema = Path(file).read_text(), json.loads(run("schema", kind).stdout)
        assert text.startswith(f"# yaml-language-server: $schema={schema['$id']}\n")
        assert not list(Draft202012Validator(schema).iter_errors(yaml.safe_load(text)))


def test_where_it_writes() -> None:
    assert run("init").stdout == "node.yaml\n"
    assert run("init", "a/b").stdout == "a/b/node.yaml\n"
    assert run("init", "a/web.yaml").stdout == "a/web.yaml\n"
    assert run("init", "it's here/x.yml", "--cluster").stdout == "it's here/x.yml\nit's here/cluster.yaml\n"
    assert "--profile 'it'\"'\"'s here/x.yml'" in Path("it's here/cluster.yaml").read_text()
    check("--profile", "it's here/x.yml", "--cluster", "it's here/cluster.yaml")
    assert Path("node.yaml").stat().st_mode & 0o777 == 0o666 & ~umask() & 0o644


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


@pytest.mark.parametrize("there", ["node.yaml", "cluster.yaml"])
def test_nothing_is_overwritten_and_nothing_is_half_done(there: str) -> None:
    Path(there).write_text("mine\n")
    done = run("init", "--cluster")
    assert done.exit_code == 2 and f"{there} already exists" in done.stderr
    assert [p.name for p in Path().iterdir()] == [there] and Path(there).read_text() == "mine\n"
    Path(there).unlink()
    Path(there).symlink_to("nowhere")
    assert run("init", "--cluster").exit_code == 2
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a b.yaml",), "is not a valid profile name"), ((".yaml",), "node.yaml"), (("",), "must not be empty"),
        (("cluster.yaml", "--cluster"), "cannot both be cluster.yaml"), (("--profile", "centos9"), "'centos9'"),
    ],
)  # fmt: skip
def test_usage_errors(words: tuple[str, ...], said: str) -> None:
    done = run("init", *words)
    if words == (".yaml",):  # a folder: a name that starts with a dot has no suffix
        assert done.stdout == ".yaml/node.yaml\n"
        return
    assert done.exit_code == 2 and said in done.stderr
    assert list(Path().iterdir()) == []


def test_a_failure_leaves_no_file() -> None:
    Path("file").write_text("")
    done = run("init", "file/x.yaml")
    assert done.exit_code == 3 and "cannot write file" in done.stderr
    with pytest.raises(HostError):
        write_new({Path("a.yaml"): PROFILE, Path("file/b.yaml"): CLUSTER})
    assert [p.name for p in Path().iterdir()] == ["file"]
