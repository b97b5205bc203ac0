"""From the command line's words to a typed profile."""

# ruff: noqa: E501  (a table: long lines read better than wrapped rows)

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from imgbuild.config.load import Loaded, load
from imgbuild.config.shipped import shipped
from imgbuild.config.target import load_target
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.diagnostics.severity import Severity


def run(
    profile: str, sets: tuple[str, ...] = (), layers: tuple[str, ...] = (), mode: str | None = None
) -> tuple[Loaded | None, list[Finding]]:
    """One load and its findings."""
    findings = Findings()
    return load(profile, layers, sets, mode, findings), findings.items


def good(profile: str, *sets: str, layers: tuple[str, ...] = (), mode: str | None = None) -> Loaded:
    """One load without findings."""
    loaded, found = run(profile, sets, layers, mode)
    assert loaded is not None and found == []
    return loaded


@pytest.mark.parametrize("profile", shipped("profiles"))
@pytest.mark.parametrize("mode", [None, "baked", "stock"])
def test_each_shipped_profile_loads(profile: str, mode: str | None) -> None:
    loaded = good(profile, mode=mode)
    target, _, firmware = profile.partition("-")
    assert (loaded.name, loaded.target.id, loaded.profile.firmware) == (profile, target, firmware)
    assert loaded.profile.mode == (mode or "baked")


@pytest.mark.parametrize("layer", shipped("layers"))
def test_each_shipped_layer_lies_on_each_profile(layer: str) -> None:
    for profile in shipped("profiles"):
        good(profile, layers=(layer,))


def test_the_order_base_target_profile_layers_set(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("extends: centos8-efi\nhelm: {enabled: false}\ntime: {zone: Etc/UTC}\n")
    (tmp_path / "l1.yaml").write_text("time: {zone: Asia/Tokyo}\nimage: {size_mib: 5000}\n")
    (tmp_path / "l2.yaml").write_text("image: {size_mib: 6000}\n")
    loaded = good(
        str(tmp_path / "p.yaml"), "image.size_mib=7000", "image.size_mib=8000",
        layers=(str(tmp_path / "l1.yaml"), str(tmp_path / "l2.yaml")),
    )  # fmt: skip
    profile = loaded.profile
    assert (profile.kubernetes.version, profile.helm.enabled) == ("1.35.8", False)
    assert (profile.time.zone, profile.image.size_mib, loaded.name) == ("Asia/Tokyo", 8000, "p")
    files = [mark.file.rpartition("/")[2] for mark, _ in loaded.layered.history[("image", "size_mib")]]
    assert files == ["base.yaml", "l1.yaml", "l2.yaml", "--set", "--set"]
    mark = loaded.layered.mark(("kubernetes", "version"))
    assert mark is not None and mark.file == "profiles/targets/centos8.yaml"


def test_a_target_set_late_brings_its_own_defaults() -> None:
    assert good("centos7-efi", "target=debian12").profile.kernel.flavour == "newest"
    assert good("centos7-efi", "target=debian12", "kernel.flavour=x").profile.kernel.flavour == "x"


def test_profiles_are_frozen_and_every_value_has_a_place() -> None:
    loaded = good("debian12-efi")
    with pytest.raises(ValidationError):
        loaded.profile.mode = "stock"

    def every(value: object, path: tuple[str | int, ...]) -> None:
        mark = loaded.layered.mark(path)
        assert path == () or (mark is not None and mark.line >= 1 and path in loaded.layered.history)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in items:
            every(child, (*path, key))

    every(loaded.layered.data, ())


def test_a_file_without_a_suffix_or_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("extends: centos7-efi\n")
    (tmp_path / "other.yaml").write_text("extends: centos7-efi\n")
    monkeypatch.chdir(tmp_path)
    assert good("mine").name == good("./mine").name == "mine"
    (found,) = run("other")[1]
    assert found.code == "IB106" and found.hint == 'did you mean "other.yaml"?'


def test_ours_is_not_shadowed_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "centos7-efi.yaml").write_text("extends: debian12-bios\n")
    (tmp_path / "centos7-bios").write_text("extends: debian12-bios\n")
    (tmp_path / "china.yaml").write_text("time: {zone: UTC}\n")
    monkeypatch.chdir(tmp_path)
    loaded, found = run("centos7-efi", layers=("china",))
    assert loaded is not None and loaded.target.id == "centos7" and loaded.profile.time.zone == "Asia/Shanghai"
    assert [(f.code, f.severity, f.key) for f in found] == [
        ("IB114", Severity.WARNING, "--profile"), ("IB114", Severity.WARNING, "--layer"),
    ]  # fmt: skip
    assert good("centos7-efi.yaml").target.id == "debian12"
    assert good("centos7-bios").target.id == "centos7"
    # extends: of a file of the same name means ours, not itself
    (tmp_path / "centos7-efi.yaml").write_text("extends: centos7-efi\n")
    assert good("centos7-efi.yaml").target.id == "centos7"


