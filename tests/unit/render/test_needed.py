"""What of the scripts travels to which node: only what it can run, and all of that."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from imgbuild.config.cluster import Cluster, Node
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.install import install_tree
from imgbuild.render.needed import needed
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.userdata import travelling
from tests.support.deadline import HUNG
from tests.support.profiles import resolved

LIB = "/usr/libexec/imgbuild"
CONF = {
    "node_role": "init", "ca_hash": "", "vip": "", "balancer": "", "others": "", "cilium_acceleration": "",
    "group": "",
}  # fmt: skip


def reduced(text: str, checks: tuple[str, ...] = (), *, bls: bool = False, **values: str) -> str:
    conf = "".join(f"{name}='{value}'\n" for name, value in (CONF | values).items())
    own = NodeTree((NodeFile("/etc/imgbuild/cluster.conf", f"# x\n{conf}".encode()),))
    (file,) = needed([NodeFile(f"{LIB}/lib/x.sh", text.encode())], own, checks, bls=bls)
    return file.content.decode()


def test_a_function_that_nothing_names_goes_with_what_only_it_names() -> None:
    text = "a() {\n    b\n}\nb() { a_c; }\na_c() {\n    :\n}\nd() { e; }\ne() { f; }\nf() { :; }\nf\n"
    assert reduced(text) == "f() { :; }\nf\n"


def test_what_is_called_by_a_name_that_is_put_together_stays() -> None:
    text = "init_is_whole() { :; }\ncheck_deep_dns() { :; }\ncheck_a_b() { :; }\ncheck_c() { :; }\n"
    assert reduced(text, ("a-b:x",)) == "init_is_whole() { :; }\ncheck_deep_dns() { :; }\ncheck_a_b() { :; }\n"


BALANCED = "start_balancer() {\n    listens\n}\nlistens() { :; }\nstart_balancer\n"


@pytest.mark.parametrize(("balancer", "there"), [("127.0.0.1:6444", True), ("", False)])
def test_what_the_cluster_rules_out_is_nothing(balancer: str, there: bool) -> None:
    short = "start_balancer() { :; }\nstart_balancer\n"
    assert reduced(BALANCED, balancer=balancer) == (BALANCED if there else short)


def test_only_one_of_several_machines_with_a_seed_names_itself() -> None:
    text = "common_name() {\n    :\n}\nsettle_name() {\n    common_name\n}\nsettle_name\n"
    assert reduced(text, group="w") == text
    assert reduced(text) == "settle_name() { :; }\nsettle_name\n"


def test_a_file_outside_of_the_scripts_and_a_node_without_a_cluster_stay_as_they_are() -> None:
    file = NodeFile("/opt/x", b"a() { :; }\n")
    own = NodeTree((NodeFile("/etc/imgbuild/cluster.conf", "".join(f"{n}={v}\n" for n, v in CONF.items()).encode()),))
    assert needed([file], own, (), bls=False) == [file]
    script = NodeFile(f"{LIB}/x", b"a() { :; }\n")
    assert needed([script], NodeTree(), (), bls=False) == [script]


VIP = {"address": "192.0.2.9"}
CASES = {
    "alone": (Cluster(name="lab", nodes=[Node(name="a", role="control-plane")]), []),
    "a vip": (
        Cluster.model_validate(
            {"name": "lab", "vip": VIP, "nodes": [{"name": n, "role": "control-plane"} for n in "abc"]}
        ),
        ["cilium.values.loadBalancer.acceleration=native"],
    ),
    "a worker": (
        Cluster.model_validate(
            {"name": "lab", "nodes": [{"name": "b", "role": "control-plane"}, {"name": "a", "role": "worker"}]}
        ),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("profile", ["centos8-efi", "debian12-efi"])
def test_every_function_that_is_called_is_there(profile: str, case: str, tmp_path: Path) -> None:
    """bash reads each script, and no command in them is the name of a function that stayed behind."""
    cluster, sets = CASES[case]
    given = resolved(profile, sets=["mode=stock", *sets])
    node = next(node for node in cluster.nodes if node.name == "a")
    trees = [install_tree(given), node_tree(given)]
    own = seed_tree(given, cluster, node)
    sent = {file.path: file.content.decode() for file in travelling(given, trees, own) if file.path.startswith(LIB)}
    whole = {f.path: f.content.decode() for tree in trees for f in tree.files if f.path.startswith(LIB)}
    define = re.compile(r"(?m)^(\w+)\(\)")
    here = {name for text in sent.values() for name in define.findall(text)}
    gone = {name for path in sent for name in define.findall(whole[path])} - here
    assert len(gone) > 5
    assert ("xdp_detected" in here) == (case == "a vip")
    for name in gone:
        assert not [path for path, text in sent.items() if re.search(rf"\b{name}\b", text)], name
    for path, text in sent.items():
        script = tmp_path / path.rpartition("/")[2]
        script.write_text(text)
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=HUNG, check=False)
        assert done.returncode == 0, f"{path}: {done.stderr}"


def test_a_script_of_the_users_among_them_may_call_any_function() -> None:
    cluster, _ = CASES["alone"]
    mine = f"files=[{{path: {LIB}/firstboot.d/70-cilium, content: 'xdp_problems', mode: '0755'}}]"
    for sets, there in (([], False), ([mine], True)):
        given = resolved("debian12-efi", sets=["mode=stock", *sets])
        own = seed_tree(given, cluster, cluster.nodes[0])
        sent = {f.path: f.content for f in travelling(given, [install_tree(given), node_tree(given)], own)}
        assert (b"xdp_detected()" in sent[f"{LIB}/lib/xdp.sh"]) is there
        assert (f"{LIB}/firstboot.d/75-addons" in sent) is there
