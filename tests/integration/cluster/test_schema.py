"""The stand-ins read configuration as strictly as the real programs."""

from __future__ import annotations

import pytest

from tests.support.cluster.standins.schema import Refused, read

INIT = "apiVersion: kubeadm.k8s.io/{api}\nkind: InitConfiguration\n"


def test_the_versions_that_each_kubeadm_knows() -> None:
    for minor, known in (
        (30, {"v1beta3"}),
        (31, {"v1beta3", "v1beta4"}),
        (36, {"v1beta3", "v1beta4"}),
        (37, {"v1beta4"}),
    ):
        for api in ("v1beta2", "v1beta3", "v1beta4"):
            text = INIT.format(api=api)
            if api in known:
                assert read(text, minor).keys() == {"InitConfiguration"}
            else:
                with pytest.raises(Refused, match="unsupported API spec"):
                    read(text, minor)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("skipPhase: []", 'unknown field "skipPhase"'),
        ("nodeRegistration: {taint: []}", 'unknown field "nodeRegistration.taint"'),
        ("nodeRegistration: {kubeletExtraArgs: {node-ip: 10.0.0.1}}", '"nodeRegistration.kubeletExtraArgs": a list'),
        ("localAPIEndpoint: {bindPort: '6443'}", '"localAPIEndpoint.bindPort": int is wanted'),
        ("bootstrapTokens: [{token: a, expire: b}]", 'unknown field "bootstrapTokens.0..expire"'),
        ("skipPhases: []\nskipPhases: []", "already set in map"),
    ],
)
def test_what_is_wrong_in_an_init_configuration(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read(INIT.format(api="v1beta4") + text, 31)


def test_extra_arguments_are_a_mapping_up_to_v1beta3() -> None:
    text = INIT.format(api="v1beta3") + "nodeRegistration: {kubeletExtraArgs: {node-ip: 10.0.0.1}}"
    assert read(text, 31)["InitConfiguration"]["nodeRegistration"]["kubeletExtraArgs"] == {"node-ip": "10.0.0.1"}


def test_all_faults_come_at_once() -> None:
    text = (
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupdriver: systemd\nfailSwapOn: 'no'"
    )
    with pytest.raises(Refused) as raised:
        read(text, 31)
    assert 'unknown field "cgroupdriver"' in str(raised.value)
    assert '"failSwapOn": bool is wanted' in str(raised.value)


def test_a_kind_that_is_not_known_or_comes_twice() -> None:
    with pytest.raises(Refused, match='no kind "InitConfig"'):
        read("apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfig", 31)
    with pytest.raises(Refused, match="specified twice"):
        read("---\n".join([INIT.format(api="v1beta4")] * 2), 31)
