"""Every setting is declared, and what is made from the declarations is current and true."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from imgbuild.config import replacement
from imgbuild.config.declared import documents, nearest, place, places, root
from imgbuild.config.profile import Profile
from imgbuild.config.reference import FORMS
from imgbuild.config.schema import DIALECT, KINDS, Kind, json_schema
from tests.support.places import ROOT
from tools.reference import files, rows, scoped

EVERY = [(kind, found) for kind, model in documents().items() for found in places(model)]
YAML = [*sorted((ROOT / "profiles").glob("*.yaml")), *sorted((ROOT / "profiles/layers").glob("*.yaml")),
        *(path for path in sorted((ROOT / "examples").rglob("*.yaml")) if path.parent.name != "ci")]  # fmt: skip


def test_every_setting_says_what_it_is() -> None:
    for kind, found in EVERY:
        setting = found.setting
        assert setting is not None, found.key
        assert setting.description.endswith(".") and len(setting.description) > 4, found.key
        assert "  " not in setting.description, found.key
        assert kind != "profile" or found.scope != "cluster" or found.instead, found.key


def test_every_example_is_a_value_that_may_be_written() -> None:
    for _, found in EVERY:
        assert found.setting is not None
        if found.setting.example is not None:
            if _refers(found.setting.example):
                continue  # the text is another file's (imgbuild.config.dereference)
            adapter: TypeAdapter[Any] = TypeAdapter(found.hint)
            adapter.validate_python(found.setting.example, strict=True)


def _refers(example: object) -> bool:
    one = example[0] if isinstance(example, list) and example else example
    return isinstance(one, dict) and len(one) == 1 and next(iter(one)) in FORMS


def test_the_recipe_has_the_lines_that_settings_answer() -> None:
    quoted = "".join(re.findall(r"(?ms)^```text\n(.*?)^```", (ROOT / "docs/recipe.md").read_text()))
    lines = [
        p.setting.recipe for model in documents().values() for p in places(model) if p.setting and p.setting.recipe
    ]
    assert len(lines) > 30
    assert not [line for line in lines if line not in quoted]


def test_units_are_words_that_a_time_in_their_place_is_converted_to() -> None:
    """``wait: 5m`` is told 300 only where the unit is one of these."""
    units = {p.setting.unit for model in documents().values() for p in places(model) if p.setting and p.setting.unit}
    assert units == {"MiB", "GiB", "bytes", "milliseconds", "seconds", "days"}
    found = replacement.find(place(Profile, ("disks", 0, "wait")), "5m", "5m")
    assert found is not None and found.value == 300


def test_places_are_found_by_values_and_by_patterns() -> None:
    found = place(Profile, ("users", 3, "name"))
    assert found is not None and found.key == "users[].name"
    found = place(Profile, ("containerd", "registries", "docker.io", "mirrors", 0))
    assert found is not None and found.key == "containerd.registries.NAME.mirrors[]"
    assert place(Profile, ("users", "name")) is None and place(Profile, ("nobody",)) is None
    assert nearest(Profile, ("cilium", "values", "bpf", "tproxy")).key == "cilium.values.NAME"
    own = place(documents()["cluster"], ("nodes", 0, "settings", "time", "zone"))
    assert own is not None and own.key == "nodes[].settings.time.zone"


def test_what_is_made_from_the_declarations_is_current() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"{path.relative_to(ROOT)}: make reference"


def test_the_lists_of_keys_by_scope_have_every_key_once() -> None:
    """A section stands for all keys in it only if they have the same scope."""
    listed = {scope: set(scoped(scope)) for scope in ("seed", "cluster", "image")}
    for top in root(documents()["profile"]).children():
        for key in rows(top):
            named = [scope for scope, keys in listed.items() if {above.key for above in key.line} & keys]
            assert named == [key.scope] or (not named and any(key.children())), key.key
    assert {"disks", "report", "kubernetes.kubelet", "pxe.boot"} <= listed["seed"]
    assert {"addons", "images", "mirrors", "kubernetes.version"} <= listed["cluster"]


# --- the JSON Schema --------------------------------------------------------------------------------------------------


def validator(kind: Kind) -> Draft202012Validator:
    return Draft202012Validator(json_schema(kind))


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All that describes a key."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}.{name}", part
    for name, part in schema.get("$defs", {}).items():
        yield from parts(part, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_and_describes_every_key(kind: Kind) -> None:
    schema = json_schema(kind)
    assert schema["$schema"] == DIALECT and schema["$id"].endswith(f"/schemas/{kind}.json")
    Draft202012Validator.check_schema(schema)
    described = dict(parts(schema))
    assert len(described) > (15 if kind == "lock" else 60)
    assert not [key for key, part in described.items() if "](" in part.get("description", "](")]
    assert not [
        key for key, part in described.items() if "title" not in part and "$ref" not in part and "anyOf" not in part
    ]


def test_what_is_shipped_names_its_schema_and_fits_it() -> None:
    assert len(YAML) > 15
    for path in YAML:
        text = path.read_text()
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", text.partition("\n")[0])
        assert named is not None, path
        kind: Kind = "cluster" if path.name == "cluster.yaml" else "profile"
        assert (path.parent / named[1]).resolve() == ROOT / "schemas" / f"{kind}.json"
        assert not list(validator(kind).iter_errors(yaml.safe_load(text))), path


BAD: dict[Kind, list[Any]] = {
    "profile": [
        {"kernel": {"flavor": "kernel-ml"}}, {"firmware": "uefi"}, {"target": "centos9"}, {"swap": True},
        {"users": [{"sudo": True}]}, {"image": {"size_mib": 10}}, {"kernel": {"sysctl": {"net.*": 1}}},
        {"time": {"zone": "Asia Shanghai"}}, {"run": [""]}, {"extends": 1}, {"containerd": {"snapshotter": None}},
    ],
    "cluster": [
        {"name": "lab"}, {"name": "lab", "nodes": []}, {"name": "lab", "nodes": [{"name": "a"}]},
        {"name": "lab", "nodes": [{"name": "a", "role": "master"}]},
        {"name": "lab", "nodes": [{"name": "a", "role": "worker", "settings": {"kernel": {"flavor": "x"}}}]},
        {"name": "lab", "nodes": [{"name": "a", "role": "worker", "labels": {"a b": "c"}}]},
    ],
    "lock": [
        {}, {"format": 2, "profiles": {}}, {"format": 1, "profiles": {"node": {"files": {}}}},
        {"format": 1, "profiles": {"node": {"files": {"helm": {"sha256": "0"}}, "images": {}}}},
        {"format": 1, "profiles": {"node": {"files": {}, "images": {"a": {"digest": "0" * 64}}}}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_refuses_what_imgbuild_refuses(kind: Kind) -> None:
    assert not [data for data in BAD[kind] if not list(validator(kind).iter_errors(data))]


def test_a_schema_takes_parts_of_a_profile_and_a_node_with_settings() -> None:
    assert not list(validator("profile").iter_errors({"extends": ["a", "b.yaml"], "cilium": {"chart": None}}))
    node = {"name": "a", "role": "worker", "settings": {"time": {"zone": "UTC"}, "users": [{"name": "x"}]}}
    assert not list(validator("cluster").iter_errors({"name": "lab", "nodes": [node]}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_in_a_schema_fits_it(kind: Kind) -> None:
    schema = json_schema(kind)
    for key, part in parts(schema):
        for example in part.get("examples", []):
            assert not list(Draft202012Validator({**part, "$defs": schema["$defs"]}).iter_errors(example)), key


# --- one declaration is enough ----------------------------------------------------------------------------------------

FIELDS = """    pet: Annotated[
        Line, Setting("Name of the pet that watches the clock.", example="Rex", scope="seed")
    ] = "Fido"
    pin: Annotated[Line, Setting("Number that opens its cage.", scope="seed", secret=True)] = "0000"
