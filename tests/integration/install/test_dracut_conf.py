"""Our file for dracut, as dracut's shell reads it, behind those of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

from imgbuild.facts.drivers import boot_drivers
from tests.support.install.room import tree

MODINFO = """#!/bin/sh
[ "$1" = -k ] && [ "$2" = 6.9.7 ] && [ $# = 3 ] || exit 64
case " nvme nbd xen_netfront mmc_block " in *" $3 "*) ;; *) exit 1 ;; esac
"""


def read(folder: Path, before: str, after: str = "", kernel: str = "6.9.7") -> tuple[set[str], str]:
    """The list that dracut ends with, and what was said meanwhile; the real dracut is tried in tests/el."""
    (conf,) = [f for f in tree("centos7-efi").files if f.path.startswith("/etc/dracut.conf.d/")]
    assert conf.path.rpartition("/")[2].startswith("zzz-")
    (folder / "modinfo").write_text(MODINFO)
    (folder / "modinfo").chmod(0o755)
    (folder / "ours.conf").write_bytes(conf.content)
    script = (
        f'kernel={kernel}\n{before}\n. {folder}/ours.conf\n{after}\necho "$add_drivers|$hostonly"\ncompgen -v imgbuild_'
    )
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    listed, hostonly = done.stdout.splitlines()[0].split("|")
    assert hostonly == "no"
    assert done.stdout.count("\n") == 1, "no variable of ours stays"
    return set(listed.split()), done.stderr


def test_what_others_add_stays_and_what_the_kernel_lacks_goes(tmp_path: Path) -> None:
    listed, said = read(tmp_path, 'add_drivers+=" nbd xen_netfront no_such_one "')
    assert listed == {"nbd", "xen_netfront", "nvme", "mmc_block"}
    assert said == "imgbuild: the kernel 6.9.7 has no module no_such_one: the initramfs goes without it\n"


def test_a_file_that_comes_later_adds_to_it(tmp_path: Path) -> None:
    listed, said = read(tmp_path, "", 'add_drivers+=" mine "')
    assert listed == {"xen_netfront", "nvme", "mmc_block", "mine"}
    assert said == ""


def test_a_reader_without_a_kernel_is_told_nothing(tmp_path: Path) -> None:
    """kernel-install's 51-dracut-rescue.install reads the folder too: it only looks for dracut_rescue_image."""
    for before in ('add_drivers+=" xen-netfront "', 'unset kernel; add_drivers+=" xen-netfront "'):
        assert read(tmp_path, before, kernel="")[1] == ""


def test_each_driver_is_named_once_and_with_underscores() -> None:
    wanted = (*boot_drivers().always, *boot_drivers().where_built)
    assert len(wanted) == len(set(wanted))
    assert not [name for name in wanted if "-" in name]
