"""Make cri.pyz: the CRI client and the libraries it needs, for a machine that has Python and nothing else."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

_LIBRARIES = ("h2", "hpack", "hyperframe")  # all of them pure Python
_MAIN = "import sys\n\nfrom tests.support.cri.client import main\n\nsys.exit(main())\n"


def pack_client(target: Path) -> Path:
    """Write the zip file to ``target``."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        for name in ("tests.support.cri", *_LIBRARIES):
            spec = importlib.util.find_spec(name)
            assert spec is not None and spec.origin is not None, f"{name} is not installed"
            folder = Path(spec.origin).parent
            for path in sorted(folder.rglob("*.py")):
                if not path.name.startswith("test_"):
                    archive.write(path, Path(*name.split("."), path.relative_to(folder)))
        archive.writestr("tests/__init__.py", "")
        archive.writestr("tests/support/__init__.py", "")
    return target
