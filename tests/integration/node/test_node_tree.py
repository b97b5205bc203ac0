"""The rendered node, judged by the tools that will read it: shellcheck, systemd, containerd, PyYAML, tomllib."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from imgbuild.render.node import node_tree
from imgbuild.render.nodefile import digest
from imgbuild.render.templates import render, sh, to_json, toml, unit
from imgbuild.render.verify import check_names
from tests.support.profiles import BINARIES, CASES, HOST, SCRIPTS, resolved, write_tree
from tests.support.shellcheck import shellcheck

# Syntax that bash 4.2 of CentOS 7 lacks.
TOO_NEW = {
    r"\$\{[a-zA-Z_]+@[A-Za-z]\}": "${x@Q} (4.4)",
    r"\bwait -[np]": "wait -n (4.3)",
    r"\blocal -n|\bdeclare -n": "name references (4.3)",
    r"\b(mapfile|readarray) [^|;]*-d": "mapfile -d (4.4)",
    r"\[\[ -v [a-z]+\[": "-v on array elements (4.3)",
    r"EPOCHSECONDS|EPOCHREALTIME|SRANDOM": "5.0",
    r"shopt -s (inherit_errexit|localvar)": "4.4",
    r"\$\{[a-zA-Z_]+\[-1\]": "negative indexes are 4.3 in writing",
    r"printf '%\(": "fine in 4.2, but needs an argument there",
}


@pytest.mark.xdist_group("shellcheck")  # one worker: what it found clean once is not read again
@pytest.mark.parametrize(("name", "layers"), CASES)
def test_scripts_are_clean(tmp_path: Path, name: str, layers: list[str]) -> None:
    found = resolved(name, layers)
    root = write_tree(node_tree(found), tmp_path)
    scripts = [root / "usr/libexec/imgbuild" / script for script in SCRIPTS]
    scripts += [*(root / "usr/libexec/imgbuild").glob("boot-entries"), root / "usr/libexec/imgbuild/disks"]
    sourced = sorted((root / "usr/libexec/imgbuild/checks").glob("*.sh"))
    completions = sorted((root / "usr/share/bash-completion/completions").iterdir())
    configs = [root / "etc/imgbuild/node.conf", root / "etc/imgbuild/verify.conf"]
    if found.profile.kubernetes.enabled:
        programs = root / "usr/libexec/imgbuild"
        scripts += [programs / name for name in ("firstboot", "reset", "status")]
        scripts += sorted((programs / "firstboot.d").iterdir())
        sourced += sorted((programs / "lib").glob("*.sh"))
        shellcheck([root / "etc/profile.d/imgbuild.sh"], [], "-s", "sh")
    shellcheck([*scripts, *sourced], sourced, "-x", "-P", "SCRIPTDIR")
    shellcheck([*completions, *configs], [], "-s", "bash", "-e", "SC2034")
    for script in scripts:
        assert script.stat().st_mode & 0o777 == 0o755
        text = script.read_text()
        assert text.startswith("#!/bin/bash\n")
        assert "\nset -euo pipefail\n" in text
    for path in (*scripts, *sourced, *completions, *configs):
        for pattern, what in TOO_NEW.items():
            assert not re.search(pattern, path.read_text()), f"{path.name}: {what}"
    # bash before 4.4 takes "${empty[@]}" for an unset variable: these lists are never empty where they are used.
    never_empty = {"checks", "ntp_servers", "modules", "firewall", "unmanaged", "containerd_plugins", "registries",
                   "stages", "chart", "deep_checks", "only", "names", "values", "places", "rule", "leaf_certificates",
                   "ca_certificates", "asked", "patterns", "wrong", "from", "args", "at"}  # fmt: skip

    never_empty = {"checks", "ntp_servers", "modules", "firewall", "unmanaged", "containerd_plugins",
                   "registries", "stages", "chart", "deep_checks", "only", "names", "values", "places",
                   "rule", "leaf_certificates", "ca_certificates", "asked", "patterns", "wrong",
                   "args", "at", "from"}  # fmt: skip
    for path in (*scripts, *sourced):
        bare = re.findall(r'(?<!\+)"\$\{([a-z_]+)\[[@*]\]\}', path.read_text())
        assert set(bare) <= never_empty, path.name


def _stub_units(root: Path) -> None:
    """Packages' own units and programs, as far as ours name them."""
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True, exist_ok=True)
    for name in ("stargz-snapshotter", "containerd", "buildkit", "cloud-final", "systemd-sysctl", "chronyd"):
        (units / f"{name}.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    for name in ("multi-user", "sysinit", "basic", "shutdown", "network-pre", "network-online", "timers",
                 "local-fs", "umount"):  # fmt: skip
        (units / f"{name}.target").write_text("[Unit]\nDescription=x\n")
    for name in ("bin/true", "usr/local/bin/containerd-stargz-grpc", "usr/local/bin/buildkitd",
                 "usr/local/bin/kubelet"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "layers", "sets"),
    [*((name, layers, []) for name, layers in CASES), ("debian12-efi", [], BINARIES), ("centos7-bios", [], BINARIES)],
)
def test_systemd_takes_the_units(tmp_path: Path, name: str, layers: list[str], sets: list[str]) -> None:
    found = resolved(name, layers, sets)
    tree = node_tree(found)
    root = write_tree(tree, tmp_path)
    _stub_units(root)
    ours = [p for p in tree.by_path() if re.fullmatch(r"/etc/systemd/system/[^/]+\.(service|timer|mount)", p)]
    with_drop_ins = {Path(p).parent.name.removesuffix(".d") for p in tree.by_path() if ".service.d/" in p}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", *(Path(p).name for p in ours), *with_drop_ins],
        capture_output=True,
        text=True,
    )
    said = done.stderr.splitlines()
    # systemd 252 refuses the mount unit that only systemd 219 gets, and what it had from there.
    if found.target.bpffs_unit:
        assert any("sys-fs-bpf.mount: Cannot create mount unit for API file system" in line for line in said)
        said = [line for line in said if "sys-fs-bpf.mount" not in line]
    assert said == []
    for path in ours:
        if Path(path).name not in (
            "imgbuild-report.service",
            "imgbuild-firstboot.service",
            "imgbuild-upkeep.service",
        ):  # their timers start them
            assert Path(path).name in tree.enable
            assert b"[Install]" in tree.by_path()[path].content


