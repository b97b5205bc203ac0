"""No fix leads into the next error: what a finding says to write is written, and the file is read again."""

# ruff: noqa: E501  (tables)

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.load import load
from imgbuild.config.source import parse
from imgbuild.diagnostics.findings import Finding, Findings
from tests.support.checking import findings as checked

_WRITE = re.compile(
    r"(?:write(?: it in quotes:| it without quotes:)?|put it in square brackets:|write a list:) (.+?)(?: \(the .*\))?"
)
WRONG = [
    ("image", "size_mib", "04096"), ("image", "size_mib", "20G"), ("image", "size_mib", "'8192'"),
    ("image", "size_mib", "8 GiB"), ("image", "size_mib", "４０９６"), ("image", "size_mib", "1e4"),
    ("kubernetes", "version", "1.30"), ("kubernetes", "version", "1.34"), ("kubernetes", "version", "v1.34.11"),
    ("kubernetes", "version", "V1.34"), ("kubernetes", "version", "1.35.x"), ("cilium", "version", "1.19"),
    ("kubernetes", "pod_cidr", "10.244.1.0/16"), ("kubernetes", "pod_cidr", "10.244.0.0/255.255.0.0"),
    ("kubernetes", "api_port", "'6443'"), ("kubernetes", "enabled", "yes"), ("kubernetes", "enabled", "1"),
    ("kubernetes", "certificate_validity", "1y"), ("kubernetes", "certificate_validity", "90d"),
    ("kubernetes", "image_repository", "https://registry.example.com/k8s/"),
    ("kubernetes", "advertise_address", "10.0.0.5/24"), ("swap", "enabled", "off"), ("time", "zone", "'Asia/Tokyo '"),
    ("kernel", "modules", "br_netfilter"), ("kernel", "modules", "'overlay, br_netfilter'"), ("kernel", "cgroup", "cgroup2"),
    ("kernel", "sysctl", "{vm.swappiness: true}"), ("helm", "version", "4.3"), ("helm", "version", "v4.3.0"),
    ("base", "sha256", f"sha256:{'F8' * 32}"), ("base", "sha256", f"'{'f8' * 32}  image.qcow2'"),
    ("cloud", "providers", "aws"), ("cloud", "include_url", "files.example.com/x"), ("crictl", "timeout", "30s"),
    ("cilium", "repository", "charts.example.com"), ("repositories", "region", "CN"), ("repositories", "elrepo", "a.org"),
    ("proxy", "no_proxy", "'10.0.0.0/8, .corp.example'"), ("proxy", "no_proxy", ".corp.example"),
    ("proxy", "no_proxy", "10.0.0.0/8;10.9.0.1"), ("time", "allow", "[10.0.0.0/255.0.0.0]"),
]  # fmt: skip
NODES = [
    "{name: CP1, role: control-plane}", "{name: cp1, role: master}", "{name: cp1, role: Control-Plane}",
    "{name: cp1, role: worker, labels: {ssd: true}}", "{name: cp1, role: worker, labels: {rack: 1}}",
    "{name: cp1, role: worker, taints: ['a=b:NoSchedule']}",
    "{name: cp1, role: worker, network: {interfaces: [{name: e, mac: '52:54:00:00:00:01', addresses: 10.0.0.5/24}]}}",
    "{name: cp1, role: worker, network: {interfaces: [{name: e, mac: '52:54:00:00:00:01', mtu: '9000', dhcp: yes}]}}",
    "{name: c, role: worker, network: {interfaces: [{name: e, mac: '52:54:00:00:00:01'}], bonds: [{name: b, interfaces: e, mode: 4}]}}",
    "{name: c, role: worker, network: {interfaces: [{name: e, mac: '52:54:00:00:00:01'}], bonds: [{name: b, interfaces: [e], mode: lacp}]}}",
]  # fmt: skip


def _what_to_write(finding: Finding) -> str | None:
    found = _WRITE.fullmatch(finding.hint)
    return found[1] if found is not None and "…" not in found[1] else None


