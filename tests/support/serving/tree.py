"""An output folder as a build leaves it, with files for a network boot of two nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CP1, W1 = "52:54:00:00:00:01", "52:54:00:00:00:02"
SECRET = "the-secret-of"
NODES: list[dict[str, Any]] = [
    {
        "name": name, "role": role, "mac": mac, "macs": [mac], "folder": f"mac-{mac.replace(':', '-')}",
        "boot": "diskless", "machine_id": None,
        "diskless": ["boot=live", "fetch={base}root.squashfs", "BOOTIF={bootif}",
                     f"ds=nocloud-net;s={{seeds}}mac-{mac.replace(':', '-')}/"],
        "install": ["boot=live", "imgbuild.install=auto", "imgbuild.base={base}",
                    f"imgbuild.seed={{seeds}}mac-{mac.replace(':', '-')}/"],
    }
    for name, role, mac in (("cp1", "control-plane", CP1), ("w1", "worker", W1))
]  # fmt: skip
TAKES_ANY = {**NODES[1], "name": "spare", "mac": None, "macs": [], "folder": "any"}


def make_tree(folder: Path, *, nodes: list[dict[str, Any]] | None = None, root_bytes: int = 1000) -> Path:
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
        place = private / node["folder"]
        place.mkdir()
        for name in ("user-data", "meta-data", "vendor-data", "network-config"):
            (place / name).write_text(f"{name} {SECRET} {node['name']}\n")
            (place / name).chmod(0o600)
    boot = {"version": 1, "live": True, "kernel": "vmlinuz", "initrd": "initrd.img", "root": "root.squashfs"}
    (private / "boot.json").write_text(json.dumps({**boot, "source": "nocloud-net", "nodes": nodes}))
    groups = {name: {"run": "run1", "files": {}} for name in ("pxe", "pxe-private", "nodes")}
    groups["nodes"]["nodes"] = {node["name"]: node["macs"] for node in nodes}
    (folder / "manifest.json").write_text(json.dumps({"firmware": "efi", "image_wanted": "x", "groups": groups}))
    return folder
