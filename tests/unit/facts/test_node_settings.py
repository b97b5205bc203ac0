"""Settings of one node's own: laid over the profile, checked with the node's name, refused where they would be lost."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from imgbuild.config.declared import Place, others
from imgbuild.config.declared import places as declared_places
from imgbuild.config.kept_secrets import load_secrets
from imgbuild.config.load import load, overlaid
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.pipeline import Input, Request, prepare
from imgbuild.render.nodefile import NodeFile
from tests.support import travels
from tests.support.checking import ADMIN, KEY, dated, findings
from tests.support.in_image import value_at
from tests.support.places import ROOT

HEAD = "name: lab\nendpoint: 10.0.0.9:6443\nnodes:\n"
FIRST = "  - {name: a, role: control-plane}\n"


def asked(folder: Path, text: str, profile: str = "debian12-efi", mode: str = "baked", *sets: str) -> Request:
    (folder / "lab.yaml").write_text(text)
    return Request(profile, sets=[ADMIN, *sets], mode=mode, cluster=folder / "lab.yaml", secrets=folder / "s.yaml")


def found(request: Request) -> list[Finding]:
    """Every finding before anything is rendered, but that several nodes have no MAC."""
    told = findings(request.profile, request.sets, cluster=request.cluster, mode=request.mode)
    return [f for f in told if f.code != "IB801"]


def rendered(request: Request) -> list[Finding]:
    """What only shows in the rendered bytes, but for the limits of clouds."""
    out = Findings()
    with contextlib.suppress(InvalidInput):
        prepare(request, out)
    return [f for f in out.items if f.code not in ("IB801", "IB701")]


def places(told: list[Finding]) -> list[tuple[str, str, int, int]]:
    return [(f.code, f.key, f.mark.line, f.mark.column) for f in told if f.mark]


def ready(request: Request) -> Input:
    return prepare(request, Findings())


def user_data(given: Input, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(given.rendered.groups["nodes"][f"{name}/user-data"].content)
    return loaded


def written(given: Input, name: str) -> dict[str, str]:
    """The files that a node's user-data brings."""
    return {file["path"]: file["content"] for file in travels.files(user_data(given, name))}


def test_everything_that_is_wrong_comes_at_once_with_place_and_node(tmp_path: Path) -> None:
    text = f"""{HEAD}  - name: a
    role: control-plane
    settings:
      kernel:
        flavor: x
        sysctl: {{vm.swappiness: 10}}
      kubernetes: {{version: 1.33.1, schedulable_control_plane: false}}
      users: [{{name: root, ssh_keys: ["{KEY}"]}}]
  - name: b
    role: worker
    settings: &same
      kernel: {{modules: [overlay, br_netfilter, nbd]}}
      swap: {{enabled: 1}}
      cilium: {{values: {{MTU: 1400}}}}
  - {{name: c, role: worker, settings: *same}}
  - {{name: d, role: worker, settings: [1]}}
"""
    request = asked(tmp_path, text.replace("  - {name: d, role: worker, settings: [1]}\n", ""))
    told = found(request)
    assert places(told) == [
        ("IB111", "nodes[0].settings.kernel.flavor", 8, 9),
        ("IB440", "nodes[0].settings.kubernetes.version", 10, 29),
        ("IB441", 'nodes[0].settings.kernel.sysctl."vm.swappiness"', 9, 33),
        ("IB113", "nodes[1].settings.swap.enabled", 16, 23),
        ("IB440", "nodes[1].settings.cilium.values.MTU", 17, 30),
        ("IB441", "nodes[1].settings.kernel.modules", 15, 25),
        ("IB452", "nodes[0].settings.users[0].name", 11, 22),
    ]
    by_code = {f.code: f for f in told}
    assert by_code["IB111"].hint == 'did you mean "flavour"?'
    assert by_code["IB452"].message.startswith("node a: ")
    assert by_code["IB113"].message.startswith("nodes b, c: ")
    assert "kernel.modules is part of the image, which all nodes share" in by_code["IB441"].message
    assert "--mode stock" in by_code["IB441"].hint
    assert all(f.hint and f.severity is Severity.ERROR for f in told)
    assert [f.code for f in found(asked(tmp_path, text)) if f.key == "nodes[3].settings"] == ["IB113"]


