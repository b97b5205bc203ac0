"""Sentences that are put together from parts, where the parts are few, several or the same."""

from __future__ import annotations

from pathlib import Path

from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.layers import Layered
from imgbuild.config.lock_file import read_lock
from imgbuild.config.secrets import Secrets
from imgbuild.config.validate import validate
from imgbuild.diagnostics.findings import Findings
from tests.support.checking import findings


def test_one_choice_is_not_a_choice(tmp_path: Path) -> None:
    file, found = tmp_path / "lab.yaml", Findings()
    file.write_text("name: lab\nbalancer: haproxy\nnodes: [{name: a, role: control-plane}]\n")
    load_cluster(file, found)
    (said,) = found.items
    assert (said.message, said.hint) == ("balancer: 'haproxy' is not 'local'", "write local")


def test_a_fix_is_an_imperative() -> None:
    found = Findings()
    data = {
        "cluster": "lab", "bootstrap_token": "abcdef.0123456789abcdef", "bootstrap_token_expires": "soon",
        "ca": {"certificate": "x", "private_key": "y"},
    }  # fmt: skip
    layered = Layered()
    layered.data = data
    validate(Secrets, data, layered, found)
    hints = [each.hint for each in found.items if each.code == "IB113"]
    assert len(hints) >= 3 and not [hint for hint in hints if hint.startswith("must")]
    assert all(hint.startswith(("restore ", "write ")) for hint in hints)


def test_a_damaged_lock_is_named_where_it_is_deleted(tmp_path: Path) -> None:
    path, found = tmp_path / "imgbuild.lock", Findings()
    path.write_text("format: [")
    read_lock(path, found)
    (said,) = found.items
    assert said.hint == (
        f"restore it from version control; or delete {path}, and run imgbuild lock for each of its profiles"
    )


def test_a_folder_that_is_mounted_is_named_once() -> None:
    (said,) = [f for f in findings("centos8-efi", ["run=['mount /dev/sdb /var/lib/kubelet']"]) if f.code == "IB476"]
    assert said.message.startswith("this command mounts /var/lib/kubelet: the program")
    sets = ["run=['mount /dev/sdb /data']", "containerd.root=/data"]
    (said,) = [f for f in findings("centos8-efi", sets) if f.code == "IB476"]
    assert said.message.startswith("this command mounts containerd.root (/data): the program")
    (said,) = [f for f in findings("centos8-efi", [*sets[:1], "containerd.root=/data/x"]) if f.code == "IB476"]
    assert said.message.startswith("containerd.root (/data/x) is on /data, which this command mounts: the program")


def test_what_is_not_checked_is_a_list() -> None:
    value = "files=[{path: /etc/containerd/config.toml, content: version = 3}]"
    (said,) = findings("centos8-efi", [value])
    assert said.message.endswith("imgbuild-verify does not check containerd-plugins and the keys of containerd-config")


def test_several_values_have_one_origin() -> None:
    (said,) = findings("centos8-efi", ["kubernetes.kubelet={registerWithTaints: [{key: a, effect: NoSchedule}]}"])
    assert said.message.startswith("the value of registerWithTaints follows from nodes[].taints in the cluster file: ")
