"""The modules and sysctls of common CentOS 7 recipes, on a kernel of today: one error a key, each with its fix."""

from __future__ import annotations

from tests.support.checking import findings

MODULES = "[overlay, br_netfilter, ip_vs, ip_vs_rr, ip_vs_wrr, ip_vs_sh, nf_conntrack_ipv4]"
SYSCTLS = {
    "fs.may_detach_mounts": 1,
    "net.ipv4.tcp_tw_recycle": 0,
    "net.bridge.bridge-nf-call-arptables": 1,
    "vm.swappiness": 0,
    "net.netfilter.nf_conntrack_max": 2310720,
    "fs.inotify.max_user_watches": 89100,
    "net.ipv4.ip_conntrack_max": 65536,
    "vm.overcommit_memory": 1,
    "vm.panic_on_oom": 0,
    "fs.file-max": 52706963,
    "fs.nr_open": 52706963,
    "net.ipv6.conf.all.disable_ipv6": 1,
}


def told(profile: str, modules: str = MODULES) -> dict[str, tuple[str, str, str]]:
    sets = [f"kernel.modules={modules}", *(f'kernel.sysctl."{key}"={value}' for key, value in SYSCTLS.items())]
    found = [f for f in findings(profile, sets) if f.code in ("IB240", "IB241", "IB309")]
    return {f.key: (f.code, f.message, f.hint or "") for f in found}


def test_one_error_a_key_and_what_to_write_instead() -> None:
    found = told("centos7-efi")
    assert sorted(code for code, _, _ in found.values()) == ["IB240", "IB241", "IB241", "IB241"]
    code, message, hint = found["kernel.modules[6]"]
    assert (code, hint) == ("IB240", "write nf_conntrack") and "gone since kernel 4.19" in message
    assert found['kernel.sysctl."net.ipv4.tcp_tw_recycle"'][1].startswith(
        "net.ipv4.tcp_tw_recycle is gone since kernel 4.12"
    )
    assert found['kernel.sysctl."net.ipv4.ip_conntrack_max"'][2] == (
        "remove it: net.netfilter.nf_conntrack_max is there already"
    )
    assert found['kernel.sysctl."fs.may_detach_mounts"'][2] == "remove it"


def test_the_fix_leads_into_no_other_error() -> None:
    fixed = MODULES.replace("nf_conntrack_ipv4", "nf_conntrack")
    assert {code for code, _, _ in told("centos7-efi", fixed).values()} == {"IB241"}
    both = MODULES.replace("nf_conntrack_ipv4", "nf_conntrack, nf_conntrack_ipv4")
    assert told("centos7-efi", both)["kernel.modules[7]"][2] == "remove it: nf_conntrack is there already"
