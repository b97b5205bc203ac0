"""The exported files against the schemas of their systems: libvirt's own, and custom resource definitions.

The definitions are not part of this repository. ``IMGBUILD_CRDS`` names a folder of them, as `kubectl get crd NAME -o
yaml` prints them; the golden files were last compared with those of

- baremetalhosts.metal3.io: metal3-io/baremetal-operator 02aa5059e3482f9dc3b5115c3a45cec4b000ae16,
  config/base/crds/bases/metal3.io_baremetalhosts.yaml
- hardware, templates, workflows.tinkerbell.org and machines.bmc.tinkerbell.org: tinkerbell/tinkerbell
  9111b51c992046ce14a9a57f612f9ef0ffb0d698, crd/bases/v1alpha1/
- virtualmachines.kubevirt.io: kubevirt/kubevirt d923fdb815cd2016ddaebdaaa51db04133576d72, in
  pkg/virt-operator/resource/generate/components/validations_generated.go
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from imgbuild.export.given import Options
from tests.support.exporting import FETCHED, METAL, exported
from tests.support.places import TESTS

GOLDEN = TESTS / "golden" / "exports"
CRDS = os.environ.get("IMGBUILD_CRDS")
KINDS = {"BareMetalHost", "Hardware", "Machine", "Template", "Workflow", "VirtualMachine"}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema that refuses what the API server would drop: fields that it does not know."""
    out = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "format"}
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "properties" in schema:
        out["properties"] = {name: strict(below) for name, below in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            out.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            out[key] = strict(schema[key])
    return out


def validators() -> dict[tuple[str, str], Draft202012Validator]:
    """Of each version and kind in the folder."""
    out = {}
    for path in sorted(Path(CRDS or "").iterdir()):
        for crd in yaml.safe_load_all(path.read_text()):
            spec = crd["spec"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}  # the API server's own
                key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                out[key] = Draft202012Validator(schema)
    return out


def objects(files: dict[str, bytes]) -> list[dict[str, Any]]:
    documents = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)]
    return [one for one in documents if one["kind"] != "Secret"]


@pytest.mark.skipif(CRDS is None, reason="IMGBUILD_CRDS names no folder of custom resource definitions")
@pytest.mark.parametrize("system", ["metal3", "tinkerbell", "kubevirt"])
def test_objects_are_what_the_api_server_accepts(system: str, tmp_path: Path) -> None:
    made = exported(system, tmp_path, [METAL], FETCHED)  # with Templates, which are private
    assert made.files is not None
    golden = {str(path): path.read_bytes() for path in (GOLDEN / system).rglob("*.yaml")}
    found = objects({**{path: file.content for path, file in made.files.items()}, **golden})
    known, seen = validators(), set()
    for one in found:
        errors = [f"{e.json_path}: {e.message}" for e in known[one["apiVersion"], one["kind"]].iter_errors(one)]
        assert errors == [], f"{one['kind']} {one['metadata']['name']}"
        seen.add(one["kind"])
    assert seen and seen <= KINDS


@pytest.mark.skipif(CRDS is None, reason="IMGBUILD_CRDS names no folder of custom resource definitions")
def test_the_check_finds_a_field_that_there_is_not_and_a_wrong_value() -> None:
    (host,) = yaml.safe_load_all((GOLDEN / "metal3/hosts/w1.yaml").read_text())
    host["spec"]["rootDeviceHint"] = {}
    host["spec"]["image"]["checksumType"] = "crc"
    validator = validators()[host["apiVersion"], host["kind"]]
    assert len(list(validator.iter_errors(host))) == 2


@pytest.mark.parametrize("firmware", ["efi", "bios"])
def test_libvirts_own_schema_accepts_the_domains(firmware: str, tmp_path: Path) -> None:
    node = {"name": "n1", "role": "control-plane"}
    made = exported("libvirt", tmp_path, [node], Options(), profile=f"debian12-{firmware}")
    (tmp_path / "n1.xml").write_bytes(made["domains/n1.xml"])
    for path in (tmp_path / "n1.xml", *(GOLDEN / "libvirt/domains").iterdir()):
        done = subprocess.run(["virt-xml-validate", path, "domain"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "bad.xml").write_bytes(made["domains/n1.xml"].replace(b"<vcpu>", b"<cpus>1</cpus><vcpu>"))
    bad = subprocess.run(["virt-xml-validate", tmp_path / "bad.xml", "domain"], capture_output=True, check=False)
    assert bad.returncode != 0
