"""Files of the user's in place of ours: no check fails for what it cannot know, and each is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgbuild.render.node import node_tree
from imgbuild.render.verify import check_list, check_names, left_out
from tests.support.checking import findings
from tests.support.node.fakenode import Node
from tests.support.profiles import PROFILES, resolved

CHRONY = "local stratum 10\nallow 10.7.0.0/24\n"
CONTAINERD = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "nvidia"\n'


def own(**files: str) -> list[str]:
    return [
        f"files[{i}]={{path: {path}, content: {json.dumps(content)}}}"
        for i, (path, content) in enumerate(files.items())
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_file_of_ours_may_be_the_users_and_no_check_fails(profile: str, tmp_path: Path) -> None:
    """Each of the node's own files, replaced by something quite different, one after the other."""
    found = resolved(profile)
    paths = [f.path for f in node_tree(found).files]
    paths = [p for p in paths if not p.startswith(("/etc/imgbuild/", "/usr/libexec/imgbuild/"))] + ["/etc/localtime"]
    node = Node(tmp_path / "all", resolved(profile, sets=own(**dict.fromkeys(paths, "other"))))
    node.write(found.target.paths.chrony, CHRONY)
    node.dump(CONTAINERD)
    node.answer("ctr,plugins", "TYPE ID PLATFORMS STATUS\nio.containerd.x.v1 cri - ok\n")
    for command in ("stargz-snapshotter", "buildkit"):
        node.answer(f"systemctl,show --property=ExecStart {command}.service", "argv[]=other ;")
    for key in ("vm/swappiness", "net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        node.write(f"/proc/sys/{key}", "9\n")
    node.answer("getenforce", "Enforcing\n")
    node.answer("NetworkManager", "")
    node.answer("systemd-analyze", "")
    checks = node.checks()
    assert [name for name, one in checks.items() if one["ok"] is False] == []
    skipped = {name: one["found"] for name, one in checks.items() if one["found"].startswith("left out: ")}
    assert skipped.keys() == left_out(node.resolved).keys()
    assert all(skipped[name].split()[2] in paths for name in skipped)
    assert not skipped.keys() & check_names(node.resolved)
    assert checks["chrony"]["ok"] and checks["containerd-config"]["ok"]


def test_without_files_of_the_users_nothing_is_left_out(tmp_path: Path) -> None:
    found = resolved("debian12-efi", sets=own(**{"/etc/mine.conf": "x"}))
    assert left_out(found) == {}
    node = Node(tmp_path, found)
    node.write("/etc/chrony/chrony.conf", CHRONY)
    assert node.checks("chrony")["chrony"]["ok"] is False


def test_what_does_not_depend_on_the_content_is_still_looked_at(tmp_path: Path) -> None:
    sets = own(**{"/etc/chrony/chrony.conf": CHRONY, "/etc/containerd/config.toml": CONTAINERD})
    node = Node(tmp_path, resolved("debian12-efi", sets=sets))
    node.inactive("chrony.service")
    node.answer("containerd", "", 1)
    checks = node.checks("chrony", "containerd-config", "containerd-plugins")
    assert [checks[name]["ok"] for name in ("chrony", "containerd-config", "containerd-plugins")] == [
        False,
        False,
        None,
    ]


def test_the_finding_names_what_is_left_out() -> None:
    sets = own(**{"/etc/chrony/chrony.conf": CHRONY, "/etc/containerd/config.toml": CONTAINERD,
                  "/etc/sysctl.d/99-zz-imgbuild.conf": "vm.swappiness = 1\n",
                  "/etc/containerd/certs.d/docker.io/hosts.toml": ""})  # fmt: skip
    found = {f.key: f.message for f in findings("debian12-efi", sets) if f.code == "IB458"}
    ends = {key: message.partition("does not check ")[2] for key, message in found.items()}
    assert ends == {
        "files[0].path": "the time servers",
        "files[1].path": "containerd-plugins and the keys of containerd-config",
        "files[2].path": "sysctl",
        "files[3].path": "",
    }


def test_files_that_are_read_after_ours_change_what_is_expected(tmp_path: Path) -> None:
    files = {
        "/etc/sysctl.d/99-zzz.conf": "net.ipv4.ip_forward = 1\nnet/ipv4/conf/all/rp_filter=0\n# vm.swappiness = 1\n",
        "/etc/systemd/system/buildkit.service.d/20-mine.conf": "[Service]\nExecStart=\nExecStart=/opt/buildkitd\n",
        "/etc/systemd/networkd.conf.d/99-mine.conf": "[Network]\nManageForeignRoutes=yes\n",
    }
    found = resolved("debian12-efi", sets=own(**files))
    assert left_out(found) == {
        "sysctl:net.ipv4.ip_forward": "/etc/sysctl.d/99-zzz.conf",
        "sysctl:net.ipv4.conf.all.rp_filter": "/etc/sysctl.d/99-zzz.conf",
        "rp-filter": "/etc/sysctl.d/99-zzz.conf",
        "networkd": "/etc/systemd/networkd.conf.d/99-mine.conf",
        "buildkit": "/etc/systemd/system/buildkit.service.d/20-mine.conf",
    }
    told = {f.key: f.message for f in findings("debian12-efi", own(**files)) if f.code == "IB458"}
    assert {key: message.partition("does not check ")[2] for key, message in told.items()} == {
        "files[0].path": "rp-filter and sysctl",
        "files[1].path": "buildkit",
        "files[2].path": "networkd",
    }


def test_files_that_ours_override_change_nothing() -> None:
    files = {
        "/etc/sysctl.d/10-mine.conf": "net.ipv4.ip_forward = 0\n",
        "/etc/systemd/system/buildkit.service.d/05-mine.conf": "[Service]\nExecStart=/opt/x\n",
        "/etc/sysctl.d/99-zzz.conf.bak": "net.ipv4.ip_forward = 0\n",
    }
    assert left_out(resolved("debian12-efi", sets=own(**files))) == {}


def test_each_check_that_reads_a_file_is_a_check() -> None:
    from imgbuild.render.verify import _AFTER, _READS

    names = {name for p in PROFILES for name in check_list(resolved(p))}
    assert all(
        any(name == check or name.startswith(check) for name in names) for check in (*_READS.values(), *_AFTER.values())
    )
