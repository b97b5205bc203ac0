"""What of imgbuild's own files only people read."""

from __future__ import annotations

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.render.cluster_files import seed_tree
from imgbuild.render.install import install_tree
from imgbuild.render.node import node_tree
from imgbuild.render.uncommented import uncommented
from imgbuild.render.userdata import sent
from tests.support.profiles import resolved

TARGETS = ("centos7-efi", "centos8-efi", "debian12-efi")

CASES = {
    "/etc/systemd/system/x.service": ("# why\n[Unit]\n  # more\nDescription=a # b\n", "[Unit]\nDescription=a # b\n"),
    "/etc/sysctl.d/x.conf": ("# why\n#\nnet.x = 1\n", "net.x = 1\n"),
    "/etc/imgbuild/x.conf": ("# why\nx=(\n    'a # b'\n)\n", "x=(\n'a # b'\n)\n"),
    "/etc/apt/apt.conf.d/x": ("#clear Acquire;\n", "#clear Acquire;\n"),
    "/etc/chrony.d/README": ("# all of it\n", "# all of it\n"),
    "/etc/imgbuild/cilium-values.yaml": ("a: |\n  # text\n", "a: |\n  # text\n"),
    "/etc/sudoers.d/x": ("# why\n", "# why\n"),
}


@pytest.mark.parametrize("path", CASES)
def test_comments_go_where_they_are_known(path: str) -> None:
    text, short = CASES[path]
    assert uncommented(path, text.encode(), scripts_only=False) == short.encode()
    assert uncommented(path, text.encode(), scripts_only=True) == text.encode()


@pytest.mark.parametrize("profile", TARGETS)
def test_only_lines_that_are_comments_go_from_files_that_are_no_scripts(profile: str) -> None:
    found = resolved(profile, sets=["mode=stock"])
    trees = (install_tree(found), node_tree(found), seed_tree(found, DEFAULT, DEFAULT.nodes[0]))
    shorter = 0
    for file in (file for tree in trees for file in tree.files if not file.path.startswith("/usr/")):
        if "/rpm-gpg/" in file.path or "/keyrings/" in file.path:
            continue
        whole, short = file.content.decode().splitlines(), sent(found, [file])[0].content.decode().splitlines()
        if whole == short:
            continue
        shorter += 1
        shell = file.path.endswith((".conf", ".sh")) or "initramfs" in file.path or "sysconfig" in file.path
        kept = [line for line in whole if not line.lstrip().startswith("# ")]
        if shell and len(kept) != len(short):  # scripts: test_stripped.py
            assert len(short) < len(whole), file.path
        elif not shell:
            assert short == kept, file.path
    assert shorter > 15
