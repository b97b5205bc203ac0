"""The root file system that the image tests share: the one that imgbuild itself builds of debian12."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.config.data import data_dir
from imgbuild.config.profile.extras import Format
from imgbuild.config.target import load_target
from imgbuild.diagnostics.findings import Findings
from imgbuild.image.build import rootfs_plan
from imgbuild.image.cache import default_cache
from imgbuild.image.formats.ova import Appliance
from imgbuild.image.formats.write import ImageFiles
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.pipeline import Request, prepare
from imgbuild.render.nodefile import NodeFile, NodeTree
from tests.support.image.recorder import Recorder

ELEMENTS = data_dir("elements")
DEBIAN = load_target("debian12").boot
KERNEL_ARGS = ("net.ifnames=0", "console=tty0", "console=ttyS0,115200")


def image_files(folder: Path, name: str = "disk", formats: Sequence[Format] = ("qcow2-zstd",)) -> ImageFiles:
    """The files of a test's disk; by default the form that is written fastest."""
    target = load_target("debian12")
    return ImageFiles(folder, name, formats, Appliance("efi", target.name, target.vmware))


def install_tree(script: str) -> NodeTree:
    """An install script that stands in for imgbuild's own."""
    return NodeTree(files=(NodeFile("/usr/libexec/imgbuild/install", script.encode(), 0o755),))


def shared_plan() -> RootfsPlan:
    """The same as `imgbuild --profile debian12-efi` with the two layers: one build serves all tests."""
    ready = prepare(Request("debian12-efi", ("distro-containerd", "container-host")), Findings())
    return rootfs_plan(ready.resolved, ready.rendered.install, default_cache(), Recorder())
