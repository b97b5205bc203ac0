"""containerd's configuration against containerd itself (1.6, Debian's) and, for 2.x, against its documented keys."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from imgbuild.facts.drop_ins import FOLDER, drop_ins, merged
from imgbuild.render import containerd
from imgbuild.render.node import node_tree
from imgbuild.render.templates import toml
from tests.support.profiles import CASES, HOST, resolved

ONE = ["containerd.nerdctl_full.version=1.7.7"]
# docs/cri/config.md of containerd 2.0 to 2.3: where each key that imgbuild writes belongs.
V3 = {
    ("", "root"), ("", "state"),
    ("plugins.io.containerd.cri.v1.images", "snapshotter"),
    ("plugins.io.containerd.cri.v1.images", "disable_snapshot_annotations"),
    ("plugins.io.containerd.cri.v1.images.pinned_images", "sandbox"),
    ("plugins.io.containerd.cri.v1.images.registry", "config_path"),
    ("plugins.io.containerd.cri.v1.runtime.cni", "bin_dirs"),
    ("plugins.io.containerd.cri.v1.runtime.cni", "conf_dir"),
    ("plugins.io.containerd.cri.v1.runtime.containerd", "default_runtime_name"),
    ("plugins.io.containerd.cri.v1.runtime.containerd.runtimes.runc", "runtime_type"),
    ("plugins.io.containerd.cri.v1.runtime.containerd.runtimes.runc.options", "SystemdCgroup"),
    ("proxy_plugins.stargz", "type"), ("proxy_plugins.stargz", "address"),
    ("proxy_plugins.stargz.exports", "root"),
    ("proxy_plugins.stargz.exports", "enable_remote_snapshot_annotations"),
}  # fmt: skip


def _dump(tmp_path: Path, content: bytes) -> dict[str, Any]:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    done = subprocess.run(["containerd", "--config", path, "config", "dump"], capture_output=True, check=True)
    return tomllib.loads(done.stdout.decode())


def _leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key, value in table.items():
        found |= _leaves(value, (*path, key)) if isinstance(value, dict) else {(*path, key): value}
    return found


@pytest.mark.parametrize(
    ("name", "layers", "sets"),
    [
        ("debian12-efi", HOST, []),
        ("debian12-efi", ["china", *HOST], ["containerd.cgroup_driver=cgroupfs", "containerd.root=/data/c"]),
        ("centos7-efi", [], ONE),
        ("centos7-efi", [], [*ONE, "containerd.snapshotter=stargz"]),
    ],
)
def test_version_2_is_understood_key_by_key(tmp_path: Path, name: str, layers: list[str], sets: list[str]) -> None:
    found = resolved(name, layers, sets)
    content = containerd.config(found)
    # Debian's 1.6.20 has no exports of proxy plugins yet.
    ours = {p: v for p, v in _leaves(tomllib.loads(content.decode())).items() if "exports" not in p}
    del ours["imports",]  # the dump has the files that were read in place of it
    dump = _leaves(_dump(tmp_path, content))
    default = _leaves(_dump(tmp_path, b"version = 2\n"))
    for path, value in ours.items():
        assert path in dump, f"{'.'.join(path)} was dropped"
        assert dump[path] == value
        assert type(dump[path]) is type(value)
        assert path in default or path[0] == "proxy_plugins", f"{'.'.join(path)} is no key of this containerd"
    # Nothing else has changed.
    assert {p for p in dump if dump[p] != default.get(p)} <= {*ours, ("imports",)}
    driver = ("plugins", "io.containerd.grpc.v1.cri", "containerd", "runtimes", "runc", "options", "SystemdCgroup")
    assert dump[driver] is (found.profile.containerd.cgroup_driver == "systemd")


@pytest.mark.parametrize(("name", "layers"), [case for case in CASES if "distro-containerd" not in case[1]])
def test_version_3_has_documented_keys_only(name: str, layers: list[str]) -> None:
    found = resolved(name, layers)
    content = containerd.config(found)
    parsed = tomllib.loads(content.decode())
    assert parsed["version"] == 4  # containerd 2.3 converts version 3 at each start, with a warning
    assert {row[:2] for row in containerd.expectations(found)} == V3
    runtime = parsed["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is True


def test_cni_folders_by_version() -> None:
    for release, wanted in (("2.0.0", "bin_dir"), ("2.1.3", "bin_dirs"), ("2.4.0", "bin_dirs"), ("1.7.30", "bin_dir")):
        found = resolved("debian12-efi", sets=[f"containerd.nerdctl_full.containerd={release}", *SILENT])
        rows = containerd.expectations(found)
        assert {key for _, key, _ in rows if key.startswith("bin_dir")} == {wanted}


@pytest.mark.parametrize(
    ("release", "wanted"),
    [("1.6.31", False), ("1.6.32", True), ("1.7.15", False), ("1.7.16", True), ("2.0.0", True), ("2.3.3", True)],
)
def test_the_snapshotters_root_is_exported_where_containerd_asks_for_it(release: str, wanted: bool) -> None:
    """Without it CRI tells the kubelet a folder that is not there, and images are never collected."""
    found = resolved("debian12-efi", sets=[f"containerd.nerdctl_full.containerd={release}", *SILENT])
    stargz = tomllib.loads(containerd.config(found).decode())["proxy_plugins"]["stargz"]
    assert ("exports" in stargz) == wanted
    if wanted:
        assert stargz["exports"]["root"] == found.profile.containerd.stargz.root


SILENT = ["kubernetes.enabled=false", "cilium.enabled=false"]


def test_stargz_as_cri_snapshotter_on_2x() -> None:
    found = resolved("debian12-efi", sets=["containerd.snapshotter=stargz"])
    parsed = tomllib.loads(containerd.config(found).decode())
    assert parsed["plugins"]["io.containerd.cri.v1.images"]["disable_snapshot_annotations"] is False
    transfer = parsed["plugins"]["io.containerd.transfer.v1.local"]
    assert transfer == {"unpack_config": [{"platform": "linux", "snapshotter": "stargz"}]}
    assert parsed["proxy_plugins"]["stargz"]["exports"]["root"] == found.profile.containerd.stargz.root


def test_toml_text_is_exact() -> None:
    for text in ('a"b\\c', "\n\t\x00\x1f\x7f\b\f\r", "é 日本 \U0001f600", "{{ x }}", ""):
        assert tomllib.loads(f"x = {toml(text)}\n")["x"] == text


def test_units_of_the_archive_get_drop_ins() -> None:
    found = resolved("centos7-efi", sets=["containerd.buildkit.root=/opt/b%n"])
    files = node_tree(found).by_path()
    drop_in = files["/etc/systemd/system/buildkit.service.d/10-imgbuild.conf"].content.decode()
    assert "\nExecStart=\nExecStart=/usr/local/bin/buildkitd --root /opt/b%%n --oci-worker=false" in drop_in
    drop_in = files["/etc/systemd/system/stargz-snapshotter.service.d/10-imgbuild.conf"].content.decode()
    assert "--root /opt/containerd-stargz-grpc --log-level=info" in drop_in


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("1.6.20", 2),
        ("1.7.33", 2),
        ("2.0.0", 3),
        ("2.2.5", 3),
        ("2.3.0-beta.2", 3),
        ("2.3.0", 4),
        ("2.3.3", 4),
        ("2.4.1", 4),
    ],
)
def test_the_version_that_each_containerd_reads_without_converting_it(release: str, version: int) -> None:
    """ConfigVersion in version/version.go at these tags of containerd; the beta's is 3."""
    sets = [f"containerd.nerdctl_full.containerd={release}"]
    found = resolved("debian12-efi", [], sets)
    assert tomllib.loads(containerd.config(found).decode())["version"] == version


