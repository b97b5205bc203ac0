"""Boot an image in one QEMU machine and judge it by what its guest reports.

``boot`` is the way in; ``MachineSpec`` says what to boot and ``BootResult`` what came of it.
"""

from builder.machine.boot import boot
from builder.machine.checks import Check
from builder.machine.result import BootResult
from builder.machine.spec import DirectKernel, MachineSpec

__all__ = ["BootResult", "Check", "DirectKernel", "MachineSpec", "boot"]
