"""The files of addons, in the seed of the control plane that makes the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from imgbuild.config.profile import Profile
from imgbuild.facts.addons import kind
from imgbuild.facts.kubernetes_types import without_null
from imgbuild.render.nodefile import NodeFile
from imgbuild.render.paths import ADDONS_CONF
from imgbuild.render.templates import render

FOLDER = "/etc/imgbuild/addons"


def files(profile: Profile) -> Iterator[NodeFile]:
    """addons.conf, and each addon's manifest and values; nothing without addons. All of them are for root only."""
    if not profile.addons:
        return
    rows = []
    for addon in profile.addons:
        row = {
            "name": addon.name,
            "kind": kind(addon) or "",
            "url": addon.url or "",
            "sha256": addon.sha256 or "",
            "chart": addon.chart or "",
            "repository": addon.repository or "",
            "version": addon.version or "",
            "namespace": addon.namespace or "",
            "timeout": addon.timeout,
        }
        at = f"{FOLDER}/{addon.name}"
        contents = {}
        if addon.manifest is not None:
            contents["manifest.yaml"] = addon.manifest.encode()
        if addon.values:
            text = yaml.dump(without_null(addon.values), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
            contents["values.yaml"] = text.encode()
        if addon.secret_values is not None:
            contents["secret-values.yaml"] = addon.secret_values.encode()
        rows.append({**row, "files": " ".join(f"{at}/{name}" for name in contents)})
        yield from (NodeFile(f"{at}/{name}", content, 0o600) for name, content in contents.items())
    yield NodeFile(f"/{ADDONS_CONF}", render("node", f"{ADDONS_CONF}.j2", addons=rows), 0o600)
