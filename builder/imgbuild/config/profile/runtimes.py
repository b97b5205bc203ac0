"""Runtimes that containerd starts containers with, beside runc: NVIDIA's, Kata, gVisor."""

from typing import Annotated

from pydantic import StrictBool, StrictInt, StrictStr

from imgbuild.config.fields import Model, pattern
from imgbuild.config.setting import Setting, Words

RUNC = "io.containerd.runc.v2"
RuntimeName = Annotated[
    str,
    pattern(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", "a runtime's name has lower-case letters, digits, dots and dashes"),
    Words("runtime name"),
]
"""The handler of a RuntimeClass, which Kubernetes requires to be a DNS name."""
OptionName = Annotated[str, pattern(r"[A-Za-z][A-Za-z0-9_]*", "an option's name has letters, digits and _")]
OptionValue = StrictBool | StrictInt | StrictStr


class Runtime(Model):
    """One runtime. Kubernetes selects it by a RuntimeClass whose handler is its name."""

    type: Annotated[
        str,
        pattern(r"io\.containerd\.[a-z0-9-]+\.v[0-9]+|/[A-Za-z0-9._/-]+", "write io.containerd.NAME.vN, or a path"),
        Setting(
            "The shim that containerd starts: `io.containerd.runsc.v1` is the program `containerd-shim-runsc-v1`.",
            example="io.containerd.kata.v2",
        ),
    ] = RUNC
    options: Annotated[
        dict[OptionName, OptionValue],
        Setting(
            "Options of the shim, by containerd's own names. For runc's shim, `SystemdCgroup` follows from "
            "`containerd.cgroup_driver`.",
            example={"BinaryName": "/usr/bin/nvidia-container-runtime"},
        ),
    ] = {}
    default: Annotated[bool, Setting("Whether it starts the containers of pods without a RuntimeClass.")] = False
    snapshotter: Annotated[
        Annotated[str, pattern(r"[a-z0-9-]+", "write the name of a snapshotter")] | None,
        Setting(
            "Snapshotter of its containers (containerd 1.7 and later). `null`: `containerd.snapshotter`.",
            example="devmapper",
        ),
    ] = None
