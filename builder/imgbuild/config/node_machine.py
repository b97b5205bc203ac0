"""What only a system that runs a fleet has to know about a machine: its BMC, its size.

It is for `imgbuild export` alone, and is in no seed and no image.
"""

from typing import Annotated

from pydantic import Field

from imgbuild.config.fields import DnsName, Model, pattern
from imgbuild.config.setting import Setting, Words

# The names that Metal3 knows (baremetal-operator 02aa5059, 2026-08-20: pkg/hardwareutils/bmc, RegisterFactory).
_PROTOCOLS = (
    r"ipmi|libvirt|(redfish|redfish-virtualmedia|redfish-uefihttp|idrac-redfish|idrac-virtualmedia|ilo5-redfish|"
    r"ilo5-virtualmedia)(\+https?)?"
)
BmcAddress = Annotated[
    str,
    pattern(
        rf"({_PROTOCOLS})://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{{1,5}})?(/[A-Za-z0-9._~/-]*)?",
        "write PROTOCOL://HOST, with the path of the system for Redfish and without a login: ipmi://10.0.1.11 or "
        "redfish://10.0.1.11/redfish/v1/Systems/1",
    ),
    Words("address of a BMC"),
]


class Machine(Model):
    """One machine, as the systems of `imgbuild export` describe it."""

    bmc: Annotated[
        BmcAddress | None,
        Setting(
            "Address of its BMC, the way Metal3 writes it. The login is not part of it: `bmc_login` names it.",
            example="redfish-virtualmedia://10.0.1.11/redfish/v1/Systems/1",
        ),
    ] = None
    bmc_login: Annotated[
        DnsName | None,
        Setting(
            "Name of the Kubernetes Secret with `username` and `password` of the BMC, which you make yourself. "
            "`null`: the node's name and `-bmc`.",
            example="rack1-bmc",
        ),
    ] = None
    bmc_verify: Annotated[
        bool, Setting("Whether the certificate of the BMC must be valid. Many BMCs have one of their own.")
    ] = True
    memory_mib: Annotated[
        Annotated[int, Field(ge=1024, le=16 << 20)] | None,
        Setting("Memory of a virtual machine. `null`: that of `--memory`.", unit="MiB", example=8192),
    ] = None
    cpus: Annotated[
        Annotated[int, Field(ge=1, le=1024)] | None,
        Setting("Processors of a virtual machine. `null`: those of `--cpus`.", example=4),
    ] = None
    disk_gib: Annotated[
        Annotated[int, Field(ge=4, le=1 << 16)] | None,
        Setting("Size of a virtual machine's disk. `null`: that of `--disk`.", unit="GiB", example=100),
    ] = None
