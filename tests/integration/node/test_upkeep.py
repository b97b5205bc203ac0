"""imgbuild-upkeep: certificates are renewed in time, one static pod after the other, and CoreDNS is spread once.

The dates are real ones, read by openssl. kubeadm, crictl, curl and kubectl are stand-ins that refuse what they do not
know.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imgbuild.render.node import node_tree
from tests.support.deadline import HUNG
from tests.support.node.certificates import kubeconfig, pem, written
from tests.support.profiles import resolved, write_tree

STANDIN = r"""#!/bin/bash
set -u
name=${0##*/}
printf '%s %s\n' "$name" "$*" >> "$WORLD/calls"
unknown() { echo "$name $*" >> "$WORLD/unexpected"; exit 64; }
case $name in
    sleep) exit 0 ;;
    sync) exit 0 ;;
    kubeadm)
        [ "$*" = "certs renew all" ] || unknown "$*"
        [ ! -e "$WORLD/die" ] || exit 1
        for file in $(cat "$WORLD/leaves"); do
            case $file in *.conf) cp "$WORLD/new.conf" "$file" ;; *) cp "$WORLD/new.pem" "$file" ;; esac
        done
        ;;
    curl)
        url=${*: -1}
        [[ " $* " == *" --cacert $IMGBUILD_ROOT/etc/kubernetes/pki/ca.crt https://"*:6443/readyz" " ]] || unknown "$*"
        ! grep -qF "$url" "$WORLD/down" 2> /dev/null
        ;;
    crictl)
        case $1 in
            ps)
                [[ $* =~ ^ps\ --name\ \^([a-z-]+)\$\ --state\ Running\ --quiet$ ]] || unknown "$*"
                pod=${BASH_REMATCH[1]}
                [ "$(cat "$WORLD/broken" 2> /dev/null)" != "$pod" ] || [ ! -e "$WORLD/stopped-$pod" ] || exit 0
                printf '%s-%s\n' "$pod" "$(wc -l < <(cat "$WORLD/stopped-$pod" 2> /dev/null))"
                ;;
            stop)
                [[ $* =~ ^stop\ --timeout\ 60\ ([a-z-]+)-([0-9]+)$ ]] || unknown "$*"
                echo >> "$WORLD/stopped-${BASH_REMATCH[1]}"
                [ "$(cat "$WORLD/kill" 2> /dev/null)" != "${BASH_REMATCH[1]}" ] || kill -9 $PPID
                ;;
            *) unknown "$*" ;;
        esac
        ;;
    kubectl)
        words=$*
        own="--kubeconfig $IMGBUILD_ROOT/etc/kubernetes/admin.conf --request-timeout 10s"
        words=${words#"$own --server https://10.0.0.11:6443 "}
        case $words in
            'get nodes --selector node-role.kubernetes.io/control-plane --output '*) cat "$WORLD/control-planes" ;;
            'get nodes --output '*) cat "$WORLD/nodes" ;;
            'get pods --namespace kube-system --selector k8s-app=kube-dns --field-selector status.phase=Running '*)
                cat "$WORLD/coredns" ;;
            'delete pod '*' --namespace kube-system --wait=false') [ ! -e "$WORLD/mute" ] || exit 1 ;;
            *) unknown "$words" ;;
        esac
        ;;
