"""User-data for clouds: forms that give back the same bytes, sizes as the clouds count them, one finding a cloud."""

from __future__ import annotations

import base64
import email
import gzip
import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import given as given_
from hypothesis import strategies as st

from imgbuild.config.clouds import LIMITS
from imgbuild.diagnostics.findings import Mark
from imgbuild.diagnostics.severity import Severity
from imgbuild.outputs.cloud import CloudGroup, Forms, NodeSizes, SizeRow, gzipped, limit_findings, mime, size_table
from imgbuild.outputs.include import include_archive, private, public
from imgbuild.render.install import install_tree
from imgbuild.render.nodefile import NodeFile, NodeTree
from imgbuild.render.packed import pack
from tests.support.nodes import DHCP, resolved, seed_of

MARK = Mark("p.yaml", 3, 5)


@given_(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=300))
def test_a_mime_part_is_the_very_user_data(text: str) -> None:
    data = f"#cloud-config\n{text}\n".encode()
    message = email.message_from_string(mime(data).decode())  # as cloud-init does it: text first
    part = message.get_payload(0)
    assert isinstance(part, email.message.Message)
    assert part.get_content_type() == "text/cloud-config"
    assert part.get_payload(decode=True) == data
    assert mime(data) == mime(data)
    assert b"MIME-Version:" in mime(data)[:200]


def test_gzip_has_no_time_and_no_name() -> None:
    packed = gzipped(b"x")
    assert packed[3:8] == b"\0\0\0\0\0"
    assert gzip.decompress(packed) == b"x"
    assert gzip.decompress(gzipped(b"")) == b""


def test_base64_costs_no_more_than_what_it_stands_for() -> None:
    raw = b"".join(hashlib.sha256(number.to_bytes(2, "big")).digest() for number in range(2000))
    text = b"one: two\n" * 500
    data = text + b"    " + base64.b64encode(raw) + b"\n" + text
    assert gzip.decompress(gzipped(data)) == data
    assert len(gzipped(data)) < 1.006 * len(raw) + 2 * len(gzipped(text))


def test_one_archive_packs_better_than_the_files_one_by_one() -> None:
    tree = install_tree(resolved("centos7-efi", "stock"))
    (together,) = [pack(tree.files)]
    assert together is not None
    alone = [found for file in tree.files if (found := pack([file])) is not None]
    assert len(together.text) < 0.7 * sum(len(one.text) for one in alone)


def test_sizes_are_those_that_each_cloud_counts() -> None:
    seed = {"user-data": b"#cloud-config\n" + b"a" * 1000}
    rows = {(r.provider, r.form): r for r in size_table(Forms(seed["user-data"]).sizes, ()).rows}
    packed = len(gzipped(seed["user-data"]))
    assert rows["ec2", "user-data"].bytes == 1014
    assert rows["ec2", "user-data.gz"].bytes == packed
    assert rows["openstack", "user-data"].bytes == len(base64.b64encode(seed["user-data"]))
    assert rows["azure", "user-data.gz"].bytes == packed
    assert rows["tencent", "user-data.gz"].bytes == len(base64.b64encode(b"x" * packed))
    assert rows["gcp", "user-data"].bytes == 1014
    assert rows["gcp", "user-data.gz"].bytes == len(base64.b64encode(b"x" * packed))
    assert {p: limit.most for p, limit in LIMITS.items()} == {
        "ec2": 16_384, "openstack": 65_535, "azure": 65_535, "gcp": 262_144,
        "alibaba": 32_768, "tencent": 16_384, "huawei": 32_768,
    }  # fmt: skip


@pytest.mark.parametrize(("size", "fits"), [(16_384, True), (16_385, False)])
def test_the_limit_itself_fits(size: int, fits: bool) -> None:
    assert SizeRow("ec2", "user-data", size, 16_384).fits is fits


