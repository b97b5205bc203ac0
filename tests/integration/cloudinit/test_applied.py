"""Seeds applied with the real cloud-init of this host: what lands on the node is what was rendered."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.config.cluster import Node
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.cloud import mime
from imgbuild.outputs.include import include_archive, public, small_user_data
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.userdata import SETUP, packed_files, sent, travelling, user_data
from tests.support.applied import Applied, apply_seed
from tests.support.cloudinit.words import module_list
from tests.support.nodes import (
    DHCP,
    HASH,
    MACS,
    MODES,
    NODES,
    PROFILES,
    RESULTS,
    STATIC,
    cluster_of,
    resolved,
    seed_of,
    ssh_key,
    trees_of,
)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and an overlay need root"),
    pytest.mark.skipif(shutil.which("cloud-init") is None, reason="needs Debian's cloud-init"),
]

ODD = NodeTree(
    (
        NodeFile("/etc/imgbuild-test/raw", bytes(range(256)), 0o600),
        NodeFile("/etc/imgbuild-test/text", "tab\t, space \n\n ünïcode ✓\n\n\n".encode(), 0o640),
        NodeFile("/etc/imgbuild-test/emoji", "😀 no newline".encode()),
        NodeFile("/etc/imgbuild-test/mail", b"MIME-Version: 1.0\r\nSubject: x\r\n"),
        NodeFile("/etc/imgbuild-test/empty", b"", 0o755),
    )
)


def brought(given: Resolved, node: Node) -> list[NodeFile]:
    """What a node's user-data brings."""
    *shared, own = trees_of(given, node)
    return [*travelling(given, shared, own), *sent(given, own.files)]


def check_node(applied: Applied, given: Resolved, host: str, files: Sequence[NodeFile]) -> None:
    """Files byte for byte, users, names, commands; and cloud-init itself is content."""
    assert applied.errors == []
    assert applied.warnings == []
    for file in files:
        place = f"{file.path}.sent" if file.path == SETUP else file.path
        assert applied.read(place) == file.content, file.path
        assert applied.mode(place) == file.mode, file.path
    assert applied.hostname == host
    assert applied.read("/etc/hostname") == f"{host}\n".encode()
    assert f"127.0.1.1\t{host}\t{host}" in applied.read("/etc/hosts").decode()
    assert applied.read("/home/admin/.ssh/authorized_keys").decode().strip() == ssh_key()
    shadow = {line.split(":")[0]: line.split(":")[1] for line in applied.read("/etc/shadow").decode().splitlines()}
    assert shadow["admin"].startswith("!")
    assert shadow["console"] == HASH
    assert "admin ALL=(ALL) NOPASSWD:ALL" in applied.read("/etc/sudoers.d/90-cloud-init-users").decode()
    assert "PasswordAuthentication no" in applied.read("/etc/ssh/sshd_config").decode()
    for path, content in RESULTS.items():
        assert applied.read(path) == content, path
    assert (applied.root / "var/lib/imgbuild-setup").exists() == (given.profile.mode == "stock")
    assert applied.status["datasource"].startswith("DataSourceNoCloud")
    assert applied.status["modules-final"]["finished"]


QUICK = {("debian12-efi", "baked", "dhcp"), ("centos7-efi", "stock", "static")}


MATRIX = [
    pytest.param(profile, mode, kind, marks=[] if (profile, mode, kind) in QUICK else [pytest.mark.slow])
    for profile in PROFILES
    for mode in MODES
    for kind in NODES
]


@pytest.mark.parametrize(("profile", "mode", "kind"), MATRIX)
def test_a_seed_makes_its_node(profile: str, mode: str, kind: str, tmp_path: Path) -> None:
    given, node = resolved(profile, mode), NODES[kind]
    applied = apply_seed(seed_of(given, node, ODD), tmp_path, modules=module_list(given), macs=MACS)
    check_node(applied, given, node.name, [*brought(given, node), *ODD.files])
    address = {"dhcp": None, "static": b"192.0.2.10/24", "bond": b"192.0.2.20/24"}[kind]
    if address is not None:
        places = [applied.root / "etc" / name for name in ("systemd/network", "netplan", "network")]
        assert any(address in file.read_bytes() for p in places for file in p.rglob("*cloud-init*") if file.is_file())


