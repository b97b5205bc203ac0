"""lib/cilium.sh: nothing of Cilium's stays on a node, and all of somebody else's does. On a real network of its own.

The agent's traces are made as its source makes them (pkg/datapath/iptables, pkg/datapath/linux/linux_defaults,
pkg/proxy/routes.go, pkg/datapath/loader), with the real iptables, ip and tc.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir
from tests.support.deadline import HUNG
from tests.support.places import SUPPORT

LIBRARY = data_dir("node") / "usr/libexec/imgbuild/lib/cilium.sh"
PROGRAM = SUPPORT / "node/bpf_program.py"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own and BPF want root")

HEAD = """
set -euo pipefail
R=$1 tools=$2 python=$3 program=$4 library=$5
all="iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy"
mount -t sysfs sysfs "$R/sys"
mount -t bpf bpf "$R/sys/fs/bpf"
"""
# A node before Cilium, with rules that look a little like Cilium's
OTHERS = r"""
ip link set lo up
for number in 0 1 2; do
    ip link add "eth$number" type veth peer name "far$number"
    echo 1 > "/proc/sys/net/ipv6/conf/eth$number/disable_ipv6"
    echo 1 > "/proc/sys/net/ipv6/conf/far$number/disable_ipv6"
    ip link set "eth$number" up
    ip link set "far$number" up
done
echo 1 > /proc/sys/net/ipv6/conf/eth0/addr_gen_mode # nothing comes by itself
echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
ip address add 10.9.0.11/24 dev eth0
ip -6 address add fd09::11/64 dev eth0 nodad
ip route add default via 10.9.0.1
ip route add 172.16.0.0/12 via 10.9.0.7 dev eth0 proto static
ip route add 10.77.0.0/16 via 10.9.0.8 dev eth0 table 200
ip rule add pref 500 from 10.9.0.11 lookup 200
ip rule add pref 501 fwmark 0x1/0xff lookup 200
ip rule add pref 502 fwmark 0x200/0xff00 lookup 200
for tool in $all; do
    address=192.0.2.1
    [[ $tool != ip6* ]] || address=fd00::1
    # The tables are there, or their empty chains would be all that is new.
    for table in raw mangle nat; do "$tool" -t "$table" -A OUTPUT -d "$address" -j ACCEPT; done
    "$tool" -N MINE
    "$tool" -A INPUT -p tcp --dport 22 -m comment --comment "CILIUM_INPUT -j CILIUM_INPUT is \"not\" this" -j ACCEPT
    "$tool" -A INPUT -j MINE
    "$tool" -A MINE -s "$address" -j DROP
    "$tool" -P FORWARD DROP
done
"$python" "$program" tc their_filter "$R/sys/fs/bpf/mine/tc"
"$python" "$program" xdp their_xdp "$R/sys/fs/bpf/mine/xdp"
tc qdisc add dev eth0 clsact
tc filter add dev eth0 ingress protocol all pref 5 handle 1 bpf direct-action pinned "$R/sys/fs/bpf/mine/tc"
ip link set dev eth2 xdpdrv pinned "$R/sys/fs/bpf/mine/xdp"
"""
AGENT = r"""
feed() { "$tool" -t "$1" -N "$3"; "$tool" -t "$1" -I "$2" -m comment --comment "cilium-feeder: $3" -j "$3"; }
for tool in $tools; do
    feed filter INPUT CILIUM_INPUT; feed filter OUTPUT CILIUM_OUTPUT; feed filter FORWARD CILIUM_FORWARD
    feed raw PREROUTING CILIUM_PRE_raw; feed raw OUTPUT CILIUM_OUTPUT_raw
    feed nat PREROUTING CILIUM_PRE_nat; feed nat OUTPUT CILIUM_OUTPUT_nat; feed nat POSTROUTING CILIUM_POST_nat
    feed mangle PREROUTING CILIUM_PRE_mangle; feed mangle POSTROUTING CILIUM_POST_mangle
    # An agent that was interrupted in the middle of an upgrade
    "$tool" -N OLD_CILIUM_INPUT
    "$tool" -A INPUT -j OLD_CILIUM_INPUT
    "$tool" -A CILIUM_INPUT -j OLD_CILIUM_INPUT
    "$tool" -A MINE -j CILIUM_FORWARD
    "$tool" -A CILIUM_FORWARD -i lxc+ -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT
    "$tool" -A CILIUM_OUTPUT -m comment --comment "cilium: host->any mark as from host" -j MARK --set-xmark 0xc00/0xf00
done
ip rule add pref 9 fwmark 0x200/0xf00 lookup 2004 proto kernel
ip rule add pref 10 fwmark 0xa00/0xf00 lookup 2005 proto kernel
ip rule add pref 1 fwmark 0xe00/0xf00 lookup 201 proto kernel
ip -6 rule add pref 9 fwmark 0x200/0xf00 lookup 2004 proto kernel
for family in -4 -6; do
    ip "$family" rule add pref 100 from all lookup local proto kernel
    ip "$family" rule delete pref 0 from all lookup local
    ip "$family" route add local default dev lo table 2004 proto kernel