esac
"""
PODS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
LEAVES = ["pki/apiserver.crt", "pki/etcd/server.crt", "admin.conf", "scheduler.conf"]
TOGETHER = "cp1 coredns-a True\ncp1 coredns-b True\n"
TWO = "/True/node-role.kubernetes.io/control-plane\n/True/\n"


class ControlPlane:
    """One control plane below a fake root, whose certificates end in ``left`` days."""

    def __init__(self, folder: Path, left: float = 50, place: int = 0, role: str = "init") -> None:
        self.root, self.world, self.bin = folder / "root", folder / "world", folder / "bin"
        self.world.mkdir(parents=True)
        self.bin.mkdir()
        for name in ("kubeadm", "crictl", "curl", "kubectl", "sleep", "sync"):
            (self.bin / name).write_text(STANDIN)
            (self.bin / name).chmod(0o755)
        found = resolved("debian12-efi")
        write_tree(node_tree(found), self.root)
        self.write("etc/imgbuild/cluster.conf", f"node_role={role}\nnode_place={place}\napi_port=6443\n")
        kubernetes = self.root / "etc/kubernetes"
        for name in LEAVES:
            self.write(f"etc/kubernetes/{name}", kubeconfig(left) if name.endswith(".conf") else pem(left))
        self.write("etc/kubernetes/pki/ca.key", "key")
        for name in PODS:
            self.write(f"etc/kubernetes/manifests/{name}.yaml", "    - --advertise-address=10.0.0.11\n")
        self.write("root/.kube/config", kubeconfig(left))
        self.set(leaves="\n".join(str(kubernetes / name) for name in LEAVES))
        self.set(**{"new.pem": pem(365), "new.conf": kubeconfig(365)})
        self.set(**{"control-planes": "10.0.0.11\n10.0.0.12\n10.0.0.13\n", "nodes": TWO, "coredns": ""})

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def set(self, **files: str) -> None:
        for name, text in files.items():
            (self.world / name).write_text(text)

    def run(self) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.bin}:{os.environ['PATH']}", "IMGBUILD_ROOT": str(self.root), "WORLD": str(self.world)}
        done = subprocess.run(
            [self.root / "usr/libexec/imgbuild/upkeep"], env=env, capture_output=True, text=True, timeout=HUNG
        )
        assert not (self.world / "unexpected").exists(), (self.world / "unexpected").read_text()
        return done

    def calls(self, *names: str) -> list[str]:
        lines = (self.world / "calls").read_text().splitlines() if (self.world / "calls").exists() else []
        return [line for line in lines if line.split()[0] in names]

    @property
    def stopped(self) -> list[str]:
        return [line.split()[-1].rpartition("-")[0] for line in self.calls("crictl") if " stop " in line]


def test_certificates_are_renewed_and_each_pod_started_anew(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path)
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert node.calls("kubeadm") == ["kubeadm certs renew all"]
    assert node.stopped == PODS
    assert node.read("root/.kube/config") == node.read("etc/kubernetes/admin.conf") == kubeconfig(365)
    assert "certificates renewed" in node.read("var/log/imgbuild/upkeep.log")
    before = len(node.calls("kubeadm", "crictl"))
    assert node.run().returncode == 0
    assert len(node.calls("kubeadm", "crictl")) == before  # nothing more to do


@pytest.mark.parametrize(("left", "place", "due"), [
    (92, 0, False), (90, 0, True), (90.6, 1, False), (89, 1, True), (89.6, 2, False), (88, 2, True), (-1, 0, True),
])  # fmt: skip
def test_each_control_plane_has_its_own_day(tmp_path: Path, left: float, place: int, due: bool) -> None:
    node = ControlPlane(tmp_path, left=left, place=place)
    assert node.run().returncode == 0
    assert bool(node.calls("kubeadm")) is due


@pytest.mark.parametrize(("left", "due"), [(300, False), (92, False), (90, True), (-1, True)])
def test_certificates_that_begin_with_their_ca_live_from_when_they_were_written(
    tmp_path: Path, left: float, due: bool
) -> None:
    """kubernetes#113618: the CA is four years old, and each renewed certificate says that it is, too."""
    node = ControlPlane(tmp_path, left=left)
    for name, ca_life in (("ca.crt", 3650), ("etcd/ca.crt", 3650)):
        node.write(f"etc/kubernetes/pki/{name}", pem(3650 - 1461, ca_life))
    for name in LEAVES:
        life = 1461 + left
        node.write(f"etc/kubernetes/{name}", kubeconfig(left, life) if name.endswith(".conf") else pem(left, life))
        written(node.root / "etc/kubernetes" / name, 365 - left)
    assert node.run().returncode == 0
    assert bool(node.calls("kubeadm")) is due


