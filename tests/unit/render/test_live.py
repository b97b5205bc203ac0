"""What only a live root has, and the host key of a diskless node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from imgbuild.config.secrets import Secrets, make
from imgbuild.facts.live import MARK
from imgbuild.render.hostkey import host_key
from imgbuild.render.live import live_tree
from imgbuild.render.node import node_tree
from imgbuild.render.userdata import Diskless, user_data
from tests.support.nodes import DHCP, cluster_of, resolved


def secrets() -> Secrets:
    return make("lab", 1_700_000_000)


def test_the_host_key_is_one_that_openssh_reads_and_always_the_same(tmp_path: Path) -> None:
    kept = secrets()
    key = host_key(kept, "node1")
    assert key == host_key(kept, "node1")
    assert key.public != host_key(kept, "node2").public
    assert key.public != host_key(secrets(), "node1").public
    file = tmp_path / "key"
    file.write_text(key.private)
    file.chmod(0o600)
    done = subprocess.run(["ssh-keygen", "-y", "-f", file], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == key.public
    assert key.private not in repr(key)


def test_a_diskless_seed_grows_nothing_and_brings_its_key() -> None:
    given = resolved("debian12-efi", "baked")
    key = host_key(secrets(), DHCP.name)
    text = user_data(given, cluster_of(DHCP), DHCP, [], diskless=Diskless(key))
    data = yaml.safe_load(text)
    assert data["growpart"] == {"mode": "off"} and data["resize_rootfs"] is False
    assert data["ssh_keys"] == {"ed25519_private": key.private, "ed25519_public": key.public}
    assert data["ssh_deletekeys"] is False
    plain = yaml.safe_load(user_data(given, cluster_of(DHCP), DHCP, []))
    assert plain["growpart"]["mode"] == "auto" and "ssh_keys" not in plain
    assert "ssh_keys" not in yaml.safe_load(user_data(given, cluster_of(DHCP), DHCP, [], diskless=Diskless()))


def test_what_containerd_and_kubelet_write_is_in_memory() -> None:
    files = live_tree(resolved("debian12-efi", "baked")).by_path()
    conf = files["/etc/imgbuild/diskless.conf"].content.decode()
    assert "size=50%\n" in conf
    assert "/var/lib/containerd /opt/buildkit" in conf and "/var/lib/etcd" in conf and "/var/lib/kubelet)" in conf
    # CentOS 7's snapshot has no room for logs.
    el7 = live_tree(resolved("centos7-efi", "baked")).by_path()
    assert "/var/log/pods)" in el7["/etc/imgbuild/diskless.conf"].content.decode()


def test_a_live_root_reports_also_while_it_installs() -> None:
    tree = live_tree(resolved("debian12-efi", "baked"))
    unit = tree.by_path()["/etc/systemd/system/imgbuild-tell.service"].content.decode()
    assert "imgbuild-tell.service" in tree.enable and "ConditionKernelCommandLine=|imgbuild.report\n" in unit
    target = tree.by_path()["/etc/systemd/system/imgbuild-install.target"].content.decode()
    (line,) = [line for line in target.splitlines() if line.startswith("Wants=")]
    assert "imgbuild-tell.service" in line.split()


def test_the_disk_has_none_of_it() -> None:
    for profile in ("debian12-efi", "centos7-bios", "centos8-efi"):
        given = resolved(profile, "baked")
        tree = live_tree(given)
        assert MARK in tree.by_path()
        disk, both = node_tree(given).by_path(), tree.by_path().keys() & node_tree(given).by_path().keys()
        assert both <= {"/usr/libexec/imgbuild/lib/path.sh", "/usr/libexec/imgbuild/lib/block.sh"}
        assert all(tree.by_path()[path] == disk[path] for path in both)
