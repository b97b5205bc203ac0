"""The command line as a user calls it: whole processes, exit codes, what lies on disk afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from imgbuild.config.shipped import shipped
from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.manifest import mixed, read_manifest
from imgbuild.outputs.rendered import GROUPS
from tests.support.deadline import HUNG
from tests.support.events import findings_of

Done = subprocess.CompletedProcess[str]
IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))


# A user namespace in which root is user 1000: no privilege is left, and the test's own folders stay reachable.
NO_ROOT = ("unshare", "--user", "--map-user=1000")


def imgbuild(*words: str, cwd: Path, through: Sequence[str] = (), **environment: str) -> Done:
    env = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run([*through, IMGBUILD, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=HUNG)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize("profile", shipped("profiles"))
def test_every_profile_without_root_and_network(profile: str, mode: str, tmp_path: Path) -> None:
    """In a network namespace that has nothing but a loopback that is down."""
    done = imgbuild(
        "--profile", profile, "--mode", mode, "--no-image", cwd=tmp_path, through=(*NO_ROOT, "--net")
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / profile
    manifest = json.loads((out / "manifest.json").read_text())
    assert sorted(p.name for p in out.iterdir()) == [
        ".lock",
        "cloud",
        "elements",
        "manifest.json",
        "nodes",
        "pxe",
        "pxe-private",
    ]
    assert sorted(p.name for p in (out / "nodes/node1").iterdir()) == [
        "meta-data", "seed.iso", "user-data", "vendor-data",
    ]  # fmt: skip
    assert manifest["values"]["firmware"]["from"].startswith(f"profiles/{profile}.yaml:")
    for record in manifest["groups"].values():
        for path, file in record["files"].items():
            assert (out / path).stat().st_mode & 0o7777 == int(file["mode"], 8)
    for path in (out / "nodes").rglob("*"):
        if path.is_file() and path.name != ".run":
            assert path.stat().st_mode & 0o777 == 0o600


def test_the_same_input_gives_the_same_tree(tmp_path: Path) -> None:
    for name in ("a", "b"):
        done = imgbuild("--profile", "centos8-efi", "--no-image", "--output", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert listing(tmp_path / "a") == listing(tmp_path / "b")


def test_errors_in_the_input_write_nothing(tmp_path: Path) -> None:
    done = imgbuild(
        "--profile", "centos7-efi", "--no-image", "--set", "kubernets.version=1.30",
        "--set", "kubernetes.version=1.36.4", "--layer", "chian", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'did you mean "kubernetes"?' in done.stderr
    assert 'did you mean "china"?' in done.stderr
    assert "--set:1:1" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in done.stderr


def test_findings_as_json(tmp_path: Path) -> None:
    done = imgbuild("check", "--profile", "centos7-efi", "--set", "x=1", "--format", "json", cwd=tmp_path)
    assert done.returncode == 1
    [finding] = [f for f in findings_of(done.stdout) if f["severity"] == "error"]
    assert (finding["code"], finding["severity"], finding["file"], finding["line"]) == ("IB111", "error", "--set", 1)


@pytest.mark.parametrize(
    ("source", "message", "early"),
    [
        ("gone.tar.xz", "no disk image will be built: the base gone.tar.xz does not exist", True),
        ("http://127.0.0.1:9/a.qcow2", "the base: http://127.0.0.1:9/a.qcow2 cannot be fetched", False),
    ],
)
def test_a_base_that_cannot_be_had_costs_the_image_alone(
    source: str, message: str, early: bool, tmp_path: Path
) -> None:
    """What can be known is said up front; either way everything else is kept."""
    if os.geteuid() != 0:
        pytest.skip("an image needs root")
    sets = ("--set", f"base.source={source}", "--set", f"base.sha256={'ab' * 32}")
    done = imgbuild("--profile", "centos7-efi", *sets, cwd=tmp_path, IMGBUILD_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 3
    first, _, rest = done.stderr.partition("> Write")
    assert message in (first if early else rest)
    assert (tmp_path / "out/centos7-efi/nodes/node1/seed.iso").is_file()
    assert not (tmp_path / "out/centos7-efi/image").exists()


def test_usage_errors_end_with_2(tmp_path: Path) -> None:
    assert imgbuild(cwd=tmp_path).returncode == 2
    assert imgbuild("--frobnicate", cwd=tmp_path).returncode == 2
    assert imgbuild("explain", "kubernets", "--profile", "centos7-efi", cwd=tmp_path).returncode == 2
    assert imgbuild("--profile", "centos7-efi", "check", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bundle",), "name the file of the bundle"), (("serve",), "Missing argument"),
        (("centos7-efi",), "imgbuild --profile centos7-efi"), (("mine.yaml",), "imgbuild --profile mine.yaml"),
        (("--output", "x", "check", "--profile", "centos7-efi"), "put the options after the command"),
        (("--format", "json", "check", "--profile", "centos7-efi"), "put the options after the command"),
        (("--output", "", "--profile", "centos7-efi", "--no-image"), "must not be empty"),
        (("check", "--cluster", "", "--profile", "centos7-efi"), "must not be empty"),
        (("boot", ""), "must not be empty"),
    ],
)  # fmt: skip
def test_usage_errors_say_what_was_meant(words: Sequence[str], said: str, tmp_path: Path) -> None:
    done = imgbuild(*words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["[red]x[/red]", ":bug:", "é 中"])
def test_the_folder_is_named_as_it_is(name: str, tmp_path: Path) -> None:
    done = imgbuild("--profile", "centos7-efi", "--no-image", "--output", name, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == f"{name}/centos7-efi\n"
    done = imgbuild(
        "--profile", "centos7-efi", "--no-image", "--output", name, cwd=tmp_path, PYTHONIOENCODING="ascii"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_terminal_without_our_letters_and_without_a_width(form: str, tmp_path: Path) -> None:
    words = ("check", "--profile", "centos7-efi", "--format", form, "--set", "time.zone=é")
    done = imgbuild(*words, cwd=tmp_path, PYTHONIOENCODING="ascii", COLUMNS="0")
    assert done.returncode == 1 and "IB113" in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert form == "text" or findings_of(done.stdout)


@pytest.mark.parametrize("words", [("profiles",), ("doctor",), ("explain", "kernel", "--profile", "centos7-efi")])
def test_a_reader_that_has_gone_and_a_full_disk(words: Sequence[str], tmp_path: Path) -> None:
    script = '"$@" | true; exit "${PIPESTATUS[0]}"'
    for through in (("bash", "-c", script, "x"), ("bash", "-c", '"$@" >/dev/full', "x")):
        done = imgbuild(*words, cwd=tmp_path, through=through)
        assert done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
    assert "No space left on device" in done.stderr and "fix:" in done.stderr


def test_ctrl_c_at_any_moment(tmp_path: Path) -> None:
    """Half of a run is importing: it must be ended there as well, with our words and 3."""
    importing = (
        "import builtins, signal; real = __import__\n"
        "def hook(name, *rest, **more):\n"
        "  if name == 'imgbuild.pipeline': signal.raise_signal(signal.SIGINT)\n"
        "  return real(name, *rest, **more)\n"
        "builtins.__import__ = hook; from imgbuild.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", importing, "--profile", "centos7-efi", "--no-image"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3 and "interrupted" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_home(tmp_path: Path) -> None:
    """As in a container that runs as a number that nobody knows."""
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "IMGBUILD_CACHE")}
    words = ["unshare", "--user", "--map-user=4242", IMGBUILD, "--profile", "centos7-efi", "--no-image"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_second_imgbuild_waits_outside(tmp_path: Path) -> None:
    words = ("--profile", "centos7-efi", "--no-image")
    assert imgbuild(*words, cwd=tmp_path).returncode == 0
    before = listing(tmp_path)
    done = imgbuild(*words, cwd=tmp_path, through=("flock", "out/centos7-efi/.lock"))
    assert done.returncode == 3 and "another imgbuild is writing to out/centos7-efi" in done.stderr
    assert listing(tmp_path) == before


@pytest.mark.parametrize("group", ["nodes", "image"])
def test_a_folder_of_the_users_own_is_not_swapped_away(group: str, tmp_path: Path) -> None:
    (tmp_path / f"out/centos7-efi/{group}").mkdir(parents=True)
    (tmp_path / f"out/centos7-efi/{group}/thesis").write_text("two years\n")
    done = imgbuild("--profile", "centos7-efi", "--no-image", cwd=tmp_path)
    assert done.returncode == 3 and "imgbuild did not make" in done.stderr
    assert listing(tmp_path) == {f"out/centos7-efi/{group}/thesis": b"two years\n"}


def test_killed_at_any_moment_never_leaves_a_tree_that_boot_takes_for_whole(tmp_path: Path) -> None:
    """kill -9 before each exchange, each removal and the manifest: old group or new, and a mixed tree is seen."""
    folder, zones = tmp_path / "out/centos7-efi", ("Asia/Tokyo", "Europe/Rome")
    words = ("--profile", "centos7-efi", "--no-image", "--set")
    whole = []
    for zone in zones:
        assert imgbuild(*words, f"time.zone={zone}", cwd=tmp_path).returncode == 0
        whole.append({g: listing(folder / g) for g in GROUPS})
    seen = set()
    for moment in range(1, 10):
        script = (
            "import os, signal, sys; from imgbuild.outputs import tree, manifest; left = [int(sys.argv.pop(1))]\n"
            "def deadly(real):\n"
            "  def wrapped(*a, **k):\n"
            "    left[0] -= 1\n"
            "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return real(*a, **k)\n"
            "  return wrapped\n"
            "tree._exchange = deadly(tree._exchange); manifest.replace_file = deadly(manifest.replace_file)\n"
            "tree._remove = deadly(tree._remove)\n"
            "from imgbuild.cli.main import main; main()"
        )
        zone = zones[moment % 2]
        run = [sys.executable, "-c", script, str(moment), *words, f"time.zone={zone}"]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True)
        now = {g: listing(folder / g) for g in GROUPS}
        assert all(now[g] in (whole[0][g], whole[1][g]) for g in GROUPS)
        assert now in whole or mixed(folder, read_manifest(folder)), f"killed at {moment}"
        seen.add(done.returncode)
        assert imgbuild(*words, f"time.zone={zones[(moment + 1) % 2]}", cwd=tmp_path).returncode == 0
        assert not mixed(folder, read_manifest(folder)) and not list(folder.glob(".new-*"))
    assert seen == {0, -9} or seen == {-9}


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = imgbuild("--profile", "debian12-efi", "--no-image", "--output", "file", cwd=tmp_path)
    assert done.returncode == 3
    assert "pass another folder with --output" in done.stderr


def test_explain_tells_every_place(tmp_path: Path) -> None:
    done = imgbuild("explain", "time.zone", "--profile", "centos7-efi", "--layer", "china", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, last = (line for line in done.stdout.splitlines() if line.startswith("time.zone = "))
    assert first.startswith('time.zone = "UTC"  (profiles/base.yaml:')
    assert last.startswith('time.zone = "Asia/Shanghai"  (profiles/layers/china.yaml:')


def test_diff_shows_what_a_profile_changes(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        'extends: centos8-efi\nkernel: {sysctl: {vm.swappiness: 7}}\n'
        'files: [{path: /etc/mine, content: "hello\\n"}]\n'
    )  # fmt: skip
    done = imgbuild("diff", "centos8-efi", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    added = [line for line in done.stdout.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert any("vm.swappiness" in line and "7" in line for line in added)
    assert "+hello" in added
    assert imgbuild("diff", "centos8-efi", "centos8-efi", cwd=tmp_path).stdout == ""


def test_secrets_stay_out_of_words_and_manifest(tmp_path: Path) -> None:
    secret = "$6$saltsalt$" + "Zq9" * 20
    (tmp_path / "mine.yaml").write_text(
        f"extends: debian12-efi\nusers: [{{name: ops, hashed_password: '{secret}'}}]\n"
        'files: [{path: /etc/token, content: "s3cr3t-token", mode: "0600"}]\nrun: ["echo s3cr3t-run"]\n'
    )  # fmt: skip
    done = imgbuild("--profile", "mine.yaml", "--no-image", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr + (tmp_path / "out/mine/manifest.json").read_text()
    explained = imgbuild("explain", "users", "--profile", "mine.yaml", cwd=tmp_path).stdout
    for word in (secret, "s3cr3t"):
        assert word not in said + explained
    (tmp_path / "other.yaml").write_text("extends: debian12-efi\n")
    shown = imgbuild("diff", "other.yaml", "mine.yaml", cwd=tmp_path).stdout
    assert "+(secret)" in shown and "s3cr3t" not in shown
    carriers = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and b"s3cr3t" in p.read_bytes()]
    assert carriers
    for path in carriers:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_mixed_tree_is_not_booted(tmp_path: Path) -> None:
    assert imgbuild("--profile", "debian12-efi", "--no-image", cwd=tmp_path).returncode == 0
    (tmp_path / "out/debian12-efi/pxe/.run").write_text("other\n")
    done = imgbuild("boot", "out/debian12-efi", "--check", cwd=tmp_path)
    assert done.returncode == 3
    assert "pxe/ is from another run than the manifest" in done.stderr
    assert imgbuild("boot", "nowhere", cwd=tmp_path).returncode == 3


HEAD = '"firmware": "efi", "image_wanted": "x", "groups"'
DAMAGED = [
    "", "5", "null", "[]", "{}", '{"groups": 5}', "[" * 100_000, "\0" * 50,
    f'{{{HEAD}: {{"nodes": 5}}}}', f"{{{HEAD}: {{}}}}",
    f'{{{HEAD}: {{"nodes": {{"run": "x"}}, "image": {{}}}}}}', f'{{{HEAD}: {{"nodes": {{"run": "x", "nodes": 7}}}}}}',
    f'{{{HEAD}: {{"nodes": {{"run": "x"}}, "pxe": 5}}}}',
]  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `imgbuild --profile debian12-efi --no-image` writes."""
    folder = tmp_path_factory.mktemp("built")
    assert imgbuild("--profile", "debian12-efi", "--no-image", cwd=folder).returncode == 0
    return folder / "out/debian12-efi"