"""


@pytest.fixture
def with_a_pet(tmp_path: Path) -> Path:
    """A copy of imgbuild with two more fields in the model of `time`, and nothing else."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("builder/imgbuild", "docs/reference", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in ("profiles", "node", "cloudinit", "elements"):
        (tmp_path / name).symlink_to(ROOT / name)
    model = tmp_path / "builder/imgbuild/config/profile/system.py"
    text = model.read_text().replace("\nfrom pydantic", "\nfrom imgbuild.config.fields import Line\nfrom pydantic", 1)
    head = text.index("\n\nOwnKeys =")
    model.write_text(text[:head].rstrip() + "\n" + FIELDS + text[head:])
    return tmp_path


def ran(folder: Path, *arguments: str) -> str:
    environment = {"PYTHONPATH": f"{folder / 'builder'}:{folder}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_field_that_is_declared_once_is_everywhere(with_a_pet: Path) -> None:
    folder = with_a_pet
    pet = json.loads(ran(folder, "imgbuild", "schema", "profile"))["$defs"]["Time"]["properties"]["pet"]
    assert pet["description"] == "Name of the pet that watches the clock." and pet["examples"] == ["Rex"]
    ran(folder, "tools.reference")
    row = "| `time.pet` | one line of text | `Fido` | seed | Name of the pet that watches the clock. Example: `Rex` |"
    assert row in (folder / "docs/reference/profile.md").read_text()
    assert "watches the clock" in (folder / "schemas/cluster.json").read_text(), "settings of a node's own"
    plain = ran(folder, "imgbuild", "explain", "time.pet")
    assert "Name of the pet" in plain and "Fido" in plain and "Rex" in plain
    (folder / "mine.yaml").write_text("extends: debian12-efi\ntime:\n  pet: Bello\n  pin: '4711'\n")
    said = ran(folder, "imgbuild", "explain", "time", "--profile", "mine.yaml")
    assert 'time.pet = "Bello"  (mine.yaml:3:8)' in said
    assert 'time.pin = "(set)"  (mine.yaml:4:8)' in said and "4711" not in said
    (folder / "lab.yaml").write_text(
        "name: lab\nnodes:\n  - {name: a, role: control-plane, settings: {time: {pet: Hasso}}}\n"
    )
    ran(folder, "imgbuild", "check", "--profile", "mine.yaml", "--cluster", "lab.yaml")


def test_the_names_of_schemas_are_those_of_files() -> None:
    assert set(KINDS) < set(documents())
    with pytest.raises(ValidationError):
        documents()["profile"].model_validate({"extends": 1})
