"""Builds one root file system, as a process of its own that a test can kill: CACHE PLAN (a JSON file)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.rootfs.build import build_rootfs
from imgbuild.image.rootfs.plan import RootfsPlan
from tests.support.image.plan import install_tree
from tests.support.image.recorder import Recorder


def main() -> int:
    cache, told = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    plan = RootfsPlan(
        target=told["target"],
        elements=tuple(told["elements"]),
        elements_dir=Path(told["elements_dir"]),
        install=install_tree(told["script"]),
        environment=told["environment"],
    )
    try:
        print("BUILT", build_rootfs(plan, cache, Recorder(echo=True)).key)
    except HostError as err:
        print("HOSTERROR", err, err.hint)
        return err.exit_code
    except KeyboardInterrupt:
        print("INTERRUPTED")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
