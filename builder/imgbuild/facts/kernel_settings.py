"""What the running kernel of a node is set to: the modules loaded at boot, and the sysctls.

/etc/modules-load.d and /etc/sysctl.d set it, and imgbuild-verify expects it.
"""

from __future__ import annotations

from imgbuild.config.profile import Profile
from imgbuild.facts.derive import sysctl_path
from imgbuild.facts.resolved import Resolved

SYSCTL_FILE = "/etc/sysctl.d/99-zz-imgbuild.conf"
"""imgbuild's own file; one whose name sorts after it is read later and decides (sysctl.d(5))."""


def lines_of(text: str) -> list[str]:
    """The lines of a configuration file without comments (modules-load.d(5), sysctl.d(5))."""
    return [line for each in text.splitlines() if (line := each.strip()) and line[0] not in "#;"]


def sysctls_of(text: str) -> list[tuple[str, str]]:
    """Key and value of each line of a file in sysctl.d."""
    rows = [line.partition("=") for line in lines_of(text) if "=" in line]
    return [(key.lstrip("-").strip(), value.strip()) for key, _, value in rows]


def modules(profile: Profile) -> list[str]:
    """The modules to load at boot: stargz mounts layers through FUSE."""
    more = ["fuse"] if profile.containerd.stargz.enabled else []
    return list(dict.fromkeys([*profile.kernel.modules, *more]))


def sysctls(resolved: Resolved) -> list[tuple[str, str, str]]:
    """Key, path below /proc/sys and value of each sysctl that is set; null in the profile removes one."""
    network = resolved.profile.network
    rows = {key: str(value) for key, value in resolved.sysctls.items()}
    rows |= {f"net.ipv4.conf.{name}.rp_filter": str(network.rp_filter) for name in ("all", "default")}
    return [(key, sysctl_path(key), " ".join(value.split())) for key, value in sorted(rows.items())]
