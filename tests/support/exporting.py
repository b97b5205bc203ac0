"""Exports in memory, and what makes the codes about them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.export.given import Files, Options
from imgbuild.pipeline import Request
from imgbuild.pipeline.export import plan
from tests.support.checking import ADMIN

SHA = "5a" * 32
FETCHED = Options(image_url="https://files.example.com/images/lab.raw", image_sha256=SHA)
"""An image that every system for physical machines reads."""
METAL = {
    "name": "m1",
    "role": "control-plane",
    "mac": "52:54:00:00:00:01",
    "install_disk": "/dev/nvme0n1",
    "machine": {"bmc": "redfish://10.0.1.11/redfish/v1/Systems/1"},
}
"""A physical machine of which everything is known."""


@dataclass(frozen=True)
class Exported:
    """The files of one system, None if there were errors, and all findings."""

    files: Files | None
    findings: Sequence[Finding]

    def said(self, *codes: str) -> list[str]:
        """The messages with these codes; of exports without any."""
        return [f.message for f in self.findings if f.code in codes or (not codes and "IB880" <= f.code <= "IB889")]

    def __getitem__(self, path: str) -> bytes:
        assert self.files is not None, self.said()
        return self.files[path].content


def exported(
    system: str,
    folder: Path,
    nodes: Sequence[Mapping[str, object]] = (METAL,),
    options: Options = FETCHED,
    *,
    profile: str = "debian12-efi",
    sets: Sequence[str] = (),
    layers: Sequence[str] = (),
    mode: str | None = None,
    cluster: Mapping[str, object] | None = None,
    keys: bool = False,
) -> Exported:
    """One export of these nodes, with ``folder`` for the files that it reads. Without ``keys``: without Kubernetes."""
    import yaml

    file = folder / "lab.yaml"
    file.write_text(yaml.safe_dump({"name": "lab", **(cluster or {}), "nodes": list(nodes)}, sort_keys=False))
    layers = [*layers, *([] if keys else ["container-host"])]
    request = Request(profile, layers, [ADMIN, *sets], mode, file)
    findings = Findings()
    try:
        made = plan(request, [system], options, folder / "out", findings).made[system]
    except InvalidInput as error:
        return Exported(None, error.findings.items)
    return Exported(made, findings.items)


def _large(folder: Path) -> Exported:
    (folder / "large").write_bytes(random.Random(1).randbytes(2 << 20))  # noqa: S311 - nothing compresses it
    sets = [f"files=[{{path: /srv/large, source: {folder}/large}}]"]
    return exported("metal3", folder, sets=sets, mode="stock")


_BOND = {
    "interfaces": [{"name": "eth0", "mac": "52:54:00:00:00:01"}, {"name": "eth1", "mac": "52:54:00:00:00:02"}],
    "bonds": [{"name": "uplink", "interfaces": ["eth0", "eth1"], "addresses": ["10.0.0.9/24"], "gateway": "10.0.0.1"}],
    "dns": ["10.0.0.1"],
}
SETUPS: dict[str, Callable[[Path], Exported]] = {
    "IB880": lambda folder: exported("metal3", folder, options=Options()),
    "IB881": lambda folder: exported("metal3", folder, options=Options(image_url="https://f.example.com/a.raw")),
    "IB882": lambda folder: exported("metal3", folder, options=Options("https://f.example.com/a.ova", SHA)),
    "IB883": lambda folder: exported("metal3", folder, [{**METAL, "machine": {}}]),
    "IB884": lambda folder: exported("metal3", folder, [{**METAL, "mac": None}]),
    "IB885": lambda folder: exported("metal3", folder, [{**METAL, "network": _BOND}]),
    "IB886": lambda folder: exported("tinkerbell", folder, options=Options("http://f.example.com/a.raw")),
    "IB887": lambda folder: exported(
        "metal3",
        folder,
        [METAL, {"name": "w", "role": "worker", "count": 3}],
        cluster={"token_ttl": "90d", "endpoint": "api.example.com:6443"},
        keys=True,
    ),
    "IB888": _large,
    "IB889": lambda folder: exported("metal3", folder, [{**METAL, "install_disk": "auto"}]),
}
"""What has the code, by the code."""


def set_up(code: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """The findings with the code, and those of an export of which everything is known."""
    return SETUPS[code](folder).findings, exported("metal3", folder).findings
