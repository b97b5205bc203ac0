"""Agents of hypervisors: their packages and what is enabled, by target."""

from __future__ import annotations

import pytest

from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from imgbuild.render.verify import check_names
from tests.support.profiles import resolved

ALL = ["guest_agents=[vmware, qemu, hyperv]"]


@pytest.mark.parametrize(
    ("name", "enabled"),
    [
        ("centos7-efi", "vmtoolsd.service"),
        ("centos8-efi", "vmtoolsd.service"),
        ("debian12-efi", "open-vm-tools.service"),
    ],
)
def test_packages_units_and_the_check(name: str, enabled: str) -> None:
    without, found = resolved(name), resolved(name, sets=ALL)

    def lines(text: bytes) -> list[str]:
        return [line for line in text.decode().splitlines() if line.startswith("PACKAGES=")]

    conf = "/etc/imgbuild/install.conf"
    before, after = (lines(install_tree(each).by_path()[conf].content)[0] for each in (without, found))
    assert {*after[:-1].split()} - {*before[:-1].split()} >= {"open-vm-tools", "qemu-guest-agent", "hyperv-daemons"}
    assert {*node_tree(found).enable} - {*node_tree(without).enable} == {enabled}
    assert check_names(found) - check_names(without) == {"guest-agents"}
    assert f"vmware {enabled}" in node_tree(found).by_path()["/etc/imgbuild/verify.conf"].content.decode()
