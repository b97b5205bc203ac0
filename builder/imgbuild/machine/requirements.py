"""What the host needs to boot an image in a virtual machine."""

from __future__ import annotations

import shutil

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.requirements import Lack
from imgbuild.machine.firmware import find_ovmf

_TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}


def machine_lacks() -> list[Lack]:
    """Everything that prevents this host from booting an image; empty if it can."""
    found = [
        Lack(f"missing tool: {tool}", f"apt-get install {package}")
        for tool, package in _TOOLS.items()
        if shutil.which(tool) is None
    ]
    try:
        find_ovmf()
    except HostError as error:
        found.append(Lack(str(error), error.hint))
    return found
