"""The runtimes that containerd knows on a node: runc, and the profile's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imgbuild.config.profile import Profile
from imgbuild.config.profile.runtimes import RUNC, OptionValue

RUNC_OPTIONS: Mapping[str, type] = {
    "NoPivotRoot": bool,
    "NoNewKeyring": bool,
    "ShimCgroup": str,
    "IoUid": int,
    "IoGid": int,
    "BinaryName": str,
    "Root": str,
    "CriuPath": str,
    "SystemdCgroup": bool,
    "CriuImagePath": str,
    "CriuWorkPath": str,
}
"""What runc's shim reads (runtime/v2/runc/options/oci.proto of containerd 1.6; 2.0 dropped CriuPath). Other names have
no effect."""


@dataclass(frozen=True)
class Known:
    """A runtime as it is written into containerd's configuration."""

    name: str
    type: str
    options: Mapping[str, OptionValue]
    snapshotter: str | None = None


def runtimes(profile: Profile) -> Sequence[Known]:
    """Runc first, then the profile's own by name. One that is named runc changes runc itself."""
    driver = {"SystemdCgroup": profile.containerd.cgroup_driver == "systemd"}
    found = {"runc": Known("runc", RUNC, driver)}
    for name, given in sorted(profile.containerd.runtimes.items()):
        if given is not None:
            options = {**(driver if given.type == RUNC else {}), **given.options}
            found[name] = Known(name, given.type, options, given.snapshotter)
    return [replace(one, options=dict(sorted(one.options.items()))) for one in found.values()]


def default_runtime(profile: Profile) -> str:
    """The runtime of pods without a RuntimeClass."""
    chosen = (name for name, one in sorted(profile.containerd.runtimes.items()) if one is not None and one.default)
    return next(chosen, "runc")


def snapshotters(profile: Profile) -> Sequence[str]:
    """All snapshotters that containers of pods use, the default one first."""
    own = (one.snapshotter for one in runtimes(profile) if one.snapshotter is not None)
    return list(dict.fromkeys([profile.containerd.snapshotter, *own]))