def test_a_check_names_the_node_whose_kernel_or_user_it_speaks_of(tmp_path: Path) -> None:
    """Stock mode takes another kernel for one node; what that kernel cannot do is said of that node alone."""
    text = f"{HEAD}{FIRST}  - {{name: b, role: worker, settings: {{kernel: {{flavour: distribution}}}}}}\n"
    told = found(asked(tmp_path, text, "centos8-efi", "stock"))
    assert told and all(f.message.startswith("node b: ") for f in told)
    assert {"IB606", "IB607"} <= {f.code for f in told}
    assert not found(asked(tmp_path, text.replace("distribution", "kernel-ml"), "centos8-efi", "stock"))


def test_baked_only_that_nodes_seed_changes_and_never_the_image(tmp_path: Path) -> None:
    plain = f"{HEAD}  - {{name: a, role: control-plane}}\n  - {{name: b, role: worker}}\n"
    key = KEY.replace("test", "other")
    changed = (
        f"{HEAD}  - {{name: a, role: control-plane, settings: {{kubernetes: {{schedulable_control_plane: false}}}}}}\n"
        f"  - {{name: b, role: worker, settings: {{run: [echo b], users: [{{name: ops, ssh_keys: ['{key}']}}]}}}}\n"
    )
    kept = load_secrets(tmp_path / "s.yaml", "lab", int(time.time()), Findings())
    assert kept is not None
    kept.save()
    before, after = ready(asked(tmp_path, plain)), ready(asked(tmp_path, changed))
    third = changed.replace("  - {name: b", "  - {name: c, role: worker}\n  - {name: b")
    assert (before.rendered.install, before.rendered.node) == (after.rendered.install, after.rendered.node)
    assert before.rendered.groups["elements"] == after.rendered.groups["elements"]
    assert "echo b" in str(user_data(after, "b")["runcmd"]) and "echo b" not in str(user_data(after, "a"))
    assert [u["name"] for u in user_data(after, "b")["users"]] == ["ops"]
    assert [u["name"] for u in user_data(after, "a")["users"]] == ["admin"]
    assert "seed_users=(ops)" in written(after, "b")["/etc/imgbuild/seed.conf"]
    assert "schedulable=no" in written(after, "a")["/etc/imgbuild/cluster.conf"].replace("'", "")
    taints = "node-role.kubernetes.io/control-plane"
    assert taints in written(after, "a")["/etc/imgbuild/kubeadm-init.yaml"]
    # A neighbour without settings has the very seed that it had before.
    neighbour = f"{plain}  - {{name: c, role: worker}}\n"
    was, is_now = (ready(asked(tmp_path, text)).rendered.groups["nodes"] for text in (neighbour, third))
    assert was["c/seed.iso"] == is_now["c/seed.iso"] and was["b/seed.iso"] != is_now["b/seed.iso"]


def test_stock_brings_the_files_of_its_own_to_that_node_alone(tmp_path: Path) -> None:
    text = (
        f"{HEAD}{FIRST}"
        "  - {name: b, role: worker, settings: {kernel: {sysctl: {vm.swappiness: 10}}, helm: {enabled: false},"
        " files: [{path: /etc/own, content: mine}]}}\n"
    )
    given = ready(asked(tmp_path, text, mode="stock"))
    assert found(asked(tmp_path, text, mode="stock")) == []
    a, b = written(given, "a"), written(given, "b")
    name = "/etc/sysctl.d/99-zz-imgbuild.conf"
    assert "vm.swappiness" in b[name] and "vm.swappiness" not in a[name]
    assert "/etc/own" in b and "/etc/own" not in a
    assert "/usr/libexec/imgbuild/install.d/60-helm" in a and "/usr/libexec/imgbuild/install.d/60-helm" not in b