@pytest.mark.parametrize("text", DAMAGED, ids=[text[:60] for text in DAMAGED])
def test_a_damaged_manifest_is_said_and_built_over(text: str, built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out/debian12-efi"
    shutil.copytree(built, folder)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(HostError, match="is not an imgbuild manifest"):
        read_manifest(folder)
    assert imgbuild("--profile", "debian12-efi", "--no-image", cwd=tmp_path).returncode == 0
    assert mixed(folder, read_manifest(folder)) == []


def test_a_damaged_manifest_is_not_booted(built: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built, tmp_path / "out")
    (folder / "manifest.json").write_text("[]")
    done = imgbuild("boot", "out", cwd=tmp_path)
    assert done.returncode == 3 and "is not an imgbuild manifest" in done.stderr and "Traceback" not in done.stderr


def test_without_root_all_but_the_image_is_written(tmp_path: Path) -> None:
    done = imgbuild("--profile", "debian12-efi", cwd=tmp_path, through=NO_ROOT, IMGBUILD_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 3
    first, _, rest = done.stderr.partition("> Write")
    assert "no disk image will be built: not root" in first
    assert "fix: run imgbuild with sudo" in rest
    assert (tmp_path / "out/debian12-efi/nodes/node1/seed.iso").is_file()
    assert (tmp_path / "out/debian12-efi/manifest.json").is_file()


def test_a_dead_mirror_is_named_and_the_old_image_stays(tmp_path: Path) -> None:
    image = tmp_path / "out/debian12-efi/image/debian12-efi.qcow2"
    image.parent.mkdir(parents=True)
    image.write_text("the last good one")
    (image.parent / ".run").write_text("an earlier one\n")
    done = imgbuild(
        "--profile", "debian12-efi", "--layer", "distro-containerd", "--layer", "container-host",
        "--set", "repositories.distribution=[http://127.0.0.1:9/debian]", cwd=tmp_path,
        IMGBUILD_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert done.returncode == 3
    assert "the Debian mirror http://127.0.0.1:9/debian does not answer" in done.stderr
    assert "set another mirror in repositories.distribution" in done.stderr
    assert image.read_text() == "the last good one"