@pytest.mark.parametrize(("providers", "severity"), [("[ec2]", Severity.ERROR), ("[]", Severity.INFO)])
def test_over_a_limit_is_an_error_for_a_cloud_that_the_profile_names(providers: str, severity: Severity) -> None:
    given = resolved("centos7-efi", "stock", [f"cloud.providers={providers}"])
    table = size_table(Forms(seed_of(given, DHCP)["user-data"]).sizes, given.profile.cloud.providers)
    (finding,) = limit_findings([NodeSizes(given.profile, f"dhcp{number}", table, MARK) for number in range(23)])
    assert finding.code == "IB701" and finding.severity is severity
    assert "cloud.include_url" in finding.hint
    if severity is Severity.ERROR:
        least = min(row.bytes for row in table.rows if row.provider == "ec2")
        assert finding.message.startswith("nodes dhcp0, dhcp1, dhcp2 and 20 more: ")
        assert f"{least - 16_384} over EC2's limit of 16384" in finding.message and finding.mark == MARK
    else:
        assert "EC2, Alibaba, Tencent and Huawei" in finding.message and finding.mark is None


def test_a_small_form_that_fits_is_enough() -> None:
    given = resolved("centos7-efi", "stock", ["cloud.providers=[ec2]", "cloud.include_url=https://h.example/f"])
    forms = Forms(seed_of(given, DHCP)["user-data"], b"#cloud-config\n{}\n")
    table = size_table(forms.sizes, given.profile.cloud.providers)
    assert limit_findings([NodeSizes(given.profile, "dhcp1", table, MARK)]) == []


def test_a_baked_nodes_user_data_fits_everywhere() -> None:
    for profile in ("centos7-efi", "centos8-bios", "debian12-efi"):
        given = resolved(profile, "baked")
        table = size_table(Forms(seed_of(given, DHCP)["user-data"]).sizes, given.profile.cloud.providers)
        assert limit_findings([NodeSizes(given.profile, "n", table, None)]) == []


def test_what_lies_in_the_folder() -> None:
    given = resolved("debian12-efi", "stock", ["cloud.providers=[azure]"])
    plain, small = seed_of(given, DHCP)["user-data"], b"#cloud-config\nsmall: 1\n"

    def group() -> CloudGroup:
        forms = Forms(plain, small)
        table = size_table(forms.sizes, given.profile.cloud.providers)
        return CloudGroup({"dhcp": (forms, table)}, {"": b"everyone's", "dhcp": b"its own"})

    made = group()
    assert list(made) == [
        "files.tar.gz", "dhcp/files.tar.gz", "dhcp/user-data", "dhcp/user-data.gz", "dhcp/user-data.mime",
        "dhcp/user-data.mime.gz", "dhcp/user-data.include", "dhcp/user-data.include.gz", "dhcp/sizes.json",
        "dhcp/SIZES.txt",
    ]  # fmt: skip
    assert len(made) == len(list(made))
    assert {path: file.mode for path, file in made.items() if file.mode != 0o600} == {"files.tar.gz": 0o644}
    files = {path.removeprefix("dhcp/"): file.content for path, file in made.items() if "/" in path}
    assert made["files.tar.gz"].content == b"everyone's" and files["files.tar.gz"] == b"its own"
    assert gzip.decompress(files["user-data.gz"]) == files["user-data"] == plain
    assert gzip.decompress(files["user-data.mime.gz"]) == files["user-data.mime"] == mime(plain)
    assert gzip.decompress(files["user-data.include.gz"]) == files["user-data.include"] == small
    rows = json.loads(files["sizes.json"])
    assert [(row["form"], row["bytes"]) for row in rows if row["provider"] == "ec2"] == [
        (form, len(files[form])) for form in Forms(plain, small)
    ]
    assert len(rows) == len(LIMITS) * len(Forms(plain, small))
    assert all(row["fits"] == (row["bytes"] <= row["limit"]) for row in rows)
    text = files["SIZES.txt"].decode()
    assert text.startswith("user-data of dhcp against") and "Clouds that the profile names: Azure" in text
    assert made == group()


TREE = NodeTree((NodeFile("/etc/b", b"two", 0o755), NodeFile("/etc/a", b"one"), NodeFile("/etc/key", b"k", 0o600)))


def test_the_archive_holds_what_is_public_and_follows_the_input_alone() -> None:
    made = include_archive([public([TREE])], 7)
    assert made == include_archive([public([TREE])], 7)
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        assert [(m.name, m.mode, m.uid, m.mtime) for m in archive] == [("etc/a", 0o644, 0, 7), ("etc/b", 0o755, 0, 7)]
    assert [f.path for f in private([TREE]).files] == ["/etc/key"]


def test_a_secret_never_gets_into_the_archive() -> None:
    with pytest.raises(ValueError, match="secret"):
        include_archive([TREE], 0)
