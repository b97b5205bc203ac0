"""Pipelines: those in examples/ci/, which users copy, and our own.

Their shell is read by shellcheck, and run where it can be. Nothing here runs on GitHub or GitLab.
"""

from __future__ import annotations

import itertools
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

from imgbuild.fetch.oci import repository
from tests.support.deadline import HUNG
from tests.support.places import ROOT

OURS = sorted((ROOT / ".github/workflows").glob("*.yml"))
GITHUB = ROOT / "examples/ci/github-nightly.yml"
GITLAB = ROOT / "examples/ci/gitlab-nightly.yml"
GITHUB_FARM = ROOT / "examples/ci/github-farm.yml"
GITLAB_FARM = ROOT / "examples/ci/gitlab-farm.yml"
KUBERNETES_FARM = ROOT / "examples/ci/kubernetes-farm.yaml"
WORKFLOWS = [*OURS, GITHUB, GITHUB_FARM]
NOTES = """\

### Added

- A thing with [a link](https://github.com/us/it/blob/v1.2.3/docs/x.md#y), [another](https://example.com/) and more.
- Another thing:

  ```text
  as it
  is
  ```

One paragraph.

"""
SECTION = """\
# Changelog

## [Unreleased]

- Later.

## [1.2.3] - 2027-01-02

### Added

- A thing with [a link](docs/x.md#y), [another](https://example.com/)
  and more.
- Another thing:

  ```text
  as it
  is
  ```

One
paragraph.

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


def gitlab_scripts(pipeline: Path = GITLAB) -> dict[str, str]:
    """The shell of each GitLab job, as its runner joins it."""
    jobs = {name: job for name, job in yaml.safe_load(pipeline.read_text()).items() if "script" in job}
    return {name: "\n".join([*job["before_script"], *job["script"]]) for name, job in jobs.items()}


def kubernetes_job() -> dict[str, Any]:
    """The container of the job."""
    (job,) = [one for one in yaml.safe_load_all(KUBERNETES_FARM.read_text()) if one["kind"] == "CronJob"]
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def scripts() -> Iterator[tuple[str, str]]:
    for workflow in WORKFLOWS:
        for number, (job, step) in enumerate(steps(workflow)):
            if "run" in step:
                yield f"{workflow.name}-{job}-{number}", step["run"]
    yield from ((f"gitlab-{name}", script) for name, script in gitlab_scripts().items())
    yield from ((f"gitlab-farm-{name}", script) for name, script in gitlab_scripts(GITLAB_FARM).items())
    yield "kubernetes-farm", kubernetes_job()["args"][0]


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


def by_schema(schema: str, file: Path) -> subprocess.CompletedProcess[str]:
    """The schema that GitLab or GitHub itself publishes, as check-jsonschema has it."""
    tool = Path(sys.executable).with_name("check-jsonschema")
    argv: list[str | Path] = [tool, "--builtin-schema", f"vendor.{schema}", "--verbose", file]
    return subprocess.run(argv, capture_output=True, text=True, timeout=HUNG, check=False)


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        *(("gitlab-ci", file) for file in (GITLAB, GITLAB_FARM)),
        *(("github-workflows", file) for file in WORKFLOWS),
        ("dependabot", ROOT / ".github/dependabot.yml"),
        ("github-issue-config", ROOT / ".github/ISSUE_TEMPLATE/config.yml"),
        *(("github-issue-forms", ROOT / f".github/ISSUE_TEMPLATE/{name}.yml") for name in ("bug", "feature")),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_gitlab_and_github_take_them(schema: str, file: Path) -> None:
    done = by_schema(schema, file)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["image", "services", "include"])
def test_a_job_cannot_be_called_as_a_keyword_of_gitlab(name: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(GITLAB_FARM.read_text().replace("build-image:", f"{name}:"))
    done = by_schema("gitlab-ci", tmp_path / "pipeline.yml")
    assert done.returncode == 1 and f"$.{name}" in done.stdout, done.stdout


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
    needed = {
        "release.yml": {"publish": {"contents": "write"}},
        "github-farm.yml": {"image": {"contents": "read", "packages": "write"}},
    }
    assert more == needed.get(workflow.name, {})


def test_the_examples_install_what_a_build_needs() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (packages,) = re.findall(r"(?m)^RUN_PACKAGES := (.*)$", makefile)
    wanted = {*packages.split(), "git"}
    for script in (
        *(run_block(workflow, "Install imgbuild and what a build needs") for workflow in (GITHUB, GITHUB_FARM)),
        *(gitlab_scripts(pipeline)["build-image"] for pipeline in (GITLAB, GITLAB_FARM)),
    ):
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


LATER = "1990000000"
"""A day in 2033, at which versions and keys that imgbuild ships are past their end."""


def test_github_gets_no_file_that_is_not_in_the_repository(tmp_path: Path) -> None:
    done = bash(run_block(GITHUB, "Check"), profiles(tmp_path), PROFILE="node", SOURCE_DATE_EPOCH=LATER)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "(imgbuild's profiles/" in line]
    assert rows and all(line.startswith("::warning title=IB") for line in rows)
    assert {row.group(1) for row in re.finditer(r"file=([^,]*),", done.stdout)} <= {"profiles/node.yaml"}


def test_gitlab_gets_no_file_that_is_not_in_the_repository(tmp_path: Path) -> None:
    (block,) = yaml.safe_load(GITLAB.read_text())["check"]["script"]
    done = bash(block, profiles(tmp_path), PROFILE="node", SOURCE_DATE_EPOCH=LATER)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "codequality.json").read_text())
    ours = [row for row in report if "(imgbuild's profiles/" in row["description"]]
    assert ours and all(row["location"] == {"path": "profiles", "lines": {"begin": 1}} for row in ours)
    assert {row["location"]["path"] for row in report} <= {"profiles", "profiles/node.yaml"}
    assert len({row["fingerprint"] for row in report}) == len(report)


def test_gitlab_keeps_the_cache_for_a_week(tmp_path: Path) -> None:
    block = yaml.safe_load(GITLAB.read_text())["build-image"]["script"][0]
    cache = tmp_path / ".cache/imgbuild"
    for kept in (False, True):
        assert bash(block, tmp_path, IMGBUILD_CACHE=str(cache)).returncode == 0
        assert (cache / "entry").exists() == kept
        (cache / "entry").touch()
        cache.chmod(0o777)
    (tmp_path / ".cache/week").write_text("2020-01\n")
    assert bash(block, tmp_path, IMGBUILD_CACHE=str(cache)).returncode == 0
    assert not (cache / "entry").exists() and cache.stat().st_mode & 0o022 == 0


STAND_IN = """#!/bin/bash
printf '%s' "$(basename "$0")" >> calls
printf ' %s' "$@" >> calls
echo >> calls
if [ "$(basename "$0")" = date ]; then echo "$DAY"; fi
"""


@pytest.mark.parametrize("day", ["1", "3"])
@pytest.mark.parametrize("where", ["github", "gitlab", "kubernetes"])
def test_a_farm_builds_afresh_on_mondays(where: str, day: str, tmp_path: Path) -> None:
    """With stand-ins for imgbuild and the date."""
    script: str = {
        "github": run_block(GITHUB_FARM, "Build"),
        "gitlab": yaml.safe_load(GITLAB_FARM.read_text())["build-image"]["script"][0],
        "kubernetes": kubernetes_job()["args"][0],
    }[where]
    for name in ("imgbuild", "date"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    path = f"PATH={tmp_path}:$PATH\nset -u\n"
    done = bash(path + script, tmp_path, PROFILE="node", DAY=day)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-2] == "imgbuild doctor"
    assert calls[-1].startswith("imgbuild --profile ")
    assert calls[-1].endswith(" --fresh") == (day == "1")


def test_a_farm_logs_in_to_its_store(tmp_path: Path) -> None:
    """The login is on skopeo's standard input, not in its arguments, and the address is a valid one."""
    (tmp_path / "skopeo").write_text(STAND_IN + "cat >> secret\n")
    (tmp_path / "skopeo").chmod(0o755)
    path = f"PATH={tmp_path}:$PATH\n"
    told = {"GITHUB_ACTOR": "me", "GITHUB_REPOSITORY": "Us/Images", "TOKEN": "hunter2", "GITHUB_ENV": "environment"}
    assert bash(path + run_block(GITHUB_FARM, "Log in to the store"), tmp_path, **told).returncode == 0
    (login,) = [
        line for line in yaml.safe_load(GITLAB_FARM.read_text())["build-image"]["before_script"] if "login" in line
    ]
    told = {"CI_REGISTRY_USER": "me", "CI_REGISTRY_PASSWORD": "hunter2", "CI_REGISTRY": "registry.example.com"}
    assert bash(path + login, tmp_path, **told).returncode == 0
    calls = (tmp_path / "calls").read_text()
    assert calls.count("skopeo login --username me --password-stdin ") == 2
    assert "hunter2" not in calls
    assert (tmp_path / "secret").read_text().split() == ["hunter2"] * 2
    (line,) = (tmp_path / "environment").read_text().splitlines()
    assert str(repository(line.removeprefix("IMGBUILD_STORE="))) == "oci://ghcr.io/us/images/imgbuild"
    (place,) = [one["value"] for one in kubernetes_job()["env"] if one["name"] == "IMGBUILD_STORE"]
    assert str(repository(place)) == place


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
    assert bash(notes, tmp_path, TAG="v1.2.3", GITHUB_REPOSITORY="us/it").returncode == 0
    assert (tmp_path / "notes.md").read_text() == NOTES
    assert bash(notes, tmp_path, TAG="v1.2.4", GITHUB_REPOSITORY="us/it").returncode == 1


def test_the_notes_of_the_changelog_have_no_relative_link_and_no_wrapped_line(tmp_path: Path) -> None:
    """As if the next release were made of what is there now."""
    text = (ROOT / "CHANGELOG.md").read_text()
    (tmp_path / "CHANGELOG.md").write_text(text.replace("## [Unreleased]", "## [9.9.9] - 2027-01-02", 1))
    notes = run_block(ROOT / ".github/workflows/release.yml", "Take the notes from the changelog")
    assert bash(notes, tmp_path, TAG="v9.9.9", GITHUB_REPOSITORY="us/it").returncode == 0
    lines = (tmp_path / "notes.md").read_text().splitlines()
    assert not [
        link for line in lines for link in re.findall(r"\]\(([^)]*)\)", line) if not link.startswith("https://")
    ]
    assert not [line for above, line in itertools.pairwise(lines) if above and line and line[0] not in "-#|"]


def test_a_bug_report_asks_for_what_is_needed() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text())
    fields = {part["id"]: part.get("validations", {}) for part in form["body"] if "id" in part}
    assert {"command", "profile", "doctor", "manifest", "version"} <= set(fields)
    assert all(fields[name]["required"] for name in ("command", "profile", "doctor"))
