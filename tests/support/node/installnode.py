"""The installer, run for real on loop devices: a small disk image with a real partition table and file system.

`Image` makes it as the image build does. `InstallNode` is a machine: a test sets its disks, card, kernel arguments.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from imgbuild.config.target import Compression, load_target
from imgbuild.image.disk.extents import write_extents
from imgbuild.image.disk.layout import DiskLayout, disk_layout
from imgbuild.image.disk.partition import table, write_table
from tests.support.node.disknode import MIB, DiskNode, Done

PROGRAM = "/usr/libexec/imgbuild/install-disk"
MAC = "52:54:00:00:00:01"
SIZE_MIB = 24
# What a power cut does: a part of the write that reaches the limit is on the disk, and nothing runs any more. `kill -1`
# is every process of this PID namespace but its first.
_CUT_DD = r"""#!/bin/bash
set -eu
of='' count=1 bs=512 seek=0 unit=block
for word; do
    case $word in
        of=/dev/vd*) of=${word#of=} ;;
        count=*) count=${word#*=} ;;
        bs=1M) bs=1048576 ;;
        bs=*) bs=${word#*=} ;;
        seek=*) seek=${word#*=} ;;
        *count_bytes* | *seek_bytes*) unit=bytes ;;
    esac
done
if [ -n "$of" ]; then
    exec 7> /run/cut.lock
    flock 7
    read -r done limit < /run/cut
    length=$((count * bs))
    for word; do
        case $word in
            if=/run/imgbuild-install/buffer.*) length=$(stat -c %s "${word#if=}") ;;
            if=/dev/null) length=0 ;;
            *count_bytes*) length=$count ;;
        esac
    done
    if [ $((done + length)) -gt "$limit" ]; then
        part=$(((limit - done) / 512))
        [ "$unit" = bytes ] || seek=$((seek * bs))
        for word; do
            case $word in if=*) from=${word#if=} ;; skip=*) skip=$((${word#*=} * bs)) ;; esac
        done
        /usr/bin/dd if="$from" of="$of" bs=512 skip=$((${skip:-0} / 512)) seek=$((seek / 512)) count="$part" \
            conv=notrunc,fsync status=none
        kill -9 -1
        sleep 60
    fi
    echo $((done + length)) "$limit" > /run/cut
    flock -u 7
fi
exec /usr/bin/dd "$@"
"""


class Image:
    """What pxe/ has of a disk image: two partitions, a root file system of some MiB, spread over its disk."""

    def __init__(self, folder: Path, *, compression: Compression = "zstd", selinux: bool = False) -> None:
        folder.mkdir(parents=True)
        self.folder, self.disk = folder, folder / "disk.raw"
        boot = load_target("debian12").boot
        self.layout: DiskLayout = disk_layout("ab" * 32, "bios", SIZE_MIB, boot, selinux=selinux)
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "var/lib/cloud").mkdir(parents=True)
        if selinux:
            policy = root / "etc/selinux/targeted/contexts/files/file_contexts"
            policy.parent.mkdir(parents=True)
            policy.write_text("/var/lib(/.*)?\tsystem_u:object_r:var_lib_t:s0\n")
        noise = random.Random(1)  # noqa: S311
        for number in range(3):
            (root / f"data{number}").write_bytes(noise.randbytes(MIB))
        with self.disk.open("wb") as out:
            out.truncate(SIZE_MIB * MIB)
        argv: list[str | Path] = ["mkfs.ext4", "-q", "-F", "-U", self.layout.root_uuid, "-d", root, "-E"]
        where = f"offset={self.layout.root_offset},lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run([*argv, where, self.disk, f"{self.layout.root_bytes // 1024}k"], check=True)
        write_table(self.disk, self.layout)
        with self.disk.open("r+b") as out:
            out.write(b"\xeb\x63\x90boot code")
            out.seek(MIB)
            out.write(noise.randbytes(40_000))  # where GRUB's core image is
        write_extents(self.disk, self.layout, folder, compression)

    def table(self) -> str:
        """sfdisk's script of its partition table."""
        return table(self.layout)


class Server(ThreadingHTTPServer):
    """A web server for a folder, which takes reports too. ``answers`` are statuses that paths get instead."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.reports: list[dict[str, str]] = []
        self.answers: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Its address, with a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        status = self.server.answers.get(self.path)
        if status is None:
            super().do_GET()
        else:
            self.send_error(status)

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=False))
        self.server.reports.append(form)
        self.send_response(self.server.answers.get(self.path, 204))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests' output is not its place."""


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server for ``folder`` on the loopback interface."""
    with Server(folder) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


class InstallNode(DiskNode):
    """A machine that was booted into the live system."""

    programs: ClassVar[tuple[str, ...]] = (
        "install-disk", *(f"lib/{name}.sh" for name in ("path", "block", *(
            f"install-{part}" for part in ("report", "target", "write", "seed")))),
    )  # fmt: skip

    def __init__(self, work: Path, base: str) -> None:
        super().__init__(work)
        self.macs, self.arguments = [MAC], [f"imgbuild.base={base}"]
        self.write("usr/local/sbin/systemctl", '#!/bin/bash\necho "systemctl $*"\n', 0o755)
        self.seed({})

    def seed(self, more: dict[str, str], install: str = f"node=w1\nmac={MAC}\n") -> None:
        """The seed that the machine gets."""
        folder = self.work / "seed"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in {"user-data": "#cloud-config\n", "meta-data": "instance-id: i1\n", **more}.items():
            (folder / name).write_text(text)
        (folder / "install").write_text(install)

    def install(
        self, *arguments: str, before: str = "", cut: int | None = None, program: str = f"IMGBUILD_PAUSE=0 {PROGRAM}"
    ) -> Done:
        """One attempt, with these kernel arguments; ``cut``: the power ends after so many bytes written."""
        words = ["BOOT_IMAGE=vmlinuz", *self.arguments, *arguments]
        if not any(word.startswith("imgbuild.seed=") for word in arguments):
            words.append(f"imgbuild.seed=file://{self.work}/seed/")
        self.write("cmdline", " ".join(words) + "\n")
        dd = self.upper / "usr/local/sbin/dd"
        dd.unlink(missing_ok=True)
        if cut is not None:
            self.write("usr/local/sbin/dd", _CUT_DD, 0o755)
            self.write("usr/local/sbin/blkdiscard", "#!/bin/bash\nexit 1\n", 0o755)  # util-linux of EL7
            before += f"\necho 0 {cut} > /run/cut"
        lines = [
            "mount --bind /cmdline /proc/cmdline",
            "mkdir -p /sys/class/net/lo /sys/class/net/eth0",
            "echo 00:00:00:00:00:00 > /sys/class/net/lo/address",
            f"echo {self.macs[0]} > /sys/class/net/eth0/address",
            "mknod /dev/loop-control c 10 237",
            "for i in {0..63}; do [ -e /dev/loop$i ] || mknod /dev/loop$i b 7 $i; done",
            "for d in /sys/class/block/*; do mkdir -p $d/queue; echo 512 > $d/queue/logical_block_size; done",
        ]
        return self.boot("\n".join([*lines, before]), program)
