"""Profiles as the tests of the node files need them, and a node's tree written to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from imgbuild.config.load import load
from imgbuild.config.profile import Profile
from imgbuild.config.target import Target
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.templates import static

PROFILES = ["centos7-bios", "centos7-efi", "centos8-bios", "centos8-efi", "debian12-bios", "debian12-efi"]
HOST = ["distro-containerd", "container-host"]
CASES = [
    *((name, []) for name in PROFILES),
    *((name, ["china"]) for name in PROFILES),
    *((name, HOST) for name in PROFILES if name.startswith("debian")),
    *((name, ["china", *HOST]) for name in PROFILES if name.startswith("debian")),
]
BINARIES = ["kubernetes.source=binaries"]
SCRIPTS = ("apply", "report", "rp-filter", "verify")

# awk on EL, on Debian, and on a small system: the program, and the Debian package that the tests have it from.
AWKS = {"gawk": "gawk", "mawk": "mawk", "busybox": "busybox-static"}
# Of a sudo on EL (/etc/sudoers); Debian's goes on to /usr/local, too.
SECURE_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"


def resolved(name: str, layers: Sequence[str] = (), sets: Sequence[str] = ()) -> Resolved:
    """A profile that must be valid."""
    findings = Findings()
    found = load(name, layers, sets, None, findings)
    assert found is not None, [f"{item.code} {item.message}" for item in findings.items]
    return resolve(found)


def changed(given: Resolved, *, profile: Profile | None = None, target: Target | None = None) -> Resolved:
    """The same with another profile or another target."""
    loaded = given.loaded
    return resolve(replace(loaded, profile=profile or loaded.profile, target=target or loaded.target))


def write_tree(tree: NodeTree, root: Path) -> Path:
    """What the image's overlay does, in short: files and links; and what the install tree has for their programs."""
    shared = [f"usr/libexec/imgbuild/lib/{name}.sh" for name in ("login", "path")]
    for file in (*tree.files, *(NodeFile(f"/{name}", static("node", name)) for name in shared)):
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    for link in tree.links:
        path = root / link.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(link.target)
    return root
