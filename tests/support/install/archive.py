"""A Debian archive made for the tests: one suite, one package, signed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tests.support.install.keys import Signer

_CONTROL = """Package: {name}
Version: {version}
Architecture: all
Maintainer: nobody <nobody@example.com>
{more}Description: a package of the tests
"""


def suite(archive: Path, name: str, key: Signer, *packages: tuple[str, ...]) -> None:
    """dists/NAME of an archive; NAME "/" gives a flat one, as pkgs.k8s.io is.

    A package is its name, its version and what it depends on.
    """
    flat = name == "/"
    top = archive if flat else archive / "dists" / name
    listed = top if flat else top / "main" / "binary-amd64"
    listed.mkdir(parents=True, exist_ok=True)
    text = "".join(_package(archive, *package) for package in packages)
    (listed / "Packages").write_text(text)
    place = (listed / "Packages").relative_to(top)
    sums = f" {hashlib.sha256(text.encode()).hexdigest()} {len(text.encode())} {place}"
    release = top / "Release"
    head = "" if flat else f"Suite: {name}\nCodename: {name}\nComponents: main\n"
    release.write_text(
        f"Origin: tests\n{head}Architectures: amd64 all\nDate: Tue, 03 Nov 2020 12:00:00 UTC\nSHA256:\n{sums}\n"
    )
    (top / "InRelease").unlink(missing_ok=True)
    key.gpg("--output", str(top / "InRelease"), "--clearsign", str(release))


def _package(archive: Path, name: str, version: str, *needs: str) -> str:
    """Builds NAME into the archive's pool; its stanza of Packages."""
    tree = archive / "build" / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    control = _CONTROL.format(name=name, version=version, more=f"Depends: {', '.join(needs)}\n" if needs else "")
    (tree / "DEBIAN" / "control").write_text(control)
    file = archive / "pool" / f"{name}_{version}_all.deb"
    file.parent.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, file], capture_output=True, check=True)
    data = file.read_bytes()
    more = f"Filename: {file.relative_to(archive)}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    return f"{control}{more}\n"