def test_the_first_control_plane_cannot_do_without_helm(tmp_path: Path) -> None:
    text = f"{HEAD}{FIRST.replace('}', ', settings: {helm: {enabled: false}}}')}  - {{name: b, role: worker}}\n"
    (told,) = found(asked(tmp_path, text, mode="stock"))
    assert (told.code, told.key) == ("IB602", "nodes[0].settings.helm.enabled")


URL = "http://10.0.0.1/files.tar.gz"


def test_a_node_with_files_of_its_own_fetches_them_from_an_address_of_its_own(tmp_path: Path) -> None:
    setting = "time: {zone: Asia/Tokyo}"
    text = f"{HEAD}{FIRST}  - {{name: b, role: worker, settings: {{{setting}}}}}\n"
    shared = (f"cloud.include_url={URL}",)
    (told,) = [f for f in rendered(asked(tmp_path, text, "debian12-efi", "stock", *shared)) if not dated(f)]
    assert told.code == "IB442" and "cloud/b/files.tar.gz" in told.hint and told.message.startswith("node b: ")
    own = text.replace(setting, f"{setting}, cloud: {{include_url: 'http://10.0.0.1/b.tar.gz'}}")
    given = ready(asked(tmp_path, own, "debian12-efi", "stock", *shared))
    cloud = given.rendered.groups["cloud"]
    assert cloud["files.tar.gz"] != cloud["b/files.tar.gz"] and "a/files.tar.gz" not in cloud
    assert b"http://10.0.0.1/b.tar.gz" in cloud["b/user-data.include"].content
    assert URL.encode() in cloud["a/user-data.include"].content


def test_two_control_planes_cannot_advertise_one_address_by_their_settings(tmp_path: Path) -> None:
    settings = "settings: {kubernetes: {advertise_address: 10.0.0.5}}"
    nodes = "".join(f"  - {{name: {n}, role: control-plane, {settings}}}\n" for n in "ab")
    text = f"{HEAD}{nodes}  - {{name: c, role: control-plane}}\n"
    told = found(asked(tmp_path, text))
    assert [(f.code, f.key) for f in told] == [("IB226", "nodes[0].settings.kubernetes.advertise_address")]
    assert told[0].message.startswith("nodes a, b: ")
    assert found(asked(tmp_path, text.replace("0.5", "0.6", 1))) == []


def test_the_network_of_a_node_with_settings_is_looked_at_once(tmp_path: Path) -> None:
    rows = [
        f"  - {{name: w{n}, role: worker, network: {{dns: [1.1.1.1], interfaces: [{{name: eth0, "
        f"mac: '52:54:00:00:00:0{n}', addresses: [10.244.{n}.1/24], gateway: 10.244.{n}.9}}]}}{settings}}}\n"
        for n, settings in enumerate(("", ", settings: {run: [x]}"))
    ]
    told = found(asked(tmp_path, HEAD + FIRST + "".join(rows)))
    assert [(f.code, f.key) for f in told if f.code not in ("IB802", "IB651")] == [
        ("IB221", f"nodes[{n}].network.interfaces[0].addresses[0]") for n in (1, 2)
    ]
    assert told[-1].message.startswith("node w1: ")


def test_nothing_private_is_shown(tmp_path: Path) -> None:
    text = f"{HEAD}  - {{name: a, role: control-plane, settings: {{users: [{{name: x, hashed_password: hunter2}}]}}}}\n"
    told = found(asked(tmp_path, text))
    assert told and "hunter2" not in repr(told)


