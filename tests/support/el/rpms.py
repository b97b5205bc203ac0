"""Packages for the loopback mirror: real rpmbuild, real signatures, real repository metadata.

What is inside is small: most are names without files, for the stand-in base has the real programs from Debian. The
kernel is Debian's own under ELRepo's package names, with the scriptlets that ELRepo's packages have.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.install.keys import Signer

# The scriptlets of ELRepo's own spec files.
EL7_POSTTRANS = """if [ -x /usr/sbin/new-kernel-pkg ]; then
    /usr/sbin/new-kernel-pkg --package {flavour} --mkinitrd --dracut --depmod --update {release} || exit $?
    /usr/sbin/new-kernel-pkg --package {flavour} --rpmposttrans {release} || exit $?
fi"""
EL8_POSTTRANS = "/bin/kernel-install add {release} /lib/modules/{release}/vmlinuz || exit $?"


@dataclass(frozen=True)
class Rpm:
    """One package: ``files`` are copied from a folder laid out as on the node; scripts are files' contents."""

    name: str
    version: str = "1.0"
    release: str = "1"
    tree: Path | None = None
    scripts: dict[str, str] = field(default_factory=dict)
    requires: Sequence[str] = ()
    provides: Sequence[str] = ()
    posttrans: str = ""
    arch: str = "noarch"
    module: str = ""
    """The module stream that it belongs to, as AppStream's packages do: NAME:STREAM:VERSION:CONTEXT."""


def build(rpms: Iterable[Rpm], target: Path, work: Path, signer: Signer | None) -> None:
    """Build the packages into ``target``; signed unless ``signer`` is None."""
    target.mkdir(parents=True, exist_ok=True)
    for rpm in rpms:
        _build(rpm, target, work / rpm.name)
    files = sorted(target.glob("*.rpm"))
    if signer is not None and files:
        gpg = shutil.which("gpg")
        sign = (
            f"%{{__gpg}} gpg --batch --no-armor --pinentry-mode loopback --passphrase '' -u {signer.fingerprint} "
            "-sbo %{__signature_filename} %{__plaintext_filename}"
        )
        define = [word for pair in (f"__gpg {gpg}", f"_gpg_name {signer.fingerprint}", f"__gpg_sign_cmd {sign}")
                  for word in ("--define", pair)]  # fmt: skip
        argv: list[str | Path] = ["rpmsign", *define, "--addsign", *files]
        environment = {**os.environ, "GNUPGHOME": str(signer.home)}
        _run(argv, environment)
        _run(["gpgconf", "--homedir", signer.home, "--kill", "all"], environment)


def index(folder: Path) -> None:
    """Write the repository's metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    _run(["createrepo_c", "--quiet", "--general-compress-type=gz", folder])


def kernel(debian: Path, work: Path, *, bls: bool, flavour: str = "kernel-ml") -> tuple[str, list[Rpm]]:
    """kernel-ml or kernel-lt around the kernel of an unpacked Debian package; gives its uname and the packages."""
    (image,) = (debian / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    version, _, patch = release.removesuffix("-cloud-amd64").partition("-")
    tree = work / flavour
    shutil.rmtree(tree, ignore_errors=True)
    modules = tree / "lib/modules" / release
    modules.parent.mkdir(parents=True)
    subprocess.run(["cp", "-al", debian / "lib/modules" / release, modules], check=True)
    # Installed beside the one that is there, never instead of it: as ELRepo's say it too.
    own_rpm = functools.partial(
        Rpm, version=version, release=f"{patch or 1}.elrepo", arch="x86_64", provides=["installonlypkg(kernel)"]
    )
    shutil.copy(debian / "boot" / f"config-{release}", modules / "config")  # where ELRepo's el8 kernels have it
    if not bls:
        (tree / "boot").mkdir()
        (modules / "config").rename(tree / "boot" / f"config-{release}")  # where those of el7 have it
        shutil.copy(image, tree / "boot" / image.name)
        shutil.copy(debian / "boot" / f"System.map-{release}", tree / "boot")  # new-kernel-pkg gives it to depmod
        posttrans = EL7_POSTTRANS.format(release=release, flavour=flavour)
        return release, [own_rpm(flavour, tree=tree, posttrans=posttrans)]
    shutil.copy(image, modules / "vmlinuz")
    own = [f"{flavour}-{part} = {version}-{patch or 1}.elrepo" for part in ("core", "modules")]
    return release, [
        own_rpm(flavour, requires=own),
        own_rpm(f"{flavour}-modules"),
        own_rpm(f"{flavour}-core", tree=tree, posttrans=EL8_POSTTRANS.format(release=release)),
    ]


def _build(rpm: Rpm, target: Path, work: Path) -> None:
    tree = work / "tree"
    shutil.rmtree(work, ignore_errors=True)
    tree.mkdir(parents=True)
    if rpm.tree is not None:
        tree = rpm.tree
    for path, content in rpm.scripts.items():
        place = tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        place.chmod(0o644 if path.endswith(".service") else 0o755)
    files = [f"/{p.relative_to(tree)}" for p in sorted(tree.rglob("*")) if not p.is_dir()]
    (work / "files").write_text("".join(f'"{name}"\n' for name in files))
    spec = work / f"{rpm.name}.spec"
    spec.write_text(
        f"Name: {rpm.name}\nVersion: {rpm.version}\nRelease: {rpm.release}\nSummary: stand-in of imgbuild's tests\n"
        f"License: none\nBuildArch: {rpm.arch}\nAutoReqProv: no\n"
        + (f"ModularityLabel: {rpm.module}\n" if rpm.module else "")
        + "".join(f"Requires: {name}\n" for name in rpm.requires)
        + "".join(f"Provides: {name}\n" for name in rpm.provides)
        + f"%description\nA stand-in of imgbuild's tests.\n%files {'-f files' if files else ''}\n"
        + (f"%posttrans\n{rpm.posttrans}\n" if rpm.posttrans else "")
    )
    argv: list[str | Path] = ["rpmbuild", "-bb", "--quiet", "--target", rpm.arch, "--buildroot", work / "root"]
    # The tree is taken as it is: no stripping, no compressed manuals, no debug packages.
    for name, value in {
        "_topdir": work, "_builddir": work, "_rpmdir": target, "_rpmfilename": "%{NAME}-%{VERSION}.%{ARCH}.rpm",
        "__os_install_post": "%{nil}", "debug_package": "%{nil}", "_binary_payload": "w1.gzdio",
        "_build_id_links": "none", "__spec_install_pre": f"cp -al {tree} {work}/root",
        "_unpackaged_files_terminate_build": "0",
    }.items():  # fmt: skip
        argv += ["--define", f"{name} {value}"]
    spec.write_text(spec.read_text().replace("%files", "%install\ntrue\n%files", 1))
    _run([*argv, spec])


def _run(argv: Sequence[str | Path], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
