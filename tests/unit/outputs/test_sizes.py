"""How large a stock node's user-data is: what fits which cloud, for each shipped profile and role."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from imgbuild.config.clouds import LIMITS
from imgbuild.config.kept_secrets import Kept
from imgbuild.config.secrets import Secrets, make
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Input, Request, prepare

PROFILES = [f"{target}-{firmware}" for target in ("centos7", "centos8", "debian12") for firmware in ("bios", "efi")]
USER = 1000
"""What is left at least for users, keys and files of the user's, in bytes of base64."""
LAB = """name: lab
endpoint: 10.20.0.5:6443
nodes:
  - {name: a, role: control-plane}
  - {name: b, role: worker}
"""
HA = {
    "vip": """name: lab
vip: {address: 10.20.0.10}
nodes:
  - {name: a, role: control-plane}
  - {name: b, role: control-plane}
  - {name: c, role: control-plane}
  - {name: w, role: worker}
""",
    "balancer": """name: lab
balancer: local
nodes:
  - {name: a, role: control-plane, settings: {kubernetes: {advertise_address: 10.20.0.11}}}
  - {name: b, role: control-plane, settings: {kubernetes: {advertise_address: 10.20.0.12}}}
  - {name: c, role: control-plane, settings: {kubernetes: {advertise_address: 10.20.0.13}}}
  - {name: w, role: worker}
""",
}


def ready(folder: Path, profile: str, cluster: str | None, *sets: str) -> Input:
    file = folder / "cluster.yaml"
    if cluster is not None:
        file.write_text(cluster)
    request = Request(
        profile, sets=sets, mode="stock",
        cluster=file if cluster else None, secrets=folder / "secrets.yaml" if cluster else None,
    )  # fmt: skip
    return prepare(request, Findings())


def counted(given: Input, node: str, cloud: str) -> int:
    size = len(given.rendered.groups["cloud"][f"{node}/user-data.gz"].content)
    return -(-size // 3) * 4 if LIMITS[cloud].base64 else size


@pytest.mark.parametrize("profile", PROFILES)
def test_a_cluster_of_one_fits_openstack(profile: str, tmp_path: Path) -> None:
    size = counted(ready(tmp_path, profile, None), "node1", "openstack")
    assert size + USER < LIMITS["openstack"].most, f"{profile}: {size} bytes of base64"


@pytest.mark.parametrize("profile", PROFILES[1::2])
def test_a_worker_fits_openstack(profile: str, tmp_path: Path) -> None:
    size = counted(ready(tmp_path, profile, LAB), "b", "openstack")
    assert size + USER < LIMITS["openstack"].most, f"{profile}: {size} bytes of base64"


@pytest.mark.parametrize("endpoint", HA)
@pytest.mark.parametrize("profile", PROFILES[1::2])
def test_a_cluster_with_three_control_planes_fits_openstack(profile: str, endpoint: str, tmp_path: Path) -> None:
    """The keys of the cluster's authorities included."""
    given = ready(tmp_path, profile, HA[endpoint])
    assert given.kept is not None and all(key.startswith("-----BEGIN EC ") for key in keys(given.kept.secrets))
    for node in ("a", "b", "c", "w"):
        size = counted(given, node, "openstack")
        assert size + USER < LIMITS["openstack"].most, f"{profile}, {node}: {size} bytes of base64"


@pytest.mark.parametrize("profile", PROFILES[1::2])
def test_rsa_keys_of_a_cluster_that_has_them_fit_azure(profile: str, tmp_path: Path) -> None:
    """They are 6 kB more that nothing compresses: too many for OpenStack."""
    Kept(make("lab", int(time.time()), kind="rsa"), tmp_path / "secrets.yaml", None, 0).save()
    given = ready(tmp_path, profile, HA["balancer"])
    assert given.kept is not None and all(key.startswith("-----BEGIN RSA ") for key in keys(given.kept.secrets))
    for node in ("a", "b", "c"):
        size = counted(given, node, "azure")
        assert size + 8000 < LIMITS["azure"].most, f"{profile}, {node}: {size} bytes"


def keys(secrets: Secrets) -> list[str]:
    return [text for name, text in secrets.files.items() if name.endswith(".key")]


def test_a_big_file_of_the_users_is_a_finding(tmp_path: Path) -> None:
    text = "".join(f"{number * 7919:x}" for number in range(9000))
    sets = ("cloud.providers=[openstack]", f"files=[{{path: /opt/big, content: '{text}'}}]")
    findings = Findings()
    with pytest.raises(InvalidInput):
        prepare(Request("debian12-efi", sets=sets, mode="stock"), findings)
    (finding,) = [item for item in findings.items if item.code == "IB701"]
    assert "over OpenStack's limit of 65535" in finding.message and "cloud.include_url" in finding.hint
