"""The exported scripts: shellcheck reads all of them, and each runs with strict stand-ins for its system's commands."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from imgbuild.export.given import Options
from tests.support.deadline import HUNG
from tests.support.exporting import METAL, Exported, exported
from tests.support.places import TESTS
from tests.support.shellcheck import shellcheck
from tests.unit.export.test_golden import DISKS, NODES

GOLDEN = TESTS / "golden" / "exports"
PLAIN = [{"name": "n1", "role": "control-plane"}, {"name": "n2", "role": "worker"}]


def placed(made: Exported, folder: Path) -> Path:
    """The files of an export as they are on the disk."""
    assert made.files is not None, made.said()
    for path, file in made.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.content)
        (folder / path).chmod(file.mode)
    return folder


def stand_in(folder: Path, name: str, body: str) -> None:
    """A program of that name which logs its arguments, one call a line, and then does ``body``."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/bash\nset -eu\nprintf "%s\\n" "{name} $*" >> "$LOG"\n{body}\n')
    (folder / name).chmod(0o755)


def run(script: Path, *words: str, tools: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(tools / "log"), "LC_ALL": "C.UTF-8"}
    environment |= {"TOOLS": str(tools)}
    return subprocess.run(
        [script, *words], capture_output=True, text=True, check=False, timeout=HUNG, env=environment, cwd="/"
    )


def log(tools: Path) -> list[str]:
    return (tools / "log").read_text().splitlines()


def test_shellcheck_reads_every_script() -> None:
    scripts = sorted(GOLDEN.rglob("*.sh"))
    assert {path.parent.name for path in scripts} == {"ironic", "maas", "libvirt", "proxmox"}
    shellcheck(scripts, [])


def test_libvirt_makes_disks_and_machines_and_leaves_what_there_is(tmp_path: Path) -> None:
    images, tools = tmp_path / "images", tmp_path / "tools"
    images.mkdir()
    stand_in(tools, "virsh", """
case "$1" in
domuuid) [ -e "$TOOLS/$2.defined" ] ;;
define) [ "$2" = --validate ] && virt-xml-validate "$3" domain >&2 && touch "$TOOLS/$(basename "$3" .xml).defined" ;;
autostart | start) [ -e "$TOOLS/$2.defined" ] ;;
*) exit 64 ;;
esac""")  # fmt: skip
    made = exported("libvirt", tmp_path, PLAIN, Options(storage=str(images)), sets=DISKS)
    script = placed(made, tmp_path / "libvirt") / "create.sh"
    missing = run(script, tools=tools)
    assert missing.returncode == 1 and f"copy the disk image to {images}/debian12-efi.qcow2 first" in missing.stderr
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", images / "debian12-efi.qcow2", "4G"], check=True)
    done = run(script, tools=tools)
    assert done.returncode == 0, done.stderr
    assert [line for line in log(tools) if line.startswith("virsh start")] == ["virsh start n1", "virsh start n2"]
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", images / "n2.qcow2"]))
    assert info["virtual-size"] == 40 << 30 and info["backing-filename"] == str(images / "debian12-efi.qcow2")
    data = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", images / "n2-data1.qcow2"]))
    assert data["virtual-size"] >= 500 * 10**9 and "backing-filename" not in data
    assert (images / "n1-seed.iso").stat().st_mode & 0o777 == 0o600
    again = run(script, "n1", tools=tools)
    assert again.returncode == 0 and again.stdout == "n1 exists already\n"
    other = run(script, "n3", tools=tools)
    assert other.returncode == 1 and "there is no node n3" in other.stderr
    (tools / "n1.defined").unlink()
    used = run(script, "n1", tools=tools)
    assert used.returncode == 1 and "with the data of another machine" in used.stderr


def test_libvirt_refuses_an_image_with_another_checksum(tmp_path: Path) -> None:
    images, tools = tmp_path / "images", tmp_path / "tools"
    images.mkdir()
    stand_in(tools, "virsh", "exit 64")
    stand_in(tools, "curl", 'while [ "$1" != --output ]; do shift; done; echo other > "$2"')
    options = Options("https://files.example.com/lab.qcow2", "5a" * 32, storage=str(images))
    script = placed(exported("libvirt", tmp_path, PLAIN, options), tmp_path / "libvirt") / "create.sh"
    done = run(script, tools=tools)
    assert done.returncode != 0 and not (images / "lab.qcow2").exists()
    assert all(line.startswith("curl ") for line in log(tools))


QM = """
id=$2; case "$1" in disk) id=$3 ;; esac
case "$id" in *[!0-9]*) exit 64 ;; esac
case "$1" in
status) [ -e "$TOOLS/$id" ]; exit ;;
create) [ ! -e "$TOOLS/$id" ]; touch "$TOOLS/$id" ;;
set | start) [ -e "$TOOLS/$id" ] ;;
disk) [ "$2" = resize ] && [ -e "$TOOLS/$id" ]; exit ;;
*) exit 64 ;;
esac
shift 2
while [ "$#" -gt 0 ]; do
  case "$1" in
  --name | --memory | --cores | --cpu | --machine | --ostype | --scsihw | --serial0 | --rng0 | --bios | --efidisk0 | \\
    --agent | --net[0-9] | --ipconfig0 | --virtio[0-9] | --boot | --ide2 | --citype | --cicustom) [ -n "$2" ] ;;
  *) exit 64 ;;
  esac
  shift 2
done"""
"""qm(1) as far as the script needs it: subcommands, options, and that a machine is there."""


