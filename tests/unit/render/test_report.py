"""A node that reports: the reporter travels in the seed, in both modes; without an address nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Request, prepare
from tests.support import travels
from tests.support.checking import ADMIN
from tests.support.places import ROOT

LAB = "name: lab\nendpoint: 10.0.0.10:6443\nnodes: [{name: cp1, role: control-plane, mac: '52:54:00:00:00:01'}]\n"


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("base", ["centos7-bios", "centos8-efi", "debian12-efi"])
def test_the_seed_has_the_reporter(tmp_path: Path, base: str, mode: str) -> None:
    (tmp_path / "lab.yaml").write_text(LAB)
    plain, reporting, phoning = (
        prepare(Request(base, (), [ADMIN, *more], mode, tmp_path / "lab.yaml"), Findings()).rendered
        for more in (
            [],
            ["report.url=http://10.0.0.2/key/r"],
            ["report={url: 'http://10.0.0.2/r', phone_home: true}"],
        )
    )
    data = yaml.safe_load(reporting.groups["nodes"]["cp1/user-data"].content)
    found = {file["path"]: file for file in travels.files(data)}
    conf = found["/etc/imgbuild/report.conf"]
    assert conf["permissions"] == "0600" and "report_url=http://10.0.0.2/key/r\n" in conf["content"]
    assert "report_mac=52:54:00:00:00:01" in conf["content"]
    assert found["/usr/libexec/imgbuild/tell"]["permissions"] == "0755"
    assert "imgbuild-tell.service" in found["/etc/imgbuild/seed-files.conf"]["content"]
    assert "phone_home" not in data
    called = yaml.safe_load(phoning.groups["nodes"]["cp1/user-data"].content)["phone_home"]
    assert called == {"url": "http://10.0.0.2/r", "post": ["instance_id", "hostname", "fqdn"], "tries": 3}
    assert reporting.node == plain.node, "an image is the same with and without"
    assert b"report.conf" not in plain.groups["nodes"]["cp1/user-data"].content


def test_nothing_waits_for_the_reporter() -> None:
    """No unit is ordered after it, and it is no part of a boot's start jobs that count."""
    for unit in (ROOT / "node/etc/systemd/system").rglob("*"):
        if unit.is_file() and unit.name != "imgbuild-tell.service":
            named = [line for line in unit.read_text().splitlines() if "imgbuild-tell" in line]
            assert all(line.startswith("Wants=") for line in named), unit
    text = (ROOT / "node/etc/systemd/system/imgbuild-tell.service").read_text()
    assert "Type=simple" in text and "Before=" not in text