SETS = [
    ("kernel.flavor=x", "IB111", 'did you mean "flavour"?'),
    ("users=[{nam: x, name: y}]", "IB111", 'did you mean "name"?'),
    ('containerd.registries."a.org"={server: "https://a.org", mirrors: [], mirorrs: []}', "IB111", 'did you mean "mirrors"?'),
    ("kubernetes.binaries={kubelet: {urls: ['https://a.org'], sha: x, sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}", "IB111", 'did you mean "sha256"?'),
    ("zzz=1", "IB111", "known here: "),
    ("kubernetes.version=1.30", "IB113", 'write 1.30.14'),
    ("kubernetes.version=stable", "IB113", "a version looks like 1.34.11"),
    ("kernel.secure_boot=yes", "IB113", "write true"),
    ('kernel.secure_boot="off"', "IB113", "write false"),
    ("kernel.cgroup=aut", "IB113", 'did you mean "auto"?'),
    ("network.rp_filter=true", "IB113", "write a number, not true or false"),
    ("network.rp_filter=3", "IB113", "write one of 0, 1 or 2"),
    ("files=[{path: /etc/x, content: '', mode: 420}]", "IB113", 'write it in quotes: "420"'),
    ("files=[{path: /etc/x, content: '', mode: rw-r--r--}]", "IB113", 'a mode is three or four octal digits in quotes: "0644"'),
    ("files=[{path: /etc/../x, content: ''}]", "IB113", "write an absolute path"),
    ("files=[{path: etc/x, content: ''}]", "IB113", "write an absolute path"),
    ("users=[{name: Bob}]", "IB113", "a user name has lower-case letters"),
    ("users=[{name: b, hashed_password: hunter2}]", "IB113", "write a hash, never the password"),
    ("users=[{name: b, ssh_keys: ['ssh-rsa AAAA\\nroot']}]", "IB113", "write a public key line"),
    ("kubernetes.pod_cidr=10.244.1.0/16", "IB113", "write the network address: 10.244.0.0/16"),
    ("kubernetes.pod_cidr=10.244.0.0", "IB113", "with its prefix length"),
    ("kubernetes.pod_cidr='FD00::/56'", "IB113", "write the network address: fd00::/56"),
    ("kubernetes.pod_cidr=all", "IB113", "write a network in CIDR form"),
    ("kubernetes.pod_cidr='fe80::%a/64'", "IB113", "write a network in CIDR form"),
    ("kubernetes.advertise_address='fe80::1%$(x)'", "IB113", "write an IP address"),
    ('kernel.sysctl."net.ipv4.conf.lxc*.rp_filter"=0', "IB113", "no glob"),
    ("kernel.sysctl.a/b=1.5", "IB113", 'write it in quotes: "1.5"'),
    ("kernel.arguments=['a b']", "IB113", "a kernel argument has no spaces"),
    ("cilium.repository='https://[x'", "IB113", "write a URL with a host"),
    ("cilium.repository=https://", "IB113", "write a URL"),
    ("cilium.repository='https://a.org:99999/'", "IB113", "write a URL with a host"),
    ('cilium.repository="https://a.org/\\e[31m"', "IB113", "write a URL"),
    ("image.size_mib=1e4", "IB113", "write 10000"),
    ("image.size_mib='4096'", "IB113", "write it without quotes: 4096"),
    ("image.size_mib=1", "IB113", "write a number of at least 1024"),
    ("image.formats=[]", "IB113", "add one"),
    ("image.formats=vmdk", "IB113", "put it in square brackets: [vmdk]"),
    ("image.formats=[containerDisk]", "IB113", "write containerdisk"),
    ("image.sector_size=4096", "IB111", "a 4Kn disk has to be switched to 512"),
    ("image_format=vmdk", "IB111", "write image: {formats: [vmdk]}"),
    ("image.esp_mib=2000", "IB113", "write a number of at most 1024"),
    ("run=['']", "IB113", "write a value, or remove the key"),
    ("kernel.sysctl.vm.swappiness=1", "IB113", "quote a name that has a dot: --set 'kernel.sysctl.\"vm.swappiness\"=…'"),
    ("cilium.repository=https://bob:hunter2@a.org/", "IB113", "remove user and password"),
    ("pxe.url=http://a.org/x;y", "IB113", "it ends cloud-init's seedfrom"),
    ("pxe.url=http://a.org/?x=", "IB113", "to which file names can be added"),
    ("cilium.repository=https://é.org/", "IB113", "in ASCII"),
    ("cilium.repository='https://a.org/#x'", "IB113", "without spaces, quotes, $ and #"),
    ("cilium.repository=https://a.org/%zz", "IB113", "others as %20"),
    (f"files=[{{path: /etc/{'x' * 256}, content: ''}}]", "IB113", "names of over 255 letters"),
    (f"time.zone={'x' * 65}", "IB113", "a time zone is a name"),
    ("time.ntp_servers=['fe80::1%eth0']", "IB113", "a DNS name has"),
    ("kernel=[]", "IB113", "write its keys below it, or remove it"),
    ("kernel.modules=overlay", "IB113", "put it in square brackets: [overlay]"),
    ("mode=frozen", "IB113", "write one of"),
    ("target=[x]", "IB113", "write x"),
    ("target=null", "IB109", "extend a shipped profile"),
    ("target=centos77", "IB109", 'did you mean "centos7"?'),
    ("target=../targets/centos7", "IB109", "imgbuild ships centos7"),
    (f"target={'x' * 300}", "IB109", "imgbuild ships"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "code", "hint"), SETS, ids=[row[0][:50] for row in SETS])
