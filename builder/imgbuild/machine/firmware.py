"""Where distributions have the UEFI firmware for virtual machines (OVMF)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.diagnostics.errors import HostError


@dataclass(frozen=True)
class Ovmf:
    """A pair that belongs together: ``code`` is mapped read-only, ``variables`` is copied for each machine."""

    code: Path
    variables: Path


# Without Secure Boot: imgbuild's images are not signed by a key that a firmware trusts. The 4 MiB builds come
# first; distributions have begun to drop the 2 MiB ones, and code and variables must be of one size.
_PLACES = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),  # Debian, Ubuntu: ovmf
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),  # Arch: edk2-ovmf
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.4m.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),  # Fedora, EL: edk2-ovmf
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),  # SUSE: qemu-ovmf-x86_64
    ("/usr/share/edk2-ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/OVMF_VARS.fd"),  # Gentoo: edk2-ovmf
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
)


def find_ovmf(root: Path = Path("/"), places: Sequence[tuple[str, str]] = _PLACES) -> Ovmf:
    """The first pair whose files both exist, below ``root``.

    Raises:
        HostError: there is none; it names the package.
    """
    for code, variables in places:
        pair = Ovmf(root / code.lstrip("/"), root / variables.lstrip("/"))
        if pair.code.is_file() and pair.variables.is_file():
            return pair
    raise HostError(
        "no UEFI firmware (OVMF) on this host",
        "install the package: ovmf on Debian and Ubuntu, edk2-ovmf on Fedora, EL and Arch, qemu-ovmf-x86_64 on SUSE",
    )
