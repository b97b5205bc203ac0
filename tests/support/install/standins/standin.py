#!/usr/bin/python3 -IS
"""Stand-ins for yum, dnf, rpm, apt and the boot loader's tools, for a fake root. No package is real.

One program under many names. It keeps to what the real tools do where imgbuild relies on it, known silent failures
included, and refuses (64) every option that the scripts have no business with. Its world is /standin:

offers      what the mirrors have, "NAME VERSION-RELEASE" a line
installed   the same of what is installed
faults      one a line: "forgets NAME" (not installed, yet 0), "no-entry" (a kernel without a boot entry, yet 0),
            "host-only" (an initramfs without virtio), "dead" (no mirror answers), "gone" (none any more),
            "no-arguments" (grubby passes over what it should give the kernel, yet 0)
own         programs of Kubernetes' packages that the test has put in place itself, a name a line
calls       what was called, one a line
"""

from __future__ import annotations

import fnmatch
import shlex
import sys
from pathlib import Path

WORLD = Path("/standin")
NAME = Path(sys.argv[0]).name
ARGS = sys.argv[1:]
# The programs in Kubernetes' packages, and the only words that they take here.
PROGRAMS = {"kubelet": "--version", "kubeadm": "version -o short", "kubectl": "version --client"}
DRIVERS = ["block/virtio_blk", "virtio/virtio_pci", "net/virtio_net", "scsi/virtio_scsi", "nvme/host/nvme"]
MORE_DRIVERS = ["block/xen-blkfront", "mmc/core/mmc_block", "nvdimm/nd_pmem"]


def rows(name: str) -> list[list[str]]:
    path = WORLD / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def refuse(what: str) -> None:
    print(f"stand-in {NAME}: {what}", file=sys.stderr)
    sys.exit(64)


def faulty(*words: str) -> bool:
    return list(words) in rows("faults")


def options(allowed: set[str]) -> list[str]:
    """The words that are no options; an option that is not allowed ends it."""
    words = []
    for arg in ARGS:
        if not arg.startswith("-"):
            words.append(arg)
        elif not any(fnmatch.fnmatchcase(arg, pattern) for pattern in allowed):
            refuse(f"unexpected option {arg}")
    return words


def versions_of(wanted: str, where: str) -> list[tuple[str, str]]:
    """Matches of NAME, NAME-VERSION or NAME-VERSION-RELEASE."""
    found = []
    for name, version in rows(where):
        if wanted in (name, f"{name}-{version}", f"{name}-{version.split('-')[0]}"):
            found.append((name, version))
    return found


def keep(name: str, version: str) -> None:
    with (WORLD / "installed").open("a") as out:
        out.write(f"{name} {version}\n")
    if name in ("kernel-ml", "kernel"):
        new_kernel(f"{version}.x86_64")
    if name in PROGRAMS:
        if [name] in rows("own"):  # the test has put another program there
            return
        program = Path("/usr/bin") / name
        program.write_text(f'#!/bin/sh\n[ "$*" = "{PROGRAMS[name]}" ] || exit 2\necho v{version.split("-")[0]}\n')
        program.chmod(0o755)


