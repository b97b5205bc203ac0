"""What stock mode starts from: a plain cloud image of Debian 12, and mirrors that a machine in QEMU reaches.

The image has the packages of Debian's own cloud image as far as they matter here (cloud-init, netplan, GRUB, the cloud
flavour's kernel) and nothing of imgbuild's.
"""

from __future__ import annotations

import http.server
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgbuild.config.data import data_dir
from imgbuild.config.target import load_target
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.drivers import BootDrivers, boot_drivers
from imgbuild.image.assemble import assemble
from imgbuild.image.cache import default_cache
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.rootfs.build import build_rootfs
from imgbuild.image.rootfs.mirror import debian_mirrors
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.machine.spec import SERVED_HOST
from imgbuild.outputs.elements import elements_of
from imgbuild.render.nodefile import NodeFile, NodeTree
from tests.support.image.plan import image_files
from tests.support.mirror import Mirror, listening

_PACKAGES = (
    "cloud-init cloud-guest-utils dbus e2fsprogs gdisk grub-pc-bin grub2-common initramfs-tools iproute2 "
    "libpam-systemd linux-image-cloud-amd64 netbase netplan.io openssh-server sudo systemd-resolved systemd-sysv "
    "tzdata udev xz-utils zstd"
)
# Which packages and which kernel there are, the elements and the assembly want to know.
_INSTALL = rf"""#!/bin/bash
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends {_PACKAGES}
systemctl enable systemd-networkd systemd-resolved
# The emulated machine takes ten minutes for an initramfs of all modules, which imgbuild asks for. This one has what the
# machine needs, and what imgbuild looks for in it.
printf 'COMPRESSLEVEL=1\nMODULES=dep\n' > /etc/initramfs-tools/conf.d/zz-quick
printf '%s\n' virtio_net virtio_scsi nvme xfs >> /etc/initramfs-tools/modules
mkdir -p /usr/share/imgbuild
ls /boot/vmlinuz-* | sed 's|.*/vmlinuz-||' > /usr/share/imgbuild/kernel
dpkg-query --show --showformat='${{Package}}\t${{Version}}\t${{Architecture}}\tdebian\tbase\n' |
    LC_ALL=C sort > /usr/share/imgbuild/packages.tsv
"""
_PLACES = {"debian": "main", "debian-security": "security"}


def plain_image(folder: Path, steps: Steps) -> Path:
    """The disk image, below ``folder``; its root file system comes from the cache after the first time."""
    target = load_target("debian12")
    install = NodeTree(files=(NodeFile("/usr/libexec/imgbuild/install", _INSTALL.encode(), 0o755),))
    environment = {**target.image.environment, **debian_mirrors("bookworm").environment()}
    plan = RootfsPlan("plain", elements_of(target), data_dir("elements"), install, environment)
    rootfs = build_rootfs(plan, default_cache(), steps)
    layout = disk_layout(rootfs.key, "bios", 3072, target.boot)
    files = image_files(folder)
    arguments, drivers = ("console=tty0", "console=ttyS0,115200"), BootDrivers(boot_drivers().always, ())
    assemble(rootfs, layout, NodeTree(), arguments, files, folder / "work", steps, drivers)
    return files.path("qcow2-zstd")


@contextmanager
def debian_and(folder: Path) -> Iterator[Mirror]:
    """A mirror on the loopback interface: /debian and /debian-security are the host's own, all else is in ``folder``.

    Its ``url`` is the one that a guest reaches it by (MachineSpec.served).
    """
    folder.mkdir()
    host = debian_mirrors("bookworm")

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            place, _, path = self.path.lstrip("/").partition("/")
            if place not in _PLACES:
                super().do_GET()
                return
            try:
                url = f"{getattr(host, _PLACES[place])}/{path}"
                with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - the host's own mirror
                    self.send_response(200)
                    for name in ("Content-Length", "Content-Type", "Last-Modified"):
                        if name in answer.headers:
                            self.send_header(name, answer.headers[name])
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile)
            except urllib.error.HTTPError as error:
                self.send_error(error.code)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as port:
        yield Mirror(folder, f"http://{SERVED_HOST}:{port}")