def test_bpffs_unit_only_before_systemd_238() -> None:
    for name, wanted in (("centos7-efi", True), ("centos8-efi", False), ("debian12-efi", False)):
        tree = node_tree(resolved(name))
        assert ("/etc/systemd/system/sys-fs-bpf.mount" in tree.by_path()) == wanted
        assert ("sys-fs-bpf.mount" in tree.enable) == wanted


def test_no_ordering_after_cloud_final_in_the_boot_transaction() -> None:
    """Debian's cloud-final comes after multi-user.target: only what no target wants may be ordered behind it."""
    for name, layers in CASES:
        tree = node_tree(resolved(name, layers))
        for path, file in tree.by_path().items():
            if path.startswith("/etc/systemd/system/") and re.search(rb"^After=.*cloud-final", file.content, re.M):
                assert b"WantedBy" not in file.content
                assert b"Type=simple" in file.content  # a start job that runs on keeps the boot from finishing


@pytest.mark.parametrize(("name", "layers"), CASES)
def test_the_tree_is_the_same_each_time_and_sorted(name: str, layers: list[str]) -> None:
    found = resolved(name, layers)
    tree = node_tree(found)
    assert digest(tree) == digest(node_tree(found))
    assert [f.path for f in tree.files] == sorted(f.path for f in tree.files)
    assert all(f.content.endswith(b"\n") for f in tree.files)
    assert not any(b"{{" in f.content or b"{%" in f.content for f in tree.files)


def test_baked_and_stock_are_the_same() -> None:
    """Also whatever the firmware is: node files are laid over one cached root file system for both.

    With a disk: user-data has little room, so stock mode has what mounts disks only where there are some.
    """
    disk = "disks=[{mount: /srv, path: /dev/vdb}]"
    for target in ("centos7", "centos8", "debian12"):
        digests = {
            digest(node_tree(resolved(f"{target}-{fw}", sets=[f"mode={mode}", disk])))
            for fw in ("bios", "efi")
            for mode in ("baked", "stock")
        }
        assert len(digests) == 1


def test_cni_has_one_owner() -> None:
    def cni(name: str, layers: list[str], sets: list[str]) -> str | None:
        found = resolved(name, layers, sets)
        links = {link.path: link.target for link in node_tree(found).links}
        return links.get("/opt/cni/bin")

    assert cni("debian12-efi", [], []) is None  # the package kubernetes-cni
    assert cni("debian12-efi", [], BINARIES) == "/usr/local/libexec/cni"
    assert cni("debian12-efi", HOST, []) == "/usr/lib/cni"
    assert cni("centos7-efi", ["container-host"], []) == "/usr/local/libexec/cni"


NASTY = "quote \" ' back\\slash $(x) `y` ${z} {{ 7 * 7 }} {% raw %}\n# {#\n\ttab \x01 é\n"


def test_files_of_the_user_survive_byte_for_byte() -> None:
    item = yaml.safe_dump([{"path": "/etc/motd", "content": NASTY, "mode": "0600"}], width=10**6).strip()
    flow = yaml.safe_dump(yaml.safe_load(item), default_flow_style=True, width=10**6).strip()
    found = resolved("debian12-efi", sets=[f"files={flow}"])
    file = node_tree(found).by_path()["/etc/motd"]
    assert file.content == NASTY.encode()
    assert file.mode == 0o600


