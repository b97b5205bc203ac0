"""Locks for tests that need one and no publisher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.config.cluster import DEFAULT
from imgbuild.config.load import load
from imgbuild.config.lock import FORMAT, ImagePin, Lock, Pin, Section
from imgbuild.config.lock_file import lock_text
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.images import images
from imgbuild.facts.outside import needs
from imgbuild.facts.resolved import resolve


def whole_lock(profile: str, sets: Sequence[str] = ()) -> str:
    """The text of a lock of everything that a profile needs, with checksums of the profile's own, or made up."""
    loaded = load(profile, (), sets, None, Findings())
    assert loaded is not None
    files = {
        need.name: Pin.model_validate(
            {
                "kind": need.kind,
                "version": need.version,
                "urls": list(need.urls or [f"https://charts.example.com/{need.name}.tgz"]),
                "sha256": need.sha256 or "b" * 64,
                "obtained": "profile",
            }
        )
        for need in needs(loaded.profile, loaded.target, {})
    }
    digest = f"sha256:{'c' * 64}"
    pinned = {
        image.name: ImagePin.model_validate(
            {"digest": digest, "obtained": "registry", "registry": f"https://{image.registry}"}
        )
        for image in images(resolve(loaded), DEFAULT)
    }
    section = Section(files=files, images=pinned)
    return lock_text(Lock(format=FORMAT, profiles={Path(profile).stem: section}))
