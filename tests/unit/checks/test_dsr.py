"""IB670: direct server return in a cloud, whose network drops it."""

from __future__ import annotations

import pytest

from imgbuild.diagnostics.severity import Severity
from tests.support.checking import findings


@pytest.mark.parametrize(
    ("sets", "warns"),
    [
        ([], False),
        (["cloud.providers=[ec2]"], True),
        (["cloud.providers=[gcp, azure]"], True),
        (["cloud.providers=[openstack]", "cilium.values.loadBalancer.mode=hybrid"], True),
        (["cloud.providers=[ec2]", "cilium.values.loadBalancer.mode=snat"], False),
        (["cloud.providers=[ec2]", "cilium.values.loadBalancer.mode=null"], False),
        (["cloud.providers=[ec2]", "cilium.enabled=false"], False),
        (["cloud.providers=[ec2]", "kubernetes.kube_proxy=true"], False),
    ],
)
def test_dsr_in_clouds(sets: list[str], warns: bool) -> None:
    found = [one for one in findings("debian12-efi", sets) if one.code == "IB670"]
    assert [one.severity for one in found] == ([Severity.WARNING] if warns else [])
    if found:
        assert "snat" in found[0].hint
        assert found[0].key == "cloud.providers" or sets[-1].startswith("cilium.values.loadBalancer.mode")


def test_the_fix_brings_no_other_finding() -> None:
    fixed = ["cloud.providers=[ec2]", "cilium.values.loadBalancer.mode=snat"]
    before = {one.code for one in findings("debian12-efi", fixed[:1])}
    assert {one.code for one in findings("debian12-efi", fixed)} == before - {"IB670"}
