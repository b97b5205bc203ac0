"""Fixes that name a kernel, or a value of Cilium, do not lead to the next error."""

from __future__ import annotations

from tests.support.checking import codes, findings


def test_the_newest_kernel_is_offered() -> None:
    (found,) = [f for f in findings("centos7-efi", ["kernel.flavour=distribution"]) if f.code == "IB206"]
    assert found.hint == "set kernel.flavour to kernel-ml, or use Kubernetes 1.31 or older"
    assert codes(findings("centos7-efi", ["kernel.flavour=kernel-ml"])) == set()


def test_a_value_of_cilium_is_named_as_it_is_set() -> None:
    (found,) = [f for f in findings("centos7-efi", ["kernel.flavour=distribution"]) if f.code == "IB607"]
    assert found.hint.startswith("set cilium.values.bandwidthManager.bbr: false")


def test_the_last_part_of_a_kernels_name() -> None:
    (found,) = findings("centos8-efi", ["kernel.flavour=lt"])
    assert (found.code, found.hint) == ("IB301", 'did you mean "kernel-lt"?')
