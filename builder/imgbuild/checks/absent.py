"""Modules and sysctls that the kernel of this target does not have (profiles/versions/kernel.yaml), also in files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.version import Version

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.diagnostics.findings import Path, format_path
from imgbuild.facts.derive import sysctl_name, version
from imgbuild.facts.kernel_settings import lines_of, sysctls_of

_MODULES = re.compile(r"/(?:etc|usr/lib|usr/local/lib)/modules-load\.d/[^/]+\.conf")
_SYSCTLS = re.compile(r"/(?:etc|usr/lib|usr/local/lib)/sysctl\.d/[^/]+\.conf|/etc/sysctl\.conf")


def check(context: Context) -> None:
    """All findings about names that this kernel does not have."""
    facts = context.resolved.kernel
    if facts is None:
        return  # IB301
    release = version(context.profile.kernel.version or facts.version)
    given = _given_modules(context)
    for index, module in given.items():
        _module(context, ("kernel", "modules", index), module, list(given.values()), release)
    sysctls = context.profile.kernel.sysctl
    for key, value in sysctls.items():
        if value is not None:
            _sysctl(context, ("kernel", "sysctl", key), key, list(sysctls), release)
    for index, file in enumerate(context.profile.files):
        path: Path = ("files", index, file.key_of_text)
        for pattern, names, look in (
            (_MODULES, lines_of(file.text), _module),
            (_SYSCTLS, [key for key, _ in sysctls_of(file.text)], _sysctl),
        ):  # fmt: skip
            if pattern.fullmatch(file.path):
                for name in names:
                    look(context, path, name, names, release, where=f"{file.path}: ")


def _given_modules(context: Context) -> Mapping[int, str]:
    """The modules by their places, as they are written: an invalid one hides no other."""
    kernel = context.resolved.layered.data.get("kernel")
    given = kernel.get("modules") if isinstance(kernel, dict) else None
    if ("kernel", "modules") not in context.resolved.loaded.recovered or not isinstance(given, list):
        return dict(enumerate(context.profile.kernel.modules))
    return {index: name for index, name in enumerate(given) if isinstance(name, str)}


def _module(context: Context, path: Path, name: str, names: Sequence[str], release: Version, where: str = "") -> None:
    row = {row["name"]: row for row in versions("kernel")["modules"]}.get(name.replace("-", "_"))
    why = _absent(row, release) if row is not None else ""
    if row is None or not why:
        return
    instead = row.get("instead")
    fix = f"write {instead}" if instead else "remove it, or use a newer kernel.flavour"
    if instead in names:
        fix = f"remove it: {instead} is there already"
    # An invalid neighbour does not change what is known about this one.
    context.findings.add(
        "IB240", f"{where}the module {name} {why}", hint=fix, key=format_path(path), mark=context.mark(*path)
    )


def _sysctl(context: Context, path: Path, key: str, keys: Sequence[str], release: Version, where: str = "") -> None:
    name = sysctl_name(key)
    row = {row["name"]: row for row in versions("kernel")["sysctls"]}.get(name)
    if row is not None and (why := _absent(row, release)):
        fix = f"write {row['instead']}" if "instead" in row else "remove it"
        if row.get("instead") in map(sysctl_name, keys):
            fix = f"remove it: {row['instead']} is there already"
        context.report("IB241", path, f"{where}{key} {why}", fix)
    elif name.startswith("net.ipv6.") and "ipv6.disable=1" in context.profile.kernel.arguments:
        context.report(
            "IB241", path, f"{where}{key} does not exist with ipv6.disable=1 on the kernel's command line",
            "remove it, or the argument",
        )  # fmt: skip


def _absent(row: Mapping[str, Any], release: Version) -> str:
    """Why a kernel of that release does not have it; empty if it does."""
    if "never" in row:
        return f"does not exist: {row['never']}"
    if "until" in row and release >= version(row["until"]):
        if "only" in row:
            return f"is only in kernel {row['only']}; this node's is {release}"
        return f"is gone since kernel {row.get('gone', row['until'])}; this node's is {release}"
    if "since" in row and release < version(row["since"]):
        return f"exists since kernel {row['since']}; this node's is {release}"
    return ""
