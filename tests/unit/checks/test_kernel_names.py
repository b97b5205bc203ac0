"""The modules and sysctls of common CentOS 7 recipes, on a kernel of today: one error a key, each with its fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    _, message, hint = found['kernel.sysctl."fs.may_detach_mounts"']
    assert hint == "remove it" and "is only in kernel 3.10 of EL 7" in message


def test_the_fix_leads_into_no_other_error() -> None:
    fixed = MODULES.replace("nf_conntrack_ipv4", "nf_conntrack")
    assert {code for code, _, _ in told("centos7-efi", fixed).values()} == {"IB241"}
    both = MODULES.replace("nf_conntrack_ipv4", "nf_conntrack, nf_conntrack_ipv4")
    assert told("centos7-efi", both)["kernel.modules[7]"][2] == "remove it: nf_conntrack is there already"


def test_an_invalid_module_hides_no_other() -> None:
    found = told("centos7-efi", "[overlay, 'a b', nf_conntrack_ipv4]")
    assert found["kernel.modules[2]"][0] == "IB240"


@pytest.mark.parametrize("key", ["content", "source"])
def test_files_have_the_same_findings(key: str, tmp_path: Path) -> None:
    texts = {
        "/etc/modules-load.d/ipvs.conf": "# ipvs\nip_vs\nnf_conntrack_ipv4\n",
        "/etc/sysctl.d/99-k8s.conf": "; k8s\nvm.swappiness = 0\n-net.ipv4.tcp_tw_recycle=0\n"
        "net/ipv4/ip_conntrack_max = 1\n",
        "/etc/other.conf": "nf_conntrack_ipv4\n",
    }
    files: list[dict[str, str]] = []
    for path, text in texts.items():
        (tmp_path / "file").with_name(path.rpartition("/")[2]).write_text(text)
        value = text if key == "content" else str(tmp_path / path.rpartition("/")[2])
        files.append({"path": path, key: value})
    found = [f for f in findings("centos7-efi", [f"files={json.dumps(files)}"]) if f.code in ("IB240", "IB241")]
    assert [(f.code, f.key) for f in found] == [
        ("IB240", f"files[0].{key}"), ("IB241", f"files[1].{key}"), ("IB241", f"files[1].{key}")
    ]  # fmt: skip
    assert found[0].message.startswith("/etc/modules-load.d/ipvs.conf: the module nf_conntrack_ipv4 is gone")
    assert found[0].hint == "write nf_conntrack" and "net.ipv4.tcp_tw_recycle is gone" in found[1].message


@pytest.mark.parametrize(("value", "number"), [("yes", 1), ("on", 1), ("enabled", 1), ("Off", 0), ("'false'", 0)])
def test_a_sysctl_is_a_number(value: str, number: int) -> None:
    (found,) = findings("centos7-efi", [f'kernel.sysctl."net.ipv4.tcp_timestamps"={value}'])
    assert (found.code, found.hint) == ("IB317", f"write {number}")
    assert findings("centos7-efi", ['kernel.sysctl."kernel.printk_devkmsg"=on']) == []
