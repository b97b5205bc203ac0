"""Boot entries of an image get the node's own machine id: with GRUB's own grub-editenv, cut off at every command."""

from __future__ import annotations

import os
import subprocess

import pytest

from imgbuild.image.disk.bls import Entry, sort_key
from imgbuild.image.disk.grubmenu import environment_block
from imgbuild.render.node import node_tree
from tests.support.install.room import Room, resolved
from tests.support.places import ROOT, SUPPORT

BUILD, OWN, OTHER = "f" * 32, "0123456789abcdef" * 2, "9" * 32
OLD, NEW = "4.18.0-348.el8.x86_64", "7.1.9-1.el8.elrepo.x86_64"
PROGRAM = "/usr/libexec/imgbuild/boot-entries"
ENTRIES = "boot/loader/entries"
GRUBENV = "boot/grub2/grubenv"
ESP = "boot/efi/EFI/centos/grubenv"
OPTIONS = "root=UUID=0d5ac0f2-7d0b-4c3e-9a38-0b8ad0a5a4a1 ro net.ifnames=0 " + "x" * 300
KERNEL_INSTALL = SUPPORT / "el/standins/kernel-install"
# Counts the calls, and cuts the power before or after the one that $WORLD/cut names.
CUT = """#!/bin/bash
exec 9> /standin/lock; flock 9
number=$(($(cat /standin/number) + 1))
echo $number > /standin/number
[ "$(cat /standin/cut)" != "before $number" ] || { kill -9 $PPID && exit 1; }
code=0
/usr/bin/${0##*/} "$@" 9>&- || code=$?
[ "$(cat /standin/cut)" != "after $number" ] || kill -9 $PPID
exit $code
"""
COMMANDS = ("sync", "mv", "dd", "rm", "sed", "cp", "chmod", "mktemp", "cmp")


def entry(room: Room, name: str, kernel: str) -> None:
    room.write(
        f"/{ENTRIES}/{name}.conf", f"title CentOS Linux\nversion {kernel}\nlinux /boot/vmlinuz-{kernel}\n", 0o600
    )


def make(room: Room, *, firmware: str = "bios", saved: str = f"{BUILD}-{NEW}") -> Room:
    """A node of the image: one kernel, whose entry has the build's id, and an id of its own."""
    found = resolved("centos8-efi")
    room.lay(node_tree(found))
    shared = "/usr/libexec/imgbuild/lib/path.sh"
    room.write(shared, (ROOT / f"node{shared}").read_text())
    room.write("/etc/machine-id", f"{OWN}\n")
    for folder in (ENTRIES, "boot/grub2", "boot/efi/EFI/centos"):
        (room.upper / folder).mkdir(parents=True, exist_ok=True)
    # The host's own boot folder is below: nothing of it is to be seen.
    os.setxattr(room.upper / "boot", "trusted.overlay.opaque", b"y")
    entry(room, f"{BUILD}-{NEW}", NEW)
    room.write(f"/boot/vmlinuz-{NEW}", "kernel")
    block = environment_block({"saved_entry": saved, "kernelopts": OPTIONS})
    place = room.upper / (ESP if firmware == "efi" else GRUBENV)
    place.write_bytes(block)
    if firmware == "efi":
        (room.upper / GRUBENV).symlink_to("../efi/EFI/centos/grubenv")
        (room.upper / "sys/firmware/efi").mkdir(parents=True)
    return room


def run(room: Room) -> subprocess.CompletedProcess[str]:
    return room.run("bash", PROGRAM, image=False)


def names(room: Room) -> list[str]:
    return sorted(path.name for path in (room.upper / ENTRIES).iterdir() if path.is_file())


