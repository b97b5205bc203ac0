"""Several workers with one seed: what they cannot have in common, and what they get."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare
from tests.support import travels
from tests.support.checking import findings

HEAD = "name: lab\nendpoint: 10.0.0.10:6443\n"
CP = "  - {name: cp1, role: control-plane, mac: '52:54:00:00:00:11'}\n"
CODES = {"IB231", "IB232", "IB233", "IB234", "IB235", "IB222", "IB801"}


def written(tmp_path: Path, nodes: str, more: str = "token_ttl: 30d\n") -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text(f"{HEAD}{more}nodes:\n{CP}{nodes}")
    return path


@pytest.mark.parametrize(
    ("group", "more", "wanted"),
    [
        ("role: worker, count: 20", "token_ttl: 30d\n", []),
        ("role: worker, count: 20", "", [("IB233", "nodes[1].count")]),
        ("role: control-plane, count: 3", "token_ttl: 30d\n", [("IB231", "nodes[1].count")]),
        ("role: worker, count: 2, mac: '52:54:00:00:00:21'", "token_ttl: 30d\n", [("IB232", "nodes[1].mac")]),
        (
            "role: worker, count: 2, settings: {kubernetes: {advertise_address: 10.0.0.21}}",
            "token_ttl: 30d\n",
            [("IB232", "nodes[1].settings.kubernetes.advertise_address")],
        ),
        (
            "role: worker, count: 2, settings: {kubernetes: {node_ip: 10.0.0.21}}",
            "token_ttl: 30d\n",
            [("IB232", "nodes[1].settings.kubernetes.node_ip")],
        ),
        ("role: worker, count: 2, settings: {kubernetes: {node_ip: eth1}}", "token_ttl: 30d\n", []),
        ("role: worker, unknown_machines: true", "", [("IB234", "nodes[1].unknown_machines")]),
        ("role: worker, count: 300", "token_ttl: 30d\n", [("IB222", "kubernetes.pod_cidr")]),
    ],
)
def test_what_several_machines_cannot_share(
    tmp_path: Path, group: str, more: str, wanted: list[tuple[str, str]]
) -> None:
    path = written(tmp_path, f"  - {{name: pool, {group}}}\n", more)
    found = [f for f in findings("debian12-efi", cluster=path) if f.code in CODES - {"IB801"}]
    assert [(f.code, f.key) for f in found] == wanted
    assert all(f.mark is not None and f.hint for f in found)


def test_without_kubernetes_nothing_would_name_the_machines(tmp_path: Path) -> None:
    path = written(tmp_path, "  - {name: pool, role: worker, count: 2}\n")
    assert "IB235" in {f.code for f in findings("debian12-efi", layers=["container-host"], cluster=path)}


def test_only_one_group_takes_unknown_machines(tmp_path: Path) -> None:
    nodes = "".join(f"  - {{name: {n}, role: worker, count: 2, unknown_machines: true}}\n" for n in ("a", "b"))
    found = [f for f in findings("debian12-efi", cluster=written(tmp_path, nodes)) if f.code == "IB234"]
    assert [(f.key, f.severity) for f in found] == [("nodes[2].unknown_machines", Severity.ERROR)]
    assert "a takes unknown machines" in found[0].message


def rendered(tmp_path: Path, nodes: str) -> tuple[Rendered, set[str]]:
    said = Findings()
    request = Request("debian12-efi", cluster=written(tmp_path, nodes), secrets=tmp_path / "secrets.yaml")
    try:
        return prepare(request, said).rendered, {f.code for f in said.items}
    except InvalidInput:
        raise AssertionError([f.message for f in said.errors]) from None


def test_one_seed_for_all_names_no_machine(tmp_path: Path) -> None:
    out, codes = rendered(
        tmp_path,
        "  - {name: pool, role: worker, count: 20, labels: {example.com/pool: a},\n"
        "     taints: [{key: x, effect: NoExecute}]}\n",
    )
    assert "IB801" not in codes
    data = yaml.safe_load(out.groups["nodes"]["pool/user-data"].content)
    assert not data.keys() & {"hostname", "fqdn", "prefer_fqdn_over_hostname"}
    files = {each["path"]: each["content"] for each in travels.files(data)}
    join = yaml.safe_load(files["/etc/imgbuild/kubeadm-join.yaml"])
    registration = join["nodeRegistration"]
    assert registration["name"] == "@NODE_NAME@"
    assert registration["taints"] == [{"key": "x", "effect": "NoExecute"}]
    flags = {each["name"]: each["value"] for each in registration["kubeletExtraArgs"]}
    assert flags == {"node-ip": "@NODE_IP@", "node-labels": "example.com/pool=a"}
    assert "group=pool\n" in files["/etc/imgbuild/cluster.conf"]
    assert "seed_hostname=''\n" in files["/etc/imgbuild/seed.conf"]
    assert "cloud/pool/user-data" in {f"cloud/{name}" for name in out.groups["cloud"]}
    # Only what a worker has, and no machine of an unknown MAC gets it.
    assert b"PRIVATE KEY" not in out.groups["nodes"]["pool/user-data"].content
    assert not [path for path in out.groups["pxe-private"] if path.startswith("any/")]
    own = yaml.safe_load(out.groups["nodes"]["cp1/user-data"].content)
    assert own["hostname"] == "cp1"


def test_unknown_machines_get_the_workers_seed_and_no_key(tmp_path: Path) -> None:
    out, codes = rendered(
        tmp_path,
        "  - {name: pool, role: worker, count: 20, unknown_machines: true}\n  - {name: w1, role: worker}\n",
    )
    assert out.groups["pxe-private"]["any/user-data"].content == out.groups["nodes"]["pool/user-data"].content
    assert b"PRIVATE KEY" not in out.groups["pxe-private"]["any/user-data"].content
    assert "IB801" in codes  # w1 has neither a MAC nor the folder for unknown machines