def test_each_wrong_value_gives_one_finding_with_its_fix(argument: str, code: str, hint: str) -> None:
    _, found = run("centos7-efi", (argument,))
    assert [f.code for f in found] == [code]
    assert hint in f"{found[0].message} {found[0].hint}"
    assert found[0].mark is not None
    assert found[0].key and "hunter2" not in repr(found)


def test_a_dot_inside_a_name_given_to_set() -> None:
    _, found = run("centos7-efi", ("containerd.registries.docker.io={}",))
    wanted = "quote a name that has a dot: --set 'containerd.registries.\"docker.io\"=…'"
    assert {f.code for f in found} == {"IB111", "IB112"} and {f.hint for f in found} == {wanted}


def test_null_and_true_are_named_as_yaml_has_them() -> None:
    _, found = run("centos7-efi", ("mode=null", "kernel=null", "time.zone=true"))
    assert sorted(f.message for f in found) == [
        "kernel: expected a mapping of keys to values, not null", "mode: null is not one of 'baked' or 'stock'",
        "time.zone: expected text, not true",
    ]  # fmt: skip


def test_a_layer_s_name_for_a_profile_s_and_the_other_way_round() -> None:
    _, found = run("china")
    assert [f.hint for f in found if f.code == "IB106"] == ["china is a layer: use --layer china"]
    _, found = run("centos7-efi", layers=("centos8-efi",))
    assert [f.hint for f in found] == ["centos8-efi is a profile: use --profile centos8-efi"]


