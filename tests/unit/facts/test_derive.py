"""What follows from profile and target."""

from __future__ import annotations

import pytest

from imgbuild.config.data import data_dir, versions
from imgbuild.config.load import load
from imgbuild.config.source import read
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.resolved import resolve

TABLES = sorted(p.stem for p in (data_dir("profiles") / "versions").glob("*.yaml"))


@pytest.mark.parametrize("name", TABLES)
def test_the_fast_reader_reads_what_the_careful_one_does(name: str) -> None:
    findings = Findings()
    document = read(data_dir("profiles") / "versions" / f"{name}.yaml", findings)
    assert document is not None
    assert findings.items == []
    assert versions(name) == document.data


@pytest.mark.parametrize(
    ("profile", "flavour", "hierarchy"),
    [
        ("centos7-efi", "kernel-ml", "v1"),
        ("centos7-efi", "kernel-lt", "v1"),
        ("centos8-efi", "kernel-ml", "v2"),
        ("centos8-efi", "kernel-lt", "v2"),
        ("centos8-efi", "distribution", "v1"),
        ("debian12-efi", "newest", "v2"),
        ("debian12-efi", "distribution", "v2"),
    ],
)
def test_the_hierarchy_follows_systemd_and_kernel(profile: str, flavour: str, hierarchy: str) -> None:
    given = load(profile, (), (f"kernel.flavour={flavour}",), None, Findings())
    assert given is not None
    assert resolve(given).cgroup == hierarchy