def test_proxmox_makes_machines_with_snippets(tmp_path: Path) -> None:
    tools, snippets = tmp_path / "tools", tmp_path / "snippets"
    stand_in(tools, "qm", QM)
    stand_in(tools, "pvesm", f'[ "$1" = path ]; echo "{snippets}/${{2#local:snippets/}}"')
    made = exported("proxmox", tmp_path, NODES, Options(networks=("vmbr0",)), sets=DISKS)
    script = placed(made, tmp_path / "proxmox") / "create.sh"
    assert run(script, tools=tools).returncode != 0 and not (tools / "log").exists()
    missing = run(script, "101", tools=tools)
    assert missing.returncode == 1 and "copy the disk image to " in missing.stderr
    (script.parent / "debian12-efi.qcow2").touch()
    done = run(script, "101", tools=tools)
    assert done.returncode == 0, done.stderr
    assert [line for line in log(tools) if line.startswith("qm start")] == ["qm start 101", "qm start 102"]
    assert sorted(path.name for path in snippets.iterdir()) == [
        f"lab-{node['name']}-{part}.yaml" for node in NODES for part in ("meta", "network", "user", "vendor")
    ]
    assert {path.stat().st_mode & 0o777 for path in snippets.iterdir()} == {0o600}
    (custom,) = [line for line in log(tools) if line.startswith("qm set 102 --ide2")]
    assert custom.endswith(",".join(f"{part}=local:snippets/lab-w1-{part}.yaml" for part in
                                    ("user", "meta", "network", "vendor")))  # fmt: skip
    again = run(script, "101", "w1", tools=tools)
    assert again.returncode == 0 and again.stdout == "w1: the number 102 is taken\n"


MAAS = """
[ "$1" = admin ]
case "$2 $3" in
"boot-resources create") need="name= title= architecture= filetype= sha256= size= content@=" ;;
"machines create") need="architecture= hostname= mac_addresses= power_type=" ;;
"machines read") echo "[{\\"system_id\\": \\"id-${4#hostname=}\\"}]"; exit ;;
"machines allocate") need="system_id=id-" ;;
"machine deploy") [ "${4#id-}" != "$4" ]; shift; need="osystem=custom distro_series= user_data=" ;;
*) exit 64 ;;
esac
shift 3
for word in $need; do printf '%s\\n' "$@" | grep -c "^$word" >/dev/null; done"""
"""The MAAS command as far as the scripts need it: the parameters that its API requires."""


def test_maas_uploads_adds_and_deploys(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    stand_in(tools, "maas", MAAS)
    folder = placed(exported("maas", tmp_path, NODES, Options(), layers=["maas"]), tmp_path / "maas")
    (tmp_path / "lab.raw.xz").write_bytes(b"disk")
    for words in (
        ["upload.sh", "admin", str(tmp_path / "lab.raw.xz")],
        ["machines.sh", "admin"],
        ["deploy.sh", "admin"],
    ):
        done = run(folder / words[0], *words[1:], tools=tools)
        assert done.returncode == 0, done.stderr
    calls = log(tools)
    assert sum(" machines create " in call for call in calls) == 2
    assert [call.split()[4] for call in calls if " machine deploy " in call] == ["id-cp1", "id-w1"]
    user_data = (folder / "private/w1.user-data").read_text().strip()
    assert any(call.endswith(f"user_data={user_data}") for call in calls)
    assert run(folder / "deploy.sh", tools=tools).returncode != 0


HOOK_CONFIG = """\
cloudconfig:
  maas-datasource: {content: "datasource_list: [ MAAS ]\\n", path: x}
  maas-cloud-config: {content: "datasource: {MAAS: {token_key: k}}\\n"}
"""


def test_the_hook_of_the_layer_writes_the_configuration_of_cloud_init(tmp_path: Path) -> None:
    from imgbuild.config.load import load
    from imgbuild.diagnostics.findings import Findings

    found = load("debian12-efi", ["maas"], [], None, Findings())
    assert found is not None
    (file,) = found.profile.files
    (tmp_path / "hook").write_text(file.text)
    (tmp_path / "config").write_text(HOOK_CONFIG)
    (tmp_path / "network").write_text("network: {version: 2}\n")
    environment = {"TARGET_MOUNT_POINT": str(tmp_path / "target"), "CONFIG": str(tmp_path / "config")}
    environment |= {"OUTPUT_NETWORK_CONFIG": str(tmp_path / "network"), "PATH": os.environ["PATH"]}
    subprocess.run(["/usr/bin/python3", tmp_path / "hook"], check=True, env=environment, timeout=HUNG)
    place = tmp_path / "target/etc/cloud/cloud.cfg.d"
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "50-curtin-networking.cfg": "network: {version: 2}\n",
        "95-cloudconfig-maas-cloud-config.cfg": "datasource: {MAAS: {token_key: k}}\n",
        "95-cloudconfig-maas-datasource.cfg": "datasource_list: [ MAAS ]\n",
    }
    assert (place / "95-cloudconfig-maas-cloud-config.cfg").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("node", ["m1", "../../etc/passwd"])
def test_ironics_script_gives_each_node_its_image_and_drive(node: str, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    stand_in(tools, "openstack", """
[ "$1 $2" = "baremetal node" ]
case "$3" in
set) [ "$#" -eq 14 ] ;;
deploy) [ "$5" = --config-drive ]; [ -r "$6" ] ;;
*) exit 64 ;;
esac""")  # fmt: skip
    folder = placed(exported("ironic", tmp_path, [METAL]), tmp_path / "ironic")
    done = run(folder / "deploy.sh", node, tools=tools)
    assert (done.returncode == 0) == (node == "m1"), done.stderr
