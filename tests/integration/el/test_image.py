"""Disk images of CentOS, by the command that users know, from the stand-in base; booted, with the guest's own checks,
and with the kernels that an administrator of the guest installs and chooses.

Real: the profile, diskimage-builder, dnf and rpm, dracut, GRUB, QEMU, cloud-init, containerd. What stands in for what
is said in base.sh, rpms.py and nerdctl.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from imgbuild.config.fields import Firmware
from imgbuild.config.target import load_target
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.image.assemble import assemble
from imgbuild.image.content import unpack
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.disk.partition import read_table
from imgbuild.image.overlay import enable_units, lay
from imgbuild.image.rootfs.build import Rootfs, looked_up
from imgbuild.machine import MachineSpec, boot
from imgbuild.machine.report import Message
from imgbuild.pipeline import Request, prepare
from imgbuild.render.nodefile import NodeFile, NodeLink, NodeTree
from tests.integration.image.conftest import rootfs as rootfs
from tests.support.deadline import HUNG
from tests.support.el.listing import listing
from tests.support.el.made import IMGBUILD, OTHER, Made, build, imgbuild, make_image
from tests.support.el.modules import MODULAR, SEEN
from tests.support.el.update import make_update_disk
from tests.support.image.files import files_of
from tests.support.image.plan import KERNEL_ARGS, image_files
from tests.support.image.recorder import Recorder

pytestmark = [pytest.mark.image, pytest.mark.boot]


# New and replaced files, a file of a set-user-id bit, new folders, blanks, a folder that is a link, an empty file.
_TREE = NodeTree(
    files=(
        NodeFile("/etc/hostname", b"replaced\n"),
        NodeFile("/etc/shadow", b"root:*::::::\n", 0o600),
        NodeFile("/etc/new folder/with blanks/a file", b"x" * 100_000, 0o640),
        NodeFile("/lib/systemd/system/own.service", b"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=a.target\n"),
        NodeFile("/usr/bin/sudo", b"another program", 0o4755),
        NodeFile("/var/run/empty", b""),
        NodeFile("/srv/rule-7999/a", b"by one of the policy's last rules"),
    ),
    links=(NodeLink("/etc/mtab", "../" * 30 + "proc/self/mounts"), NodeLink("/srv/link", "nowhere at all")),
    enable=("sshd.service", "own.service"),
    mask=("crond.service", "no-such.service"),
)


# Each image in a process of its own, where tests run in several: it is made once. make test makes this one of CentOS 8,
# and test_install.py's node of CentOS 7.
EL8 = pytest.param("8-efi", id="centos8-efi", marks=pytest.mark.xdist_group("image-el8"))
EL7 = pytest.param("7-bios", id="centos7-bios", marks=[pytest.mark.xdist_group("image-el7"), pytest.mark.slow])


@pytest.fixture(scope="module", params=[EL8, EL7])
def made(request: pytest.FixtureRequest, rootfs: Rootfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    release, firmware = request.param.split("-")
    folder = tmp_path_factory.mktemp(f"centos{release}")
    with make_image(rootfs, release, firmware, folder) as image:
        yield image
    shutil.rmtree(folder)


def debugfs(disk: Path, command: str) -> str:
    argv = ["debugfs", "-R", command, f"{disk}?offset={read_table(disk)[-1].start}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow  # in make test, Debian's image boots, and the boot menus of these two are read and proved
@pytest.mark.parametrize("made", [EL8, EL7], indirect=True)
def test_it_boots_and_every_check_in_the_guest_passes(made: Made) -> None:
    done = imgbuild("boot", made.folder, "--check", "--seconds", "1200", cache=made.cache)
    (report,) = (made.folder / "image").glob("*/checks.json")
    looked_at(made, {check["name"]: check["ok"] for check in json.loads(report.read_text())["checks"]})
    assert done.returncode == 3, done.stdout + done.stderr[-3000:]


def looked_at(made: Made, states: Mapping[str, bool | None]) -> None:
    """What the guest's own checks must say."""
    # kubeadm is here by name only: first boot fails at it, and that is told.
    foreign = {"first-boot", "failed-units"}
    if made.world.release == "7":
        foreign.add("cgroup")  # the base's systemd takes v2 by itself; CentOS 7's own, 219, has none
    assert {name for name, ok in states.items() if ok is False} == foreign
    # A check that is not made cannot fail.
    wanted = {"kernel", "boot-default", "cloud-init", "containerd", "kubelet", "helm", "stargz", "root-grown", "bpffs"}
    assert all(states[name] is True for name in wanted)


