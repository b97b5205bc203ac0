"""The profile that tells how a site's registries are reached: the user's, or the one in a bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from imgbuild.bundle.layout import PROFILE
from imgbuild.bundle.read import Bundle
from imgbuild.bundle.unpack import unpack
from imgbuild.config.load import load
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.errors import InvalidInput, UsageError
from imgbuild.diagnostics.findings import Findings


def site_profile(
    bundle: Bundle, profile: str | None, layers: Sequence[str], sets: Sequence[str]
) -> Profile:  # fmt: skip
    """``profile`` with these layers and values; None: the bundle's, with what the layers and values add.

    Raises:
        InvalidInput: it has errors.
        UsageError: the bundle's own needs secrets, which a bundle does not have.
        HostError: the bundle is damaged, or cannot be unpacked.
    """
    findings = Findings()
    if profile is not None:
        loaded = load(profile, layers, sets, None, findings)
        if loaded is None or findings.errors:
            raise InvalidInput(findings)
        return loaded.profile
    with tempfile.TemporaryDirectory(prefix="imgbuild-site-") as name:
        folder = Path(name) / "bundle"
        unpack(bundle, folder)
        own = _options(bundle, folder / PROFILE)
        loaded = load(own["--profile"][0], [*own["--layer"], *layers], [*own["--set"], *sets], None, findings)
    if loaded is None or findings.errors:
        said = "; ".join(each.message for each in findings.errors[:3])
        raise UsageError(
            f"the profile in the bundle is not enough to reach the registry: {said}",
            "unpack it (imgbuild bundle unpack), supply what is left out, and pass --profile FILE",
        )
    return loaded.profile


def _options(bundle: Bundle, folder: Path) -> dict[str, list[str]]:
    """The bundle's options, with the paths of files in ``folder``."""
    found: dict[str, list[str]] = {"--profile": [], "--layer": [], "--set": []}
    words = bundle.contents.options
    for option, value in zip(words[::2], words[1::2], strict=False):
        if option in found:
            file = folder / value
            found[option].append(str(file) if option != "--set" and file.is_file() else value)
    if len(found["--profile"]) != 1:
        raise UsageError("the bundle does not name its profile", "pass --profile FILE")
    return found
