"""GRUB's update on a Debian node, with stand-ins for grub-install and what it is told the disk by."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.deadline import HUNG
from tests.support.image.plan import ELEMENTS

PROGRAM = ELEMENTS / "imgbuild-debian/imgbuild-debian-files/usr/libexec/imgbuild/grub-refresh"
INSTALL = """#!/bin/sh
echo "$*" >> "$IMGBUILD_ROOT/calls"
cp "$IMGBUILD_ROOT"/usr/lib/grub/i386-pc/* "$IMGBUILD_ROOT/boot/grub/i386-pc/"
[ ! -e "$IMGBUILD_ROOT/cut" ] || kill -9 "$PPID"
"""


def test_an_update_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    """The modules are new then, and the loader that needs them is the old one."""
    root, programs = tmp_path / "root", tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "grub-install": INSTALL, "findmnt": "#!/bin/sh\necho /dev/vda2\n", "lsblk": "#!/bin/sh\necho /dev/vda\n",
        "sync": "#!/bin/sh\n",
    }.items():  # fmt: skip
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for folder, content in (("usr/lib/grub/i386-pc", "new"), ("boot/grub/i386-pc", "old")):
        (root / folder).mkdir(parents=True)
        for name in ("kernel.img", "normal.mod"):
            (root / folder / name).write_text(content)

    def refresh() -> int:
        env = {"PATH": f"{programs}:/usr/bin:/bin", "IMGBUILD_ROOT": str(root)}
        return subprocess.run(["sh", PROGRAM], env=env, capture_output=True, check=False, timeout=HUNG).returncode

    (root / "cut").touch()
    assert refresh() == -9
    (root / "cut").unlink()
    for _ in range(2):
        assert refresh() == 0
    assert (root / "calls").read_text() == "--target=i386-pc /dev/vda\n" * 2
    assert sorted(path.name for path in (root / "boot/grub/i386-pc").iterdir()) == ["kernel.img", "normal.mod"]