@pytest.mark.slow
@pytest.mark.parametrize("made", [EL8, EL7], indirect=True)
def test_the_guests_own_tools_change_what_it_boots(made: Made, tmp_path: Path) -> None:
    """An update, a new menu, a change of default; each boot with fresh firmware variables, as after their loss.

    The first boot is looked at like any other: it saves a boot.
    """
    older = made.world.kernel
    newer, disk = make_update_disk(made.world, tmp_path)
    (image,), (seed,) = (made.folder / "image").glob("*.qcow2"), (made.folder / "nodes").glob("*/seed.iso")
    spec = MachineSpec(made.firmware, image, seed, (disk,), overlay=tmp_path / "kept.qcow2")
    heard = []
    for number, until in enumerate((told_all, told, told)):
        folder, check = tmp_path / "boot", number == 0
        result = boot(spec, PlainSteps(sys.stderr), folder, check=check, until=until, seconds=1500, temp=tmp_path)
        heard += [m.body for m in result.messages if told([m])]
        assert result.powered_off, result.problem
        if check:
            looked_at(made, {c.name: c.ok for c in result.checks})
    # What runs, and the default before and after what was done in this boot.
    assert [(m.get("running"), m.get("default"), m.get("next")) for m in heard] == [
        (older, f"/boot/vmlinuz-{older}", f"/boot/vmlinuz-{newer}"),
        (newer, f"/boot/vmlinuz-{newer}", f"/boot/vmlinuz-{older}"),
        (older, f"/boot/vmlinuz-{older}", f"/boot/vmlinuz-{older}"),
    ], heard
    assert all(m["installed"] == sorted({older, newer}) for m in heard)
    if made.world.release == "8":
        # Entries and default have the node's own id, also those that came with the image.
        assert all(m["foreign"] == [] for m in heard), heard


def told_all(messages: Sequence[Message]) -> bool:
    """Whether the guest's own checks have come too."""
    return told(messages) and any(m.kind == "verify" for m in messages)


def told(messages: Sequence[Message]) -> bool:
    """Whether the guest has said what it had to say."""
    return any(m.kind == "probe" and m.body["name"] in {"kernels", "error"} for m in messages)


def test_the_manifest_has_the_kernel_and_where_each_package_came_from(made: Made) -> None:
    image = json.loads((made.folder / "manifest.json").read_text())["groups"]["image"]
    assert image["kernel"] == made.world.kernel
    assert f"{'efi' if 'efi' in made.profile else 'bios'} starts {made.world.kernel}" in made.said
    packages = image["packages"]
    if made.world.release == "8":
        assert packages[MODULAR]["version"] == f"{SEEN}-1"
    assert (packages["kernel-ml"]["repository"], packages["kernel-ml"]["origin"]) == ("elrepo-kernel", "profile")
    assert (packages["kubernetes-cni"]["repository"], packages["kubernetes-cni"]["origin"]) == (
        "kubernetes",
        "dependency",
    )


