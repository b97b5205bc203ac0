"""`imgbuild export`: its folder is swapped in whole, is in the manifest, and stays when the nodes are built again."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgbuild.cli.main import main
from imgbuild.export.systems import SYSTEMS
from tests.support.checking import ADMIN
from tests.support.events import findings_of, of_kind, result_of

CLUSTER = """\
name: lab
nodes:
  - name: n1
    role: control-plane
    mac: "52:54:00:00:00:01"
    install_disk: serial:S1
    machine: {bmc: 'ipmi://10.0.1.11'}
"""
PROFILE = ("--profile", "debian12-efi", "--layer", "container-host", "--set", ADMIN, "--cluster", "lab.yaml")
URL = ("--image-url", "https://files.example.com/lab.raw", "--image-sha256", "5a" * 32)
PLACE = Path("out/debian12-efi")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(CLUSTER)


def run(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def export(*words: str) -> Result:
    return run("export", *words, *PROFILE)


def test_a_folder_for_each_system_with_its_place_in_the_manifest() -> None:
    done = export("--to", "metal3", "--to", "libvirt", *URL)
    assert done.exit_code == 0 and done.stdout.splitlines() == [f"{PLACE}/export/metal3", f"{PLACE}/export/libvirt"]
    groups = json.loads((PLACE / "manifest.json").read_text())["groups"]
    assert {"nodes", "cloud", "pxe", "elements", "export/metal3", "export/libvirt"} <= set(groups)
    for path, about in groups["export/metal3"]["files"].items():
        assert hashlib.sha256((PLACE / path).read_bytes()).hexdigest() == about["sha256"]
        assert stat.S_IMODE((PLACE / path).stat().st_mode) == int(about["mode"], 8)
    assert stat.S_IMODE((PLACE / "export/metal3/private").stat().st_mode) == 0o700
    assert groups["export/metal3"]["files"]["export/metal3/private/n1.yaml"]["mode"] == "0600"


def test_events_and_the_result() -> None:
    done = export("--to", "metal3", *URL, "--format", "json")
    (event,) = of_kind("exported", done.stdout)
    assert event == {"system": "metal3", "folder": f"{PLACE}/export/metal3", "files": 3}
    assert result_of(done.stdout) == {"command": "export", "exit_code": 0, "folder": str(PLACE)}


def test_nothing_is_written_if_there_is_an_error() -> None:
    done = export("--to", "metal3", "--to", "libvirt", "--format", "json")
    assert done.exit_code == 1 and [one["code"] for one in findings_of(done.stdout)] == ["IB880"]
    assert not Path("out").exists()


def test_the_checksum_is_that_of_the_image_in_the_folder_and_an_older_image_is_a_warning() -> None:
    assert run(*PROFILE, "--no-image").exit_code == 0
    leave_image("0123")
    done = export("--to", "metal3", "--image-url", "https://files.example.com/", "--format", "json")
    assert done.exit_code == 0
    (finding,) = findings_of(done.stdout)
    assert (finding["code"], finding["severity"]) == ("IB881", "warning") and "other input" in finding["message"]
    host = (PLACE / "export/metal3/hosts/n1.yaml").read_text()
    assert f"checksum: {'1b' * 32}" in host.replace('"', "") and "/debian12-efi.raw" in host
    missing = export("--to", "metal3", "--image-url", "https://files.example.com/other.raw", "--format", "json")
    (finding,) = findings_of(missing.stdout)
    assert finding["message"] == "the checksum of other.raw is not known: the output folder has debian12-efi.raw"


def leave_image(run_id: str | None = None) -> None:
    """An image in the output folder, as a build leaves it; without ``run_id`` that of the folder's own input."""
    manifest = json.loads((PLACE / "manifest.json").read_text())
    built = run_id or manifest["image_wanted"]
    image = PLACE / "image"
    image.mkdir()
    (image / "debian12-efi.raw").write_bytes(b"disk")
    (image / "SHA256SUMS").write_text(f"{'1b' * 32}  debian12-efi.raw\n")
    (image / ".run").write_text(f"{built}\n")
    manifest["groups"]["image"] = {"run": built, "files": {}}
    (PLACE / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("sets", [(), ("--set", "pxe.live=true")])
def test_an_image_of_the_same_input_is_not_called_older(sets: tuple[str, ...]) -> None:
    assert run(*PROFILE, *sets, "--no-image").exit_code == 0
    leave_image()
    done = export("--to", "metal3", "--image-url", "https://files.example.com/", *sets, "--format", "json")
    assert done.exit_code == 0 and "IB881" not in [one["code"] for one in findings_of(done.stdout)]


def test_another_system_and_a_later_build_keep_an_export_and_tell_if_it_is_older() -> None:
    assert export("--to", "metal3", *URL).exit_code == 0
    again = export("--to", "libvirt")
    assert again.exit_code == 0 and "other seeds" not in again.stderr
    same = run(*PROFILE, "--no-image")
    assert same.exit_code == 0 and "other seeds" not in same.stderr
    groups = json.loads((PLACE / "manifest.json").read_text())["groups"]
    assert {"export/metal3", "export/libvirt"} <= set(groups)
    Path("lab.yaml").write_text(CLUSTER.replace("name: n1", "name: n2"))
    other = run(*PROFILE, "--no-image")
    assert "out/debian12-efi/export/metal3 has other seeds than these nodes" in other.stderr
    assert "export/metal3" in json.loads((PLACE / "manifest.json").read_text())["groups"]
    last = export("--to", "metal3", *URL)
    assert last.exit_code == 0 and "export/libvirt has other seeds" in last.stderr
    assert "export/metal3 has other seeds" not in last.stderr
    assert [p.name for p in (PLACE / "export/metal3/hosts").iterdir()] == ["n2.yaml"]


def test_diff_shows_what_changed_and_no_seed() -> None:
    assert export("--to", "metal3", *URL, "--name", "a").exit_code == 0
    Path("lab.yaml").write_text(CLUSTER.replace("serial:S1", "serial:S2"))
    assert export("--to", "metal3", *URL, "--name", "b").exit_code == 0
    done = run("diff", "./out/a", "./out/b")
    assert "-    serialNumber: S1" in done.stdout and "+    serialNumber: S2" in done.stdout
    assert "cloud-config" not in done.stdout and "userData:" not in done.stdout.replace("  userData:", "")


@pytest.mark.parametrize(
    "words",
    [
        ("--image-url", "https://me:secret@files.example.com/a.raw"),
        ("--image-url", "ftp://files.example.com/a.raw"),
        ("--image-url", "https://files.example.com/a'b"),
        ("--image-sha256", "5a" * 32),
        ("--image-url", "https://files.example.com/", "--image-sha256", "5a" * 32),
        ("--image-url", "https://files.example.com/a.raw", "--image-sha256", "abc"),
        ("--namespace", "A_b"),
        ("--network", "a b"),
        ("--storage", "$(id)"),
        ("--memory", "1"),
    ],
)
def test_wrong_usage(words: tuple[str, ...]) -> None:
    done = export("--to", "metal3", *words)
    assert done.exit_code == 2 and not Path("out").exists()


def test_a_system_that_there_is_not() -> None:
    done = export("--to", "xen")
    assert done.exit_code == 2 and all(name in done.stderr for name in SYSTEMS)


def test_what_imgbuild_did_not_make_is_left_alone() -> None:
    assert run(*PROFILE, "--no-image").exit_code == 0
    (PLACE / "export/metal3").mkdir(parents=True)
    (PLACE / "export/metal3/mine").write_text("x")
    done = export("--to", "metal3", *URL)
    assert done.exit_code == 3 and "did not make" in done.stderr
    assert (PLACE / "export/metal3/mine").read_text() == "x"
