"""MAAS: scripts that upload the image, add the machines and deploy them with their user-data.

MAAS installs with curtin, which looks on the disk for a root file system with a folder /curtin and runs the hook in it
(curtin 737e305d, 2026-07-08: commands/block_meta.py, write_image_to_disk; util.py, run_hook_if_exists). The layer
``maas`` has that hook. Addresses are MAAS's own: it writes the network, and does not take over a node's.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence

from imgbuild.config.profile.extras import Format
from imgbuild.export.given import PRIVATE, Given, Unit, script, text
from imgbuild.export.hosts import Bmc, bmc, boot_mac
from imgbuild.export.image import form_of, local
from imgbuild.export.objects import too_large
from imgbuild.export.scripts import which
from imgbuild.outputs.cloud import gzipped
from imgbuild.outputs.tree import OutFile

HOOK = "/curtin/curtin-hooks"
FORMS: tuple[Format, ...] = ("raw.xz", "raw")
FILETYPES: Mapping[Format | None, str] = {"raw.xz": "ddxz", "raw": "ddraw"}
"""maas 9e51f33c, 2026-08-21: src/maasserver/forms/__init__.py."""
_MAX_ARGUMENT = 131_071
"""Bytes of one argument of a program, without its final zero (execve(2), MAX_ARG_STRLEN)."""
MAX_USER_DATA = (_MAX_ARGUMENT - len("user_data=")) // 4 * 3


def files(given: Given) -> Mapping[str, OutFile]:
    """upload.sh, machines.sh, deploy.sh, and private/NAME.user-data."""
    _hook(given)
    image = local(given, "maas", FORMS)
    units = given.units(groups=False)
    _short_names(given, units)
    out: dict[str, OutFile] = {f"{PRIVATE}/{unit.name}.user-data": _user_data(given, unit) for unit in units}
    out["upload.sh"] = script(_upload(given, image))
    out["machines.sh"] = script(_machines(given, units))
    out["deploy.sh"] = script(_deploy(given, units))
    out["README.txt"] = text(_README.format(private=PRIVATE, image=image))
    return out


def _hook(given: Given) -> None:
    profile = given.resolved.profile
    if profile.mode == "stock" or not any(file.path == HOOK for file in profile.files):
        given.tell(
            "IB885", None, (), f"the image has no {HOOK}, so MAAS finds no system on it",
            "build an image (mode: baked) and export with --layer maas; a list files: of your own replaces the "
            "layer's: add the layer's item to it",
        )  # fmt: skip


def _short_names(given: Given, units: Sequence[Unit]) -> None:
    """MAAS knows a machine by its short name; the domain is MAAS's own."""
    seen: dict[str, str] = {}
    for unit in units:
        other = seen.setdefault(unit.name.partition(".")[0], unit.name)
        if other != unit.name:
            given.tell(
                "IB885", unit.node, ("name",), f"MAAS would know it and {other} by the same name",
                "give them names that differ before the first dot",
            )  # fmt: skip


def _user_data(given: Given, unit: Unit) -> OutFile:
    content = unit.seed["user-data"]
    if len(content) > MAX_USER_DATA:
        content = gzipped(content)
    if len(content) > MAX_USER_DATA:
        too_large(given, unit.node, "an argument of MAAS's command line", len(content), MAX_USER_DATA)
    if unit.node.network is not None:
        given.tell(
            "IB885", unit.node, ("network",), "MAAS gives addresses itself and does not take over this network",
            "give the machine this network in MAAS too (maas PROFILE interface link-subnet …)", lesser=True,
        )  # fmt: skip
    return OutFile(base64.b64encode(content) + b"\n", 0o600)


_FIRST = (
    'import json, sys; found = json.load(sys.stdin); print(found[0]["system_id"] if found else sys.exit("not there"))'
)
_PROFILE = "profile=${1:?the profile of maas login}"


def _upload(given: Given, image: str) -> Iterator[str]:
    yield "# ./upload.sh PROFILE FILE: give MAAS the disk image, whose checksum it compares."
    yield "set -euo pipefail"
    yield _PROFILE
    yield f"image=${{2:?the disk image, {image}}}"
    known = given.built.sums.get(image)
    if known is not None:
        yield f'echo "{known}  $image" | sha256sum --check --quiet'
    yield 'sum=$(sha256sum "$image")'
    yield 'maas "$profile" boot-resources create \\'
    yield f"  name=custom/{given.name} title={shlex.quote(f'imgbuild {given.name}')} architecture=amd64/generic \\"
    yield f'  filetype={FILETYPES[form_of(image)]} sha256="${{sum%% *}}" size="$(stat -c %s "$image")" \\'
    yield '  content@="$image"'


def _machines(given: Given, units: Sequence[Unit]) -> Iterator[str]:
    yield "# ./machines.sh PROFILE: add the machines, which MAAS then commissions."
    yield "# The login of the BMCs: BMC_USER and BMC_PASSWORD."
    yield "set -euo pipefail"
    yield _PROFILE
    yield ': "${BMC_USER:=}" "${BMC_PASSWORD:=}"'
    for unit in units:
        boot_mac(given, unit)
        found = bmc(given, unit, "MAAS adds it with power_type=manual, and somebody must switch it on")
        macs = [unit.node.boot_mac, *(card.mac for card in unit.cards)]
        yield 'maas "$profile" machines create architecture=amd64/generic \\'
        yield f"  hostname={unit.name.partition('.')[0]} \\"
        yield "".join(f"  mac_addresses={mac} \\\n" for mac in dict.fromkeys(filter(None, macs))).rstrip("\n")
        yield f"  {' '.join(_power(found))}"


def _power(found: Bmc | None) -> list[str]:
    if found is None:
        return ["power_type=manual"]
    login = ['power_parameters_power_user="$BMC_USER"', 'power_parameters_power_pass="$BMC_PASSWORD"']
    if found.ipmi:
        return ["power_type=ipmi", f"power_parameters_power_address={found.host}", *login]
    words = ["power_type=redfish", f"power_parameters_power_address={found.url}"]
    system = found.system.rstrip("/").rpartition("/")[2]
    return [*words, *([f"power_parameters_node_id={shlex.quote(system)}"] if system else []), *login]


def _deploy(given: Given, units: Sequence[Unit]) -> Iterator[str]:
    yield "# ./deploy.sh PROFILE [NODE...]: deploy the machines that are named, else all of them, once they are Ready."
    yield "set -euo pipefail"
    yield 'cd "$(dirname "$0")"'
    yield _PROFILE
    yield "shift"
    yield from which(units)
    yield 'for node in "$@"; do'
    yield '  id=$(maas "$profile" machines read hostname="${node%%.*}" |'
    yield f"    python3 -c {shlex.quote(_FIRST)})"
    yield '  maas "$profile" machines allocate system_id="$id"'
    yield '  maas "$profile" machine deploy "$id" osystem=custom \\'
    yield f'    distro_series={given.name} user_data="$(cat "{PRIVATE}/$node.user-data")"'
    yield "done"


_README = """\
MAAS: a custom image, the machines, and their user-data.

1. maas login PROFILE http://MAAS:5240/MAAS/ KEY
2. ./upload.sh PROFILE {image}
3. ./machines.sh PROFILE, then wait until the machines are Ready
4. ./deploy.sh PROFILE [NODE…]

{private}/ has the user-data, in base64 as MAAS takes it, with keys of the cluster. MAAS keeps it, and its metadata
service gives it to whoever asks from the machine, pods included.
"""
