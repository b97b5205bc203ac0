"""user-data in the words of each target's cloud-init; Debian's own `cloud-init schema` reads all of it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.render.metadata import meta_data, vendor_data
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.userdata import SETUP, Include, sent, travelling, user_data
from tests.support import travels
from tests.support.cloudinit.words import module_list, table, unsupported
from tests.support.nodes import (
    BARE,
    DHCP,
    HASH,
    MODES,
    NODES,
    PROFILES,
    RUN,
    cluster_of,
    resolved,
    seed_of,
    ssh_key,
    trees_of,
)
from tests.support.profiles import changed

KEYS = {"hostname", "fqdn", "manage_etc_hosts", "disable_root", "ssh_pwauth", "ssh_deletekeys", "ssh_genkeytypes",
        "users", "growpart", "resize_rootfs", "bootcmd", "write_files", "runcmd", "power_state"}  # fmt: skip


def schema(data: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    place = folder / "user-data"
    place.write_bytes(data)
    return subprocess.run(["cloud-init", "schema", "--config-file", place], capture_output=True, text=True, check=False)


def parsed(data: bytes) -> dict[str, Any]:
    found = yaml.safe_load(data)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("profile", PROFILES)
def test_cloud_init_takes_it_and_this_target_runs_all_of_it(profile: str, mode: str, tmp_path: Path) -> None:
    given = resolved(profile, mode)
    data = seed_of(given, DHCP)["user-data"]
    assert data.startswith(b"#cloud-config\n")
    done = schema(data, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "eprecat" not in done.stdout + done.stderr
    # An unknown key is valid for every schema: so the keys are held to a list, and each to its module.
    assert set(parsed(data)) <= KEYS
    assert unsupported(given, parsed(data)) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_file_arrives_as_it_is(profile: str, mode: str) -> None:
    given = resolved(profile, mode)
    *shared, own = trees_of(given, DHCP)
    sent_alone = sent(given, own.files)
    wanted = {file.path: file for file in (*sent_alone, *travelling(given, shared, own))}
    said = parsed(seed_of(given, DHCP)["user-data"])
    items = travels.files(said)
    assert sorted(item["path"] for item in items) == sorted(wanted)
    alone = {file.path for file in own.files}  # in stock mode a control plane's own files are in the archive too
    assert {item["path"] for item in said.get("write_files", [])} == (alone if mode == "baked" else set())
    for item in items:
        text = item["content"]
        raw = base64.b64decode(text) if item.get("encoding") == "b64" else text.encode()
        assert raw == wanted[item["path"]].content
        assert item["permissions"] == f"{wanted[item['path']].mode:04o}"
        assert item["owner"] == "root:root"
    # Each file packed by itself would leave the outer gzip nothing to find.
    assert not [item["path"] for item in items if "encoding" in item]


def test_users_have_keys_and_hashes_only() -> None:
    given = resolved("centos7-efi", "baked")
    said = parsed(seed_of(given, DHCP)["user-data"])
    admin, console = said["users"]
    assert admin["lock_passwd"] is True
    assert admin["sudo"] == "ALL=(ALL) NOPASSWD:ALL"
    assert admin["groups"] == ["adm", "operators"]
    assert console["lock_passwd"] is False
    assert console["hashed_passwd"] == HASH
    assert "sudo" not in console
    assert said["ssh_pwauth"] is False
    assert said["disable_root"] is True


@pytest.mark.parametrize("profile", PROFILES)
def test_a_keys_comment_is_ascii(profile: str) -> None:
    """cloud-init 19.4 on Python 2 ends in a UnicodeEncodeError otherwise, and makes none of the users after it."""
    given = resolved(profile, "baked")
    key = " ".join(ssh_key().split()[:2])
    users = [given.profile.users[0].model_copy(update={"ssh_keys": [f"{key} müller@büro"]})]
    mine = changed(given, profile=given.profile.model_copy(update={"users": users}))
    said = parsed(user_data(mine, cluster_of(BARE), BARE, []))
    assert said["users"][0]["ssh_authorized_keys"] == [f"{key} m?ller@b?ro"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", ["baked", "stock"])
def test_cloud_init_makes_host_keys_and_deletes_none(profile: str, mode: str) -> None:
    """EL's cloud.cfg says ``ssh_genkeytypes: ~`` beside ``ssh_deletekeys: 1``."""
    given = resolved(profile, mode)
    said = parsed(user_data(given, cluster_of(BARE), BARE, []))
    assert set(said["ssh_genkeytypes"]) == {"ed25519", "ecdsa", "rsa"}
    assert said["ssh_deletekeys"] is False


def test_without_users_the_images_own_user_takes_the_clouds_key() -> None:
    given = resolved("debian12-efi", "baked")
    bare = changed(given, profile=given.profile.model_copy(update={"users": []}))
    assert parsed(user_data(bare, cluster_of(BARE), BARE, []))["users"] == ["default"]


