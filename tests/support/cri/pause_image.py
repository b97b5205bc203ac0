"""Make a pause image: one static program that waits for a signal, as an archive that containerd imports.

Kubernetes' own comes from a registry; a machine without a network needs one for its first sandbox.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

from tests.support.deadline import HUNG

# No C library: 9 KiB, and nothing to link with on the host but gcc itself. 34 is pause(2), 60 exit(2).
_SOURCE = """
static long syscall1(long number, long argument) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(argument) : "rcx", "r11", "memory");
    return result;
}
void _start(void) {
    for (;;) syscall1(34, 0);
}
"""


def pause_image(target: Path, name: str, architecture: str = "amd64") -> Path:
    """Write to ``target`` an OCI layout tar of an image called ``name``: the same bytes every time.

    Import it with ``ctr -n k8s.io images import``.
    """
    program = target.with_suffix(".pause")
    command = ["gcc", "-static", "-nostdlib", "-ffreestanding", "-Os", "-s", "-x", "c", "-", "-o", str(program)]
    subprocess.run(command, input=_SOURCE, text=True, check=True, timeout=HUNG)
    layer = _tar({"pause": (0o755, program.read_bytes())})
    program.unlink()
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/pause"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    kind = "application/vnd.oci.image."
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": kind + "manifest.v1+json",
            "config": _descriptor(kind + "config.v1+json", config),
            "layers": [_descriptor(kind + "layer.v1.tar", layer)],
        }
    )
    entry = {
        **_descriptor(kind + "manifest.v1+json", manifest),
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {"io.containerd.image.name": name},
    }
    files = {f"blobs/sha256/{_digest(blob)[7:]}": (0o644, blob) for blob in (layer, config, manifest)}
    files["index.json"] = (0o644, _json({"schemaVersion": 2, "manifests": [entry]}))
    files["oci-layout"] = (0o644, _json({"imageLayoutVersion": "1.0.0"}))
    target.write_bytes(_tar(files))
    return target


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _tar(files: dict[str, tuple[int, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (mode, data) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
