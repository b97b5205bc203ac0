"""Locks for tests that need one and no publisher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.config.cluster import DEFAULT
from imgbuild.config.load import load
from imgbuild.config.lock import FORMAT, ImagePin, Lock, Pin, Section
from imgbuild.config.lock_file import lock_text
from imgbuild.config.lock_packages import Packages, RepositoryPin
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.images import images
from imgbuild.facts.locked_packages import base_sha256
from imgbuild.facts.outside import needs
from imgbuild.facts.packages import requested
from imgbuild.facts.resolved import Resolved, resolve


def made_up_packages(resolved: Resolved) -> Packages:
    """Packages that fit the profile, but for their files: nobody has them."""
    return Packages(
        target=resolved.target.id,
        base=base_sha256(resolved),
        requested=requested(resolved),
        repositories={
            "bookworm": RepositoryPin(urls=["https://debian.example.com/debian"], suite="bookworm", obtained="index")
        },
        installed=[f"bash 5.2-1 amd64 bookworm 100 {'d' * 64} pool/main/b/bash/bash_5.2-1_amd64.deb"],
    )


def whole_lock(profile: str, sets: Sequence[str] = (), *, packages: bool = False) -> str:
    """The text of a lock of everything that a profile needs, with checksums of the profile's own, or made up.

    ``packages``: with packages, too.
    """
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
    own = made_up_packages(resolve(loaded)) if packages else None
    section = Section(files=files, images=pinned, packages=own)
    return lock_text(Lock(format=FORMAT, profiles={Path(profile).stem: section}))