def _fixed(text: str, findings: Findings) -> str:
    """The text with every simple fix at its place, the last first."""
    lines = text.split("\n")
    for each in sorted(findings.items, key=lambda one: -(one.mark.column if one.mark else 0)):
        word = _what_to_write(each)
        if word is not None and each.mark is not None and each.mark.end:
            line = lines[each.mark.line - 1]
            lines[each.mark.line - 1] = f"{line[: each.mark.column - 1]}{word}{line[each.mark.end - 1 :]}"
    return "\n".join(lines)


@pytest.mark.parametrize(("section", "key", "value"), WRONG, ids=[f"{k}={v}"[:40] for _, k, v in WRONG])
def test_a_profile_with_the_fix_is_read_without_a_finding(section: str, key: str, value: str, tmp_path: Path) -> None:
    file, findings = tmp_path / "p.yaml", Findings()
    file.write_text(f"extends: centos7-efi\n{section}:\n  {key}: {value}\n")
    load(str(file), (), (), None, findings)
    assert [each.code for each in findings.items] in (["IB113"], ["IB105"]), findings.items
    if (section, key, value) == ("helm", "version", "v4.3.0") or _what_to_write(findings.items[0]) is not None:
        text = _fixed(file.read_text(), findings)
        assert text != file.read_text()
        file.write_text(text)
        again = Findings()
        load(str(file), (), (), None, again)
        assert again.items == [], (text, again.items)
    else:
        pytest.fail(f"no literal fix: {findings.items[0].hint}")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("containerd.sandbox_image", "registry.k8s.io/pause:3.9", "registry.k8s.io/pause"),
        ("containerd.sandbox_image", "r.corp:5000/k8s/pause:3.9", "r.corp:5000/k8s/pause"),
        ("containerd.sandbox_image", f"r.corp:5000/k8s/pause:3.9@sha256:{'0' * 64}", "r.corp:5000/k8s/pause"),
        ("containerd.sandbox_image", "docker://r.corp/K8s/pause:3.9", "r.corp/k8s/pause"),
        ("kubernetes.image_repository", "r.corp/google:v1.34.11", "r.corp/google"),
        ("kubernetes.version", "1.34.11-150500.1.1", "1.34.11"),
        ("kubernetes.version", "1.35.8-0", "1.35.8"),
        ("time.zone", "America/New York", "America/New_York"),
        ("time.zone", "america/new york", "America/New_York"),
        ("kernel.version", "6.9.7-1.el8.elrepo.x86_64", "6.9.7-1.el8.elrepo"),
        ("image.size_mib", "20Gi", "20480"),
        ("time.zone", "ＵTC", "UTC"),
        ("trust.certificates", "corp.pem", "[{file: corp.pem}] if this is the path of a file"),
        ("repositories.distribution", "[deb http://a.corp/debian bookworm main]", "http://a.corp/debian"),
        ("repositories.epel", "['baseurl=https://a.corp/epel/8']", "https://a.corp/epel/8"),
        ("repositories.epel", "['deb [arch=amd64] https://a.corp/epel x']", "https://a.corp/epel"),
        ("kernel.sysctl", "['vm.swappiness=1', 'vm.max_map_count=262144']",
         '{vm.swappiness: "1", vm.max_map_count: "262144"}'),
        ("guest_agents", "[open-vm-tools]", "vmware"),
        ("guest_agents", "[qemu-guest-agent]", "qemu"),
        ("pxe.boot", "disk", "install"),
        ("pxe.url", "10.0.0.2/pxe", "http://10.0.0.2/pxe"),
        ("firewall", "false", "{disabled: true}"),
        ("firewall", "{enabled: false}", "disabled: true"),
        ("firewall", "{enable: true}", "disabled: false"),
        ("firewall", "{disable: true}", ""),
    ],
)  # fmt: skip
def test_a_fix_keeps_what_was_meant(key: str, value: str, wanted: str) -> None:
    findings = Findings()
    load("centos8-efi", (), (f"{key}={value}",), None, findings)
    (found,) = findings.items
    assert found.hint == (f"write {wanted}" if wanted else 'did you mean "disabled"?')


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hosts: {10.0.0.5: [harbor, harbor.example.com]}", "write each name before its address: harbor: 10.0.0.5, harbor.example.com: 10.0.0.5"),
        ("hosts: {10.0.0.5: harbor}", "write each name before its address: harbor: 10.0.0.5"),
        ("hosts: ['10.0.0.5 harbor', 'fd00::5 other']", "write each name before its address: harbor: 10.0.0.5"),
        ("trust: {certificates: [./corp.pem]}", "write {file: ./corp.pem} if this is the path of a file"),
        ("time: {allow: [10.0.0.0/33]}", "write a network in CIDR form, such as 10.244.0.0/16"),
        ("kubernetes: {pod_cidr: 10.244.0.0/16,fd00::/56}", "put the whole value in quotes"),
        ("time: {zone: UTC,servers: [a.example.com]}", "did you mean time.ntp_servers?"),
        ("kernel: {initramfs_drivers: [mpt3sas hpsa]}", "write 2 items: mpt3sas, hpsa"),
        ("packages: {install: ['@development']}", "a package name has"),
        ("packages: {install: ['https://a.corp/b.rpm']}", "a package name has"),
        ("kernel: {initramfs_drivers: [megaraid_sas.ko.xz]}", "write megaraid_sas"),
        ("kernel: {arguments: ['quiet console=ttyS0']}", "write 2 items: quiet, console=ttyS0"),
        ("kernel: {sysctl: {net.core.rmem_max: 16M}}", "write 16777216: the kernel takes plain numbers"),
        ("time: {ntp_servers: [server 10.0.0.1 iburst]}", "write 10.0.0.1"),
        ("time: {ntp_servers: ['a.example.com, b.example.com']}", "write 2 items: a.example.com, b.example.com"),
        ("containerd: {runtimes: {nvidia: {type: io.containerd.runc.v2, binary: x}}}", "write options: {BinaryName:"),
        ("time: {ntp_servers: [10.0.0.256]}", "write an IP address of four numbers"),
        ("disks: [{path: /dev/disk/by-id/a, mount: /}]", "remove this disk: / is on the image's own"),
        ("time: {servers: [ntp.example.com]}", "did you mean time.ntp_servers?"),
        ("time: {zone: true}", "write one line of text"),
        ("time: {zone: 8}", "a time zone is a name such as Asia/Shanghai"),
        ("kernel: {sysctl: {net.core.rmem_max: 16Mi}}", "write 16777216: the kernel takes plain numbers"),
        ("report: {url: 'https://bob:pw@r.corp/'}", "remove user and password, which would be readable on every node: no"),
        ("kernel: {cgroup: “v2”}", "write v2"),
        ("kernel: {cgroup: ｖ3}", "write one of"),
    ],
)  # fmt: skip
def test_a_fix_that_is_not_written_in_place(text: str, hint: str, tmp_path: Path) -> None:
    file, findings = tmp_path / "p.yaml", Findings()
    file.write_text(f"extends: centos7-efi\n{text}\n")
    load(str(file), (), (), None, findings)
    (found,) = findings.items
    assert found.hint.startswith(hint), found


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("nodes: [{name: 12, role: worker}]", "nodes[0].name", "a host name has lower-case letters"),
        (
            "nodes: [{name: a, role: worker, labels: 'zone=a,disk=ssd'}]",
            "nodes[0].labels",
            "write {zone: a, disk: ssd}",
        ),
        ("nodes: [{name: a, role: worker, labels: [zone=a]}]", "nodes[0].labels", "write {zone: a}"),
        (
            "nodes: [{name: a, role: worker, taints: 'gpu=x:NoSchedule'}]",
            "nodes[0].taints",
            "write [{key: gpu, value: x, effect: NoSchedule}]",
        ),
        ("nodes:", "nodes", "write it in square brackets, or one item per line after a dash"),
    ],
)
def test_a_fix_in_a_cluster_file_that_is_not_written_in_place(text: str, key: str, hint: str, tmp_path: Path) -> None:
    file, findings = tmp_path / "lab.yaml", Findings()
    file.write_text(f"name: lab\n{text}\n")
    load_cluster(file, findings)
    (found,) = findings.items
    assert found.key == key and found.hint.startswith(hint) and "[] for none" not in found.hint


