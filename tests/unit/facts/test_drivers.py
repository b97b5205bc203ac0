"""The drivers of the initramfs: imgbuild's and the profile's."""

from __future__ import annotations

from imgbuild.facts.drivers import boot_drivers
from imgbuild.render.install import install_tree
from tests.support.profiles import resolved


def test_the_profiles_drivers_are_required() -> None:
    assert {"bnx2x", "megaraid_mbox"} <= {*boot_drivers(["bnx2x", "megaraid-mbox"]).always}
    assert boot_drivers(["nvme"]) == boot_drivers()


def test_both_tools_and_the_installation_get_them() -> None:
    for name, path in (
        ("centos8-efi", "/etc/dracut.conf.d/zzz-imgbuild.conf"),
        ("debian12-efi", "/etc/initramfs-tools/hooks/imgbuild"),
    ):
        files = install_tree(resolved(name, sets=["kernel.initramfs_drivers=[bnx2x]"])).by_path()
        assert b" bnx2x " in files[path].content
        (row,) = [
            line for line in files["/etc/imgbuild/install.conf"].content.splitlines() if b"INITRAMFS_DRIVERS=" in line
        ]
        assert b" bnx2x)" in row
