"""The table of codes: a module per family, a row per code. A finding's severity comes from here and nowhere else."""

from __future__ import annotations

from imgbuild.diagnostics.codes import (
    addons,
    cards,
    cilium,
    cilium_agent,
    clock,
    clouds,
    control_plane,
    disks,
    endpoint,
    exports,
    groups,
    installing,
    kernel,
    kubernetes,
    kubernetes_fields,
    links,
    lock,
    nodes,
    preload,
    pxe,
    reading,
    registries,
    report,
    repository_logins,
    runtime,
    secrets,
    settings,
    site,
    sources,
    users_files,
)
from imgbuild.diagnostics.codes.row import Code

FAMILIES = (
    reading,
    kubernetes,
    kubernetes_fields,
    kernel,
    nodes,
    links,
    cards,
    endpoint,
    control_plane,
    groups,
    settings,
    site,
    sources,
    lock,
    repository_logins,
    users_files,
    disks,
    runtime,
    registries,
    preload,
    clock,
    cilium,
    cilium_agent,
    addons,
    clouds,
    pxe,
    installing,
    report,
    secrets,
    exports,
)
"""Each has a docstring, its title, and CODES, its rows."""

CODES: dict[str, Code] = {row.code: row for family in FAMILIES for row in family.CODES}
"""Every code that imgbuild can report."""

RETIRED = frozenset({"IB443", "IB511", "IB908"})
"""Former codes, which are not used for other findings."""
