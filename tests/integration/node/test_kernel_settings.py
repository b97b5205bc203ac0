"""sysctls and rp_filter as systemd and the kernel take them, in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgbuild.facts.derive import sysctl_path
from imgbuild.facts.kernel_settings import sysctls
from imgbuild.render.node import node_tree
from tests.support.profiles import CASES, HOST, resolved, write_tree

SYSCTL = "/lib/systemd/systemd-sysctl"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")


def _in_namespace(script: str, *argv: str | Path) -> str:
    """A shell script in a network namespace of its own, where /proc/sys/net is that namespace's."""
    command = ["unshare", "--net", "bash", "-euc", script, "bash", *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_root
@pytest.mark.parametrize(("name", "layers"), [case for case in CASES if not case[1]])
def test_systemd_sysctl_sets_every_network_key(tmp_path: Path, name: str, layers: list[str]) -> None:
    found = resolved(name, layers, ["network.rp_filter=2"])
    root = write_tree(node_tree(found), tmp_path)
    rows = [row for row in sysctls(found) if row[1].startswith("net/ipv4/")]
    assert len(rows) >= 3
    paths = [f"/proc/sys/{path}" for _, path, _ in rows]
    # The bridge keys are those of a kernel with br_netfilter: whether this one has it is not ours to decide.
    text = (root / "etc/sysctl.d/99-zz-imgbuild.conf").read_text()
    assert "net.bridge.bridge-nf-call-iptables = 1" in text
    assert "*" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    kept = tmp_path / "kept.conf"
    kept.write_text("".join(f"{line}\n" for line in text.splitlines() if "bridge-nf" not in line))
    values = _in_namespace('file=$1; shift; "$0" "$file"; cat "$@"'.replace('"$0"', SYSCTL), kept, *paths)
    assert values.split("\n")[:-1] == [value for _, _, value in rows]


def test_the_file_sorts_between_distributions_and_cilium() -> None:
    found = resolved("debian12-efi", HOST)
    (ours,) = (Path(p).name for p in node_tree(found).by_path() if p.startswith("/etc/sysctl.d/"))
    names = ["50-default.conf", "99-sysctl.conf", "99-protect-links.conf", ours, "99-zzz-override_cilium.conf"]
    assert sorted(names)[-2:] == names[-2:]


def test_keys_to_paths() -> None:
    assert sysctl_path("net.ipv4.ip_forward") == "net/ipv4/ip_forward"
    assert sysctl_path("net.ipv4.conf.eth0/100.forwarding") == "net/ipv4/conf/eth0.100/forwarding"
    assert sysctl_path("net/ipv4/conf/eth0.100/forwarding") == "net/ipv4/conf/eth0.100/forwarding"


def test_null_takes_a_sysctl_away() -> None:
    found = resolved("debian12-efi", HOST, ["kernel.sysctl={net.ipv4.ip_forward: null, vm.max_map_count: 262144}"])
    keys = [key for key, _, _ in sysctls(found)]
    assert "net.ipv4.ip_forward" not in keys
    text = node_tree(found).by_path()["/etc/sysctl.d/99-zz-imgbuild.conf"].content.decode()
    assert "ip_forward" not in text
    assert "\nvm.max_map_count = 262144\n" in text


@needs_root
@pytest.mark.parametrize("argument", ["", "dummy0"])
def test_interfaces_that_are_there_get_rp_filter(tmp_path: Path, argument: str) -> None:
    """What "all" and "default" do not reach: an interface with a value of its own."""
    found = resolved("debian12-efi", HOST)
    root = write_tree(node_tree(found), tmp_path)
    # The script sees the fake root's conf and the real /proc.
    (root / "proc").symlink_to("/proc")
    script = """
        ip link add dummy0 type dummy 2>/dev/null || ip link add dummy0 type veth peer name dummy1
        echo 1 >/proc/sys/net/ipv4/conf/dummy0/rp_filter
        echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
        IMGBUILD_ROOT=$1 "$1/usr/libexec/imgbuild/rp-filter" ${2:+"$2"}
        cat /proc/sys/net/ipv4/conf/dummy0/rp_filter
        IMGBUILD_ROOT=$1 "$1/usr/libexec/imgbuild/rp-filter" gone0
    """
    assert _in_namespace(script, root, argument) == "0\n"


def test_udev_takes_the_rule_and_runs_it_last() -> None:
    found = resolved("debian12-efi", HOST)
    tree = node_tree(found).by_path()
    (path,) = (p for p in tree if p.startswith("/etc/udev/rules.d/"))
    assert Path(path).name > "99-systemd.rules"
    rule = tree[path].content.decode().splitlines()[-1]
    assert rule.endswith('RUN+="/usr/libexec/imgbuild/rp-filter $name"')
