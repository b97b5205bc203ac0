"""What the image tests share: one real root file system, built once and kept in the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbuild.image.cache import default_cache
from imgbuild.image.rootfs.build import Rootfs, build_rootfs
from imgbuild.image.rootfs.plan import RootfsPlan
from tests.support.image.plan import ELEMENTS, install_tree, shared_plan
from tests.support.image.recorder import Recorder
from tests.support.places import SUPPORT


@pytest.fixture(scope="session")
def rootfs() -> Rootfs:
    """The shared Debian 12 root file system; minutes on a first run, nothing after."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return build_rootfs(shared_plan(), default_cache(), Recorder())


@pytest.fixture
def tiny(rootfs: Rootfs, tmp_path: Path) -> Callable[[str], RootfsPlan]:
    """Plans whose base comes from the cached tar: a whole diskimage-builder run in seconds."""
    elements = tmp_path / "elements"
    shutil.copytree(ELEMENTS / "imgbuild-install", elements / "imgbuild-install")
    own = SUPPORT / "image/elements" / "imgbuild-test-base"
    shutil.copytree(own, elements / "imgbuild-test-base")
    shutil.copy(ELEMENTS / "imgbuild-debian/root.d/74-imgbuild-site", elements / "imgbuild-test-base/root.d")

    def plan(script: str) -> RootfsPlan:
        return RootfsPlan(
            target="tiny",
            elements=("imgbuild-test-base", "imgbuild-install"),
            elements_dir=elements,
            install=install_tree(script),
            environment={
                "IMGBUILD_TEST_TAR": str(rootfs.tar),
                "DIB_DISTRIBUTION_MIRROR": "http://mirror.invalid/debian",
            },
        )

    return plan
