"""The tables of Kubernetes' fields, against the fields that were recorded from Kubernetes 1.36 for the stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from imgbuild.config.data import versions
from imgbuild.config.redact import is_private
from imgbuild.facts.kubernetes_types import PROGRAMS, Kind, fields, owned, span
from tests.support.places import TESTS
from tools.kubernetes_types import Sources, spans

RECORDED = json.loads((TESTS / "support/cluster/standins/schema.json").read_text())
KINDS: tuple[Kind, ...] = ("KubeletConfiguration", "ClusterConfiguration", "NodeRegistrationOptions", "Timeouts")


def flat(wanted: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the recorded fields, as those of the tables."""
    if isinstance(wanted, list):
        yield from flat(wanted[0], (*path, "[]")) if isinstance(wanted[0], dict) else (path,)
    elif isinstance(wanted, dict) and "*" not in wanted:
        for key, below in wanted.items():
            yield from flat(below, (*path, key))
    else:
        yield path


def test_the_kubelets_table_has_the_recorded_fields() -> None:
    recorded = set(flat(RECORDED["kubelet.config.k8s.io/v1beta1 KubeletConfiguration"]))
    ours = set(fields("KubeletConfiguration", "1.36.4"))
    loose = {path for path in recorded if len(path) == 1 and path[0] in ("logging", "tracing")}  # recorded as a whole
    ours = {path[:1] if path[:1] in loose else path for path in ours}
    assert {path for path in recorded ^ ours if path[-1] != "timeAdded"} == {("apiVersion",), ("kind",)}


@pytest.mark.parametrize(("api", "release"), [("v1beta3", "1.30.14"), ("v1beta4", "1.36.4")])
def test_kubeadms_table_has_the_recorded_fields(api: str, release: str) -> None:
    recorded = set(flat(RECORDED[f"kubeadm.k8s.io/{api} ClusterConfiguration"])) - {("apiVersion",), ("kind",)}
    recorded = {path[: path.index("extraArgs") + 1] if "extraArgs" in path else path for path in recorded}
    assert set(fields("ClusterConfiguration", release)) == recorded
    init = RECORDED[f"kubeadm.k8s.io/{api} InitConfiguration"]
    recorded = set(flat(init["nodeRegistration"]))
    recorded = {path[:1] if path[0] == "kubeletExtraArgs" else path for path in recorded if path[-1] != "timeAdded"}
    assert set(fields("NodeRegistrationOptions", release)) == recorded
    assert set(fields("Timeouts", release)) == (set(flat(init["timeouts"])) if "timeouts" in init else set())


def test_minors_before_and_after_the_table_use_the_nearest() -> None:
    assert fields("KubeletConfiguration", "1.38.0") == fields("KubeletConfiguration", "1.37.0")
    assert fields("KubeletConfiguration", "1.23.0") == fields("KubeletConfiguration", "1.24.0")
    known = versions("kubernetes")["minors"]
    assert fields("KubeletConfiguration", f"{min(known)}.0") != fields("KubeletConfiguration", "1.37.0")


def test_since_when_a_field_is_there() -> None:
    assert [str(part) for part in span("KubeletConfiguration", ("failCgroupV1",)) or ()] == ["1.31", "None"]
    assert span("KubeletConfiguration", ("crashLoopBackOff",)) is not None  # a section
    assert span("KubeletConfiguration", ("nothing",)) is None


def test_what_imgbuild_sets_are_fields_of_kubernetes() -> None:
    every = set(flat(RECORDED["kubelet.config.k8s.io/v1beta1 KubeletConfiguration"]))
    every |= set(flat(RECORDED["kubeadm.k8s.io/v1beta4 ClusterConfiguration"]))
    every |= set(flat(RECORDED["kubeadm.k8s.io/v1beta4 InitConfiguration"]["nodeRegistration"]))
    for kind in KINDS:
        for path in owned(kind):
            assert path in every or any(one[: len(path)] == path for one in every), path
    assert set(versions("kubernetes-owned")["arguments"]) == set(PROGRAMS.values())


@pytest.mark.parametrize(
    ("path", "private"),
    [
        (("maxPods",), False),
        (("evictionHard", "memory.available"), False),
        (("evictionHard", "memory", "available"), True),
        (("reservedMemory", 0, "numaNode"), False),
        (("clusterDNS", 0), False),
        (("staticPodURLHeader", "Authorization"), True),
        (("staticPodURLHeader", "Authorization", 0), True),
        (("unknown",), True),
    ],
)
def test_what_is_shown(path: tuple[str | int, ...], private: bool) -> None:
    assert is_private(("kubernetes", "kubelet", *path)) is private


@pytest.mark.parametrize(
    ("path", "private"),
    [
        (("kubeadm", "featureGates", "RootlessControlPlane"), False),
        (("kubeadm", "etcd", "external", "endpoints", 0), False),
        (("kubeadm", "apiServer", "extraArgs", "oidc-client-id"), True),
        (("kubeadm", "apiServer", "extraArgs", 0, "value"), True),
        (("kubeadm", "apiServer", "extraEnvs", 0, "value"), True),
        (("node_registration", "ignorePreflightErrors", 0), False),
        (("node_registration", "kubeletExtraArgs", "v"), True),
        (("control_plane_files", "a.yaml"), True),
        (("patches", "etcd.yaml"), True),
    ],
)
def test_what_is_shown_of_kubeadms(path: tuple[str | int, ...], private: bool) -> None:
    assert is_private(("kubernetes", *path)) is private


GO = """
type Outer struct {
	metav1.TypeMeta `json:",inline"`
	// A comment.
	Shared `json:",inline"`
	Items []Item `json:"items,omitempty"`
	Gates map[string]bool `json:"gates"`
	Wait *metav1.Duration `json:"wait,omitempty"`
	Kind Choice `json:"kind2"`
	Rows Rows `json:"rows"`
	Hidden bool `json:"-"`
}

type Shared struct {
	Names []string `json:"names"`
}

type Item struct {
	Size  int32 `json:"size"`
}

type Choice string

type Rows []Item
"""


def test_go_types_are_read(tmp_path: Any) -> None:
    (tmp_path / "types.go").write_text(GO)
    read = dict(Sources(tmp_path).fields("Outer"))
    assert read == {
        "names": "list of string",
        "items[].size": "int",
        "gates": "map of bool",
        "wait": "duration",
        "kind2": "string",
        "rows[].size": "int",
    }
    table = spans({"1.1": {"a": "int"}, "1.2": {"a": "int", "b": "bool"}, "1.3": {"b": "bool"}})
    assert table == {"1.1 1.2": {"int": ["a"]}, "1.2 1.3": {"bool": ["b"]}}
