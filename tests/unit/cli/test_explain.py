"""`imgbuild explain` and `imgbuild schema`: what a key means, and what follows from it."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path

import pytest
from click.testing import CliRunner

from imgbuild.cli import explain_code
from imgbuild.cli.explain_key import as_json, explain, lines
from imgbuild.cli.main import main
from imgbuild.config.declared import documents, places
from imgbuild.diagnostics.codes import CODES
from tests.support.events import result_of
from tests.support.places import ROOT


def said(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_key_is_explained_without_a_profile() -> None:
    for key in [place.key for model in documents().values() for place in places(model)]:
        found = explain(key, None, render=False)
        text = list(lines(found, 80))
        assert len(text) >= 3 and len(text[0]) <= 80, key
        assert not [line for line in text if "`" in line or "](" in line], key
        assert as_json(found)["description"], key


def test_every_page_that_is_named_exists() -> None:
    text = [*chain.from_iterable(explain_code.lines(row, 80) for row in CODES.values())]
    for key in [place.key for model in documents().values() for place in places(model)]:
        text += lines(explain(key, None, render=False), 80)
    named = {page for line in text for page in re.findall(r"docs/(?!hosts)[^ ),;]+", line)}
    assert len(named) > 20
    for page in named:
        name, _, anchor = page.partition("#")
        headings = re.findall(r"(?m)^#+ (.*)$", (ROOT / name).read_text())
        slugs = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, page


def test_a_list_lists_the_keys_of_its_items() -> None:
    text = said("explain", "users")
    assert "\n  type     list\n" in text and "\nusers[].ssh_keys: Public keys" in text
    keys = result_of(said("explain", "nodes", "--format", "json"))["keys"]
    assert {"nodes[].name", "nodes[].network.interfaces"} <= {*keys} and "nodes[].network.interfaces[].mtu" not in keys


def test_a_long_default_is_shown() -> None:
    text = said("explain", "kernel.sysctl")
    assert "see base.yaml" in text and 'kernel.sysctl."net.ipv4.ip_forward" = 1  (profiles/base.yaml:' in text
    assert "kernel.sysctl = {}" not in text


@pytest.mark.parametrize(
    ("key", "scope"), [("time.zone", "image"), ("nodes[0].settings.time.zone", "image"), ("nodes", None), ("ca", None)]
)
def test_only_keys_of_a_profile_have_a_scope(key: str, scope: str | None) -> None:
    """A lock is not "part of the disk image", and the machines are not in it either."""
    found = result_of(said("explain", key, "--format", "json"))
    assert found.get("scope") == scope
    assert ("  scope    " in said("explain", key)) is (scope is not None)
    assert found.get("default") != "required" or key == "nodes"


def test_a_section_lists_what_is_below_it() -> None:
    text = said("explain", "kernel")
    assert text.startswith("The kernel, its command line") and "\nkernel.flavour: One of" in text
    assert result_of(said("explain", "vip", "--format", "json"))["keys"] == [
        "vip.address",
        "vip.interface",
        "vip.image",
    ]
    assert 'kernel.cgroup = "auto"' in said("explain", "kernel", "--profile", "centos7-efi")


def test_a_value_of_the_chart_is_explained_by_what_it_is_below() -> None:
    for arguments in ((), ("--profile", "centos8-efi")):
        text = said("explain", "cilium.values.bpf.tproxy", *arguments)
        assert text.startswith("Below cilium.values:")
        assert "cilium.values.bpf.tproxy = false  (profiles/base.yaml:" in text
    assert "/etc/imgbuild/cilium-values.yaml" in text
    done = CliRunner().invoke(main, ["explain", "cilium.values.nonsense"])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("kernel.modules", {"/etc/modules-load.d/imgbuild.conf"}),
        ("kubernetes.pod_cidr", {"/etc/imgbuild/kubeadm-init.yaml", "/etc/imgbuild/cilium-values.yaml"}),
        ("users", {"user-data"}),
        ("kernel.arguments", {"the kernel's command line"}),
        ("firewall.disabled", {"the units that are enabled or masked"}),
    ],
)
def test_the_files_that_follow_from_a_setting(key: str, names: set[str]) -> None:
    found = result_of(said("explain", key, "--profile", "debian12-efi", "--format", "json"))
    assert names <= set(found["files"]) and found["tried"]
    assert all(f"  {name}\n" in said("explain", key, "--profile", "debian12-efi") for name in names)


def test_a_setting_that_no_file_follows_from_says_so() -> None:
    assert "No file on the node differs" in said("explain", "image.size_mib", "--profile", "debian12-efi")


def test_errors_in_the_input_do_not_keep_it_from_explaining(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: debian12-efi\ntime: {zone: [x]}\nkernel: {flavour: x}\n")
    done = CliRunner().invoke(main, ["explain", "time.zone", "--profile", str(tmp_path / "mine.yaml")])
    assert done.exit_code == 1 and "Time zone of the node" in done.output and "mine.yaml:2:14" in done.output
    assert 'kernel.flavour = "x"' in said(
        "explain", "kernel.flavour", "-p", "debian12-efi", "--set", "kernel.flavour=x"
    )


def test_what_is_laid_over_a_profile_needs_one() -> None:
    done = CliRunner().invoke(main, ["explain", "time.zone", "--layer", "china"])
    assert done.exit_code == 2 and "require --profile" in done.output


def test_the_values_of_a_cluster_file_and_of_the_settings_in_it(tmp_path: Path) -> None:
    lab = tmp_path / "lab.yaml"
    lab.write_text("name: lab\nnodes:\n  - {name: a, role: worker, settings: {time: {zone: UTC}, run: [x]}}\n")
    assert f'nodes[0].role = "worker"  ({lab}:3:21)' in said("explain", "nodes", "--cluster", str(lab))
    text = said("explain", "time.zone", "--profile", "debian12-efi", "--cluster", str(lab))
    assert 'time.zone = "UTC"  (profiles/base.yaml:' in text and 'nodes[0].settings.time.zone = "UTC"  (' in text
    assert '= "(set)"' in said("explain", "nodes", "--cluster", str(lab))


@pytest.mark.parametrize("kind", ["profile", "cluster"])
def test_the_schema_is_printed(kind: str) -> None:
    schema = json.loads(said("schema", kind))
    assert schema["title"].startswith(f"imgbuild {kind}")
    assert result_of(said("schema", kind, "--format", "json"))["schema"] == schema
