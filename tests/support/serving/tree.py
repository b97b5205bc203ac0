"""An output folder as a build leaves it, with files for a network boot of two nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from imgbuild.outputs.bootfile import BootFile, MediumFacts
from imgbuild.outputs.bootline import BootLine

CP1, W1 = "52:54:00:00:00:01", "52:54:00:00:00:02"
SECRET = "the-secret-of"


def _node(name: str, role: str, mac: str) -> BootLine:
    folder = f"mac-{mac.replace(':', '-')}"
    seed = f"{{seeds}}{folder}/"
    return BootLine(
        name, role, mac, [mac], folder, "diskless", None,
        ["boot=live", "fetch={base}root.squashfs", "BOOTIF={bootif}", f"ds=nocloud-net;s={seed}"],
        ["boot=live", "imgbuild.install=auto", "imgbuild.base={base}", f"imgbuild.seed={seed}"], [],
    )  # fmt: skip


NODES = [_node("cp1", "control-plane", CP1), _node("w1", "worker", W1)]
TAKES_ANY = replace(NODES[1], name="spare", mac=None, macs=[], folder="any")


def make_tree(folder: Path, *, nodes: Sequence[BootLine] | None = None, root_bytes: int = 1000) -> Path:
    """Write the folder and return it."""
    nodes = NODES if nodes is None else nodes
    public, private = folder / "pxe", folder / "pxe-private"
    for place in (public / "grub", private, folder / "nodes"):
        place.mkdir(parents=True)
    for group in ("pxe", "pxe-private", "nodes"):
        (folder / group / ".run").write_text("run1\n")
    (public / "boot.ipxe").write_text("#!ipxe\n# the static one\n")
    (public / "grub" / "grub.cfg").write_text("# the static one\n")
    (public / "README.txt").write_text("read me\n")
    (public / "vmlinuz").write_bytes(b"kernel" * 100)
    (public / "initrd.img").write_bytes(b"initrd" * 100)
    with (public / "root.squashfs").open("wb") as root:
        root.write(b"hsqs")
        root.truncate(root_bytes)
    for node in nodes:
        place = private / node.folder
        place.mkdir()
        for name in ("user-data", "meta-data", "vendor-data", "network-config"):
            (place / name).write_text(f"{name} {SECRET} {node.name}\n")
            (place / name).chmod(0o600)
    about = BootFile(
        cluster="lab", live=True, kernel="vmlinuz", initrd="initrd.img", root="root.squashfs", source="nocloud-net",
        medium=MediumFacts(label="L", root="live/root", mount="/run/medium", arguments=[], install=[]), nodes=nodes,
    )  # fmt: skip
    (private / "boot.json").write_bytes(about.content())
    groups = {name: {"run": "run1", "files": {}} for name in ("pxe", "pxe-private", "nodes")}
    groups["nodes"]["nodes"] = {node.name: list(node.macs) for node in nodes}
    (folder / "manifest.json").write_text(json.dumps({"firmware": "efi", "image_wanted": "x", "groups": groups}))
    return folder