def test_a_qualified_name_and_a_single_card_without_a_mac(tmp_path: Path) -> None:
    card = {"name": "port0", "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1"}
    node = Node.model_validate({"name": "n1.lab.example", "role": "worker", "network": {"interfaces": [card]}})
    given = resolved("debian12-efi", "baked", ["kernel.interface_names=predictable"])
    applied = apply_seed(seed_of(given, node), tmp_path, modules=module_list(given), macs=MACS[:1])
    check_node(applied, given, "n1.lab.example", brought(given, node))
    written = [
        f for f in (applied.root / "etc").rglob("*cloud-init*") if f.is_file() and b"192.0.2.10" in f.read_bytes()
    ]
    assert written


def test_mime_and_gzip_arrive_as_plain_text_does(tmp_path: Path) -> None:
    given = resolved("centos8-bios", "stock")
    seed = seed_of(given, NODES["bond"], ODD)
    packed = {**seed, "user-data": gzip.compress(mime(seed["user-data"]), mtime=0)}
    assert not seed["user-data"].isascii()
    applied = apply_seed(packed, tmp_path, modules=module_list(given), macs=MACS)
    check_node(applied, given, "bond1", [*brought(given, NODES["bond"]), *ODD.files])


def test_files_that_travel_packed_arrive_as_they_are(tmp_path: Path) -> None:
    """Each content and mode; over a file that is there already, and for a path with a blank in it."""
    given = resolved("debian12-efi", "stock")
    blank = NodeFile("/etc/imgbuild-test/a  name", b"x\n")
    files = [*ODD.files, blank]
    seed = seed_of(given, NODES["dhcp"])
    packed = packed_files(given, [NodeTree(tuple(files))])
    data = user_data(given, cluster_of(DHCP), DHCP, trees_of(given, DHCP)[-1:], packed=packed)
    there = {blank.path: b"longer than it\n", "/etc/imgbuild-test/raw": b"y"}
    applied = apply_seed({**seed, "user-data": data}, tmp_path, macs=MACS, files=there)
    for file in files:
        assert applied.read(file.path) == file.content, file.path
        assert applied.mode(file.path) == file.mode, file.path
    assert not [error for error in applied.errors if "bootcmd" in error]


def test_an_archive_that_is_cut_is_an_error(tmp_path: Path) -> None:
    given = resolved("debian12-efi", "stock")
    packed = packed_files(given, trees_of(given, DHCP)[:-1])
    assert packed is not None
    cut = replace(packed, text=packed.text[:8000])
    data = user_data(given, cluster_of(DHCP), DHCP, trees_of(given, DHCP)[-1:], packed=cut)
    applied = apply_seed({**seed_of(given, DHCP), "user-data": data}, tmp_path, macs=MACS)
    assert any("bootcmd" in error for error in applied.errors), applied.errors
    assert "imgbuild: setup ended with 127; nothing after it ran" in applied.output