def test_settings_are_loaded_once_however_many_nodes_have_them(tmp_path: Path) -> None:
    def loads(nodes: str) -> int:
        """How often settings were laid over the profile."""
        with mock.patch("imgbuild.facts.node_settings.overlaid", wraps=overlaid) as calls:
            assert found(asked(tmp_path, HEAD + FIRST + nodes)) == []
        return calls.call_count

    nodes = "".join(f"  - {{name: w{n}, role: worker}}\n" for n in range(200))
    assert loads(nodes) == 0
    same = nodes.replace("worker}", "worker, settings: {run: [echo x]}}")
    assert loads(same) == 1
    assert loads(same.replace("echo x", "echo y", 1)) == 2


KEYS_TEXT = (ROOT / "node/etc/pki/rpm-gpg/RPM-GPG-KEY-EPEL-8").read_text()
# Values that the checks take where the declarations' examples are for another target.
TAKEN: dict[str, Any] = {
    "cilium.values": {"MTU": 1400},
    "containerd.source": "distribution",
    "repositories.logins": {"mirror.example.com": {"username": "nodes", "password": "secret"}},
}


def is_leaf(place: Place) -> bool:
    return not {"[]", "NAME"} & set(place.path) and place.model is None and not place.key.startswith("cilium.chart.")


def test_every_key_is_for_the_seed_or_is_refused(tmp_path: Path) -> None:
    """All keys in one node's settings, each judged by itself. crictl.endpoint has one value only."""
    base = load("centos8-efi", (), [ADMIN], "baked", Findings())
    assert base is not None
    settings: dict[str, Any] = {}
    every = {
        place.key: place for place in declared_places(Profile) if is_leaf(place) and place.key != "crictl.endpoint"
    }
    for key, place in every.items():
        inside = settings
        *parents, last = key.split(".")
        for part in parents:
            inside = inside.setdefault(part, {})
        options = [[KEYS_TEXT]] if key.startswith("repositories.keys.") else others(place, value_at(base, place))
        inside[last] = TAKEN[key] if key in TAKEN else options[0]
        assert inside[last] != value_at(base, place)
    node = yaml.safe_dump({"name": "b", "role": "worker", "settings": settings}, default_flow_style=True, width=1 << 20)
    told = found(asked(tmp_path, f"{HEAD}{FIRST}  - {node}", "centos8-efi"))
    assert not {"IB111", "IB112", "IB113"} & {f.code for f in told}

    def refused(code: str) -> set[str]:
        keys = [f.key.removeprefix("nodes[1].settings.") for f in told if f.code == code]
        return {path for path in every for key in keys if f"{key}.".startswith(f"{path}.")}

    for scope, code in (("cluster", "IB440"), ("image", "IB441")):
        assert refused(code) == {key for key, place in every.items() if place.scope == scope}
    hints = {f.key: f.hint for f in told if f.code == "IB440"}
    assert (
        hints["nodes[1].settings.pxe.url"] == "set it in the profile: one boot menu and one live root serve all nodes"
    )
    assert "CiliumNodeConfig" in hints["nodes[1].settings.cilium.version"]
    assert hints["nodes[1].settings.target"].startswith("build these nodes from another profile")


def test_a_secret_file_of_a_stock_nodes_own_stays_in_its_seed(tmp_path: Path) -> None:
    setting = "files: [{path: /etc/s, content: hunter2, mode: '0600'}], cloud: {include_url: 'http://10.0.0.1/b.tgz'}"
    text = f"{HEAD}{FIRST}  - {{name: b, role: worker, settings: {{{setting}}}}}\n"
    given = ready(asked(tmp_path, text, "debian12-efi", "stock", f"cloud.include_url={URL}"))
    holders = {
        (group, path) for group, files in given.rendered.groups.items() for path, file in files.items()
        if b"hunter2" in file.content and not file.mode & 0o077
    }  # fmt: skip
    open_to_all = [
        path for files in given.rendered.groups.values() for path, file in files.items()
        if b"hunter2" in file.content and file.mode & 0o077
    ]  # fmt: skip
    assert open_to_all == [] and ("nodes", "b/user-data") in holders
    assert all("/b/" in f"/{path}" for _, path in holders)
    assert isinstance(given.rendered.node.files[0], NodeFile)
