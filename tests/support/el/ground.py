"""What the tests of the install scripts stand on: a mirror, and a base with nothing, with all packages, with all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imgbuild.image.cache import default_cache
from imgbuild.image.rootfs.build import build_rootfs
from tests.support.el.base import base_tar
from tests.support.el.chroot import Chroot
from tests.support.el.rpms import Rpm, build, index
from tests.support.el.world import World, as_set, make_world
from tests.support.image.plan import shared_plan
from tests.support.image.recorder import Recorder
from tests.support.install.keys import Signer
from tests.support.install.room import tree
from tests.support.mirror import serving

HELD = ("kubelet", "kubeadm", "kubectl")
DEAD = "http://127.0.0.1:9/gone/"
OLD = Rpm("kernel-core", "4.18.0", "348", scripts={"/boot/vmlinuz-4.18.0-348": "old\n"})
BASE = [Rpm("kernel", OLD.version, OLD.release, requires=[OLD.name]), OLD, Rpm("basesystem"), Rpm("mlocate")]
"""What rpm knows of the base, as it does of a cloud image: an older kernel, and more."""


@dataclass(frozen=True)
class Ground:
    """None of the three is written to any more: each test has a copy of its own."""

    world: World
    base: Chroot
    packages: Chroot
    """The steps 10 and 20 are done, each alone."""
    whole: Chroot
    """All are done."""
    said: str
    """What they said."""

    def copy(self, below: Chroot, folder: Path, *sets: str, mode: str | None = None) -> Chroot:
        """A copy with the install scripts of the shipped profile, under the mirror's layer and ``sets``."""
        made = below.copy(folder)
        made.lay(tree(f"centos{self.world.release}-efi", str(self.world.layer), sets=sets, mode=mode))
        return made

    def mirror_with(self, rpm: Rpm, folder: Path, signed_by: Signer | None, *, changed: bool = False) -> str:
        """Another mirror, with one more package of the distribution or of Kubernetes; what it has instead of
        {url}/8.5.2111/ or {url}/kubernetes/. ``changed``: the package's files are not what was signed.
        """
        build([rpm], folder / "fresh", folder / "build", signed_by)
        (fresh,) = (folder / "fresh").iterdir()
        if changed:
            content = bytearray(fresh.read_bytes())
            content[-9] ^= 1
            fresh.write_bytes(content)
        theirs = self.world.mirror.folder
        place = self.world.folder("kubernetes" if rpm.name in HELD else "distribution").relative_to(theirs)
        own = theirs / f"with-{folder.name}"
        for path in (theirs / place.parts[0]).rglob("*"):
            if path.is_file() and (path.parent.name != "repodata" or path.parent.parent != theirs / place):
                copy = own / path.relative_to(theirs)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.hardlink_to(path)
        shutil.copy(fresh, own / place)
        index(own / place)
        return f"{self.world.mirror.url}/{own.name}/{place.parts[0]}/"


@contextmanager
def make_ground(release: str, folder: Path) -> Iterator[Ground]:
    """The ground of one release, below ``folder``; half a minute."""
    tar = base_tar(build_rootfs(shared_plan(), default_cache(), Recorder()), release)
    with serving(folder / "mirror") as mirror:
        world = make_world(mirror, release, tar, "0" * 64, folder)
        base = Chroot.unpack(tar, folder / "root")
        build(BASE, base.upper, folder / "build", None)
        ended(base.run("sh", "-c", "rpm --install --nosignature /*.rpm && rm /*.rpm"))
        ready = Ground(world, base, base, base, "")
        # Something to remove from the base keeps the steps apart: tests look at the kernel's own.
        packages = ready.copy(base, folder / "packages", as_set("base.remove", ["not-there"]))
        for step in ("10-repositories", "20-packages"):
            ended(packages.step(step))
        whole = ready.copy(base, folder / "whole")
        said = ended(whole.run("/usr/libexec/imgbuild/install"))
        yield replace(ready, packages=packages, whole=whole, said=said)


def ended(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    """What a command said that ended with ``code``."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said[-6000:]
    return said