def variables(room: Room) -> dict[str, str]:
    """By GRUB's own program."""
    done = room.run("grub-editenv", f"/{GRUBENV}", "list", image=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def default(room: Room) -> str:
    """The kernel that GRUB starts; it must not fall back to its first entry."""
    return room.read(f"/{ENTRIES}/{variables(room)['saved_entry']}.conf").rpartition("vmlinuz-")[2].strip()


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_entries_and_default_get_the_nodes_id(room: Room, firmware: str) -> None:
    make(room, firmware=firmware)
    done = run(room)
    assert done.returncode == 0, done.stderr
    assert names(room) == [f"{OWN}-{NEW}.conf"]
    assert (room.upper / f"{ENTRIES}/{OWN}-{NEW}.conf").stat().st_mode & 0o777 == 0o600
    assert variables(room) == {"saved_entry": f"{OWN}-{NEW}", "kernelopts": OPTIONS}
    assert (room.upper / GRUBENV).is_symlink() == (firmware == "efi")
    block = (room.upper / (ESP if firmware == "efi" else GRUBENV)).read_bytes()
    assert block == environment_block({"saved_entry": f"{OWN}-{NEW}", "kernelopts": OPTIONS})
    again = run(room)
    assert (again.returncode, again.stdout) == (0, "")


def test_kernel_install_removes_what_the_image_brought(room: Room) -> None:
    """The proof: with the build's id the entry stays, and GRUB would offer a kernel that is gone."""
    make(room)
    room.write("/usr/local/sbin/kernel-install", KERNEL_INSTALL.read_text(), 0o755)
    room.write("/etc/sysconfig/kernel", "UPDATEDEFAULT=yes\nDEFAULTKERNEL=kernel-ml-core\n")
    assert room.run("kernel-install", "remove", NEW, image=False).returncode == 0
    assert names(room) == [f"{BUILD}-{NEW}.conf"]
    room.write(f"/boot/vmlinuz-{NEW}", "kernel")
    assert run(room).returncode == 0
    assert room.run("kernel-install", "remove", NEW, image=False).returncode == 0
    assert names(room) == []


def test_the_version_decides_the_order(room: Room) -> None:
    make(room, saved=f"{OWN}-{NEW}")
    for name, kernel in ((f"{BUILD}-{OLD}", OLD), (f"{OTHER}-0-rescue", "0-rescue"), (f"{OWN}-{NEW}", NEW)):
        entry(room, name, kernel)
    room.write(f"/{ENTRIES}/{BUILD}-{NEW}.conf", "the image's own\n")
    room.write(f"/{ENTRIES}/somebodys.conf", "title mine\n")
    assert run(room).returncode == 0
    found = [name.removesuffix(".conf") for name in names(room) if name.startswith(OWN)]
    assert sorted(found, key=lambda n: sort_key(Entry(n, ())), reverse=True) == [
        f"{OWN}-{NEW}", f"{OWN}-{OLD}", f"{OWN}-0-rescue"
    ]  # fmt: skip
    assert len(names(room)) == 4  # the user's own entry stays
    # Of two entries of one kernel the node's own is the newer one.
    assert "vmlinuz" in room.read(f"/{ENTRIES}/{OWN}-{NEW}.conf")


def test_the_next_boots_entry_and_a_machine_id_line_too(room: Room) -> None:
    make(room)
    entry(room, f"{BUILD}-{OLD}", OLD)
    text = room.read(f"/{ENTRIES}/{BUILD}-{OLD}.conf")
    room.write(f"/{ENTRIES}/{BUILD}-{OLD}.conf", f"{text}machine-id {BUILD}\n")
    values = {"saved_entry": f"{BUILD}-{NEW}", "next_entry": f"{BUILD}-{OLD}"}
    (room.upper / GRUBENV).write_bytes(environment_block(values))
    assert run(room).returncode == 0
    assert variables(room) == {"saved_entry": f"{OWN}-{NEW}", "next_entry": f"{OWN}-{OLD}"}
    assert room.read(f"/{ENTRIES}/{OWN}-{OLD}.conf").endswith(f"machine-id {OWN}\n")


def test_of_two_machines_entries_of_one_kernel_the_default_stays(room: Room) -> None:
    """So Red Hat's own cloud image has it: of the build's two machines, with a rescue entry each."""
    make(room, saved=f"{BUILD}-{NEW}")
    for name in (BUILD, OTHER):
        entry(room, f"{name}-0-rescue", f"0-rescue-{name}")
    room.write(f"/{ENTRIES}/{OTHER}-{NEW}.conf", "title of the other\n")
    assert run(room).returncode == 0
    assert names(room) == [f"{OWN}-0-rescue.conf", f"{OWN}-{NEW}.conf"]
    assert default(room) == NEW


@pytest.mark.parametrize("saved", ["0", "CentOS Linux (x) 8", f"{BUILD}-gone", ""])
def test_another_default_stays(room: Room, saved: str) -> None:
    make(room, saved=saved)
    assert run(room).returncode == 0
    assert names(room) == [f"{OWN}-{NEW}.conf"]
    assert variables(room)["saved_entry"] == saved


def test_without_the_esp_nothing_is_done(room: Room) -> None:
    make(room, firmware="efi")
    (room.upper / ESP).unlink()
    done = run(room)
    assert done.returncode == 1
    assert "is not mounted: mount it and run" in done.stderr
    assert names(room) == [f"{BUILD}-{NEW}.conf"]


def test_a_bios_image_whose_grubenv_leads_nowhere(room: Room) -> None:
    """So the official image of CentOS 8 has it: GRUB has no default there, and the first entry counts."""
    make(room)
    (room.upper / GRUBENV).unlink()
    (room.upper / GRUBENV).symlink_to("../efi/EFI/centos/grubenv")
    assert run(room).returncode == 0
    assert names(room) == [f"{OWN}-{NEW}.conf"]


@pytest.mark.parametrize("text", ["", "uninitialized\n"])
def test_a_machine_without_an_id(room: Room, text: str) -> None:
    make(room)
    room.write("/etc/machine-id", text)
    assert "contains no machine id" in run(room).stderr
    assert names(room) == [f"{BUILD}-{NEW}.conf"]


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_a_power_cut_at_any_moment(room: Room, firmware: str) -> None:
    make(room, firmware=firmware)
    entry(room, f"{BUILD}-{OLD}", OLD)
    start = {path: path.read_bytes() for path in (room.upper / "boot").rglob("*") if path.is_file()}
    for name in COMMANDS:
        room.write(f"/usr/local/sbin/{name}", CUT, 0o755)
    room.write("/standin/lock", "")
    number = 0
    while True:
        number += 1
        for cut in (f"before {number}", f"after {number}"):
            for path in (room.upper / ENTRIES).iterdir():
                path.unlink()
            for path, content in start.items():
                path.write_bytes(content)
            room.world(cut=cut, number="0")
            done = run(room)
            if done.returncode == 0:
                assert number > 15, "it does more than this"
                return
            assert default(room) == NEW, cut
            room.world(cut="", number="0")
            assert run(room).returncode == 0, cut
            assert names(room) == sorted([f"{OWN}-{NEW}.conf", f"{OWN}-{OLD}.conf"]), cut
            assert default(room) == NEW, cut