def test_every_file_has_its_label_a_node_file_too(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    for path, label in {
        "/etc/shadow": "shadow_t",
        "/etc/imgbuild/verify.conf": "etc_t",
        "/usr/libexec/imgbuild/verify": "bin_t",
        f"/boot/vmlinuz-{made.world.kernel}": "boot_t",
        "/var/lib": "var_t",
    }.items():
        assert f"system_u:object_r:{label}:s0" in debugfs(disk, f"ea_get {path} security.selinux"), path


def test_nothing_of_the_build_is_left(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    assert "Size: 0" in debugfs(disk, "stat /etc/machine-id")
    assert "127.0.0.1" not in debugfs(disk, "cat /etc/resolv.conf")
    assert "ssh_host" not in debugfs(disk, "ls -p /etc/ssh")
    assert "imgbuild" not in debugfs(disk, "ls -p /var/cache")
    assert "enabled=0" in debugfs(disk, "cat /etc/yum.repos.d/CentOS-Base.repo")
    assert ".log" not in debugfs(disk, "ls -p /var/log")


def test_sudo_finds_usr_local_and_no_timer_asks_the_mirrors(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    assert "Mode:  0440" in debugfs(disk, "stat /etc/sudoers.d/50-imgbuild")
    assert "/usr/local/bin" in debugfs(disk, "cat /etc/sudoers.d/50-imgbuild")
    assert "/usr/local" not in debugfs(disk, "cat /etc/sudoers")
    assert 'Fast link dest: "/dev/null"' in debugfs(disk, "stat /etc/systemd/system/dnf-makecache.timer")
    if made.world.release == "8":
        assert "dnf-makecache.timer" in debugfs(disk, "ls -p /etc/systemd/system/timers.target.wants")  # by preset


def test_the_boot_loader_lies_where_its_own_tools_look(made: Made, tmp_path: Path) -> None:
    disk = made.disk(tmp_path / "disk")
    environment = debugfs(disk, "stat /boot/grub2/grubenv")
    if "bios" in made.profile:
        assert "Size: 1024" in environment
        return
    assert 'Fast link dest: "../efi/EFI/centos/grubenv"' in environment
    argv = ["mdir", "-/", "-b", "-i", f"{disk}@@{read_table(disk)[0].start}", "::/"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert {
        "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/BOOT/grubx64.efi", "::/EFI/BOOT/grub.cfg",
        "::/EFI/centos/shimx64.efi", "::/EFI/centos/grubx64.efi", "::/EFI/centos/grub.cfg", "::/EFI/centos/grubenv",
    } == {name for name in listed if not name.endswith("/")}  # fmt: skip


@pytest.mark.parametrize("firmware", ["efi", pytest.param("bios", marks=pytest.mark.slow)])
def test_a_disk_from_the_kept_file_system_has_the_same_files_and_labels(
    made: Made, firmware: Firmware, tmp_path: Path
) -> None:
    (tar,) = (made.cache / "rootfs").glob("*.tar")
    rootfs = looked_up(tar.stem, made.cache)
    assert rootfs is not None
    target = load_target(f"centos{made.world.release}")
    layout = disk_layout(rootfs.key, firmware, 4096, target.boot, selinux=target.selinux)
    found = []
    for cache in (None, made.cache):
        files = image_files(tmp_path / f"made-{bool(cache)}", formats=("raw",))
        steps = Recorder()
        assemble(rootfs, layout, _TREE, KERNEL_ARGS, files, tmp_path / "work", steps, cache=cache)
        assert any("Unpack the root file system" in line for line in steps.lines) is (cache is None)
        disk = files.path("raw")
        esp, *_, root = read_table(disk)
        with disk.open("rb") as data:
            data.seek(esp.start)
            first = hashlib.sha256(data.read(esp.size)).hexdigest()
        found.append((first, files_of(disk, root.start, tmp_path)))
        disk.unlink()
    (esp_whole, whole), (esp_edited, edited) = found
    assert edited.keys() == whole.keys()
    assert {path: (whole[path], edited[path]) for path in whole if whole[path] != edited[path]} == {}
    assert esp_edited == esp_whole
    label = bytes.fromhex(edited["/srv/rule-7999/a"][-1]["security.selinux"])
    assert label == b"system_u:object_r:srv_t:s0\0"
    assert bytes.fromhex(edited["/etc/shadow"][-1]["security.selinux"]) == b"system_u:object_r:shadow_t:s0\0"


@pytest.mark.slow  # test_assemble.py has both of Debian's root
def test_the_other_firmware_is_made_of_the_same_root_file_system(made: Made) -> None:
    other = build(made.world, OTHER[made.firmware], made.folder.parent)
    assert "is in the cache" in other.said
    assert "diskimage-builder" not in other.said
    assert f"starts {made.world.kernel}" in other.said


def test_a_dead_first_mirror_is_said(made: Made) -> None:
    (log,) = (made.cache / "logs").glob("*.log")
    assert "http://127.0.0.1:9/gone/" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("made", [EL7, EL8], indirect=True)
def test_the_exported_elements_give_the_same_tree(made: Made, tmp_path: Path) -> None:
    """With a stock disk-image-create, by build.sh: what imgbuild puts on the disk before there is a boot loader."""
    script = made.folder / "elements" / "build.sh"
    assert "-t tar" in script.read_text()
    path = os.pathsep.join((str(Path(IMGBUILD).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "HOME": str(tmp_path), "IMGBUILD_BASE_TAR": str(made.world.base)}
    argv = [script, tmp_path / "theirs.tar"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=HUNG)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    (tar,) = (made.cache / "rootfs").glob("*.tar")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    unpack(tar, ours)
    node = prepare(Request(made.profile, made.layers), Findings()).rendered.node
    lay(ours, node, 0)
    enable_units(ours, node)
    unpack(tmp_path / "theirs.tar", theirs)
    mine, other = listing(ours), listing(theirs)
    assert {"etc/imgbuild/node.conf", "usr/share/imgbuild/packages.tsv"} <= mine.keys()
    assert {p: (mine.get(p), other.get(p)) for p in mine.keys() | other.keys() if mine.get(p) != other.get(p)} == {}
