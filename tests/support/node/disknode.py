"""The node's script for further disks, run for real: an overlay of / in private namespaces, real file systems.

Disks are files behind loop devices. In the node's /dev they are vdb, vdc …, and /sys/class/block shows them, and them
alone, as the kernel shows disks. What is on them stays from one call to the next, as does the root's upper layer.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imgbuild.config.cluster import Cluster, Node
from imgbuild.render.disks import conf
from tests.support.deadline import HUNG
from tests.support.places import ROOT
from tests.support.profiles import resolved

MIB = 1 << 20
_BOOT = r"""
set -eu
work=$1
shift
cd "$work"
mkdir -p merged
mount -t tmpfs tmpfs merged
mkdir merged/upper merged/work merged/root
cp -a upper/. merged/upper/
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/merged/upper,workdir=$work/merged/work" merged/root
r=$work/merged/root
loops=''
end() {
    code=$?
    set +e
    # /proc/self/mountinfo as this process sees it, the last first
    awk -v r="$r/" 'index($5, r) == 1 { print $5 }' /proc/self/mountinfo | tac > mounted
    awk -v r="$r" 'index($5, r "/") == 1 && $5 !~ /\/(proc|sys|dev|run)(\/|$)/ {
        print substr($5, length(r) + 1), $3, $4 }' /proc/self/mountinfo > seen
    while read -r folder; do umount "$folder"; done < mounted
    # What a killed program wrote may still be in the device's cache; the tests read the disk's file.
    for loop in $loops; do blockdev --flushbufs "$loop"; losetup -d "$loop"; done
    rm -rf upper
    cp -a merged/upper upper
    exit "$code"
}
trap end EXIT
mount -t proc proc "$r/proc"
mount -t tmpfs tmpfs "$r/run"
mount -t tmpfs tmpfs "$r/dev"
mount -t tmpfs tmpfs "$r/sys"
mknod -m 666 "$r/dev/null" c 1 3
mknod -m 666 "$r/dev/zero" c 1 5
ln -s /proc/self/fd "$r/dev/fd"
mkdir -p "$r/dev/disk/by-id" "$r/dev/disk/by-path" "$r/sys/class/block"
for image in disks/*; do
    [ -e "$image" ] || continue
    name=${image##*/}
    loop=$(losetup --find --show "$image")
    loops="$loops $loop"
    number=$(cat "/sys/class/block/${loop##*/}/dev")
    for node in "$name" "${loop##*/}"; do # /proc/mounts has the kernel's own name
        mknod "$r/dev/$node" b "${number%:*}" "${number#*:}"
    done
    ln -s "../../$name" "$r/dev/disk/by-id/virtio-$name"
    folder=$r/sys/class/block/$name
    mkdir -p "$folder/holders" "$folder/device"
    echo "$number" > "$folder/dev"
    echo $(($(stat -c %s "$image") / 512)) > "$folder/size"
    echo 0 > "$folder/ro"
    echo 0 > "$folder/removable"
done
if [ -e before ]; then chroot "$r" /bin/bash -eu -c "$(cat before)"; fi
chroot "$r" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"
"""
_UDEVADM = """#!/bin/bash
case $1 in
    settle) ;;
    info) echo "ID_SERIAL=${!#}" ;;
esac
"""


@dataclass(frozen=True)
class Done:
    """One boot: how the script ended, what it printed, and what was mounted where."""

    code: int
    output: str
    mounts: dict[str, tuple[str, str]]
    """Folder to device number and the path below the file system's root."""


class DiskNode:
    """A node with further disks."""

    programs: ClassVar[tuple[str, ...]] = ("disks", "lib/path.sh", "lib/block.sh")

    def __init__(self, work: Path) -> None:
        self.work, self.upper = work, work / "upper"
        for name in ("upper", "disks"):
            (work / name).mkdir(parents=True)
        for name in self.programs:
            self.write(f"usr/libexec/imgbuild/{name}", (ROOT / "node/usr/libexec/imgbuild" / name).read_text(), 0o755)
        self.write("usr/local/sbin/udevadm", _UDEVADM, 0o755)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file on the node's root file system."""
        file = self.upper / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def disk(self, name: str, size_mib: int = 400, label: str | None = None, kind: str = "ext4") -> Path:
        """A disk, blank or with a file system."""
        image = self.work / "disks" / name
        with image.open("wb") as file:
            file.truncate(size_mib * MIB)
        if label is not None:
            subprocess.run([f"mkfs.{kind}", "-q", "-L", label, image], check=True)
        return image

    def profile(self, *disks: str, node: str = "w1", cluster: str = "lab") -> None:
        """The seed's file, by rows of ``disks``."""
        profile = resolved("debian12-efi", sets=[f"disks=[{', '.join(disks)}]"]).profile
        machine = Node(name=node, role="worker")
        self.write(
            "etc/imgbuild/disks.conf", conf(profile, Cluster(name=cluster, nodes=[machine]), machine).content.decode()
        )

    def boot(self, before: str = "", program: str = "/usr/libexec/imgbuild/disks") -> Done:
        """One boot: ``before`` is run first, in the node's root."""
        script = self.work / "before"
        script.unlink(missing_ok=True)
        if before:
            script.write_text(before)
        argv = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private", "bash", "-c", _BOOT, "bash"]
        env = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            [*argv, str(self.work), "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "bash", "-c", program],
            env=env, capture_output=True, text=True, timeout=HUNG, check=False,
        )  # fmt: skip
        rows = [line.split() for line in (self.work / "seen").read_text().splitlines()]
        return Done(done.returncode, done.stdout + done.stderr, {row[0]: (row[1], row[2]) for row in rows})
