"""What a date decides: ends of life, one warning a version, from 60 days before; and what the tables must hold."""

from __future__ import annotations

import datetime
import re

import pytest

from imgbuild.config.data import data_dir, versions
from imgbuild.config.moment import Moment
from imgbuild.config.shipped import shipped
from imgbuild.config.target import load_target, target_names
from imgbuild.diagnostics.findings import Finding
from imgbuild.diagnostics.severity import Severity
from imgbuild.facts.derive import containerd_line
from tests.support.checking import dated, findings, well_formed


def on(day: str) -> Moment:
    """Noon of that day; the clock is later, so that SOURCE_DATE_EPOCH decides."""
    noon = datetime.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    return Moment(int(noon.timestamp()) + 10**8, int(noon.timestamp()))


def ends(profile: str, day: str, *sets: str) -> dict[str, Finding]:
    found = [f for f in findings(profile, sets, moment=on(day)) if f.code == "IB228"]
    well_formed(found)
    assert all(f.severity is Severity.WARNING for f in found)
    keys = [f.key for f in found]
    assert len(keys) == len(set(keys)), "one warning a version"
    return {f.key: f for f in found}


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2026-12-29", None),  # 61 days before
        ("2026-12-30", "reaches its end of life on 2027-02-28"),
        ("2027-02-28", "reaches its end of life on 2027-02-28"),  # its last day
        ("2027-03-01", "has had no fixes since its end of life on 2027-02-28"),
    ],
)
def test_kubernetes_from_60_days_before_its_end(day: str, said: str | None) -> None:
    found = ends("debian12-efi", day, "kubernetes.version=1.35.8")
    assert list(found) == ([] if said is None else ["kubernetes.version"])
    if said is not None:
        assert f"Kubernetes 1.35 {said}" in found["kubernetes.version"].message
        assert "1.36 (until 2027-06-28) or 1.37 (until 2027-10-28)" in found["kubernetes.version"].hint
        assert "1.38" not in found["kubernetes.version"].hint, "it was not released when the table was written"


def test_what_ended_in_november_2026() -> None:
    found = ends(
        "debian12-bios", "2026-11-28", "kubernetes.version=1.34.11", "cilium.version=1.17.18",
        "containerd.nerdctl_full.version=2.2.1", "helm.version=3.18.4",
    )  # fmt: skip
    assert set(found) == {"kubernetes.version", "cilium.version", "containerd.nerdctl_full.version", "helm.version"}
    assert "Kubernetes 1.34" in found["kubernetes.version"].message
    assert "2026-10-27" in found["kubernetes.version"].message
    assert "2026-11-06" in found["containerd.nerdctl_full.version"].message
    assert "2.3.5 with containerd 2.3.3 (until 2028-04-30)" in found["containerd.nerdctl_full.version"].hint
    assert "3.18.4 has CVE-2025-55198 and CVE-2025-55199, fixed in 3.18.5" in found["helm.version"].message
    assert "a release of 4" in found["helm.version"].hint


def test_known_holes_are_told_before_the_end_of_life_too() -> None:
    message = ends("debian12-efi", "2026-11-28", "helm.version=3.18.5")["helm.version"].message
    assert "CVE" not in message
    assert "helm.version" not in ends("debian12-efi", "2026-11-28")


def test_the_containerd_that_the_user_names_and_the_distribution_s_own() -> None:
    sets = ("containerd.nerdctl_full.version=9.9.9", "containerd.nerdctl_full.containerd=1.7.30")
    assert "containerd.nerdctl_full.containerd" in ends("debian12-efi", "2026-11-28", *sets)
    layers = findings("debian12-efi", layers=["distro-containerd"], moment=on("2026-11-28"))
    assert not [f for f in layers if f.code == "IB228" and f.key.startswith("containerd")]


def test_kernels_of_a_repository_that_gets_no_fixes() -> None:
    for flavour in ("kernel-ml", "kernel-lt"):
        found = ends("centos7-efi", "2026-11-28", f"kernel.flavour={flavour}")
        assert "CentOS 7.9.2009 has no kernel that is still maintained" in found["kernel.flavour"].hint
    found = ends("centos8-efi", "2026-11-28", "kernel.flavour=kernel-lt")
    assert "on 2026-12-31" in found["kernel.flavour"].message
    assert found["kernel.flavour"].hint == "set kernel.flavour to kernel-ml"
    assert not ends("centos8-efi", "2026-11-28")


@pytest.mark.parametrize("layers", [[], ["china"]])
@pytest.mark.parametrize("profile", shipped("profiles"))
def test_our_own_profiles_warn_of_ends_and_keys_only(profile: str, layers: list[str]) -> None:
    """On the day of the release: of CentOS 7's kernel alone, for which there is no other."""
    found = findings(profile, layers=layers, moment=on("2026-11-28"))
    assert all(dated(f) for f in found)
    ended = [f.key for f in found if f.code == "IB228"]
    assert ended == (["kernel.flavour"] if profile.startswith("centos7") else [])


DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


def rows() -> list[tuple[str, str | None]]:
    out = [(f"kubernetes {name}", row["end_of_life"]) for name, row in versions("kubernetes")["minors"].items()]
    out += [(f"containerd {name}", row["end_of_life"]) for name, row in versions("containerd")["lines"].items()]
    out += [(f"helm {name}", row["end_of_life"]) for name, row in versions("helm")["majors"].items()]
    out += [(f"cilium {name}", end) for name, end in versions("cilium")["end_of_life"].items()]
    out += [(f"{t} {n}", k.end_of_life) for t in target_names() for n, k in load_target(t).kernels.items()]
    return out


def test_every_end_is_a_day_and_every_table_tells_its_source() -> None:
    for name, end in rows():
        assert end is None or (DAY.fullmatch(end) and datetime.date.fromisoformat(end)), name
    for table in ("kubernetes", "containerd", "helm", "cilium"):
        text = (data_dir("profiles") / "versions" / f"{table}.yaml").read_text()
        assert re.search(r"^# .*end_of_life|^# .*minor ends", text, re.MULTILINE), table


def test_every_line_that_a_profile_may_take_has_a_row() -> None:
    charts = versions("cilium")["charts"]
    minors = [f"1.{n}" for n in range(int(charts["first"][2:]), int(charts["last"][2:]) + 1)]
    assert list(versions("cilium")["end_of_life"]) == minors
    for row in versions("nerdctl-full")["versions"].values():
        line = ".".join(row["containerd"].split(".")[:2])
        assert containerd_line(row["containerd"])[0] == line
