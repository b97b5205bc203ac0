"""An admin's sudo on EL finds what lies in /usr/local: the real sudo and visudo, with sudoers as EL has it."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from imgbuild.config.cluster import DEFAULT
from imgbuild.image.overlay import lay
from imgbuild.outputs.elements import element_files
from imgbuild.outputs.include import include_archive, public
from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.userdata import packed_files, user_data
from tests.support import travels
from tests.support.deadline import HUNG
from tests.support.profiles import PROFILES, SECURE_PATH, resolved

PATH = "/etc/sudoers.d/50-imgbuild"
EL = [name for name in PROFILES if name.startswith("centos")]
PROGRAMS = ("nerdctl-standin", "helm-standin")  # of names that the host has nowhere
# EL's own settings that matter here (sudo 1.8.23 of EL 7, 1.8.29 of EL 8).
SUDOERS = f"""\
Defaults   !visiblepw
Defaults    always_set_home
Defaults    match_group_by_gid
Defaults    env_reset
Defaults    env_keep =  "COLORS DISPLAY HOSTNAME HISTSIZE KDEDIR LS_COLORS"
Defaults    secure_path = {SECURE_PATH}
root\tALL=(ALL) \tALL
%wheel\tALL=(ALL)\tALL
#includedir /etc/sudoers.d
"""
# $1: what stands for /etc/sudoers, /etc/sudoers.d and /usr/local/bin; in a mount namespace that takes all with it.
ENTER = """
set -eu
mount --bind "$1/sudoers" /etc/sudoers
mount --bind "$1/sudoers.d" /etc/sudoers.d
mount --bind "$1/bin" /usr/local/bin
shift
exec "$@"
"""


def sudoers(name: str) -> NodeFile | None:
    found = resolved(name)
    return node_tree(found).by_path().get(PATH)


def _file(name: str) -> NodeFile:
    file = sudoers(name)
    assert file is not None
    return file


class Machine:
    """The host with EL's sudoers, in a namespace of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("sudoers.d", "bin"):
            (folder / name).mkdir()
        self.write("sudoers", SUDOERS.encode(), 0o440)
        for name in PROGRAMS:
            self.write(f"bin/{name}", b"#!/bin/sh\necho here\n", 0o755)

    def write(self, name: str, content: bytes, mode: int) -> None:
        (self.folder / name).write_bytes(content)
        (self.folder / name).chmod(mode)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", str(self.folder)]
        return subprocess.run([*enter, *argv], capture_output=True, text=True, timeout=HUNG)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", EL)
def test_sudo_finds_what_is_in_usr_local(machine: Machine, name: str) -> None:
    assert shutil.which("sudo") and shutil.which("visudo")
    for program in PROGRAMS:
        assert machine.run("sudo", program).stdout == ""  # as EL is by itself
    file = _file(name)
    machine.write("sudoers.d/50-imgbuild", file.content, file.mode)
    for program in PROGRAMS:
        done = machine.run("sudo", program)
        assert (done.returncode, done.stdout) == (0, "here\n"), done.stderr
    said = machine.run("sudo", "sh", "-c", 'echo "$PATH"').stdout.strip()
    assert said == f"{SECURE_PATH}:/usr/local/sbin:/usr/local/bin"


@pytest.mark.parametrize("name", EL)
def test_visudo_takes_it(machine: Machine, name: str) -> None:
    file = _file(name)
    machine.write("sudoers.d/50-imgbuild", file.content, file.mode)
    done = machine.run("visudo", "-c")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50-imgbuild: parsed OK" in done.stdout
    machine.write("sudoers.d/50-imgbuild", file.content, 0o644)
    assert "bad permissions" in machine.run("visudo", "-c").stdout + machine.run("visudo", "-c").stderr


def test_sudo_on_debian_looks_there_by_itself() -> None:
    assert sudoers("debian12-efi") is None
    assert "/usr/local/bin" in Path("/etc/sudoers").read_text()


def test_its_mode_arrives_every_way(tmp_path: Path) -> None:
    """Laid into the image, sent by write_files, fetched from a web server, in the elements."""
    found = resolved("centos8-efi", sets=["mode=stock"])
    tree = node_tree(found)
    file = tree.by_path()[PATH]
    assert file.mode == 0o440
    assert not file.secret  # it may be shown, and lie on a web server
    lay(tmp_path, NodeTree((file,)), 0)
    assert (tmp_path / PATH.lstrip("/")).stat().st_mode & 0o7777 == 0o440
    data = user_data(found, DEFAULT, DEFAULT.nodes[0], [], packed=packed_files(found, [tree]))
    (sent,) = [f for f in travels.files(yaml.safe_load(data)) if f["path"] == PATH]
    assert sent["permissions"] == "0440"
    with tarfile.open(fileobj=io.BytesIO(include_archive([public([tree])], 0))) as archive:
        assert archive.getmember(PATH.lstrip("/")).mode == 0o440
    elements = element_files(found.target, NodeTree(), tree)
    assert elements[f"imgbuild-node/tree{PATH}"].mode == 0o440


def test_a_file_of_the_user_takes_its_place() -> None:
    found = resolved("centos8-efi", sets=[f"files=[{{path: {PATH}, content: mine, mode: '0440'}}]"])
    assert node_tree(found).by_path()[PATH].content == b"mine"