def test_stock_mode_runs_the_setup_before_the_users_commands() -> None:
    said = parsed(seed_of(resolved("centos8-efi", "stock"), DHCP)["user-data"])
    assert said["runcmd"][2] == [SETUP]
    assert [c[4] for c in said["runcmd"] if isinstance(c, list) and c[0] == "once"] == list(RUN)
    assert said["power_state"]["condition"] == "test -e /run/imgbuild/reboot-needed"


def test_a_baked_node_without_commands_has_none() -> None:
    given = resolved("debian12-bios", "baked", run=())
    seed = parsed(seed_of(given, DHCP)["user-data"])
    assert "power_state" not in seed
    (first,), (last,) = seed["bootcmd"], seed["runcmd"]
    assert "per_seed()" in first and "seed-ended" in last, "what makes up for a power cut"


def test_a_big_file_is_rendered_quickly_and_whole(tmp_path: Path) -> None:
    given = resolved("debian12-efi", "baked")
    text = "".join(f"line {n} \t  'x' \"y\" \\ \n" for n in range(60_000)).encode()
    tree = NodeTree((NodeFile("/etc/big", text, 0o600), NodeFile("/etc/raw", bytes(range(256)) * 400)))
    data = user_data(given, cluster_of(BARE), BARE, [tree])
    found = {i["path"]: i for i in yaml.load(data, Loader=yaml.CSafeLoader)["write_files"]}
    assert found["/etc/big"]["content"].encode() == text
    assert base64.b64decode(found["/etc/raw"]["content"]) == bytes(range(256)) * 400


def test_an_include_takes_the_place_of_its_files(tmp_path: Path) -> None:
    given = resolved("centos7-efi", "stock")
    data = user_data(given, cluster_of(DHCP), DHCP, [], Include("https://h.example/x", "0" * 64))
    assert schema(data, tmp_path).returncode == 0
    assert unsupported(given, parsed(data)) == []
    assert parsed(data)["bootcmd"][-1][-2:] == ["https://h.example/x", "0" * 64]


def test_the_same_input_gives_the_same_bytes() -> None:
    for node in NODES.values():
        given = resolved("centos8-bios", "stock")
        assert seed_of(given, node) == seed_of(given, node)


def test_the_instance_id_follows_the_content() -> None:
    cluster = cluster_of(BARE)
    found = [yaml.safe_load(meta_data(cluster, BARE, *content)) for content in ((b"a", b"b"), (b"ab",), (b"a", b"b"))]
    assert found[0] == found[2] != found[1]
    assert found[0]["instance-id"].startswith("iid-bare1-")
    assert found[0]["local-hostname"] == "bare1"


def test_a_host_name_that_looks_like_a_number_stays_text() -> None:
    node = BARE.model_copy(update={"name": "1e3"})
    assert yaml.safe_load(meta_data(cluster_of(node), node))["local-hostname"] == "1e3"
    given = resolved("debian12-efi", "baked")
    assert parsed(user_data(given, cluster_of(node), node, []))["hostname"] == "1e3"


def test_vendor_data_is_a_cloud_config_that_does_nothing(tmp_path: Path) -> None:
    assert vendor_data().startswith(b"#cloud-config\n")
    assert yaml.safe_load(vendor_data()) == {}
    assert schema(vendor_data(), tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("profile", "mode", "document", "said"),
    [
        ("centos7-efi", "baked", {"ntp": {}}, "does not run the module ntp"),
        ("centos8-efi", "stock", {"ca-certs": {}}, "does not run the module ca-certs"),
        ("centos7-efi", "baked", {"runncmd": []}, "not a cloud-init key"),
        ("centos8-efi", "baked", {"write_files": [{"path": "/a", "defer": True}]}, "does not support defer"),
        ("debian12-efi", "baked", {"write_files": [{"path": "/a", "source": {}}]}, "does not support source"),
        ("centos7-efi", "baked", {"chpasswd": {"users": []}}, "does not support users"),
    ],
)
def test_what_a_target_would_ignore_is_said(profile: str, mode: str, document: dict[str, Any], said: str) -> None:
    given = resolved(profile, mode)
    assert any(said in line for line in unsupported(given, document))


def test_what_debian_knows_is_not_refused_there() -> None:
    given = resolved("debian12-efi", "baked")
    assert unsupported(given, {"ntp": {}, "write_files": [{"path": "/a", "defer": True}]}) == []


def test_the_module_list_is_that_of_the_installed_package() -> None:
    """The column debian-22.4 against the real /etc/cloud/cloud.cfg."""
    real = yaml.safe_load(Path("/etc/cloud/cloud.cfg").read_text())
    listed = {m for stage in ("init", "config", "final") for m in real[f"cloud_{stage}_modules"]}
    given = resolved("debian12-efi", "baked")
    assert set(table()["modules"][module_list(given)]) == listed