def test_a_changed_seed_keeps_host_keys_and_what_has_run(tmp_path: Path) -> None:
    """A new instance-id: cloud-init would delete the host keys, and run every command again."""
    commands = ["echo a >> /var/lib/a", "echo b >> /var/lib/b", "echo b >> /var/lib/b"]
    more = ["files=[{path: /opt/mine, content: x, owner: 'admin:admin', mode: '0640'}]"]
    first, second = (
        resolved("debian12-efi", "baked", more, run=tuple(run))
        for run in (commands, [*commands, "echo c > /var/lib/c"])
    )
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    key = {"/etc/ssh/ssh_host_ed25519_key": b"this machine's own\n"}
    on_node = {"/opt/mine": b"x"}
    before = apply_seed(seed_of(first, NODES["dhcp"]), tmp_path / "first", macs=MACS, files=key | on_node)
    assert before.errors == []
    assert before.read("/etc/ssh/ssh_host_ed25519_key") == key["/etc/ssh/ssh_host_ed25519_key"]
    assert (before.read("/var/lib/a"), before.read("/var/lib/b")) == (b"a\n", b"b\nb\n")
    admin = next(line.split(":")[2:4] for line in before.read("/etc/passwd").decode().splitlines() if "admin:" in line)
    owner = (before.root / "opt/mine").stat()
    assert [str(owner.st_uid), str(owner.st_gid)] == admin
    marks = {f"/{mark.relative_to(before.root)}": b"" for mark in (before.root / "var/lib/imgbuild/run").iterdir()}
    assert len(marks) == 3
    after = apply_seed(seed_of(second, NODES["dhcp"]), tmp_path / "second", macs=MACS, files=key | marks | on_node)
    assert after.errors == []
    assert after.read("/etc/ssh/ssh_host_ed25519_key") == key["/etc/ssh/ssh_host_ed25519_key"]
    assert after.read("/var/lib/c") == b"c\n"
    assert not (after.root / "var/lib/a").exists() and not (after.root / "var/lib/b").exists()


FAILS = "#!/bin/sh\nexit 5\n"
REBOOTS = "#!/bin/sh\nmkdir -p /run/imgbuild\ntouch /run/imgbuild/reboot-needed\n"


@pytest.mark.slow
def test_a_failed_setup_is_an_error_and_stops_what_follows(tmp_path: Path) -> None:
    given = resolved("debian12-efi", "stock")
    applied = apply_seed(seed_of(given, NODES["dhcp"]), tmp_path, setup=FAILS)
    assert any("scripts-user" in error or "scripts_user" in error for error in applied.errors), applied.errors
    assert "imgbuild: setup ended with 5; nothing after it ran" in applied.output
    assert not (applied.root / "var/lib/ran-quoting").exists()
    assert not (applied.root / "var/lib/imgbuild-shutdown").exists()


ENDED = "/var/lib/imgbuild/seed-ended"
# cloud-init has counted its modules, and nothing of what they wrote is on the disk.
NOTHING_WRITTEN = """
run "$@" init --local
run "$@" init
ls "$r"/var/lib/cloud/instances/*/sem/config_users_groups
rm -f "$r"/var/lib/cloud/instances/*/sem/imgbuild_*
rm -r "$r"/etc/imgbuild "$r"/home/admin
sed -i "/^admin:/d" "$r"/etc/passwd "$r"/etc/shadow "$r"/etc/group "$r"/etc/gshadow
"""


@pytest.mark.parametrize("mode", ["baked", "stock"])
def test_power_that_fails_while_the_seed_is_written_loses_nothing(mode: str, tmp_path: Path) -> None:
    """cloud-init marks a module before it runs, and never runs it again."""
    given, node = resolved("debian12-efi", mode), NODES["static"]
    seed = seed_of(given, node, ODD)
    applied = apply_seed(seed, tmp_path, modules=module_list(given), macs=MACS, before=NOTHING_WRITTEN)
    check_node(applied, given, node.name, [*brought(given, node), *ODD.files])
    assert applied.read(ENDED).endswith(b" ok\n")


def test_power_that_fails_during_the_users_commands(tmp_path: Path) -> None:
    commands = (
        "echo a >> /var/lib/a",
        "echo b >> /var/lib/b; [ -e /var/lib/go-on ] || kill -9 $PPID",
        "echo c > /var/lib/c",
    )
    given = resolved("debian12-efi", "baked", run=commands)
    before = """
for stage in "init --local" init "modules --mode=config"; do run "$@" $stage || true; done
final "$@"
touch "$r/var/lib/go-on"
test ! -e "$r/var/lib/c"
"""
    applied = apply_seed(seed_of(given, NODES["dhcp"]), tmp_path, macs=MACS, before=before)
    assert applied.errors == []
    assert (applied.read("/var/lib/a"), applied.read("/var/lib/c")) == (b"a\n", b"c\n")
    assert applied.read("/var/lib/b") == b"b\nb\n", "the one that was interrupted"