def test_nothing_is_renewed_while_another_api_server_is_down(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path)
    node.set(down="https://10.0.0.13:6443/readyz")
    done = node.run()
    assert done.returncode == 0
    assert "10.0.0.13 does not answer" in done.stderr
    assert node.calls("kubeadm") == node.stopped == []
    (node.world / "down").unlink()
    assert node.run().returncode == 0
    assert node.stopped == PODS


def test_a_node_whose_own_api_server_is_down_is_left_alone(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path)
    node.set(down="https://10.0.0.11:6443/readyz")
    assert node.run().returncode == 1
    assert node.calls("kubeadm") == node.stopped == []


@pytest.mark.parametrize("pod", PODS)
def test_a_renewal_that_was_cut_off_goes_on(tmp_path: Path, pod: str) -> None:
    node = ControlPlane(tmp_path)
    node.set(kill=pod)
    assert node.run().returncode == -9
    (node.world / "kill").unlink()
    assert node.run().returncode == 0
    assert list(dict.fromkeys(node.stopped)) == PODS  # the one that was cut off is done once more
    assert node.calls("kubeadm") == ["kubeadm certs renew all"]
    assert not (node.root / "var/lib/imgbuild/renewal").exists()


def test_a_pod_that_does_not_come_back_ends_it(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path)
    node.set(broken="kube-apiserver")
    done = node.run()
    assert done.returncode == 1
    assert "kube-apiserver is not back" in done.stderr
    assert node.stopped == PODS[:2]  # the others keep running


def test_kube_vip_has_the_new_admin_conf_too(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path)
    node.write("etc/kubernetes/manifests/kube-vip.yaml", "kind: Pod\n")
    assert node.run().returncode == 0
    assert node.stopped == [*PODS, "kube-vip"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path)
    node.write("root/.kube/config", "another cluster's\n")
    assert node.run().returncode == 0
    assert node.read("root/.kube/config") == "another cluster's\n"
    other = ControlPlane(tmp_path / "external")
    (other.root / "etc/kubernetes/pki/ca.key").unlink()  # a CA of somebody's: kubeadm cannot
    assert other.run().returncode == 0
    assert other.calls("kubeadm") == []


@pytest.mark.parametrize(
    ("coredns", "nodes", "role", "deleted"),
    [
        (TOGETHER, TWO, "init", ["coredns-b"]),
        (TOGETHER, "/True/\n/False/\n", "init", []),  # still alone
        (TOGETHER, "/True/\ntrue/True/node.kubernetes.io/unschedulable\n", "init", []),  # cordoned
        (TOGETHER, "/True/\n/True/node.kubernetes.io/disk-pressure\n", "init", []),  # it would come back
        (TOGETHER, "/True/\n/True/node-role.kubernetes.io/control-plane gpu\n", "init", []),
        (TOGETHER, TWO, "control-plane", []),  # another node does it
        ("cp1 coredns-a True\ncp2 coredns-b True\n", TWO, "init", []),
        ("cp1 coredns-a True\ncp1 coredns-b False\n", TWO, "init", []),  # one is not Ready: not the other, too
        ("cp1 coredns-a True\n", TWO, "init", []),
    ],
)
def test_coredns_is_spread_once_by_one_node(
    tmp_path: Path, coredns: str, nodes: str, role: str, deleted: list[str]
) -> None:
    node = ControlPlane(tmp_path, left=300, role=role)
    node.set(coredns=coredns, nodes=nodes)
    for _ in range(2):
        done = node.run()
        assert done.returncode == 0, done.stderr
    calls = [line.split() for line in node.calls("kubectl") if " delete pod " in line]
    assert [words[words.index("pod") + 1] for words in calls] == deleted


def test_a_replica_of_coredns_that_was_not_deleted_is_deleted_later(tmp_path: Path) -> None:
    node = ControlPlane(tmp_path, left=300)
    node.set(coredns=TOGETHER, nodes=TWO, mute="")
    done = node.run()
    assert done.returncode == 0
    assert "CoreDNS was not checked" in done.stderr
    (node.world / "mute").unlink()
    assert node.run().returncode == 0
    assert len([line for line in node.calls("kubectl") if " delete pod " in line]) == 2


def test_openssl_is_there() -> None:
    assert shutil.which("openssl")
