"""Reading boot menus as GRUB would: ours, and such as grub2-mkconfig and kernel-install write on EL."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.config.fields import Firmware
from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import HostError
from imgbuild.image.disk import bls, grubmenu
from imgbuild.image.disk.layout import DiskLayout, disk_layout
from imgbuild.image.proof import bootmenu
from imgbuild.image.proof.bootmenu import Device, Entry, Menu

ARGUMENTS = ["net.ifnames=0", "console=ttyS0,115200"]
# As grub2-mkconfig of EL 8 writes it: functions before the entries, grubenv by one of two ways, no entry of its own.
EL8 = """
set pager=1
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
    save_env saved_entry
  fi
}
if [ x$feature_timeout_style = xy ] ; then
  set timeout_style=menu
# a comment with { and fi
else
  set timeout=1
fi
if [ -n "${boot_counter}" -a "${boot_success}" = "0" ]; then
  if [ "${boot_counter}" = "0" -o "${boot_counter}" = "-1" ]; then
    set default=1
  fi
fi
insmod part_gpt
search --no-floppy --fs-uuid --set=root --hint='hd0,gpt2'  UUID
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=UUID=UUID ro fallback "
fi
insmod blscfg
blscfg
"""
BLS = (
    "title CentOS Linux ({0}) 8\nversion {0}\nlinux /boot/vmlinuz-{0}\ninitrd /boot/initramfs-{0}.img $tuned_initrd\n"
    "options $kernelopts $tuned_params\nid centos-1-{0}\ngrub_users $grub_users\ngrub_arg --unrestricted\n"
)
MACHINE = "b486fe3f109f430d995b1ee093897980"


def block(**values: str) -> bytes:
    return grubmenu.environment_block(values)


def menu_of(files: dict[str, bytes], layout: DiskLayout, prefix: str) -> Menu:
    def names(folder: str) -> list[str]:
        return [path.rpartition("/")[2] for path in files if path.rpartition("/")[0] == folder]

    return Menu([Device("root", layout.root_uuid, files.get, names)], "root", prefix)


def chosen(files: dict[str, bytes], layout: DiskLayout, prefix: str = "/boot/grub2") -> Entry:
    menu = menu_of(files, layout, prefix)
    menu.run(f"(root){prefix}/grub.cfg")
    return menu.default()


def layout_of(target: str, firmware: Firmware = "bios") -> DiskLayout:
    return disk_layout("ab" * 32, firmware, 512, load_target(target).boot)


def el8(layout: DiskLayout, *versions: str, **variables: str) -> dict[str, bytes]:
    files = {f"/boot/loader/entries/{MACHINE}-{v}.conf": BLS.format(v).encode() for v in versions}
    files["/boot/grub2/grub.cfg"] = (
        EL8.replace("UUID=UUID", f"UUID={layout.root_uuid}").replace("  UUID\n", f"  {layout.root_uuid}\n").encode()
    )
    files["/boot/grub2/grubenv"] = block(**variables)
    return files


@pytest.mark.parametrize("target", ["debian12", "centos7", "centos8"])
@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_our_own_menu_is_one_that_grub_understands_and_starts_what_it_should(
    target: str, firmware: Firmware, tmp_path: Path
) -> None:
    layout = layout_of(target, firmware)
    boot = layout.boot
    text = grubmenu.menu(layout, ["6.12.1", "6.1.2"], ARGUMENTS)
    (tmp_path / "grub.cfg").write_text(text)
    assert shutil.which("grub-script-check")
    subprocess.run(["grub-script-check", tmp_path / "grub.cfg"], check=True)
    entry = f"{MACHINE}-6.12.1" if boot.menu == "bls" else grubmenu.entry_title(layout, "6.12.1")
    files = {
        f"{boot.grub_dir}/grub.cfg": text.encode(),
        f"{boot.grub_dir}/grubenv": block(**grubmenu.environment(layout, entry, ARGUMENTS)),
        **{f"/boot/loader/entries/{MACHINE}-{v}.conf": BLS.format(v).encode() for v in ("6.12.1", "6.1.2")},
    }
    found = chosen(files, layout, boot.grub_dir)
    assert found.linux == ["/boot/vmlinuz-6.12.1", f"root=UUID={layout.root_uuid}", "ro", *ARGUMENTS]
    assert found.initrd == [boot.initrd.format(version="6.12.1")]


def test_el7_names_its_kernels_by_title_and_loads_them_in_its_own_words() -> None:
    layout = layout_of("centos7", "bios")
    text = grubmenu.menu(layout, ["6.9.7-1.el7.elrepo.x86_64"], ARGUMENTS)
    assert "\tlinux16 /boot/vmlinuz-6.9.7-1.el7.elrepo.x86_64 root=UUID=" in text
    assert "\tinitrd16 /boot/initramfs-6.9.7-1.el7.elrepo.x86_64.img\n" in text
    assert "menuentry 'CentOS Linux (6.9.7-1.el7.elrepo.x86_64) 7 (Core)' " in text
    assert "\tlinuxefi /boot" in grubmenu.menu(layout_of("centos7", "efi"), ["6.9.7"], [])


def test_a_default_in_a_submenu_or_saved_or_missing() -> None:
    layout = layout_of("debian12")
    text = grubmenu.menu(layout, ["6.12.1", "6.1.2"], [])
    uuid = layout.root_uuid
    path = f"gnulinux-advanced-{uuid}>gnulinux-6.1.2-advanced-{uuid}"

    def kernel(text: str, environment: bytes = b"") -> str:
        files = {"/boot/grub/grub.cfg": text.encode(), "/boot/grub/grubenv": environment}
        return chosen(files, layout, "/boot/grub").linux[0]

    assert kernel(text.replace('default="0"', f'default="{path}"')) == "/boot/vmlinuz-6.1.2"
    saved = text.replace('default="0"', 'default="${saved_entry}"')
    assert kernel(saved, block(saved_entry=path)) == "/boot/vmlinuz-6.1.2"
    assert kernel(saved, block(saved_entry=path, next_entry="0")) == "/boot/vmlinuz-6.12.1"
    assert kernel(saved) == "/boot/vmlinuz-6.12.1"  # nothing saved: the first
    for missing in ("7", "gone", f"gnulinux-advanced-{uuid}>9"):
        with pytest.raises(HostError, match="has no such entry"):
            kernel(text.replace('default="0"', f'default="{missing}"'))
    with pytest.raises(HostError, match="starts no kernel"):
        kernel(text.replace('default="0"', f'default="gnulinux-advanced-{uuid}"'))


def test_el8_starts_the_saved_entry_with_the_saved_arguments() -> None:
    layout = layout_of("centos8")
    options = f"root=UUID={layout.root_uuid} ro console=tty0"
    files = el8(layout, "4.18.0-348.el8", "7.1.9-1.el8", saved_entry=f"{MACHINE}-7.1.9-1.el8", kernelopts=options)
    found = chosen(files, layout)
    assert found.linux == ["/boot/vmlinuz-7.1.9-1.el8", *options.split()]
    assert found.initrd == ["/boot/initramfs-7.1.9-1.el8.img"]  # $tuned_initrd is empty
    files = el8(layout, "4.18.0-348.el8", "7.1.9-1.el8", saved_entry=f"{MACHINE}-4.18.0-348.el8")
    assert chosen(files, layout).linux[0] == "/boot/vmlinuz-4.18.0-348.el8"
    assert chosen(files, layout).linux[-1] == "fallback"


def test_el8_without_its_entry_would_start_another_kernel_without_a_word() -> None:
    layout = layout_of("centos8")
    files = el8(layout, "4.18.0-348.el8", saved_entry=f"{MACHINE}-7.1.9-1.el8")
    with pytest.raises(
        HostError, match=r"names '.*-7\.1\.9-1\.el8' as its default but has no such entry: it has '.*348"
    ):
        chosen(files, layout)
    with pytest.raises(HostError, match="has no such entry: it has none"):
        chosen(el8(layout), layout)


def test_grubby_and_kernel_install_are_seen_through(tmp_path: Path) -> None:
    root = tmp_path / "boot/loader/entries"
    root.mkdir(parents=True)
    with pytest.raises(HostError, match=r"no boot entry for the kernel 7\.1\.9"):
        bls.name_of(tmp_path, "7.1.9")
    (root / f"{MACHINE}-7.1.9.conf").write_text(BLS.format("7.1.9"))
    (root / f"{MACHINE}-17.1.9.conf").write_text("")
    assert bls.name_of(tmp_path, "7.1.9") == f"{MACHINE}-7.1.9"


def test_the_fallback_path_goes_on_to_the_vendors_menu() -> None:
    layout = layout_of("centos8", "efi")
    title, options = f"{MACHINE}-7.1.9", f"root=UUID={layout.root_uuid} ro"
    esp = {
        "/EFI/BOOT/grub.cfg": b"set prefix=($root)/EFI/centos\nconfigfile $prefix/grub.cfg\n",
        "/EFI/centos/grub.cfg": grubmenu.menu(layout, ["7.1.9"], []).encode(),
        "/EFI/centos/grubenv": block(saved_entry=title, kernelopts=options),
    }
    entries = {f"/boot/loader/entries/{title}.conf": BLS.format("7.1.9").encode()}
    devices = [
        Device("esp", layout.esp_fs_uuid, esp.get, lambda _folder: ()),
        Device("root", layout.root_uuid, entries.get, lambda _folder: [f"{title}.conf"]),
    ]
    for folder in ("/EFI/BOOT", "/EFI/centos"):
        menu = Menu(devices, "esp", folder)
        menu.run(f"(esp){folder}/grub.cfg")
        found = menu.default()
        assert (found.root, found.linux) == ("root", ["/boot/vmlinuz-7.1.9", *options.split()])
    stale = Menu(devices, "esp", "/EFI/other")
    with pytest.raises(HostError, match=r"/EFI/other/grub\.cfg, which does not exist"):
        stale.run("(esp)/EFI/other/grub.cfg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("menuentry 'a {\n}\n", "unclosed quote"),
        ("if [ a ]; then\n", "ends before elif or else or fi"),
        ("menuentry 'a'\n{\n}\n", "line 1: '{' is missing"),
        ("}\n", "line 1: '}' is out of place"),
        ("while true; do\ndone\n", "does not follow 'while'"),
        ("configfile $prefix/grub.cfg\n", "loads itself in a loop"),
        ("search --label --set=root ROOT\n", "by --label: imgbuild follows UUIDs only"),
        ("search --fs-uuid --set=root 1234-ABCD\n", "looks for the file system 1234-ABCD; this disk has root"),
        ("set default=0\n", "has no such entry"),
    ],
)
def test_a_menu_that_would_end_in_a_prompt(text: str, message: str) -> None:
    with pytest.raises(HostError) as caught:
        chosen({"/boot/grub2/grub.cfg": text.encode()}, layout_of("centos7"))
    assert message in str(caught.value)


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="'"), max_size=40))
def test_a_quoted_word_is_taken_as_it_stands(text: str) -> None:
    entry = chosen(
        {"/boot/grub2/grub.cfg": f"menuentry '{text}' --id 'x{{' {{\n linux '{text}'\n}}\n".encode()},
        layout_of("centos7"),
    )
    assert (entry.title, entry.linux) == (text, [text])


def test_an_environment_block_is_read_back() -> None:
    values = {"saved_entry": "a\\b", "kernelopts": "root=UUID=1 ro"}
    assert bootmenu.environment(block(**values)) == values


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b"linux /k\n\noptions late\n", {"linux": "/k", "options": ""}),  # GRUB stops at the empty line
        (b"linux /k\ninitrd \noptions late\n", {"linux": "/k", "initrd": "", "options": ""}),
        (b"# a comment\n  linux\t/k\noptions   a b\n", {"linux": "/k", "options": "a b"}),
        (b"linux\t/k x\n", {"linux": ""}),
    ],
)
def test_bls_entry_is_read_no_further_than_grub_reads_it(content: bytes, read: dict[str, str]) -> None:
    entry = bls.parse("name", content)
    assert {key: entry.one(key) for key in read} == read


@pytest.mark.parametrize(
    ("options", "arguments"), [("options first\noptions second\n", ["first"]), ("", ["from", "menu"])]
)
def test_bls_options_are_the_first_line_or_the_menus(options: str, arguments: list[str]) -> None:
    files = {
        "/boot/grub2/grub.cfg": b'set default_kernelopts="from menu"\nblscfg\n',
        "/boot/loader/entries/one.conf": f"title one\nlinux /k\n{options}".encode(),
    }

    def names(folder: str) -> list[str]:
        return [path.rpartition("/")[2] for path in files if path.rpartition("/")[0] == folder]

    menu = Menu([Device("root", "UUID", files.get, names)], "root", "/boot/grub2")
    menu.run("(root)/boot/grub2/grub.cfg")
    assert menu.default().linux == ["/k", *arguments]


def test_bls_entry_without_a_kernel_is_passed_over() -> None:
    files = {
        "/boot/grub2/grub.cfg": b'set default="two"\nblscfg\n',
        "/boot/loader/entries/one.conf": b"title one\nlinux /k\n",
        "/boot/loader/entries/two.conf": b"title two\n\nlinux /k\n",
    }

    def names(folder: str) -> list[str]:
        return [path.rpartition("/")[2] for path in files if path.rpartition("/")[0] == folder]

    menu = Menu([Device("root", "UUID", files.get, names)], "root", "/boot/grub2")
    menu.run("(root)/boot/grub2/grub.cfg")
    with pytest.raises(HostError, match="'two' as its default but has no such entry: it has 'one'"):
        menu.default()
