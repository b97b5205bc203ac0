"""The rendered tree of every target and of some examples, byte for byte: a change of output is a change of files.

What the two firmwares of a target share is there once.

`IMGBUILD_UPDATE_GOLDEN=1 pytest tests/unit/test_golden.py` writes them anew; read the diff before you commit it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest

from imgbuild.config.data import data_dir
from imgbuild.config.moment import RELEASED, Moment
from imgbuild.config.shipped import shipped
from imgbuild.config.target import target_names
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


def rendered(name: str, mode: str, sets: Sequence[str] = ()) -> Rendered:
    request = replace(EXAMPLES.get(name) or Request(name, sets=sets), mode=mode, moment=Moment(RELEASED))
    return prepare(request, Findings()).rendered


STATIC = {p.read_bytes() for room in ("node", "elements") for p in data_dir(room).rglob("*") if p.is_file()}


def lines_and_files(profile: str) -> tuple[set[str], dict[str, bytes]]:
    """Mode and sha256 of every file of a profile; what was rendered from a template is kept as text beside it.

    Static scripts are in node/ and elements/ already. A stock node's user-data is those same files again, as is
    every seed below pxe-private/: their digests do.
    """
    out: dict[str, bytes] = {}
    lines = set()
    for mode in ("baked", "stock"):
        for group, files in rendered(profile, mode).groups.items():
            for path, file in files.items():
                name = f"{mode}/{group}/{path}"
                lines.add(f"{file.mode:04o} {hashlib.sha256(file.content).hexdigest()} {name}")
                again = path.endswith("user-data") and (mode == "stock" or group == "pxe-private")
                shown = group in ("nodes", "pxe", "pxe-private") or (group == "elements" and mode == "baked")
                if shown and not again and not path.endswith(".iso") and file.content not in STATIC:
                    out[name] = file.content
    return lines, out


def tree(profiles: Sequence[str]) -> dict[str, bytes]:
    """What these profiles render to: once what all of them share, and below each one's firmware what it has alone."""
    found = {name.rpartition("-")[2]: lines_and_files(name) for name in profiles}
    shared = set.intersection(*(lines for lines, _ in found.values()))
    names = set.intersection(*(set(files) for _, files in found.values()))
    _, some = next(iter(found.values()))
    same = {name for name in names if all(files[name] == some[name] for _, files in found.values())}
    out = {name: some[name] for name in same} | {"DIGESTS": _text(shared)}
    for firmware, (lines, files) in found.items():
        if len(found) > 1:
            out |= {f"{firmware}/{name}": content for name, content in files.items() if name not in same}
            out[f"{firmware}/DIGESTS"] = _text(lines - shared)
    return out


def _text(lines: set[str]) -> bytes:
    return ("\n".join(sorted(lines)) + "\n").encode()


TREES = {target: [f"{target}-bios", f"{target}-efi"] for target in target_names()} | {name: [name] for name in EXAMPLES}


def test_every_shipped_profile_has_a_tree() -> None:
    assert set(shipped("profiles")) | set(EXAMPLES) == {name for names in TREES.values() for name in names}


@pytest.mark.parametrize("name", TREES)
def test_the_rendered_tree_is_the_golden_one(name: str) -> None:
    found = tree(TREES[name])
    folder = GOLDEN / name
    if UPDATE:
        shutil.rmtree(folder, ignore_errors=True)
        for path, content in found.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    kept = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert sorted(found) == sorted(kept)
    different = [path for path in found if found[path] != kept[path]]
    assert not different, f"rendered otherwise than tests/golden/{name}: {different}"


@pytest.mark.parametrize("profile", shipped("profiles"))
def test_both_modes_put_the_same_node_files_on_the_node(profile: str) -> None:
    disks = [
        "disks=[{mount: /data, size: 10GB}]"
    ]  # an image is prepared for the disks of any seed, a stock node is not
    baked, stock = rendered(profile, "baked", disks), rendered(profile, "stock", disks)
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
