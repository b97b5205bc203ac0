"""The first boot menu, in the form that the target's own grub-mkconfig writes, so that its tools can change it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.image.disk.layout import DiskLayout


def command_line(kernel_args: Sequence[str]) -> str:
    """Kernel arguments as one line for grub.cfg.

    Raises:
        ImgbuildError: GRUB's shell would read one differently.
    """
    for arg in kernel_args:
        if not arg or re.search(r"[\s\"'\\$`;&|<>{}#]", arg):
            raise ImgbuildError(
                f"the kernel argument {arg!r} cannot be written to the boot menu",
                "remove blanks, quotes and the characters \\ $ ` ; & | < > { } #",
            )
    return " ".join(kernel_args)


def defaults(layout: DiskLayout, kernel_args: Sequence[str]) -> str:
    """The settings for grub-mkconfig in the node, so that it writes the same menu again after an update.

    Raises:
        ImgbuildError: GRUB's shell would read an argument differently.
    """
    saved = layout.boot.menu != "submenu"
    return (
        "# Written by imgbuild. Run update-grub (CentOS: grub2-mkconfig) after a change.\n"
        f"GRUB_DEFAULT={'saved' if saved else 0}\n"
        f"GRUB_TIMEOUT={layout.timeout}\n"
        f'GRUB_DISTRIBUTOR="{layout.boot.distributor}"\n'
        'GRUB_CMDLINE_LINUX_DEFAULT=""\n'
        f'GRUB_CMDLINE_LINUX="{command_line(kernel_args)}"\n'
        'GRUB_TERMINAL="console serial"\n'
        f'GRUB_SERIAL_COMMAND="serial {layout.serial}"\n'
        + ("GRUB_DISABLE_SUBMENU=true\n" if saved else "")
        + ("GRUB_ENABLE_BLSCFG=true\n" if layout.boot.menu == "bls" else "")
        + "GRUB_DISABLE_OS_PROBER=true\n"
        "GRUB_DISABLE_RECOVERY=true\n"
    )


def menu(layout: DiskLayout, versions: Sequence[str], kernel_args: Sequence[str]) -> str:
    """The first grub.cfg, with the entry names that grub-mkconfig writes (newest kernel first)."""
    kinds = {"submenu": _submenu, "saved": _flat, "bls": _bls}
    boot = layout.boot
    default = "0" if boot.menu == "submenu" else "${saved_entry}"
    return (
        "# Written by imgbuild for the first boot; grub-mkconfig in the node replaces it, from\n"
        f"# {boot.defaults_file} and /etc/grub.d.\n"
        "if [ -s $prefix/grubenv ]; then\n  set have_grubenv=true\n  load_env\nfi\n"
        'if [ "${next_entry}" ] ; then\n   set default="${next_entry}"\n   set next_entry=\n'
        "   save_env next_entry\n   set boot_once=true\n"
        f'else\n   set default="{default}"\nfi\n'
        'if [ x"${feature_menuentry_id}" = xy ]; then\n  menuentry_id_option="--id"\n'
        'else\n  menuentry_id_option=""\nfi\nexport menuentry_id_option\n'
        f"{_LOAD_VIDEO}"
        f"serial {layout.serial}\nterminal_input console serial\nterminal_output console serial\n"
        f"set timeout={layout.timeout}\n" + kinds[boot.menu](layout, versions, kernel_args)
    )


# EL's entries call it (a BLS entry always does), and nothing else defines it. GRUB's signed EFI program has the module.
_LOAD_VIDEO = "function load_video {\n  insmod all_video\n}\n"


def entry_title(layout: DiskLayout, version: str) -> str:
    """The title that grub-mkconfig gives to one kernel's entry."""
    title = layout.boot.title
    return title.format(version=version) if "{version}" in title else f"{title}, with Linux {version}"


def environment_block(values: Mapping[str, str] | None = None) -> bytes:
    """A grubenv with ``values``: GRUB writes into it in place and needs exactly 1024 bytes.

    Raises:
        ImgbuildError: they do not fit.
    """
    lines = [f"{key}={value}\n".replace("\\", "\\\\") for key, value in (values or {}).items()]
    block = "".join(["# GRUB Environment Block\n", *lines]).encode()
    if len(block) > 1024:
        raise ImgbuildError(
            f"the kernel arguments do not fit into GRUB's environment block ({len(block)} of 1024 bytes)",
            "shorten kernel.arguments",
        )
    return block.ljust(1024, b"#")


def environment(layout: DiskLayout, entry: str, kernel_args: Sequence[str]) -> dict[str, str]:
    """The content of grubenv at the first boot; ``entry`` is the name of the entry that starts.

    Raises:
        ImgbuildError: GRUB's shell would read an argument differently.
    """
    if layout.boot.menu == "submenu":
        return {}
    if layout.boot.menu == "saved":
        return {"saved_entry": entry}
    return {"saved_entry": entry, "kernelopts": _root_and(layout, kernel_args)}


def _root_and(layout: DiskLayout, kernel_args: Sequence[str]) -> str:
    return command_line([f"root=UUID={layout.root_uuid}", "ro", *kernel_args])


def _entry(layout: DiskLayout, title: str, name: str, version: str, kernel_args: Sequence[str], indent: str) -> str:
    boot = layout.boot
    linux, initrd = boot.linux[layout.firmware]
    lines = (
        f"menuentry '{title}' --class gnu-linux --class os --unrestricted $menuentry_id_option '{name}' {{",
        "\tload_video",
        "\tinsmod gzio",
        "\tinsmod part_gpt",
        "\tinsmod ext2",
        f"\tsearch --no-floppy --fs-uuid --set=root {layout.root_uuid}",
        f"\techo\t'Loading Linux {version} ...'",
        f"\t{linux} {boot.kernel_prefix}{version} {_root_and(layout, kernel_args)}",
        "\techo\t'Loading initial ramdisk ...'",
        f"\t{initrd} {boot.initrd.format(version=version)}",
        "}",
    )
    return "".join(f"{indent}{line}\n" for line in lines)


def _advanced(layout: DiskLayout, version: str, kernel_args: Sequence[str], indent: str) -> str:
    name = f"gnulinux-{version}-advanced-{layout.root_uuid}"
    return _entry(layout, entry_title(layout, version), name, version, kernel_args, indent)


def _submenu(layout: DiskLayout, versions: Sequence[str], kernel_args: Sequence[str]) -> str:
    title, uuid = layout.boot.title, layout.root_uuid
    return (
        _entry(layout, title, f"gnulinux-simple-{uuid}", versions[0], kernel_args, "")
        + f"submenu 'Advanced options for {title}' $menuentry_id_option 'gnulinux-advanced-{uuid}' {{\n"
        + "".join(_advanced(layout, version, kernel_args, "\t") for version in versions)
        + "}\n"
    )


def _flat(layout: DiskLayout, versions: Sequence[str], kernel_args: Sequence[str]) -> str:
    return "".join(_advanced(layout, version, kernel_args, "") for version in versions)


def _bls(layout: DiskLayout, _versions: Sequence[str], kernel_args: Sequence[str]) -> str:
    """EL's GRUB makes the entries itself; ``boot`` is set because versions of its blscfg read one or the other."""
    found = f"search --no-floppy --fs-uuid --set=root {layout.root_uuid}\n"
    return (
        "insmod part_gpt\ninsmod ext2\n"
        + found
        + found.replace("--set=root", "--set=boot")
        + f'if [ -z "${{kernelopts}}" ]; then\n  set kernelopts="{_root_and(layout, kernel_args)} "\nfi\n'
        "insmod blscfg\nblscfg\n"
    )