def test_a_profile_extends_a_layer_and_a_layer_a_profile(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("extends: [centos7-efi, china]\n")
    assert good(str(tmp_path / "p.yaml")).profile.time.zone == "Asia/Shanghai"
    (tmp_path / "l.yaml").write_text("extends: debian12-efi\n")
    loaded, found = run("centos7-efi", layers=(str(tmp_path / "l.yaml"),))
    assert loaded is not None and loaded.target.id == "debian12" and not found


def test_what_fits_is_still_checked_beside_what_does_not() -> None:
    loaded, found = run(
        "centos7-efi", ("kernel.flavor=x", "firmware=uefi", "users=[{nam: x}]", "time.zone=[]", "image.size_mib=5000")
    )
    assert {f.code for f in found} == {"IB111", "IB113"}  # nam is the name that is missing
    assert loaded is not None and loaded.profile.image.size_mib == 5000
    assert (loaded.profile.time.zone, loaded.profile.users, loaded.profile.firmware) == ("UTC", [], "efi")


def test_every_one_of_many_wrong_keys_is_found() -> None:
    """How many are printed is another matter (tests/unit/config/test_bounds.py)."""
    keys = ", ".join(f"k{n}: 1" for n in range(3000))
    _, found = run("centos7-efi", (f"kernel={{{keys}}}",))
    assert sum(f.code == "IB111" for f in found) == 3000


words = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["v1", "10.0.0.0/8"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
PLACES = (
    "target firmware mode time time.zone time.ntp_servers[0] kernel kernel.sysctl kernel.sysctl.a/b kernel.arguments "
    "containerd containerd.registries containerd.registries.x containerd.nerdctl_full.urls kubernetes "
    "kubernetes.binaries kubernetes.binaries.kubelet cilium.values users users[0] users[0].ssh_keys files files[0] "
    "run[0] cloud.providers pxe image.size_mib base extends"
)
places = st.sampled_from(PLACES.split())


@given(st.lists(st.tuples(places, words), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_load_never_raises(pairs: list[tuple[str, object]]) -> None:
    loaded, found = run("centos7-efi", tuple(f"{place}={value!r}" for place, value in pairs))
    assert loaded is not None or any(f.severity is Severity.ERROR for f in found)
    assert all(f.hint and f.message for f in found)


def test_a_broken_installation_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/mine.yaml").write_text("name: 5\nnonsense: 1\n")
    monkeypatch.setattr("imgbuild.config.target.data_dir", lambda room: tmp_path)
    with pytest.raises(InvalidInput) as caught:
        load_target.__wrapped__("mine")
    items = caught.value.findings.items
    assert {f.code for f in items} == {"IB110"} and {f.hint for f in items} == {"install imgbuild again"}
    assert {f.key: str(f.mark) for f in items}["name"] == "profiles/targets/mine.yaml:1:7"


@pytest.mark.parametrize("key", ["pod_cidr", "service_cidr"])
@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("10.244.0.0/16,fd00:10::/108", None),
        ("fd00:10::/108,10.244.0.0/16", None),
        ("[10.244.0.0/16, 'fd00:10::/56']", "with a comma between the two: 10.244.0.0/16,fd00:10::/56"),
        ("10.244.0.0/16 , fd00:10::/56", "without blanks: 10.244.0.0/16,fd00:10::/56"),
        ("10.244.0.0/16,10.245.0.0/16", "one of each family"),
        ("10.244.0.0/16,fd00:10::/56,fd00:11::/56", "one of each family"),
        ("10.244.0.0/16,", "CIDR form"),
        ("10.244.0.0/16,fd00:10::1/56", "write the network address: fd00:10::/56"),
    ],
)
def test_two_networks_are_one_of_each_family(key: str, value: str, fix: str | None) -> None:
    findings = Findings()
    loaded = load("debian12-efi", (), [f"kubernetes.{key}={value}"], None, findings)
    if fix is None:
        assert not findings.errors and loaded is not None
        assert getattr(loaded.profile.kubernetes, key) == value
        return
    (found,) = findings.errors
    assert (found.code, found.key) == ("IB113", f"kubernetes.{key}")
    assert fix in found.hint
