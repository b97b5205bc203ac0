"""Pipelines: those in examples/ci/, which users copy, and our own.

Their shell is read by shellcheck, and run where it can be. Nothing here runs on GitHub or GitLab.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deadline import HUNG
from tests.support.places import ROOT

OURS = sorted((ROOT / ".github/workflows").glob("*.yml"))
GITHUB = ROOT / "examples/ci/github-nightly.yml"
GITLAB = ROOT / "examples/ci/gitlab-nightly.yml"
WORKFLOWS = [*OURS, GITHUB]
SECTION = """\
# Changelog

## [Unreleased]

- Later.

## [1.2.3] - 2027-01-02

### Added

- A thing with [a link](x).

## [1.2.2] - 2027-01-01

- Older.

[1.2.3]: https://example.com
"""


def steps(workflow: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps of a GitHub workflow, each with the name of its job."""
    for job, body in yaml.safe_load(workflow.read_text())["jobs"].items():
        for step in body["steps"]:
            yield job, step


def run_block(workflow: Path, name: str) -> str:
    (found,) = [step["run"] for _, step in steps(workflow) if step.get("name") == name]
    assert isinstance(found, str)
    return found


def gitlab_scripts() -> dict[str, str]:
    """The shell of each GitLab job, as its runner joins it."""
    jobs = {name: job for name, job in yaml.safe_load(GITLAB.read_text()).items() if "script" in job}
    return {name: "\n".join([*job["before_script"], *job["script"]]) for name, job in jobs.items()}


def scripts() -> Iterator[tuple[str, str]]:
    for workflow in WORKFLOWS:
        for number, (job, step) in enumerate(steps(workflow)):
            if "run" in step:
                yield f"{workflow.name}-{job}-{number}", step["run"]
    yield from ((f"gitlab-{name}", script) for name, script in gitlab_scripts().items())


def bash(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A block as a runner starts it, with imgbuild of this checkout first on the path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder,
        env={**os.environ, "PATH": path, **environment}, capture_output=True, text=True, timeout=HUNG,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "script"), list(scripts()), ids=[name for name, _ in scripts()])
def test_shellcheck_passes(name: str, script: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.sh"
    file.write_text(f"#!/bin/bash\nset -eo pipefail\n{script}\n")
    done = subprocess.run(["shellcheck", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "${{" not in script, "an expression in a script is text that somebody else may choose: use env"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_and_rights_are_few(workflow: Path) -> None:
    text = workflow.read_text()
    for action, comment in re.findall(r"uses: (\S+)(.*)", text):
        if workflow in OURS:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
        else:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", action), action
    loaded = yaml.safe_load(text)
    assert loaded["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in loaded["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"contents": "write"}} if workflow.name == "release.yml" else {})


def test_the_examples_install_what_a_build_needs() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (packages,) = re.findall(r"(?m)^RUN_PACKAGES := (.*)$", makefile)
    wanted = {*packages.split(), "git"}
    for script in (run_block(GITHUB, "Install imgbuild and what a build needs"), gitlab_scripts()["image"]):
        installs = re.findall(r"--no-install-recommends (.*)", script.replace("\\\n", " "))
        assert set(installs[-1].split()) == wanted


def profiles(tmp_path: Path, text: str = "") -> Path:
    (tmp_path / "profiles").mkdir()
    node = tmp_path / "profiles/node.yaml"
    shutil.copy(ROOT / "examples/single-vm/single-vm.yaml", node)
    node.write_text(node.read_text() + text)
    return tmp_path


def test_github_shows_findings_at_their_lines(tmp_path: Path) -> None:
    block = run_block(GITHUB, "Check")
    done = bash(block, profiles(tmp_path, "swapp: {}\n"), PROFILE="node")
    assert done.returncode == 1, done.stderr
    lines = len((tmp_path / "profiles/node.yaml").read_text().splitlines())
    place = f"file=profiles/node.yaml,line={lines},title=IB111::"
    assert any(line.startswith(f"::error {place}") and "Fix: " in line for line in done.stdout.splitlines()), (
        done.stdout
    )
    (tmp_path / "profiles/node.yaml").write_text((ROOT / "examples/single-vm/single-vm.yaml").read_text())
    done = bash(block, tmp_path, PROFILE="node")
    assert done.returncode == 0, done.stderr
    assert "::error" not in done.stdout


def test_gitlab_gets_a_code_quality_report(tmp_path: Path) -> None:
    (block,) = yaml.safe_load(GITLAB.read_text())["check"]["script"]
    done = bash(block, profiles(tmp_path, "swapp: {}\n"), PROFILE="node")
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / "codequality.json").read_text())
    (error,) = [row for row in report if row["severity"] == "blocker"]
    assert error["check_name"] == "IB111" and error["location"]["path"] == "profiles/node.yaml"
    assert len({row["fingerprint"] for row in report}) == len(report)


def test_gitlab_keeps_the_cache_for_a_week(tmp_path: Path) -> None:
    block = yaml.safe_load(GITLAB.read_text())["image"]["script"][0]
    cache = tmp_path / ".cache/imgbuild"
    for kept in (False, True):
        assert bash(block, tmp_path, IMGBUILD_CACHE=str(cache)).returncode == 0
        assert (cache / "entry").exists() == kept
        (cache / "entry").touch()
        cache.chmod(0o777)
    (tmp_path / ".cache/week").write_text("2020-01\n")
    assert bash(block, tmp_path, IMGBUILD_CACHE=str(cache)).returncode == 0
    assert not (cache / "entry").exists() and cache.stat().st_mode & 0o022 == 0


def test_a_release_has_the_version_of_its_tag_and_notes(tmp_path: Path) -> None:
    workflow = ROOT / ".github/workflows/release.yml"
    source = tmp_path / "builder/imgbuild/__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(SECTION)
    compare, notes = (
        run_block(workflow, n) for n in ("Compare the tag with the version", "Take the notes from the changelog")
    )
    assert bash(compare, tmp_path, TAG="v1.2.3").returncode == 0
    assert bash(compare, tmp_path, TAG="v1.2.4").returncode == 1
    assert bash(notes, tmp_path, TAG="v1.2.3").returncode == 0
    assert (tmp_path / "notes.md").read_text().split() == ["###", "Added", "-", "A", "thing", "with", "[a", "link](x)."]
    assert bash(notes, tmp_path, TAG="v1.2.4").returncode == 1


def test_a_bug_report_asks_for_what_is_needed() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text())
    fields = {part["id"]: part.get("validations", {}) for part in form["body"] if "id" in part}
    assert {"command", "profile", "doctor", "manifest", "version"} <= set(fields)
    assert all(fields[name]["required"] for name in ("command", "profile", "doctor"))
