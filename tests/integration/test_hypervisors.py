"""The commands of docs/how-to/hypervisors.md whose programs Debian has, run as far as they go without a hypervisor."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from imgbuild.image.formats.containerdisk import write_containerdisk
from tests.support.deadline import HUNG
from tests.support.places import ROOT

PAGE = (ROOT / "docs/how-to/hypervisors.md").read_text()
MARK = "<!-- not run: tests/integration/test_hypervisors.py does it -->"


def command(start: str) -> list[str]:
    """The words of the page's marked command that starts so."""
    blocks: list[str] = re.findall(rf"{re.escape(MARK)}\n```shell\n(.*?)```", PAGE, re.DOTALL)
    (text,) = [block for block in blocks if block.startswith(start)]
    return shlex.split(text.replace("\\\n", " "))


def run(words: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(more.get("cwd", "/")), "LC_ALL": "C.UTF-8"}
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=HUNG, env=environment, **more)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """libvirt's folder of images, with the image and the seed."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "debian12-efi.qcow2", "4G"], check=True)
    (tmp_path / "node1-seed.iso").write_bytes(bytes(2048))
    yield tmp_path


def moved(words: list[str], images: Path) -> list[str]:
    return [word.replace("/var/lib/libvirt/images", str(images)) for word in words]


def test_a_node_gets_a_larger_disk_of_its_own(images: Path) -> None:
    done = run(moved(command("qemu-img create"), images))
    assert done.returncode == 0, done.stderr
    info = json.loads(run(["qemu-img", "info", "--output=json", str(images / "node1.qcow2")]).stdout)
    assert (info["virtual-size"], info["backing-filename-format"]) == (40 << 30, "qcow2")


def test_virt_install_makes_the_machine_of_the_page(images: Path) -> None:
    run(moved(command("qemu-img create"), images))
    words = moved(command("virt-install"), images)
    # The test driver has neither q35 nor KVM, but everything else of a domain.
    words = [word for word in words if word not in ("--machine", "q35")]
    done = run([*words, "--connect", "test:///default", "--print-xml"], cwd=images)
    assert done.returncode == 0, done.stderr
    domain = ET.fromstring(done.stdout)  # noqa: S314 - virt-install wrote it
    loader, nvram = domain.find("os/loader"), domain.find("os/nvram")
    assert loader is not None and nvram is not None
    assert (loader.text, loader.get("type"), loader.get("readonly")) == (
        "/usr/share/OVMF/OVMF_CODE_4M.fd", "pflash", "yes",
    )  # fmt: skip
    assert nvram.get("template") == "/usr/share/OVMF/OVMF_VARS_4M.fd"
    disks = [(disk.get("device"), disk.find("target").get("bus")) for disk in domain.iterfind("devices/disk")]  # type: ignore[union-attr]
    assert disks == [("disk", "virtio"), ("cdrom", "sata")]
    mac = domain.find("devices/interface/mac")
    assert mac is not None and mac.get("address") == "52:54:00:00:00:11"


@pytest.mark.parametrize("start", ["openstack image create", "openstack server create"])
def test_openstacks_client_takes_the_command(start: str, tmp_path: Path) -> None:
    """It logs in before it reads its arguments, so its help has to do."""
    words = command(start)
    shown = run([*words[:3], "--help"], cwd=tmp_path).stdout
    options = [word for word in words if word.startswith("--")]
    assert options and not [option for option in options if not re.search(rf"{option}[ \n]", shown)]
    formats = [words[number + 1] for number, word in enumerate(words) if word == "--disk-format"]
    assert all(f" {form}," in shown for form in formats)


def test_a_registry_takes_the_containerdisk(tmp_path: Path) -> None:
    folder = tmp_path / "out/debian12-efi/image"
    folder.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "disk", "1G"], check=True)
    write_containerdisk(tmp_path / "disk", "debian12-efi", folder / "debian12-efi.containerdisk.tar", 0)
    words = command("skopeo copy")
    # A folder in a registry's place: docker:// needs one that listens.
    words = [
        word.replace("docker://registry.example.com/nodes/debian12-efi:1", f"dir:{tmp_path}/registry") for word in words
    ]
    words.insert(1, "--insecure-policy")
    assert f"dir:{tmp_path}/registry" in words
    done = run(words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "registry/manifest.json").exists()


def test_kubevirts_machine_is_whole() -> None:
    """Each disk and each interface of the manifest has its volume and its network."""
    (text,) = re.findall(r"<<'EOF'\n(.*?)\nEOF\n", PAGE, re.DOTALL)
    spec = yaml.safe_load(text)["spec"]
    machine = spec["template"]["spec"]
    disks = {disk["name"] for disk in machine["domain"]["devices"]["disks"]}
    assert disks == {volume["name"] for volume in machine["volumes"]}
    interfaces = {interface["name"] for interface in machine["domain"]["devices"]["interfaces"]}
    assert interfaces == {network["name"] for network in machine["networks"]}
    volumes = {v["dataVolume"]["name"] for v in machine["volumes"] if "dataVolume" in v}
    assert volumes == {template["metadata"]["name"] for template in spec["dataVolumeTemplates"]}