def test_a_file_of_the_user_takes_the_place_of_ours() -> None:
    found = resolved("debian12-efi", HOST, ["files=[{path: /etc/crictl.yaml, content: mine}]"])
    assert node_tree(found).by_path()["/etc/crictl.yaml"].content == b"mine"
    found = resolved("debian12-efi", HOST, ["files=[{path: /etc/localtime, content: mine}]"])
    tree = node_tree(found)
    assert "/etc/localtime" not in {link.path for link in tree.links}


def test_pause_image_of_the_mirror() -> None:
    found = resolved("debian12-efi", ["china"])
    config = node_tree(found).by_path()["/etc/containerd/config.toml"].content
    image = found.sandbox_image
    assert image.startswith("registry.aliyuncs.com/google_containers/pause:3.10")
    assert image.encode() in config


def test_network_manager_reads_the_list(tmp_path: Path) -> None:
    """By NetworkManager itself where it is installed; its own format otherwise."""
    found = resolved("centos8-efi")
    content = node_tree(found).by_path()["/etc/NetworkManager/conf.d/90-imgbuild.conf"].content
    assert b"\nunmanaged-devices+=interface-name:cilium*;interface-name:lxc*\n" in content
    if shutil.which("NetworkManager"):
        (tmp_path / "90.conf").write_bytes(content)
        argv = ["NetworkManager", f"--config-dir={tmp_path}", "--print-config"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert "interface-name:cilium*" in done.stdout


def test_empty_lists_have_no_check() -> None:
    found = resolved("debian12-efi", HOST, ["kernel.modules=[]", "network.unmanaged=[]", "containerd.registries={}"])
    sets = {"kernel.modules": "modules", "network.unmanaged": "network-manager"}
    names = check_names(found)
    assert names.isdisjoint(sets.values())


def test_masks() -> None:
    found = resolved("debian12-efi", HOST)
    assert set(node_tree(found).mask) >= {"swap.target", "systemd-timesyncd.service"}
    found = resolved("debian12-efi", HOST, ["firewall.disabled=false", "swap.enabled=true"])
    services = found.target.services
    assert set(node_tree(found).mask) == {*services.ntp_rivals, *services.updaters, *services.crash_dump}
    for name, dump in (("centos7-efi", "kdump.service"), ("debian12-efi", "kdump-tools.service")):
        without = node_tree(resolved(name)).mask
        reserved = node_tree(resolved(name, (), ["kernel.arguments=[quiet, crashkernel=256M]"])).mask
        assert set(without) - set(reserved) == {dump}


@pytest.mark.parametrize(
    ("name", "timers"),
    [
        ("centos7-efi", {"dnf-makecache.timer"}),
        ("centos8-bios", {"dnf-makecache.timer"}),
        ("debian12-efi", {"apt-daily.timer", "apt-daily-upgrade.timer"}),
    ],
)
@pytest.mark.parametrize("mode", ["baked", "stock"])
def test_nothing_asks_the_mirrors_by_itself(name: str, timers: set[str], mode: str) -> None:
    """dnf-makecache.service fails ten minutes after boot where there is no mirror, and failed-units with it."""
    found = resolved(name, sets=[f"mode={mode}"])
    tree = node_tree(found)
    assert timers <= set(tree.mask)
    conf = tree.by_path()["/etc/imgbuild/node.conf"].content.decode()
    (stopped,) = [line for line in conf.splitlines() if line.startswith("stop=")]
    assert all(timer in stopped for timer in timers)  # stock: it runs by the time that apply masks it


def test_boot_entries_get_the_nodes_id_where_the_target_has_them() -> None:
    unit = "imgbuild-boot-entries.service"
    for name, wanted in (("centos7-efi", False), ("centos8-efi", True), ("debian12-efi", False)):
        for layers in ([], ["container-host"]):
            tree = node_tree(resolved(name, layers))
            assert ("/usr/libexec/imgbuild/boot-entries" in tree.by_path()) == wanted
            assert (unit in tree.enable) == wanted


def test_a_unit_of_the_user_is_not_masked() -> None:
    path = "/etc/systemd/system/dnf-makecache.timer"
    found = resolved("centos8-efi", sets=[f"files=[{{path: {path}, content: mine}}]"])
    assert "dnf-makecache.timer" not in node_tree(found).mask


def test_filters() -> None:
    assert sh("a'b c") == "'a'\"'\"'b c'"
    assert toml(True) == "true"
    assert toml(["a", 1]) == '["a", 1]'
    assert to_json({"b": "é", "a": '"'}) == '{"a": "\\"", "b": "é"}'
    assert unit("/opt/%n$HOME") == "/opt/%%n$$HOME"
    assert render("node", "etc/crictl.yaml.j2", endpoint="{{ 7 * 7 }}", timeout=1).startswith(
        b"runtime-endpoint: {{ 7 * 7 }}\n"
    )
