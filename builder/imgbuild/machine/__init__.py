"""Boot an image in one QEMU machine and judge it by what its guest reports.

``boot`` is the way in; ``MachineSpec`` is what to boot and ``BootResult`` is the result.
"""

from imgbuild.machine.boot import boot
from imgbuild.machine.result import BootResult
from imgbuild.machine.spec import MachineSpec
from imgbuild.machine.verdict import Check

__all__ = ["BootResult", "Check", "MachineSpec", "boot"]
