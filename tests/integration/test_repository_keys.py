"""The keys of repositories: what is shipped is right, and what is missing is said before anything is written."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from imgbuild.checks import check
from imgbuild.config.cluster import DEFAULT
from imgbuild.config.data import data_dir
from imgbuild.config.load import Loaded, load
from imgbuild.config.moment import RELEASED, Moment, read_moment
from imgbuild.config.openpgp import dearmour, key_facts, verifying
from imgbuild.config.target import RepositoryKey, Target, load_target, target_names
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity
from imgbuild.facts.resolved import resolve
from tests.support.checking import ADMIN, codes, findings, well_formed
from tests.support.install.keys import signer
from tests.support.places import ROOT

KEYS = [
    pytest.param(key, id=f"{target}-{kind}-{key.path.rpartition('/')[2]}")
    for target in target_names()
    for kind, keys in load_target(target).repositories.key_files.items()
    for key in keys
]
SOURCE = re.compile(r"(?P<owner>[\w.-]+)/[\w.-]+(@[0-9a-f]{40})?:(?P<path>[\w./-]+)")
DOCS = ROOT / "docs"


def shipped(key: RepositoryKey) -> Path:
    return data_dir("node") / key.path.lstrip("/")


@pytest.mark.parametrize("key", KEYS)
def test_a_shipped_key_is_the_target_s_as_gpg_reads_it(key: RepositoryKey, tmp_path: Path) -> None:
    assert shipped(key).exists() == key.shipped
    if not key.shipped:
        return
    done = subprocess.run(
        ["gpg", "--batch", "--homedir", tmp_path, "--with-colons", "--show-keys", "--with-fingerprint", shipped(key)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split(":") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows].count("pub") == 1
    assert next(row[9] for row in rows if row[0] == "fpr") == key.fingerprint
    facts = key_facts(dearmour(shipped(key).read_text()))
    assert facts.fingerprint == key.fingerprint
    assert str(facts.expires or "") == next(row[6] for row in rows if row[0] == "pub")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_as_it_travels_verifies_the_same(key: RepositoryKey, tmp_path: Path) -> None:
    """No subkey that only encrypts, nobody else's signature, and gpg finds the key's own signatures good."""
    if not key.shipped:
        return
    short = verifying(shipped(key).read_text())
    assert len(short) <= len(shipped(key).read_text())
    gpg = ["gpg", "--batch", "--homedir", str(tmp_path)]
    subprocess.run([*gpg, "--import"], input=short, capture_output=True, text=True, check=True)
    done = subprocess.run([*gpg, "--with-colons", "--check-sigs"], capture_output=True, text=True, check=True)
    rows = [line.split(":") for line in done.stdout.splitlines()]
    assert next(row[9] for row in rows if row[0] == "fpr") == key.fingerprint
    assert [row[1] for row in rows if row[0] == "sig"] == ["!"]
    assert "sub" not in {row[0] for row in rows}
    assert key_facts(dearmour(short)) == key_facts(dearmour(shipped(key).read_text()))


def test_a_subkey_that_signs_stays(tmp_path: Path) -> None:
    gpg = ["gpg", "--batch", "--homedir", str(tmp_path), "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "a@example", "ed25519", "sign", "never"], capture_output=True, check=True)
    listed = subprocess.run([*gpg, "--with-colons", "-k"], capture_output=True, text=True, check=True).stdout
    mine = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    for kind, use in (("ed25519", "sign"), ("cv25519", "encr")):
        subprocess.run([*gpg, "--quick-add-key", mine, kind, use, "never"], capture_output=True, check=True)
    whole = subprocess.run([*gpg, "--armor", "--export"], capture_output=True, text=True, check=True).stdout
    shown = subprocess.run(
        [*gpg, "--with-colons", "--show-keys"], input=verifying(whole), capture_output=True, text=True
    )
    assert [line.split(":")[11] for line in shown.stdout.splitlines() if line.startswith("sub")] == ["s"]


@pytest.mark.parametrize("key", KEYS)
def test_two_independent_sources_are_recorded_for_every_fingerprint(key: RepositoryKey) -> None:
    if key.fingerprint is None:
        assert not key.shipped
        return
    found = [SOURCE.fullmatch(source) for source in key.sources]
    assert len(found) >= 2
    assert all(found), key.sources
    assert len({match["owner"] for match in found if match}) == len(found)


def test_the_reference_names_every_source_and_fingerprint() -> None:
    page = (DOCS / "reference" / "targets.md").read_text()
    for parameter in KEYS:
        (key,) = parameter.values
        assert isinstance(key, RepositoryKey)
        if key.fingerprint is not None:
            assert key.fingerprint in page, key.path
        for source in key.sources:
            assert f"`{source}`" in page


def test_every_key_in_node_belongs_to_a_target() -> None:
    known = {shipped(key) for p in KEYS for key in p.values if isinstance(key, RepositoryKey) and key.shipped}
    folders = ("etc/pki/rpm-gpg", "etc/apt/keyrings")
    assert known == {p for folder in folders for p in (data_dir("node") / folder).iterdir()}


def checked(loaded: Loaded) -> list[Finding]:
    out = Findings()
    check(resolve(loaded), DEFAULT, None, out, read_moment())
    return out.items


def without_keys(profile: str, *sets: str) -> Loaded:
    """A profile whose target ships no key."""
    out = Findings()
    loaded = load(profile, (), [ADMIN, *sets], None, out)
    assert loaded is not None, out.items
    data = loaded.target.model_dump()
    for keys in data["repositories"]["key_files"].values():
        for key in keys:
            key["shipped"] = False
    return Loaded(loaded.name, loaded.profile, Target.model_validate(data), loaded.layered)


@pytest.mark.parametrize(
    ("profile", "sets", "wanted"),
    [
        ("centos7-efi", (), ["elrepo", "kubernetes"]),
        ("centos8-efi", ("repositories.epel_enabled=true",), ["epel", "elrepo", "elrepo", "kubernetes"]),
        ("centos7-bios", ("kernel.flavour=distribution", "kubernetes.enabled=false"), []),
        ("debian12-efi", (), ["kubernetes"]),
    ],
)
def test_a_key_that_nobody_has(profile: str, sets: tuple[str, ...], wanted: list[str]) -> None:
    found = [f for f in checked(without_keys(profile, *sets)) if f.code == "IB437"]
    # EPEL is the user's own wish: the finding is at that line.
    assert [f.key.replace("epel_enabled", "keys.epel") for f in found] == [f"repositories.keys.{k}" for k in wanted]
    well_formed(found)
    for finding in found:
        assert finding.severity is Severity.ERROR
        assert finding.mark is not None
        if finding.key == "repositories.epel_enabled":  # the user's line that makes it
            assert finding.mark.file == "--set" and "repositories.keys.epel" in finding.message
        else:
            assert finding.mark.file == "profiles/base.yaml"
            assert finding.mark.text.strip() == f"{str(finding.key).rpartition('.')[2]}: null"
        assert re.search(r"https://.*, fingerprint [0-9A-F]{40}, .*repositories\.keys\.", finding.hint or "")


def example() -> str:
    """A key that is no secret: one that is shipped."""
    return (data_dir("node") / "etc/pki/rpm-gpg/RPM-GPG-KEY-EPEL-8").read_text()


def option(kind: str, *keys: str) -> str:
    return f"repositories.keys.{kind}={json.dumps(keys)}"


def test_an_own_key_is_an_answer() -> None:
    loaded = without_keys("centos7-efi", option("elrepo", example()), option("kubernetes", example()))
    assert "IB437" not in codes(checked(loaded))


def test_keys_of_what_is_not_in_use_are_said() -> None:
    assert codes(findings("centos7-efi", [option("epel", example())])) == {"IB439"}
    assert codes(findings("debian12-efi", [option("distribution", example())])) == {"IB439"}
    assert codes(findings("debian12-efi", [option("distribution", example())], ["china"])) == set()
    assert codes(findings("centos7-efi", [option("elrepo", example(), example())])) == {"IB435"}


def test_an_expired_key_of_one_s_own(tmp_path: Path) -> None:
    key = signer("old", made="20200101T000000", expires="1y")
    found = findings("debian12-efi", [key.option("kubernetes")])
    assert [(f.code, f.key) for f in found] == [("IB438", "repositories.keys.kubernetes[0]")]
    assert "expired on 2020-12-31" in found[0].message
    well_formed(found)
    assert findings("centos8-efi", [key.option("kubernetes")]) == []


KUBERNETES_END = 1_798_508_024  # 2026-12-29, of the key that is shipped
DAY = 86400


@pytest.mark.parametrize(
    ("days", "said"),
    [(-61, None), (-60, "expires on 2026-12-29"), (-1, "expires on 2026-12-29"), (0, "expired on 2026-12-29"),
     (400, "expired on 2026-12-29")],
)  # fmt: skip
def test_a_shipped_key_that_expires(days: int, said: str | None) -> None:
    at = KUBERNETES_END + days * DAY
    moment = Moment(at + 10**8, max(at, RELEASED))
    if at < RELEASED:  # no SOURCE_DATE_EPOCH is taken for a day before that
        moment = Moment(at)
    found = [f for f in findings("debian12-efi", moment=moment) if f.code == "IB438"]
    assert [(f.severity, f.key) for f in found] == (
        [] if said is None else [(Severity.WARNING, "repositories.keys.kubernetes")]
    )
    for finding in found:
        assert f"that imgbuild ships {said}" in finding.message
    well_formed(found)
    assert "IB438" not in codes(findings("centos8-efi", moment=moment)), "rpm does not look at the date"
    assert "IB438" not in codes(findings("debian12-efi", ["kubernetes.enabled=false"], moment=moment))


def test_a_key_of_one_s_own_that_will_expire_soon() -> None:
    key = signer("soon", made="20250101T000000", expires="2y")  # to 2027-01-01
    found = [f for f in findings("debian12-efi", [key.option("kubernetes")], moment=read_moment()) if f.code == "IB438"]
    assert [(f.severity, f.key) for f in found] == [(Severity.WARNING, "repositories.keys.kubernetes[0]")]
    assert "this key expires on 2027-01-01" in found[0].message