def new_kernel(release: str) -> None:
    """What a kernel package's scriptlets leave behind."""
    for path in (f"/boot/vmlinuz-{release}", f"/lib/modules/{release}/modules.dep"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("x\n")
    drivers = DRIVERS[1:2] if faulty("host-only") else DRIVERS
    # The kernel has all of these; "forgets-driver" is a dracut that leaves one out.
    has = [*DRIVERS, *MORE_DRIVERS]
    Path(f"/lib/modules/{release}/modules.dep").write_text("".join(f"kernel/drivers/{d}.ko.xz:\n" for d in has))
    drivers = [*drivers, *(d for d in MORE_DRIVERS if not faulty("forgets-driver", d.rpartition("/")[2]))]
    listing = [f"-rw-r--r-- usr/lib/modules/{release}/kernel/drivers/{d}.ko.xz\n" for d in drivers]
    Path(f"/boot/initramfs-{release}.img").write_text("".join(listing))
    Path(f"/lib/modules/{release}/modules.builtin").write_text("kernel/fs/xfs/xfs.ko\nkernel/fs/ext4/ext4.ko\n")
    if faulty("no-entry"):
        return
    if Path("/boot/loader/entries").is_dir():  # kernel-install: without a machine id no entry, and 0
        machine = Path("/etc/machine-id").read_text().strip()
        if machine:
            Path(f"/boot/loader/entries/{machine}-{release}.conf").write_text(f"linux /vmlinuz-{release}\n")
            Path("/boot/grub2/grubenv").write_text(f"saved_entry={machine}-{release}\n")
    else:
        menu = Path("/boot/grub2/grub.cfg")
        menu.write_text(f"\tlinux16 /boot/vmlinuz-{release} ro\n" + menu.read_text())
        (WORLD / "default").write_text(f"/boot/vmlinuz-{release}")


def manager() -> int:
    """yum 3.4.3 or dnf."""
    only_kernels = "--setopt=elrepo-kernel.includepkgs=kernel*"
    allowed = {"-y", "--enablerepo=elrepo-kernel", "--disableexcludes=kubernetes", "--exclude=kernel[*]"}
    allowed.add(only_kernels.replace("*", "[*]"))
    if NAME == "yum":
        allowed |= {
            "--disableplugin=fastestmirror",
            "--setopt=skip_missing_names_on_install=0",
            "--setopt=skip_missing_names_on_update=0",
        }
    else:
        allowed |= {"--setopt=strict=1", "--setopt=best=1", "--setopt=install_weak_deps=0", "-v"}
    words = options(allowed | {"-C", "-q"})
    if "-y" not in ARGS:
        refuse("asks, and nobody answers")
    if words[0] in ("makecache", "upgrade") and faulty("dead"):
        print("Cannot retrieve repository metadata (repomd.xml)", file=sys.stderr)
        return 1
    if words[0] == "install" and faulty("gone"):
        print('[Errno 14] curl#7 - "Failed connect to mirror.test:80; Connection refused"', file=sys.stderr)
        print("Trying other mirror.", file=sys.stderr)
        return 1
    if words[0] == "install":
        others = [word for word in words[1:] if not word.startswith("kernel")]
        if others and "--enablerepo=elrepo-kernel" in ARGS and only_kernels not in ARGS:
            refuse(f"would install {others[0]} from the kernel's repository if that has it")
        strict = {"--setopt=skip_missing_names_on_install=0", "--setopt=strict=1"} & set(ARGS)
        for word in words[1:]:
            offered = versions_of(word, "offers")
            if not offered and strict:
                print(f"No package {word} available.", file=sys.stderr)
                return 1
            for name, version in offered[-1:]:
                kernel = name.startswith("kernel-ml") and "--enablerepo=elrepo-kernel" not in ARGS
                held = name.startswith("kube") and "--disableexcludes=kubernetes" not in ARGS
                if kernel or held:
                    print(f"No package {word} available.", file=sys.stderr)
                    return 1
                if not faulty("forgets", name) and not versions_of(f"{name}-{version}", "installed"):
                    keep(name, version)
        return 0
    if words == ["list", "installed"]:  # a base's package has no repository; a long line is broken
        known = rows("offers")
        print("Installed Packages")
        for name, version in rows("installed"):
            where = {"yum": "installed", "dnf": "@System"}[NAME]
            if [name, version] in known:
                where = "@elrepo-kernel" if name.startswith("kernel-ml") else "@imgbuild-os"
            broken = f"\n{'':40}" if len(name) > 12 else ""
            print(f"{name}.x86_64{broken} {version} {where}")
        return 0
    if words[0] == "remove":
        gone = [pair for word in words[1:] for pair in versions_of(word, "installed")]
        left = [row for row in rows("installed") if tuple(row) not in gone]
        (WORLD / "installed").write_text("".join(f"{n} {v}\n" for n, v in left))
        return 0
    if words not in (["makecache"], ["makecache", "fast"], ["upgrade"], ["clean", "all"]):
        refuse(shlex.join(words))
    return 0


def queried(form: str, name: str, version: str) -> None:
    text = form.replace("%|EPOCH?{%{EPOCH}:}|", "").replace("%{NAME}", name).replace("%{VERSION}-%{RELEASE}", version)
    print(
        text.replace("%{ARCH}", "x86_64")
        .replace("%{LICENSE}", "GPLv2+ and MIT")
        .replace("\\t", "\t")
        .replace("\\n", "\n"),
        end="",
    )


def rpm() -> int:
    if ARGS[:1] == ["--import"]:
        return 0 if Path(ARGS[1]).is_file() else 1
    if ARGS[:1] == ["-qa"]:
        for name, version in rows("installed"):
            if fnmatch.fnmatchcase(name, ARGS[3]):
                queried(ARGS[2], name, version)
        return 0
    if ARGS[:2] == ["-q", "--whatprovides"]:
        print(f"no package provides {ARGS[-1]}")
        return 1
    if ARGS[:1] == ["-ql"]:
        owned = [found for wanted in ARGS[1:] for found in versions_of(wanted, "installed")]
        for _, version in owned:
            print(f"/boot/vmlinuz-{version}.x86_64")
        return 0 if len(owned) == len(ARGS) - 1 else 1
    if ARGS[:2] != ["-q", "--qf"]:
        refuse(shlex.join(ARGS))
    found = versions_of(ARGS[3], "installed")
    for name, version in found:
        queried(ARGS[2], name, version)
    if not found:
        print(f"package {ARGS[3]} is not installed")
    return 0 if found else 1


def grubby() -> int:
    """EL7's: finds no template in a chroot, adds nothing and says 0, unless told --bad-image-okay."""
    menu, arguments = Path("/boot/grub2/grub.cfg"), WORLD / "arguments"
    if "--update-kernel=ALL" in ARGS and not faulty("no-arguments"):
        arguments.write_text(ARGS[-1].partition("=")[2])
    if ARGS[0].startswith("--info="):
        print(f'args="ro {arguments.read_text() if arguments.exists() else ""}"')
    if "--default-kernel" in ARGS:
        default = WORLD / "default"
        print(default.read_text() if default.exists() else "")
    for arg in ARGS:
        if arg.startswith("--add-kernel=") and not faulty("no-entry"):
            menu.write_text(f"\tlinux16 {arg.partition('=')[2]} ro\n" + menu.read_text())
        if arg.startswith("--set-default="):
            (WORLD / "default").write_text(arg.partition("=")[2])
    return 0


def main() -> int:
    with (WORLD / "calls").open("a") as out:
        out.write(shlex.join([NAME, *ARGS]) + "\n")
    if NAME in ("yum", "dnf"):
        return manager()
    if NAME == "rpm":
        return rpm()
    if NAME == "grubby":
        return grubby()
    if NAME == "lsinitrd":
        print(Path(ARGS[0]).read_text(), end="")
        return 0
    if NAME == "grub2-editenv":
        Path(ARGS[0]).write_text(ARGS[2] + "\n")
        return 0
    if NAME == "systemctl":
        if ARGS[0] == "is-enabled":
            print("enabled")
        return 0 if ARGS[0] in ("enable", "disable", "is-enabled", "daemon-reload", "reboot") else 64
    if NAME == "gpg":  # prints what the test says that the key is
        print(f"fpr:::::::::{Path(ARGS[-1]).read_text().strip()}:")
        return 0
    if NAME == "uname":
        print((WORLD / "running").read_text().strip())
        return 0
    refuse("no such stand-in")
    return 64


sys.exit(main())