RUNTIMES = (
    "containerd.runtimes={nvidia: {default: true, options: {BinaryName: /usr/bin/nv}}, "
    "kata: {type: io.containerd.kata.v2, options: {ConfigPath: /etc/kata.toml}}, "
    "'run.sc': {type: io.containerd.runsc.v1}}"
)


def test_more_runtimes_are_understood_by_containerd_1_6(tmp_path: Path) -> None:
    found = resolved("debian12-efi", HOST, [RUNTIMES])
    content = containerd.config(found)
    dump = _leaves(_dump(tmp_path, content))
    for path, value in _leaves(tomllib.loads(content.decode())).items():
        assert path == ("imports",) or dump[path] == value
    cri = ("plugins", "io.containerd.grpc.v1.cri", "containerd")
    assert dump[*cri, "default_runtime_name"] == "nvidia"
    assert dump[*cri, "runtimes", "nvidia", "options", "SystemdCgroup"] is True
    assert dump[*cri, "runtimes", "run.sc", "runtime_type"] == "io.containerd.runsc.v1"
    assert (*cri, "runtimes", "kata", "options", "SystemdCgroup") not in dump


@pytest.mark.parametrize(("release", "version"), [("1.7.28", 2), ("2.1.3", 3), ("2.3.3", 4)])
def test_a_runtimes_own_snapshotter_by_version(release: str, version: int) -> None:
    kata = "containerd.runtimes={kata: {type: io.containerd.kata.v2, snapshotter: devmapper}}"
    parsed = tomllib.loads(
        containerd.config(
            resolved("debian12-efi", sets=[f"containerd.nerdctl_full.containerd={release}", kata, *SILENT])
        ).decode()
    )
    assert parsed["version"] == version
    plugins = parsed["plugins"]
    if version == 2:
        assert plugins["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["kata"]["snapshotter"] == "devmapper"
        return
    assert plugins["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["kata"] == {
        "runtime_type": "io.containerd.kata.v2",
        "snapshotter": "devmapper",
    }
    # Images are pulled by another plugin (internal/cri/config/config.go, RuntimePlatforms).
    assert plugins["io.containerd.cri.v1.images"]["runtime_platforms"] == {"kata": {"snapshotter": "devmapper"}}
    rows = plugins["io.containerd.transfer.v1.local"]["unpack_config"]
    assert [row["snapshotter"] for row in rows] == ["overlayfs", "devmapper"]


def drop_in(*texts: str) -> list[str]:
    files = [{"path": f"{FOLDER}/{number}.toml", "content": text} for number, text in enumerate(texts)]
    return [f"files={json.dumps(files)}"]


def test_drop_ins_are_imported_as_the_real_containerd_merges_them(tmp_path: Path) -> None:
    """1.6: a plugin's section is replaced, also by a later drop-in; lists are appended to."""
    scheduler = '[plugins."io.containerd.gc.v1.scheduler"]\n'
    first = (
        f'version = 2\noom_score = -5\ndisabled_plugins = ["io.containerd.x.v1"]\n{scheduler}pause_threshold = 0.05\n'
    )
    second = f'version = 2\ndisabled_plugins = ["io.containerd.y.v1"]\n{scheduler}startup_delay = "5ms"\n'
    found = resolved("debian12-efi", HOST, drop_in(first, second))
    (tmp_path / "conf.d").mkdir()
    for number, text in enumerate((first, second)):
        (tmp_path / f"conf.d/{number}.toml").write_text(text)
    content = containerd.config(found).replace(FOLDER.encode(), str(tmp_path / "conf.d").encode())
    dump = _leaves(_dump(tmp_path, content))
    main = tomllib.loads(containerd.config(found).decode())
    wanted = _leaves(merged(main, drop_ins(found.profile), Version("1.6.20")))
    assert wanted["disabled_plugins",] == ["io.containerd.x.v1", "io.containerd.y.v1"] and wanted["oom_score",] == -5
    assert ("plugins", "io.containerd.gc.v1.scheduler", "pause_threshold") not in wanted
    assert {path: dump.get(path) for path in wanted if path != ("imports",)} == {
        path: value for path, value in wanted.items() if path != ("imports",)
    }
    assert ("", "oom_score", "-5") in containerd.expectations(found)


def test_drop_ins_of_containerd_2_are_merged_key_by_key() -> None:
    text = "version = 4\n[plugins.'io.containerd.cri.v1.runtime']\nenable_cdi = true\n"
    text += "[proxy_plugins.stargz]\naddress = 'x'\n"
    found = resolved("debian12-efi", sets=drop_in(text))
    rows = containerd.expectations(found)
    assert ("plugins.io.containerd.cri.v1.runtime", "enable_cdi", "true") in rows
    assert ("plugins.io.containerd.cri.v1.runtime.containerd", "default_runtime_name", "runc") in rows
    assert [row for row in rows if row[0].startswith("proxy_plugins")] == [("proxy_plugins.stargz", "address", "x")]
