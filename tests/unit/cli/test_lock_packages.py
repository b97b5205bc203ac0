"""`imgbuild lock` and packages: chosen once, kept as long as they fit, left out on request. Real apt and dnf choose in
tests/integration/install/test_solve.py and tests/integration/el/test_lock.py.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.config.lock_packages import Packages
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.facts.resolved import Resolved
from imgbuild.fetch.artifact import Artifact
from imgbuild.fetch.store import Store
from imgbuild.image.closure import solve
from tests.support.events import of_kind, result_of
from tests.support.locks import made_up_packages
from tests.support.publishers import Publishers, sha256
from tests.unit.cli.test_lock import lock, profile, said
from tests.unit.cli.test_lock import servers as servers


class Chooser:
    """A stand-in for the package managers: it counts, and gives one package of ``version``."""

    def __init__(self) -> None:
        self.calls = 0
        self.version = "5.2-1"

    def __call__(self, resolved: Resolved, *_: object) -> Packages:
        self.calls += 1
        found = made_up_packages(resolved)
        lines = [line.replace("5.2-1", self.version) for line in found.installed]
        return found.model_copy(update={"installed": lines})


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch) -> Chooser:
    found = Chooser()
    monkeypatch.setattr(solve, "solve_packages", found)
    return found


def section() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path("imgbuild.lock").read_text())["profiles"]["node"]
    return found


def test_packages_are_kept_until_the_profile_asks_for_others(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    assert "1 packages" in lock(packages=True).output and chooser.calls == 1
    before = Path("imgbuild.lock").read_bytes()
    assert "\n      - bash 5.2-1 amd64 bookworm 100 " in before.decode(), "one line a package"
    chooser.version = "5.2-2"
    lock(packages=True)
    assert chooser.calls == 1 and Path("imgbuild.lock").read_bytes() == before
    assert not said()
    profile(servers, "packages: {install: [htop]}\n")
    (found,) = said()
    assert found.code == "IB818" and "now asked for: htop" in found.message
    assert found.hint.startswith("run imgbuild lock --profile node.yaml") and found.mark is not None
    assert found.mark.file == "imgbuild.lock"
    assert "changed bash 5.2-1 to 5.2-2" in lock(packages=True).output
    assert chooser.calls == 2 and not said()


def test_update_chooses_again(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    lock(packages=True)
    chooser.version = "5.3-1"
    done = lock("--update", "packages", "--format", "json", packages=True)
    (event,) = of_kind("package", done.stdout)
    assert (event["name"], event["change"], event["version"]) == ("bash", "changed", "5.3-1")
    assert result_of(done.stdout)["packages"] == 1
    lock("--update", "all", packages=True)
    assert chooser.calls == 3


def test_packages_are_left_out_on_request_and_kept_in_stock_mode(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    lock("--mode", "stock", packages=True)
    assert "packages" not in section() and chooser.calls == 0
    lock(packages=True)
    assert section()["packages"]["target"] == "debian12"
    assert not said(mode="stock"), "nodes install their packages themselves"
    lock("--mode", "stock", packages=True)
    assert section()["packages"]["target"] == "debian12", "those of builds in baked mode"
    assert "removed all 1 packages: a build takes what the repositories have" in lock().output
    assert "packages" not in section() and chooser.calls == 1


def test_an_update_of_packages_that_would_be_ignored_is_wrong_usage(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    assert "--update packages and --no-packages cannot" in lock("--update", "packages", code=2).output
    done = lock("--update", "packages", "--mode", "stock", packages=True, code=2)
    assert "in stock mode there are no packages to update" in done.output and not Path("imgbuild.lock").exists()


def test_another_user_is_told_what_to_do_and_nothing_is_written(
    servers: Publishers, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(servers)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = lock(packages=True, code=3)
    assert "for which root is needed" in done.output and "--no-packages" in done.output
    assert not Path("imgbuild.lock").exists()


def test_a_lock_edited_by_hand_is_refused(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    lock(packages=True)
    text = Path("imgbuild.lock").read_text()
    line = next(line for line in text.splitlines() if "- bash " in line)
    for wrong in (
        text.replace(line, line.replace(" 100 ", " many ")), text.replace(line, f"{line}\n{line}"),
        text.replace(line, line.replace(" bookworm ", " sid ")), text.replace("suite: bookworm", "suite: 12"),
        text.replace("repositories:\n", "repositories:\n        /x: {urls: ['https://a.test'], obtained: index}\n"),
    ):  # fmt: skip
        Path("imgbuild.lock").write_text(wrong)
        assert [found.severity.value for found in said()] == ["error"], wrong
        assert all("imgbuild lock" in found.hint for found in said())


def test_fetch_and_plan_know_the_packages(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    lock(packages=True)
    done = CliRunner().invoke(main, ["plan", "-p", "node.yaml", "--format", "json"])
    items = {item["name"]: item for item in of_kind("item", done.stdout)}
    packages = items["1 packages of Debian 12 (bookworm)"]
    assert (packages["action"], packages["bytes"]) == ("fetch", 100)
    assert packages["sources"] == ["https://debian.example.com"]
    done = CliRunner().invoke(main, ["fetch", "-p", "node.yaml", "--offline", "--store", "empty"])
    assert done.exit_code == 3, done.output
    assert "bash 5.2-1 (sha256 dddd" in done.output and "helm" in done.output, "all that is missing at once"
    lock()
    done = CliRunner().invoke(main, ["plan", "-p", "node.yaml", "--format", "json"])
    items = {item["name"]: item for item in of_kind("item", done.stdout)}
    assert items["packages of Debian 12 (bookworm)"]["bytes"] is None


def test_a_package_that_is_gone_from_the_mirrors_comes_from_the_store_or_the_fix_is_named(
    servers: Publishers, chooser: Chooser, tmp_path: Path
) -> None:
    profile(servers)
    lock(packages=True)
    path = Path("imgbuild.lock")
    content = b"the package"
    text = path.read_text().replace("https://debian.example.com", servers.url)
    path.write_text(text.replace(" 100 ", f" {len(content)} ").replace("d" * 64, sha256(content)))
    words = ["fetch", "-p", "node.yaml", "--store", "kept"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 3, done.output
    words_of = " ".join(done.output.split())
    assert "bash_5.2-1_amd64.deb" in words_of and "imgbuild lock --update packages" in words_of, done.output
    servers.files["/debian/pool/main/b/bash/bash_5.2-1_amd64.deb"] = b"other words"
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 3 and "sha256" in done.output, done.output
    (tmp_path / "mine").write_bytes(content)
    steps = PlainSteps(io.StringIO())
    assert Store(Path("kept")).adopt(tmp_path / "mine", Artifact("bash", sha256(content), None, ()), steps)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and "1 packages" in done.output, done.output


def test_a_build_offline_lists_packages_and_files_before_it_starts(servers: Publishers, chooser: Chooser) -> None:
    profile(servers)
    lock(packages=True)
    words = ["-p", "node.yaml", "--offline", "--store", "empty", "-o", "out"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 3
    assert "no disk image will be built" in done.output and "bash 5.2-1" in done.output
    assert "has no root file system" not in done.output, "it would be built from the lock"
