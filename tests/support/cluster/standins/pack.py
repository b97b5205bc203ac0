"""Make the one file that is kubeadm, kubelet and crictl on a test's node."""

from __future__ import annotations

import hashlib
import py_compile
import tempfile
import zipfile
from pathlib import Path

from tests.support.places import ROOT, TESTS

PREFLIGHT = ROOT / "profiles" / "versions" / "kubeadm-preflight.yaml"
"""imgbuild's own table of kubeadm's preflight, which comes from kubeadm's source."""
_HEAD = b"#!/usr/bin/python3 -IB\n"
_MAIN = "import sys\n\nfrom tests.support.cluster.standins.main import main\n\nsys.exit(main())\n"


def pack(target: Path, version: str) -> tuple[Path, str]:
    """Write the program, which says it is Kubernetes ``version`` (without v), and give its sha256."""
    with target.open("wb") as out:
        out.write(_HEAD)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            _put(archive, "__main__.py", _MAIN.encode())
            _put(archive, "tests/support/cluster/standins/version", version.encode())
            for name in (
                "tests/__init__.py",
                "tests/support/__init__.py",
                "tests/support/cilium_status/__init__.py",
                "tests/support/cluster/__init__.py",
                "tests/support/cri/__init__.py",
            ):
                _put(archive, name, b"")
            _put(archive, f"tests/support/cluster/standins/{PREFLIGHT.name}", PREFLIGHT.read_bytes())
            folder, tests = Path(__file__).parent, TESTS
            said = (tests / "support/cilium_status").glob("*.json")
            for path in sorted(
                [*folder.rglob("*.py"), *folder.rglob("*.json"), *said, tests / "support/cri/protobuf.py"]
            ):
                name = f"tests/{path.relative_to(tests)}"
                _put(archive, name, path.read_bytes())
                if path.suffix == ".py":
                    _put(archive, f"{name}c", _compiled(path))
    target.chmod(0o755)
    return target, hashlib.sha256(target.read_bytes()).hexdigest()


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """The same bytes for the same content."""
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _compiled(path: Path) -> bytes:
    """Emulated processors take seconds to compile it; another Python than this passes over it."""
    with tempfile.NamedTemporaryFile(suffix=".pyc") as out:
        py_compile.compile(
            str(path),
            out.name,
            f"standin/{path.name}",
            True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return Path(out.name).read_bytes()
