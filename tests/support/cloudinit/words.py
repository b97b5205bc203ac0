"""Which parts of a `#cloud-config` each target's cloud-init runs, and what it would silently ignore."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from imgbuild.facts.derive import version
from imgbuild.facts.resolved import Resolved


@cache
def table() -> dict[str, Any]:
    """modules.yaml, which has the sources."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("modules.yaml").read_text(encoding="utf-8"))
    return found


def module_list(resolved: Resolved) -> str:
    """The name of the target's list of modules: its family's for that release of cloud-init."""
    major, minor = resolved.cloud_init.release[:2]
    return f"{resolved.target.family}-{major}.{minor}"


def unsupported(resolved: Resolved, document: Mapping[str, Any]) -> list[str]:
    """Why cloud-init on this target would silently ignore parts of a ``#cloud-config``."""
    target = resolved.target
    known = table()["modules"][module_list(resolved)]
    release = resolved.cloud_init
    out = []
    for key in document:
        wanted = table()["keys"].get(key)
        if wanted is None:
            out.append(f"{key}: not a cloud-init key that the table has")
            continue
        out += [
            f"{key}: {target.name}'s cloud-init {release} does not run the module {module}"
            for module in wanted
            if module not in known
        ]
    since = {name: version(text) for name, text in table()["since"].items()}
    for item in document.get("write_files") or []:
        if "defer" in item and release < since["write_files_defer"]:
            out.append(f"write_files: cloud-init {release} writes {item.get('path')} early: it does not support defer")
        if "source" in item and release < since["write_files_source"]:
            out.append(f"write_files: cloud-init {release} does not support source ({item.get('path')})")
    if "users" in (document.get("chpasswd") or {}) and release < since["chpasswd_users"]:
        out.append(f"chpasswd: cloud-init {release} does not support users")
    return out