done
ip link add cilium_host type veth peer name cilium_net
ip link add lxc_health type veth peer name inside
ip link set cilium_host up
ip link set cilium_net up
ip address add 10.244.0.123/32 dev cilium_host scope link
ip route add 10.244.0.123 dev cilium_host table 2005 proto kernel scope link
ip route add default via 10.244.0.123 dev cilium_host table 2005 proto kernel
ip route add 10.244.0.0/24 via 10.244.0.123 dev cilium_host proto kernel src 10.244.0.123
ip route add 10.244.1.0/24 via 10.9.0.21 dev eth0 proto kernel
ip -6 route add fd00:10:244:1::/64 via fd09::21 dev eth0 proto kernel
# One device by a pinned link and one without: kernels before 5.7 have none
"$python" "$program" xdp cil_xdp_entry "$R/sys/fs/bpf/cilium/devices/eth0/links/cil_xdp_entry" eth0
"$python" "$program" xdp cil_xdp_entry "$R/sys/fs/bpf/cilium/xdp"
ip link set dev eth1 xdpgeneric pinned "$R/sys/fs/bpf/cilium/xdp"
"$python" "$program" tc cil_from_netdev "$R/sys/fs/bpf/tc/globals/cilium_x"
tc qdisc add dev eth1 clsact
for link in eth0 eth1; do
    for way in ingress egress; do
        tc filter replace dev "$link" "$way" protocol all pref 1 handle 1 bpf direct-action \
            pinned "$R/sys/fs/bpf/tc/globals/cilium_x"
    done
done
"""
# What a node looks like: counters, numbers of interfaces and of programs apart
SHOW = r"""
show() {
    for tool in $all; do
        echo "## $tool"
        "$tool-save" 2> /dev/null | sed -E 's/\[[0-9]+:[0-9]+\]//; /^#/d'
    done
    echo "## rules and routes"
    ip rule
    ip -6 rule
    ip route show table all | sort
    ip -6 route show table all | sort
    echo "## links"
    ip -o link show | sed -E 's/^[0-9]+: //; s/@[^:]*//; s/id [0-9]+ //; s/ (qlen|link-netnsid) [^ ]*//g'
    for link in eth0 eth1 eth2; do
        tc qdisc show dev "$link"
        for way in ingress egress; do tc filter show dev "$link" "$way" | sed -E 's/ id [0-9]+//'; done
    done
    find "$R/sys/fs/bpf" -mindepth 1 | sort
}
"""
LEAVE = """
say() { printf '%s\\n' "$*"; }
wrong() { printf 'WRONG: %s\\n' "$*"; }
cilium_acceleration=native
source "$library"
forget_cilium
"""


def run(tmp_path: Path, tools: str, *parts: str) -> str:
    root = tmp_path / "root"
    (root / "sys").mkdir(parents=True, exist_ok=True)
    words = [str(root), tools, sys.executable, str(PROGRAM), str(LIBRARY)]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", "".join([HEAD, SHOW, *parts]), "leave", *words],
        capture_output=True, text=True, check=False, timeout=HUNG, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("tools", ["iptables-nft ip6tables-nft", "iptables-legacy ip6tables-legacy"])
def test_the_node_is_as_it_was_before(tmp_path: Path, tools: str) -> None:
    before, during, after, again = run(
        tmp_path, tools, OTHERS, "show; echo =====", AGENT, "show; echo =====", LEAVE, "show; echo =====",
        "\nforget_cilium\nshow",
    ).split("=====\n")  # fmt: skip
    assert during.count("CILIUM_") > 60
    assert "cil_from_netdev" in during
    assert ("xdpgeneric" in during, before.count("\n"), "WRONG" in after) == (True, before.count("\n"), False)
    assert after.splitlines() == before.splitlines()
    assert again.splitlines() == before.splitlines()


def test_a_program_whose_name_iproute_does_not_print(tmp_path: Path) -> None:
    """As on Enterprise Linux: it is the agent's where XDP was asked for."""
    nameless = """
ip() { command ip "$@" | sed -E 's/(prog\\/xdp id [0-9]+) name [^ ]+/\\1/'; }
ip link add eth0 type veth peer name far0
"$python" "$program" xdp cil_xdp_entry "$R/sys/fs/bpf/x"
ip link set dev eth0 xdpdrv pinned "$R/sys/fs/bpf/x"
"""
    left = LEAVE.replace("=native", "=$wanted")
    for wanted, stays in (("native", False), ("best-effort", False), ("disabled", True), ("''", True)):
        text = run(tmp_path, "", nameless, f"wanted={wanted}\n", left, "command ip -o link show dev eth0")
        assert ("prog/xdp" in text) is stays, wanted
