"""nerdctl-full and helm as archives, laid out as upstream lays them out.

containerd, runc and the CNI plugins are Debian's own, from this host; nerdctl, buildkit, stargz and helm are stand-ins.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

_REAL = {
    "bin/containerd": "containerd",
    "bin/ctr": "ctr",
    "bin/containerd-shim-runc-v2": "containerd-shim-runc-v2",
    "bin/runc": "runc",
}
_SAYS = "#!/bin/sh\n# Stand-in of imgbuild's tests.\necho '{name} version {version}'\n"
_SERVES = """#!/bin/sh
# Stand-in of imgbuild's tests: ready at once, and there until it is stopped.
systemd-notify --ready
exec sleep infinity
"""
_UNIT = """[Unit]
Description={name}
After=network.target local-fs.target
{more}
[Service]
Type=notify
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/{command}
Delegate=yes
KillMode=process
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""


def nerdctl_full(folder: Path, version: str) -> tuple[Path, str]:
    """The archive and its sha256."""
    tree = folder / "nerdctl-full"
    for name, program in _REAL.items():
        found = shutil.which(program, path="/usr/bin:/usr/sbin")
        assert found, f"{program} is not installed"
        _put(tree, name, Path(found).read_bytes())
    plugins = sorted(p for p in Path("/usr/lib/cni").iterdir() if p.is_file())
    assert plugins
    for plugin in plugins:
        _put(tree, f"libexec/cni/{plugin.name}", plugin.read_bytes())
    for name in ("bridge", "firewall", "host-local", "loopback"):
        (tree / f"bin/buildkit-cni-{name}").symlink_to(f"../libexec/cni/{name}")
    for name in ("nerdctl", "buildctl"):
        _put(tree, f"bin/{name}", _SAYS.format(name=name, version=version).encode())
    for name in ("buildkitd", "containerd-stargz-grpc"):
        _put(tree, f"bin/{name}", _SERVES.encode())
    units = {
        "containerd": ("containerd", ""),
        "buildkit": ("buildkitd", ""),
        "stargz-snapshotter": (
            "containerd-stargz-grpc --log-level=debug --config=/etc/containerd-stargz-grpc/config.toml",
            "Before=containerd.service",
        ),
    }
    for name, (command, more) in units.items():
        unit = _UNIT.format(name=name, command=command, more=more)
        _put(tree, f"lib/systemd/system/{name}.service", unit.encode(), 0o644)
    files = sorted(p for p in tree.rglob("*") if p.is_file() and not p.is_symlink())
    sums = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(tree)}\n" for p in files)
    _put(tree, "share/doc/nerdctl-full/SHA256SUMS", sums.encode(), 0o644)
    return _pack(tree, folder / f"nerdctl-full-{version}-linux-amd64.tar.gz")


def helm(folder: Path, version: str) -> tuple[Path, str]:
    """helm's archive and its sha256."""
    tree = folder / "helm"
    _put(tree, "linux-amd64/helm", f"#!/bin/sh\n# Stand-in of imgbuild's tests.\necho v{version}\n".encode())
    _put(tree, "linux-amd64/LICENSE", b"", 0o644)
    return _pack(tree, folder / f"helm-v{version}-linux-amd64.tar.gz")


def _put(tree: Path, name: str, content: bytes, mode: int = 0o755) -> None:
    place = tree / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    place.chmod(mode)


def _pack(tree: Path, archive: Path) -> tuple[Path, str]:
    argv = ["tar", "--create", "--owner=0", "--group=0", "--sort=name", "--use-compress-program=gzip -1"]
    subprocess.run(
        [*argv, "--file", archive, "--directory", tree, *(p.name for p in sorted(tree.iterdir()))], check=True
    )
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest()
