"""Values by reference: {file: PATH} and {env: NAME}, in profiles, cluster files and --set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest

from imgbuild.config.declared import documents, places
from imgbuild.config.dereference import in_document
from imgbuild.config.fields import Model
from imgbuild.config.load import Loaded, load
from imgbuild.config.redact import is_private
from imgbuild.config.reference import Reference, SecretText
from imgbuild.config.setting import Setting
from imgbuild.config.source import parse
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.outputs.manifest import values
from tests.support.checking import findings

HASH = "$6$saltsaltsalt$" + "x" * 86
KEY = ("users", 0, "hashed_password")


class Lock(Model):
    pin: Annotated[SecretText | None, Setting("A secret.", secret=True)] = None
    papers: Annotated[list[Annotated[str, Reference(private=None)]], Setting("Not a secret.")] = []
    doors: Annotated[dict[str, SecretText], Setting("Secrets.", secret=True)] = {}


def resolved(text: str, folder: Path) -> tuple[dict[str, Any], list[Finding]]:
    found = Findings()
    document = parse(text, str(folder / "lock.yaml"), found)
    assert document is not None
    return in_document(document, Lock, folder, found).data, found.items


def profile(folder: Path, password: str, *sets: str) -> tuple[Loaded | None, list[Finding]]:
    path = folder / "node.yaml"
    path.write_text(f"extends: debian12-efi\nusers:\n  - name: bob\n    hashed_password: {password}\n")
    found = Findings()
    return load(str(path), (), sets, None, found), found.items


def password(loaded: Loaded | None) -> str | None:
    assert loaded is not None
    return loaded.profile.users[0].hashed_password


def test_each_form_gives_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pin").write_text("4711\n")
    (tmp_path / "paper.pem").write_text("\ufeffone\r\ntwo\r\n\r\n")
    monkeypatch.setenv("DOOR", "open sesame\n")
    text = "pin: {file: pin}\npapers: [{file: paper.pem}, literally]\ndoors: {a: {env: DOOR}, b: {file: pin}}\n"
    data, found = resolved(text, tmp_path)
    assert data == {
        "pin": "4711",
        "papers": ["one\r\ntwo", "literally"],
        "doors": {"a": "open sesame", "b": "4711"},
    }
    assert found == []


def test_only_a_secret_in_the_file_itself_is_a_warning(tmp_path: Path) -> None:
    data, found = resolved("pin: '4711'\npapers: [public]\ndoors: {a: sesame}\n", tmp_path)
    assert data["pin"] == "4711"
    assert [(f.code, f.key, f.severity.name) for f in found] == [
        ("IB118", "pin", "WARNING"),
        ("IB118", "doors.a", "WARNING"),
    ]
    assert "4711" not in repr(found) and "sesame" not in repr(found)


@pytest.mark.parametrize(
    ("value", "what", "fix"),
    [
        ("{file: nowhere}", "there is no file", "create it"),
        ("{file: ~/pin}", "there is no file", "~ is not expanded"),
        ("{file: empty}", "is empty", "write the value there"),
        ("{file: .}", "is a folder", "name a file"),
        ("{file: /dev/null}", "is not a regular file", "name that file"),
        ("{file: binary}", "is not UTF-8 text", "in UTF-8"),
        ("{file: nul}", "is not text", "in UTF-8"),
        ("{file: large}", "is over 1 MiB", "name the file"),
        ("{file: 5}", "file must be a path", "{file: PATH}"),
        ("{env: IMGBUILD_NOT_SET}", "no variable IMGBUILD_NOT_SET", "export it"),
        ("{env: EMPTY}", "is empty", "write the value there"),
        ("{env: 'pa ss'}", "not the name of an environment variable", "{env: NAME}"),
        ("{path: x}", "expected a text or a reference", "{file: PATH} or {env: NAME}"),
        ("{file: a, env: b}", "expected a text or a reference", "{file: PATH} or {env: NAME}"),
        ("{}", "expected a text or a reference", "{file: PATH} or {env: NAME}"),
    ],
)
def test_what_cannot_be_resolved_is_one_finding_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, what: str, fix: str
) -> None:
    monkeypatch.setenv("EMPTY", "\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x01")
    (tmp_path / "nul").write_bytes(b"a\0b")
    (tmp_path / "large").write_text("x" * ((1 << 20) + 1))
    loaded, found = profile(tmp_path, value)
    errors = [f for f in found if f.severity.name == "ERROR"]
    assert len(errors) == 1 and loaded is not None
    assert errors[0].code == "IB119" and what in errors[0].message and fix in errors[0].hint
    assert errors[0].key == "users[0].hashed_password"
    assert errors[0].mark is not None and (errors[0].mark.line, errors[0].mark.column) == (4, 22)


def test_a_user_who_may_not_read_the_file_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "hash").write_text(HASH)
    monkeypatch.setattr("imgbuild.config.dereference.os.open", refused)
    _, found = resolved("pin: {file: hash}\n", tmp_path)
    assert [f.code for f in found] == ["IB119"] and "this user may not read" in found[0].message


def test_it_is_relative_to_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/hash").write_text(f"{HASH}\n")
    (tmp_path / "deep/base.yaml").write_text(
        "extends: debian12-efi\nusers: [{name: bob, hashed_password: {file: hash}}]\n"
    )
    (tmp_path / "node.yaml").write_text("extends: deep/base.yaml\n")
    monkeypatch.chdir(tmp_path)
    found = Findings()
    assert password(load("node.yaml", (), (), None, found)) == HASH and not found.items


@pytest.mark.parametrize("form", ["users[0].hashed_password={file: hash}", "users[0].hashed_password.file=hash"])
def test_an_option_is_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    (tmp_path / "hash").write_text(f"{HASH}\n")
    monkeypatch.chdir(tmp_path)
    loaded, found = profile(tmp_path, "null", form)
    assert password(loaded) == HASH and not found
    assert loaded is not None
    shown = values(loaded.layered)
    assert shown["users[0].hashed_password"] == {"value": "(set)", "from": "--set:1:1"}
    assert HASH not in json.dumps(shown)


def test_a_reference_is_shown_and_its_text_is_not(tmp_path: Path) -> None:
    assert is_private(KEY) and not is_private((*KEY, "file")) and not is_private((*KEY, "env"))
    assert is_private((*KEY, "other")) and is_private((*KEY, "file", "more"))
    (tmp_path / "hash").write_text("hunter2\n")
    _, found = profile(tmp_path, "{file: hash}")
    (error,) = found
    assert error.mark is not None and "{file: hash}" in error.mark.text and "hunter2" not in repr(found)


def test_a_nodes_own_reference_is_read_beside_the_cluster_file(tmp_path: Path) -> None:
    (tmp_path / "hash").write_text(f"{HASH}\n")
    lab = tmp_path / "lab.yaml"
    users = "users: [{name: b, hashed_password: {file: %s}}]"
    text = f"name: lab\nnodes:\n  - {{name: a, role: control-plane, settings: {{{users}}}}}\n"
    lab.write_text(text % "hash")
    assert not [f for f in findings("debian12-efi", cluster=lab) if f.severity.name == "ERROR"]
    lab.write_text(text % "nowhere")
    (error,) = [f for f in findings("debian12-efi", cluster=lab) if f.severity.name == "ERROR"]
    assert error.code == "IB119" and error.key == "nodes[0].settings.users[0].hashed_password"
    assert error.message.startswith("node a: ")


def test_what_must_not_be_in_a_profile_is_declared_secret() -> None:
    for model in documents().values():
        for place in places(model):
            reference = place.find(Reference)
            assert reference is None or reference.private is None or place.secret, place.key