def test_what_is_missing_belongs_in_the_profile(tmp_path: Path) -> None:
    profile, layer, findings = tmp_path / "p.yaml", tmp_path / "layer.yaml", Findings()
    profile.write_text("target: centos8\n")
    layer.write_text("time: {zone: UTC}\n")
    load(str(profile), (str(layer),), (), None, findings)
    (found,) = findings.items
    assert found.key == "firmware" and found.mark is not None and found.mark.file == str(profile)


@pytest.mark.parametrize("node", NODES)
def test_a_cluster_file_with_the_fix_is_read_without_a_finding(node: str, tmp_path: Path) -> None:
    file, findings = tmp_path / "lab.yaml", Findings()
    file.write_text(f"name: lab\nnodes:\n  - {node}\n")
    load_cluster(file, findings)
    assert findings.items and all(_what_to_write(each) for each in findings.items), findings.items
    file.write_text(_fixed(file.read_text(), findings))
    again = Findings()
    load_cluster(file, again)
    assert again.items == [], (file.read_text(), again.items)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("zone： UTC\n", "U+FF1A"), ("a： 1\nb: 2\n", "U+FF1A"), ("run: [“echo”]\n", "U+201C"), ("a: [1， 2]\n", "U+FF0C"),
        ("time:\n\u3000zone: UTC\n", "U+3000"), ("time:\n\u00a0zone: UTC\n", "U+00A0"), ("run:\n－ echo\n", "U+FF0D"),
        ("a: ［1］\n", "U+FF3B"), ("ｔime: 1\n", "U+FF54"), ("a: {b： 1}\n", "U+FF1A"), ("a: 「x」\n", "U+300C"),
        ("time:\n  zone: ‘UTC’\n", "U+2018"), ("- a\n– b\n", "U+2013"), ("a: 1\n\u200bb: 2\n", "U+200B"),
    ],
)  # fmt: skip
def test_a_character_of_another_keyboard_is_named_with_what_to_type(text: str, named: str) -> None:
    findings = Findings()
    parse(text, "f", findings)
    (found,) = findings.items
    assert found.code in ("IB101", "IB117") and named in found.message
    assert found.hint.startswith(("type ", "delete it"))


@pytest.mark.parametrize(
    "text", ['run: ["echo “你好”"]\n', "run:\n  - echo “你好”，世界\n", "a: 中文\n", "# ：\na: 1\n", "a: 'x：y'\n"]
)
def test_chinese_text_is_text(text: str) -> None:
    findings = Findings()
    assert parse(text, "f", findings) is not None and findings.items == []


@pytest.mark.parametrize(
    ("profile", "zone", "hint"),
    [
        ("centos8-efi", "Europe/Kyiv", "write Europe/Kiev, which has the same rules"),
        ("centos7-efi", "America/Ciudad_Juarez", "write America/Denver, which has the same rules"),
        ("centos8-efi", "Europe/Odessa", "write Europe/Kiev"),
        ("debian12-efi", "Europe/Odessa", "write Europe/Kyiv"),
        ("debian12-efi", "Europe/Kyiv", ""),
    ],
)
def test_a_zone_that_the_target_does_not_have(profile: str, zone: str, hint: str) -> None:
    assert [f.hint for f in checked(profile, [f"time.zone={zone}"]) if f.code == "IB436"] == ([hint] if hint else [])