def test_a_command_that_failed_is_run_again_at_the_next_boot_and_files_are_not_written_again(tmp_path: Path) -> None:
    given = resolved("debian12-efi", "stock", run=("test -e /var/lib/go-on", "echo c > /var/lib/c"))
    before = """
for stage in "init --local" init "modules --mode=config"; do run "$@" $stage || true; done
final "$@"
touch "$r/var/lib/go-on"
echo mine > "$r/etc/imgbuild/seed.conf"
grep -q ' failed$' "$r/var/lib/imgbuild/seed-ended"
"""
    setup = "#!/bin/sh\n[ ! -e /run/imgbuild/seed-again ] || echo again >> /var/lib/imgbuild-setup\n"
    applied = apply_seed(seed_of(given, NODES["dhcp"]), tmp_path, macs=MACS, before=before, setup=setup)
    assert applied.errors == []
    assert applied.read("/var/lib/c") == b"c\n"
    assert applied.read("/etc/imgbuild/seed.conf") == b"mine\n"
    assert applied.read("/var/lib/imgbuild-setup") == b"again\n", "set-up is told that it is not a new seed"


def test_the_files_of_an_include_are_fetched_checked_and_unpacked(tmp_path: Path) -> None:
    given = resolved("centos7-efi", "stock", ["cloud.include_url=http://127.0.0.1:8099/files.tar.gz"])
    *shared, own = [*trees_of(given, STATIC)[:-1], ODD, trees_of(given, STATIC)[-1]]
    archive = include_archive([public(shared)], 0)
    small = small_user_data(given, cluster_of(STATIC), STATIC, shared, own, hashlib.sha256(archive).hexdigest())
    assert small is not None
    seed = {**seed_of(given, STATIC), "user-data": small}
    (tmp_path / "www").mkdir()
    (tmp_path / "www/files.tar.gz").write_bytes(archive)
    # It starts late: a web server that is not there yet is asked again.
    serve = f"#!/bin/sh\nsleep 3\nexec python3 -m http.server -b 127.0.0.1 -d {tmp_path}/www 8099 >/dev/null 2>&1\n"
    applied = apply_seed(seed, tmp_path, modules=module_list(given), macs=MACS, setup=REBOOTS, serve=serve)
    (applied.root / "var/lib/imgbuild-setup").touch()
    there = [file for tree in shared for file in tree.files] + sent(given, own.files)
    check_node(applied, given, "static1", there)
    assert "-r" in applied.read("/var/lib/imgbuild-shutdown").decode()


def test_an_include_with_another_sha256_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/files.tar.gz").write_bytes(include_archive([public([ODD])], 0))
    given = resolved("debian12-efi", "stock", [f"cloud.include_url=file://{tmp_path}/www/files.tar.gz"])
    trees = trees_of(given, STATIC)
    small = small_user_data(given, cluster_of(STATIC), STATIC, trees[:-1], trees[-1], "0" * 64)
    assert small is not None
    seed = {**seed_of(given, STATIC), "user-data": small}
    applied = apply_seed(seed, tmp_path, macs=MACS)
    assert any("bootcmd" in error for error in applied.errors), applied.errors
    assert "not 0000" in applied.output
    assert not (applied.root / "etc/imgbuild-test").exists()
    # Without its files there is no setup to run: an error as well, and the user's commands do not run after it.
    assert "imgbuild: setup ended with 127; nothing after it ran" in applied.output
    assert not (applied.root / "var/lib/ran-quoting").exists()
