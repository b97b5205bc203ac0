"""The rendered tree of every profile and of some examples, byte for byte: a change of output is a change of files.

`IMGBUILD_UPDATE_GOLDEN=1 pytest tests/unit/test_golden.py` writes them anew; read the diff before you commit it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace

import pytest

from imgbuild.config.data import data_dir
from imgbuild.config.layers import shipped
from imgbuild.config.moment import RELEASED, Moment
from imgbuild.diagnostics.findings import Findings
from imgbuild.outputs.rendered import Rendered
from imgbuild.pipeline import Request, prepare
from tests.support.places import TESTS

EXAMPLES = {
    "example-ipv6": Request(
        "debian12-efi",
        sets=(
            "kubernetes.pod_cidr=fd00:10:244::/48",
            "kubernetes.service_cidr=fd00:10:96::/112",
            "cilium.values.ipv6.enabled=true",
            "cilium.values.installNoConntrackIptablesRules=false",
        ),
    ),
}
"""What no shipped profile shows."""
GOLDEN = TESTS / "golden"
UPDATE = os.environ.get("IMGBUILD_UPDATE_GOLDEN") == "1"


def rendered(name: str, mode: str) -> Rendered:
    return prepare(
        replace(EXAMPLES.get(name) or Request(name), mode=mode, moment=Moment(RELEASED)), Findings()
    ).rendered


STATIC = {p.read_bytes() for room in ("node", "elements") for p in data_dir(room).rglob("*") if p.is_file()}


def tree(profile: str) -> dict[str, bytes]:
    """DIGESTS has mode and sha256 of every file; what was rendered from a template is kept as text beside it.

    Static scripts stand in node/ and elements/ already. A stock node's user-data is those same files again, as is
    every seed below pxe/: their digests do.
    """
    out: dict[str, bytes] = {}
    lines = []
    for mode in ("baked", "stock"):
        for group, files in rendered(profile, mode).groups.items():
            for path, file in files.items():
                name = f"{mode}/{group}/{path}"
                lines.append(f"{file.mode:04o} {hashlib.sha256(file.content).hexdigest()} {name}")
                again = path.endswith("user-data") and (mode == "stock" or group == "pxe")
                shown = group in ("nodes", "pxe") or (group == "elements" and mode == "baked")
                if shown and not again and not path.endswith(".iso") and file.content not in STATIC:
                    out[name] = file.content
    return {**out, "DIGESTS": ("\n".join(sorted(lines)) + "\n").encode()}


@pytest.mark.parametrize("profile", [*shipped("profiles"), *EXAMPLES])
def test_the_rendered_tree_is_the_golden_one(profile: str) -> None:
    found = tree(profile)
    folder = GOLDEN / profile
    if UPDATE:
        shutil.rmtree(folder, ignore_errors=True)
        for path, content in found.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    kept = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert sorted(found) == sorted(kept)
    different = [path for path in found if found[path] != kept[path]]
    assert not different, f"rendered otherwise than tests/golden/{profile}: {different}"


@pytest.mark.parametrize("profile", shipped("profiles"))
def test_both_modes_put_the_same_node_files_on_the_node(profile: str) -> None:
    baked, stock = rendered(profile, "baked"), rendered(profile, "stock")
    assert baked.node == stock.node
    # A stock node sets itself up, and has what that takes beside the scripts that both have.
    more = {file.path for file in stock.install.files} - {file.path for file in baked.install.files}
    assert set(baked.install.files) < set(stock.install.files)
    assert more == {
        "/etc/imgbuild/setup.conf",
        "/etc/systemd/system/imgbuild-setup.service",
        "/usr/libexec/imgbuild/boot-arguments",
        "/usr/libexec/imgbuild/setup",
    }


def test_bios_and_efi_come_from_the_same_root_file_system() -> None:
    for target in ("centos7", "centos8", "debian12"):
        assert rendered(f"{target}-bios", "baked").install == rendered(f"{target}-efi", "baked").install


@pytest.mark.parametrize("profile", shipped("profiles"))
def test_the_same_input_gives_the_same_bytes(profile: str) -> None:
    assert rendered(profile, "stock") == rendered(profile, "stock")
