"""A guest that boots in seconds: Debian's cloud kernel and one busybox script, which plays a part per boot.

The part is on the kernel's command line (``part=NAME``); PARTS has the shell code of each. QEMU loads kernel and
initramfs itself, without firmware and boot loader: a script named as QEMU, first on the PATH, adds the arguments.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgbuild.machine import MachineSpec
from tests.support.machine.packages import cache_dir, depends_on, download, unpack

SVG = b'<?xml version="1.0"?>\n<svg width="10px" height="10px" xmlns="http://www.w3.org/2000/svg"></svg>\n'

_MODULES = (
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/char/virtio_console.ko",
    "drivers/block/virtio_blk.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
)


def verify_line(**states: bool | None) -> str:
    """A report of checks with these names and states."""
    checks = [
        {"name": name, "ok": ok, "expected": "yes", "found": "yes" if ok else "no", "hint": "mend it"}
        for name, ok in states.items()
    ]
    return json.dumps({"imgbuild": 1, "kind": "verify", "boot_id": "b", "host": {"name": "tiny"}, "checks": checks})


def _plot_line(svg: bytes) -> str:
    return json.dumps(
        {"kind": "plot", "encoding": "gzip+base64", "data": base64.b64encode(gzip.compress(svg)).decode()}
    )


_GOOD = f"say '{verify_line(kernel=True, swap=True, bpffs=None)}'; say '{_plot_line(SVG)}'"


def _answering(address: str) -> str:
    return f"""ifconfig eth0 {address} netmask 255.255.255.0 up; printf 'tiny login: '
        while :; do printf 'SSH-2.0-tiny\\r\\n' | nc -l -p 22 > /dev/null; done"""


PARTS = {
    "good": f"{_GOOD}; sleep 1; poweroff -f",
    "bad": f"say '{verify_line(kernel=True, swap=False)}'; say '{_plot_line(SVG)}'; poweroff -f",
    "garbage": r"printf 'hello\033[2J\n' > $PORT; sleep 100",
    "flood": "while :; do cat /bin/busybox | tr '\\n' x; done > $PORT",
    "silent": "sleep 1000",
    "poweroff": "poweroff -f",
    "panic": "exit 1",
    # The disk remembers the first boot; the half line before the reboot must not spoil the report after it.
    "reboot": f"""if [ "$(head -c 4 /dev/vda)" = done ]; then {_GOOD}; sleep 1; poweroff -f
        else printf done | dd of=/dev/vda conv=notrunc; sync; printf '{{"imgbuild": 1, "ki' > $PORT; reboot -f; fi""",
    "ssh": _answering("10.0.2.15"),
    "ssh-static": _answering("10.0.0.2"),
    "ssh-then-off": """ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; printf 'SSH-2.0-tiny\\r\\n' | nc -l -p 22
        sleep 3; poweroff -f""",
    "login": "printf 'tiny login: '; sleep 1000",
}

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for m in {modules}; do insmod /lib/$m; done
PORT=
for wait in 1 2 3 4 5 6 7 8 9 10; do
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat $port/name)" = org.imgbuild.report.0 ] && PORT=/dev/${{port##*/}}
    done
    [ -b /dev/vda ] && [ -n "$PORT" ] && break
    sleep 0.1
done
say() {{ printf '%s\\n' "$1" > $PORT; }}
. /part.${{part}}
"""


@dataclass(frozen=True)
class TinyGuest:
    """The guest's kernel and initramfs, and a folder for the script named as QEMU."""

    kernel: Path
    initrd: Path
    programs: Path

    @contextmanager
    def in_path(self) -> Iterator[None]:
        """QEMU is the script."""
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{self.programs}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before


def tiny_guest(folder: Path) -> TinyGuest:
    """The guest, made in ``folder``."""
    package = depends_on("linux-image-cloud-amd64")
    deb = download(package)
    root = unpack(deb, cache_dir() / deb.stem)
    busybox_deb = download("busybox-static")
    busybox = unpack(busybox_deb, cache_dir() / busybox_deb.stem) / "bin/busybox"
    (kernel,) = root.glob("boot/vmlinuz-*")
    (modules,) = root.glob("lib/modules/*/kernel")
    names = " ".join(Path(module).name for module in _MODULES)
    files = {
        "init": (0o755, _INIT.format(modules=names).encode()),
        "bin/busybox": (0o755, busybox.read_bytes()),
        **{f"lib/{Path(m).name}": (0o644, (modules / m).read_bytes()) for m in _MODULES},
        **{f"part.{name}": (0o644, code.encode()) for name, code in PARTS.items()},
    }
    initrd = folder / "initrd"
    initrd.write_bytes(_cpio(files))
    programs = folder / "programs"
    programs.mkdir()
    return TinyGuest(kernel, initrd, programs)


def tiny_spec(guest: TinyGuest, part: str, folder: Path) -> MachineSpec:
    """A small machine in which the guest plays ``part``, until the next call for the same guest."""
    disk = folder / "tiny.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    qemu = guest.programs / "qemu-system-x86_64"
    real = shutil.which(qemu.name, path=os.environ["PATH"].removeprefix(f"{guest.programs}{os.pathsep}"))
    assert real is not None
    more = ["-kernel", str(guest.kernel), "-initrd", str(guest.initrd)]
    more += ["-append", f"console=ttyS0 quiet rdinit=/init part={part}"]
    qemu.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} "$@" {shlex.join(more)}\n')
    qemu.chmod(0o755)
    return MachineSpec(firmware="bios", disk=disk, disk_size_gib=1, memory_mib=256, cpus=1)


def _cpio(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive in the kernel's newc format, folders included."""
    folders = sorted({str(p) for name in files for p in Path(name).parents if str(p) != "."})
    entries = [(name, 0o040755, b"") for name in [*folders, "proc", "sys", "dev"]]
    entries += [(name, 0o100000 | mode, data) for name, (mode, data) in files.items()]
    archive = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        archive += b"\0" * (-len(archive) % 4)
        archive += data
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
