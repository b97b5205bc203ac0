"""`imgbuild lock` against publishers on the loopback device, and builds beside the lock."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from imgbuild.cli.main import main
from imgbuild.config.data import versions
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Finding, Findings
from imgbuild.facts import outside
from imgbuild.facts.images import Image, cilium_images
from imgbuild.facts.registries import Source
from imgbuild.fetch import pin
from imgbuild.fetch.images import Blob, Found
from imgbuild.fetch.pinned import pinned as pinned_files
from imgbuild.fetch.registry import ImageMissingError, Registries
from imgbuild.pipeline import Input, Request, prepare
from tests.support.checking import ADMIN
from tests.support.events import of_kind, result_of
from tests.support.places import ROOT
from tests.support.publishers import Publishers, publishers, sha256

ENVOY = next(image.name for image in cilium_images("1.19.6", {}) if image.part == "cilium envoy")
NEWEST = {"helm": "4.3.0", "nerdctl": "2.3.5", "cilium": "1.19.6", "kubernetes": "1.35.8"}


def there(asked: Registries, image: Image, places: Sequence[Source]) -> Found:
    """An image that its registry has."""
    root = Blob("application/vnd.oci.image.manifest.v1+json", f"sha256:{sha256(image.reference.encode())}", 100)
    return Found(image, places[0], root, root, {}, (Blob("application/vnd.oci.image.layer", root.digest, 4096),))


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publishers]:
    """The publishers, with the versions of the shipped profiles; registries that have every image; an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IMGBUILD_STORE", raising=False)
    with publishers() as found:
        monkeypatch.setattr(outside, "versions", lambda name: found.origins() if name == "origins" else versions(name))
        monkeypatch.setattr(pin, "find", there)
        found.helm(NEWEST["helm"])
        found.nerdctl(NEWEST["nerdctl"], "2.3.3")
        found.chart("cilium", NEWEST["cilium"])
        yield found


def profile(servers: Publishers, text: str = "", base: str = "debian12-efi") -> None:
    """node.yaml, whose addresses are those of the stand-ins; the checksums of base.yaml are not theirs."""
    url = servers.url
    data = {
        "extends": base,
        "helm": {"urls": [f"{url}/helm/helm-v4.3.0-linux-amd64.tar.gz"]},
        "containerd": {
            "nerdctl_full": {
                "urls": [f"{url}/nerdctl/releases/download/v2.3.5/nerdctl-full-2.3.5-linux-amd64.tar.gz"],
            }
        },
        "cilium": {"repository": f"{url}/charts"},
    }
    data["helm"]["sha256"] = sha256(servers.files["/helm/helm-v4.3.0-linux-amd64.tar.gz"])  # type: ignore[index]
    full = data["containerd"]["nerdctl_full"]  # type: ignore[index]
    full["sha256"] = sha256(b"nerdctl-full-2.3.5-linux-amd64.tar.gz")
    users = yaml.safe_load(ADMIN.partition("=")[2])
    Path("node.yaml").write_text(yaml.safe_dump(data | {"users": users}) + text)


def lock(*words: str, code: int = 0, packages: bool = False) -> Result:
    more = [] if packages else ["--no-packages"]
    done = CliRunner().invoke(main, ["lock", "--profile", "node.yaml", *more, *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def pins(name: str = "node") -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = yaml.safe_load(Path("imgbuild.lock").read_text())["profiles"][name]
    return found


def built(*sets: str, **more: object) -> Input:
    return prepare(Request("node.yaml", (), sets, **more), Findings())  # type: ignore[arg-type]


def said(*sets: str, profile: str = "node.yaml", **more: object) -> Sequence[Finding]:
    findings = Findings()
    try:
        prepare(Request(profile, (), sets, **more), findings)  # type: ignore[arg-type]
    except InvalidInput as error:
        findings = error.findings
    return [each for each in findings.items if each.code.startswith("IB81") or each.severity == "error"]


def test_a_lock_pins_files_and_images_and_a_build_uses_it(servers: Publishers) -> None:
    profile(servers)
    done = lock()
    found = pins()
    assert set(found["files"]) == {"cilium", "helm", "nerdctl-full"}
    assert found["files"]["helm"] == {
        "kind": "archive",
        "version": "4.3.0",
        "urls": [f"{servers.url}/helm/helm-v4.3.0-linux-amd64.tar.gz"],
        "size": len(b"helm4.3.0"),
        "sha256": sha256(b"helm4.3.0"),
        "obtained": "publisher",
        "checksum_from": f"{servers.url}/helm/helm-v4.3.0-linux-amd64.tar.gz.sha256sum",
    }
    assert found["files"]["cilium"]["obtained"] == "index"  # type: ignore[index]
    assert len(found["images"]) == 9 and "added quay.io/cilium/cilium:v1.19.6" in done.output
    ready = built()
    chart = ready.resolved.profile.cilium.chart
    assert chart is not None and chart.sha256 == sha256(b"cilium 1.19.6")
    assert ready.pinned is not None and not said()
    conf = next(f for f in ready.rendered.install.files if f.path == "/etc/imgbuild/install.conf").content.decode()
    assert sha256(b"cilium 1.19.6") in conf and sha256(b"helm4.3.0") in conf
    place = ready.resolved.layered.mark(("cilium", "chart", "sha256"))
    assert place is not None and place.file == "imgbuild.lock" and place.line > 1


def test_a_second_run_asks_nobody_and_changes_nothing(servers: Publishers) -> None:
    profile(servers)
    lock()
    before, asked = Path("imgbuild.lock").read_bytes(), list(servers.asked)
    stamp = Path("imgbuild.lock").stat().st_mtime_ns
    assert "none changed" in lock().output
    assert (Path("imgbuild.lock").read_bytes(), servers.asked) == (before, asked)
    assert Path("imgbuild.lock").stat().st_mtime_ns == stamp
    lock("--update", "all")
    assert Path("imgbuild.lock").read_bytes() == before and len(servers.asked) > len(asked)


def test_a_version_that_nobody_has_pinned_yet(servers: Publishers) -> None:
    profile(servers)
    servers.nerdctl("9.4.0", "2.9.1")
    lock("--update", "nerdctl=9.4.0")
    assert pins()["updates"] == {"nerdctl": {"version": "9.4.0", "instead_of": "2.3.5"}}
    archive = built().resolved.profile.containerd.nerdctl_full
    assert (archive.version, archive.containerd) == ("9.4.0", "2.9.1")
    assert archive.sha256 == sha256(b"nerdctl-full-9.4.0-linux-amd64.tar.gz")
    assert archive.urls == [
        f"{servers.url}/nerdctl/releases/download/v9.4.0/nerdctl-full-9.4.0-linux-amd64.tar.gz",
    ]
    asked = len(servers.asked)
    lock()  # it stays
    assert pins()["updates"] and len(servers.asked) == asked
    lock("--update", "nerdctl=2.3.5")
    assert "updates" not in pins() and built().resolved.containerd == "2.3.3"


def test_a_version_of_the_users_profile_needs_no_checksum(servers: Publishers) -> None:
    """Setting helm.version alone is enough: urls and sha256 follow."""
    profile(servers)
    wanted = servers.helm("4.3.9")
    lock("--set", "helm.version=4.3.9")
    helm = built("helm.version=4.3.9").resolved.profile.helm
    assert (helm.sha256, helm.urls) == (wanted, [f"{servers.url}/helm/helm-v4.3.9-linux-amd64.tar.gz"])
    (found,) = said()  # the profile itself still has 4.3.0
    assert found.code == "IB812" and found.key == "helm.version"
    assert (
        "the profile has 4.3.0, the lock 4.3.9" in found.message and "imgbuild lock --profile node.yaml" in found.hint
    )


def test_binaries_of_kubernetes_come_with_the_lock(servers: Publishers) -> None:
    profile(servers, "kubernetes: {source: binaries}\n")
    sums = servers.kubernetes(NEWEST["kubernetes"])
    sums["crictl"] = servers.crictl("1.35.0")
    assert {each.code for each in said()} == {"IB210"}
    lock()
    found = built().resolved.profile.kubernetes.binaries
    assert {name: binary.sha256 for name, binary in found.items()} == sums
    more = servers.kubernetes("1.35.99") | {"crictl": servers.crictl("1.35.1")}
    lock("--update", "kubernetes=1.35.99", "--update", "crictl=1.35.1")
    ready = built()
    assert ready.resolved.profile.kubernetes.version == "1.35.99"
    found = ready.resolved.profile.kubernetes.binaries
    assert {name: binary.sha256 for name, binary in found.items()} == more
    assert "registry.k8s.io/kube-apiserver:v1.35.99" in pins()["images"]


def test_all_failures_are_told_at_once_and_nothing_is_written(
    servers: Publishers, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(servers)
    lock()
    before = Path("imgbuild.lock").read_bytes()
    servers.files = {}

    def missing(asked: Registries, image: Image, places: Sequence[Source]) -> Found:
        raise ImageMissingError("no such manifest", "check the name")

    monkeypatch.setattr(pin, "find", missing)
    done = lock("--update", "all", "--format", "json", code=3)
    errors = [each["message"] for each in of_kind("error", done.output)]
    assert len(errors) == 12 and result_of(done.output)["exit_code"] == 3
    assert any(each.startswith("helm: no address has it") for each in errors)
    assert any("quay.io/cilium/cilium:v1.19.6: no such manifest" in each for each in errors)
    assert Path("imgbuild.lock").read_bytes() == before


def test_a_checksum_of_the_profile_that_the_publisher_contradicts_is_refused(servers: Publishers) -> None:
    profile(servers)
    servers.helm("4.3.0", b"another")
    done = lock(code=3)
    assert "helm: its sha256 is" in done.output and "by helm.sha256" in done.output
    assert not Path("imgbuild.lock").exists()


def test_what_nobody_publishes_is_seen_once(servers: Publishers) -> None:
    servers.files["/metrics.yaml"] = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: m}\n"
    servers.chart("ingress", "4.11.3", digest=False, at="/more")
    servers.chart("known", "1.2.3", at="/more")
    profile(
        servers,
        f"""
addons:
  - {{name: metrics, url: '{servers.url}/metrics.yaml'}}
  - {{name: ingress, chart: ingress, repository: '{servers.url}/more', version: 4.11.3}}
  - {{name: known, chart: known, repository: '{servers.url}/more', version: 1.2.3}}
""",
    )
    assert {each.code for each in said()} == {"IB682"}
    lock()
    how = {name: (one["obtained"], one["kind"]) for name, one in pins()["files"].items() if "/" in name}  # type: ignore[index]
    assert how == {
        "addons/metrics": ("seen", "manifest"), "addons/ingress": ("seen", "chart"), "addons/known": ("index", "chart"),
    }  # fmt: skip
    found = {addon.name: addon.sha256 for addon in built().resolved.profile.addons}
    assert found == {
        "metrics": sha256(servers.files["/metrics.yaml"]),
        "ingress": sha256(b"ingress 4.11.3"),
        "known": sha256(b"known 1.2.3"),
    }
    # What was seen once stays, whatever is there now: that is what the build would refuse.
    servers.files["/metrics.yaml"] = b"changed"
    lock()
    assert pins()["files"]["addons/metrics"]["sha256"] == found["metrics"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "now", "then"),
    [
        ("base", "{url}/b/base.qcow2", "{url}/a/base.qcow2"),
        ("manifest", "{url}/b/base.qcow2", "{url}/a/base.qcow2"),
        ("chart", "{url}/a/other", "{url}/a/web"),
        ("repository", "{url}/b/web", "{url}/a/web"),
        ("no digest", "{url}/b/web", "{url}/a/web"),
    ],
)
def test_another_file_of_the_same_version_is_pinned_again(servers: Publishers, kind: str, now: str, then: str) -> None:
    """The name in the lock and the version stay: only the address, the repository or the chart tells them apart."""
    digest = kind != "no digest"
    for chart, at in (("web", "/a"), ("other", "/a"), ("web", "/b")):
        servers.chart(chart, "1.2.3", digest=digest, at=at)
        servers.files[f"{at}/base.qcow2"] = at.encode()

    def text(address: str) -> str:
        url = address.format(url=servers.url)
        repository, _, chart = url.rpartition("/")
        if kind == "base":
            return f"base: {{source: '{url}'}}\n"
        one = f"url: '{url}'" if kind == "manifest" else f"chart: {chart}, repository: '{repository}/', version: 1.2.3"
        return f"addons: [{{name: x, {one}}}]\n"

    on = "centos8-efi" if kind == "base" else "debian12-efi"
    profile(servers, text(then), base=on)
    lock()
    assert not said()
    profile(servers, text(now), base=on)
    (found,) = said()
    name = "base" if kind == "base" else "addons/x"
    assert found.code == "IB812" and found.hint == "run imgbuild lock --profile node.yaml --no-packages"
    assert found.message == f"{name}: the profile has {now}, the lock {then}".replace("{url}", servers.url)
    assert found.mark is not None and found.mark.file == "node.yaml"
    assert f"changed {name}" in lock().output and not said()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"urls": ["https://[::1/web.tgz"]}, "has no address of web 1"),
        ({"urls": "web-1.tgz"}, "has no address of web 1"),
        ({"urls": 5}, "has no address of web 1"),
        ({"urls": [None, 5]}, "has no address of web 1"),
        ({"urls": ["{login}"]}, "the answer of a server cannot be pinned: urls: invalid value 'http://(not shown)@"),
        ({"digest": "Z" * 64}, ""),
        ({"digest": ["a"]}, ""),
        ({"digest": "{upper}"}, ""),
    ],
)
def test_an_index_of_charts_can_have_anything(servers: Publishers, row: dict[str, object], why: str) -> None:
    """The version, too: one number is enough for an addon."""
    wanted = servers.chart("web", "1")
    texts = {"{login}": servers.url.replace("//", "//me:secret@") + "/charts/web-1.tgz", "{upper}": wanted.upper()}
    index = yaml.safe_load(servers.files["/charts/index.yaml"])
    for key, value in row.items():
        one = texts.get(value, value) if isinstance(value, str) else value
        index["entries"]["web"][0][key] = [texts.get(each, each) for each in one] if isinstance(one, list) else one
    servers.files["/charts/index.yaml"] = yaml.safe_dump(index).encode()
    addon = f"addons: [{{name: x, chart: web, repository: '{servers.url}/charts', version: '1'}}]\n"
    profile(servers, addon)
    done = lock(code=3 if why else 0)
    assert why in done.output and "secret" not in done.output
    if not why:
        assert pins()["files"]["addons/x"]["sha256"] == wanted and not said()  # type: ignore[index]


def test_an_image_of_a_size_that_cannot_be(servers: Publishers, monkeypatch: pytest.MonkeyPatch) -> None:
    def huge(asked: Registries, image: Image, places: Sequence[Source]) -> Found:
        found = there(asked, image, places)
        return replace(found, blobs=(replace(found.blobs[0], size=-1),))

    profile(servers)
    monkeypatch.setattr(pin, "find", huge)
    done = lock(code=3)
    assert "kube-apiserver:v1.35.8: the answer of a server cannot be pinned: size: -1 is out of range" in done.output


def test_without_the_publisher_the_profiles_own_checksum_counts(servers: Publishers) -> None:
    profile(servers)
    del servers.files["/helm/helm-v4.3.0-linux-amd64.tar.gz.sha256sum"]
    lock()
    assert pins()["files"]["helm"]["obtained"] == "profile"  # type: ignore[index]


def test_a_base_image_is_pinned_by_the_distributions_checksum_file(servers: Publishers) -> None:
    disk = b"qcow2"
    servers.files["/images/base.qcow2"] = disk
    servers.files["/images/CHECKSUM"] = f"# base.qcow2: 5 bytes\nSHA256 (base.qcow2) = {sha256(disk)}\n".encode()
    text = f"base: {{source: '{servers.url}/images/base.qcow2'}}\n"
    profile(servers, text, base="centos8-efi")
    assert {each.code for each in said()} == {"IB430"}
    lock()
    assert built().resolved.profile.base.sha256 == sha256(disk)
    assert built(mode="stock").resolved.profile.base.sha256 == sha256(disk)


def test_the_mirrors_of_a_layer_are_pinned_with_the_origin(servers: Publishers) -> None:
    profile(servers)
    servers.files["/mirror/helm-v4.3.9.tgz"] = servers.files.get("/helm/helm-v4.3.9-linux-amd64.tar.gz", b"")
    wanted = servers.helm("4.3.9")
    mirror = f"{servers.url}/mirror/v4.3.0/helm-v4.3.0-linux-amd64.tar.gz"
    lock("--set", f"helm.urls=['{mirror}', '{servers.url}/helm/helm-v4.3.0-linux-amd64.tar.gz']",
         "--update", "helm=4.3.9")  # fmt: skip
    assert pins()["files"]["helm"]["sha256"] == wanted  # type: ignore[index]
    assert pins()["files"]["helm"]["urls"] == [  # type: ignore[index]
        f"{servers.url}/mirror/v4.3.9/helm-v4.3.9-linux-amd64.tar.gz",
        f"{servers.url}/helm/helm-v4.3.9-linux-amd64.tar.gz",
    ]


def test_profiles_of_a_folder_share_a_lock(servers: Publishers) -> None:
    profile(servers)
    lock()
    Path("other.yaml").write_text(Path("node.yaml").read_text())
    (found,) = said(profile="other.yaml")
    assert found.code == "IB811" and "only of node" in found.message
    assert found.mark is not None and found.mark.file == "imgbuild.lock"
    assert not said(profile="other.yaml", lock=False)
    runner = CliRunner()
    assert runner.invoke(main, ["lock", "-p", "other.yaml", "--no-packages"]).exit_code == 0
    assert not said(profile="other.yaml") and not said()


def test_two_runs_at_once_lose_no_pins(servers: Publishers) -> None:
    profile(servers)
    names = [f"n{number}" for number in range(4)]
    for name in names:
        Path(f"{name}.yaml").write_text(Path("node.yaml").read_text())
    from imgbuild.cli.lock import _alone, _lock  # threads cannot share click's runner
    from imgbuild.cli.options import Given
    from imgbuild.cli.output import Says

    def run(name: str) -> None:
        path = Path("imgbuild.lock")
        with _alone(path):
            _lock(Says("json"), Given(f"{name}.yaml"), None, (), path, None, packages=False)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(yaml.safe_load(Path("imgbuild.lock").read_text())["profiles"]) == names


def test_a_missing_and_a_spare_pin(servers: Publishers) -> None:
    profile(servers)
    lock()
    whole = yaml.safe_load(Path("imgbuild.lock").read_text())
    files, images = whole["profiles"]["node"]["files"], whole["profiles"]["node"]["images"]
    del files["helm"], images["quay.io/cilium/cilium:v1.19.6"]
    files["addons/old"] = files["cilium"]
    Path("imgbuild.lock").write_text(yaml.safe_dump(whole))
    found = {(each.code, each.severity.value): each for each in said()}
    assert set(found) == {("IB814", "error"), ("IB815", "info")}
    texts = [each.message for each in said()]
    assert "not pinned: helm" in texts and "images that are not pinned: quay.io/cilium/cilium:v1.19.6" in texts
    assert "pins that this build does not use: addons/old" in texts
    assert all(each.mark is not None and each.mark.file == "imgbuild.lock" for each in said())
    lock()
    assert not said()


def test_an_image_of_the_cluster_file_alone_is_a_warning(servers: Publishers) -> None:
    profile(servers)
    lock()
    Path("lab.yaml").write_text(
        "name: lab\nvip: {address: 10.1.0.100}\nnodes:\n  - name: cp1\n    role: control-plane\n    network: "
        "{dns: [10.1.0.1], interfaces: [{name: eth0, mac: '52:54:00:00:01:10', addresses: [10.1.0.11/24], "
        "gateway: 10.1.0.1}]}\n"
    )
    (found,) = said(cluster=Path("lab.yaml"))
    assert (found.code, found.severity.value) == ("IB814", "warning") and "kube-vip" in found.message
    assert found.hint == "run imgbuild lock --profile node.yaml --cluster lab.yaml --no-packages"
    lock("--cluster", "lab.yaml")
    assert not said(cluster=Path("lab.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("format: 1", "format: 2", "IB810", "format"),
        ("format: 1", "format: one", "IB810", "format"),
        ("    files:", "    file:", "IB111", "profiles.node.file"),
        ("obtained: index", "obtained: dreamt", "IB113", "profiles.node.files.cilium.obtained"),
        ("sha256: ", "sha256: x", "IB113", "profiles.node.files.cilium.sha256"),
        ("kind: chart", "kind: chart\n        kind: chart", "IB102", "profiles.node.files.cilium.kind"),
        ("digest: sha256:", "digest: ", "IB113", "profiles.node.images"),
        ("    images:", "   images:", "IB101", ""),
        ("profiles:", "profile:", "IB111", "profile"),
    ],
)
def test_a_lock_edited_by_hand(servers: Publishers, old: str, new: str, code: str, where: str) -> None:
    profile(servers)
    lock()
    path = Path("imgbuild.lock")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = [each for each in said() if each.code == code]
    assert found and found[0].key.startswith(where) and found[0].mark is not None
    assert found[0].mark.file == "imgbuild.lock" and found[0].mark.line >= 1 and found[0].mark.column >= 1
    assert ", and run imgbuild lock for each" in found[0].hint
    lock(code=1)
    path.unlink()  # the fix, as it is told
    lock()
    assert not said()


@pytest.mark.parametrize("words", [["--update", "foo"], ["--update", "helm=latest"], ["--update", "cilium=v1.19.6"],
                                   ["--update", "all=1.2.3"], ["--update", "crictl=1.35.1"],
                                   ["--update", "kubernetes"],
                                   ["--update", "helm=4.3.1", "--update", "helm=4.3.2"]])  # fmt: skip
def test_wrong_usage(servers: Publishers, words: list[str]) -> None:
    profile(servers)
    done = lock(*words, code=2)
    assert "error: " in done.output and "fix: " in done.output and not servers.asked


def test_json(servers: Publishers) -> None:
    profile(servers)
    done = lock("--format", "json")
    rows = of_kind("pin", done.output)
    assert len(rows) == 12 and {row["change"] for row in rows} == {"added"}
    assert result_of(done.output)["pins"] == 12
    page = (ROOT / "docs/reference/json.md").read_text()
    section, result = (page.partition(f"\n## {name}\n")[2].partition("\n## ")[0] for name in ("pin", "result"))
    assert not [name for row in rows for name in row if f"`{name}`" not in section]
    assert not [name for name in ("file", "changed", "pins") if f"| `{name}` | `lock` |" not in result]


@pytest.mark.parametrize(
    ("everybody", "settings", "mode"),
    [
        (True, "addons: [{name: a, url: '{url}/a.yaml'}, {name: b, url: '{url}/b.yaml'}]", "baked"),
        (True, "kubernetes: {source: binaries}", "stock"),
        (False, "kubernetes: {source: binaries}", "stock"),
        (False, "containerd: {images: [{name: b, urls: ['{url}/b.yaml'], sha256: '{sum}'}]}", "stock"),
    ],
)
def test_what_the_settings_of_a_cluster_file_need_is_pinned(
    servers: Publishers, everybody: bool, settings: str, mode: str
) -> None:
    """The fix of IB814 is to run lock with the cluster file, which pinned images alone."""
    servers.files["/a.yaml"], servers.files["/b.yaml"] = b"kind: A", b"kind: B"
    servers.kubernetes("1.35.8")
    servers.crictl("1.35.0")
    profile(servers, f"addons: [{{name: a, url: '{servers.url}/a.yaml'}}]\n")
    text = settings.replace("{url}", servers.url).replace("{sum}", sha256(b"kind: B"))
    node = "{name: cp1, role: control-plane" + ("" if everybody else f", settings: {{{text}}}") + "}"
    own = f"settings: {{{text}}}\n" if everybody else ""
    Path("lab.yaml").write_text(f"name: lab\n{own}nodes: [{node}]\n")
    lock("--mode", mode)
    found = [each for each in said(cluster=Path("lab.yaml"), mode=mode) if each.code == "IB814"]
    assert found and "--cluster lab.yaml" in found[0].hint
    lock("--mode", mode, "--cluster", "lab.yaml")
    assert not said(cluster=Path("lab.yaml"), mode=mode)


def test_a_nodes_own_version_has_to_be_pinned_too(servers: Publishers) -> None:
    profile(servers)
    lock("--mode", "stock")
    own = "{containerd: {nerdctl_full: {version: 2.3.3}}}"
    Path("lab.yaml").write_text(
        f"name: lab\nnodes:\n  - {{name: cp1, role: control-plane}}\n  - {{name: w1, role: worker, settings: {own}}}\n"
    )
    found = [each for each in said(cluster=Path("lab.yaml"), mode="stock") if each.code == "IB812"]
    assert len(found) == 1 and "nerdctl-full: the profile has 2.3.3, the lock 2.3.5" in found[0].message
    assert found[0].mark is not None and (found[0].mark.file, found[0].mark.line) == ("lab.yaml", 4)
    assert found[0].hint.startswith("set it in the profile"), "one lock cannot pin both"
    both = said("helm.version=4.2.0", cluster=Path("lab.yaml"), mode="stock")
    (other,) = (each for each in both if "helm" in each.key)
    assert other.code == "IB812" and other.hint.startswith("run imgbuild lock")


def test_a_link_to_a_lock_stays_one(servers: Publishers) -> None:
    profile(servers)
    Path("shared").mkdir()
    Path("imgbuild.lock").symlink_to("shared/all.lock")
    Path("shared/all.lock").write_text("format: 1\nprofiles: {}\n")
    lock()
    assert Path("imgbuild.lock").is_symlink() and "helm:" in Path("shared/all.lock").read_text()


def test_the_profiles_proxy_is_used(servers: Publishers, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(servers, "proxy: {http: 'http://127.0.0.1:9'}\n")  # nothing listens there
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    text = (
        Path("node.yaml")
        .read_text()
        .replace("127.0.0.1:", "publisher.test:")
        .replace("publisher.test:9'", "127.0.0.1:9'")
    )
    Path("node.yaml").write_text(text)
    done = lock(code=3)
    assert "the proxy: Connection refused" in done.output
    assert "cannot be resolved" not in done.output


def test_a_mirror_is_one_line_for_all_files_of_an_origin(servers: Publishers) -> None:
    """Also for what only the lock finds: the chart's address in the index, the programs of dl.k8s.io."""
    mirror = "https://files.example.com"
    profile(servers, f"kubernetes: {{source: binaries}}\nmirrors: {{'{servers.url}/': ['{mirror}/v{{version}}']}}\n")
    servers.kubernetes(NEWEST["kubernetes"])
    servers.crictl("1.35.0")
    wanted = servers.helm("4.3.9")
    lock("--update", "helm=4.3.9")
    found = built().resolved.profile
    path = "/helm/helm-v4.3.9-linux-amd64.tar.gz"
    assert found.helm.urls == [f"{mirror}/v4.3.9{path}", f"{servers.url}{path}"]
    assert found.helm.sha256 == wanted
    chart = found.cilium.chart
    assert chart is not None and chart.urls[0] == f"{mirror}/v1.19.6/charts/cilium-1.19.6.tgz"
    kubelet = found.kubernetes.binaries["kubelet"].urls
    assert kubelet[0] == f"{mirror}/v1.35.8/release/v1.35.8/bin/linux/amd64/kubelet" and len(kubelet) == 2
    assert not said()


def test_the_base_image_comes_from_a_mirror_too(servers: Publishers) -> None:
    profile(servers, "mirrors: {'https://cloud.centos.org': ['http://m.test/centos/']}\n", base="centos8-efi")
    (base,) = (one for one in pinned_files(built().resolved) if "GenericCloud" in one.name)
    assert [url.partition("/centos/")[0] for url in base.urls] == ["http://m.test", "https://cloud.centos.org"]


def test_the_chart_decides_about_the_digests_that_it_requests(servers: Publishers) -> None:
    """Envoy is requested by digest: what a registry has under its tag would not be used."""
    wanted = f"sha256:{'d' * 64}"
    inside = (
        f"envoy:\n  image: {{repository: quay.io/cilium/cilium-envoy, digest: '{wanted}', useDigest: true}}\n".encode()
    )
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("cilium/values.yaml")
        member.size = len(inside)
        tar.addfile(member, io.BytesIO(inside))
    data = out.getvalue()
    index = servers.files["/charts/index.yaml"].decode()
    servers.files["/charts/index.yaml"] = index.replace(sha256(b"cilium 1.19.6"), sha256(data)).encode()
    servers.files["/charts/cilium-1.19.6.tgz"] = data
    profile(servers, "images: {preload: true}\n")
    lock()
    found = {name: one["digest"] for name, one in pins()["images"].items()}  # type: ignore[index]
    (envoy,) = (digest for name, digest in found.items() if "cilium-envoy" in name)
    assert envoy == f"sha256:{sha256(f'{ENVOY}@{wanted}'.encode())}", "it was asked for by the chart's digest"
    assert "@" not in "".join(found)
    assert {image.part: image.digest for image in built().preload}["cilium envoy"] == envoy


def test_an_update_of_kubernetes_reaches_packages_and_images(servers: Publishers) -> None:
    """With packages there is no file to pin: the version and the images follow."""
    profile(servers)
    lock("--update", "kubernetes=1.35.9")
    ready = built()
    assert ready.resolved.profile.kubernetes.version == "1.35.9" and not said()
    conf = next(f for f in ready.rendered.install.files if f.path == "/etc/imgbuild/install.conf").content.decode()
    assert "KUBERNETES_VERSION=1.35.9" in conf.replace("'", "")
    assert "registry.k8s.io/kube-apiserver:v1.35.9" in pins()["images"]
    Path("node.yaml").write_text(Path("node.yaml").read_text() + "kubernetes: {version: 1.36.4}\n")
    (found,) = (each for each in said() if each.code == "IB812")
    assert "kubernetes is 1.36.4 here, and the lock has 1.35.9 in place of 1.35.8" in found.message
    assert "is dropped" in lock().output
    assert "updates" not in pins() and not said()


def test_a_shipped_profile_has_its_lock_in_the_current_folder(servers: Publishers) -> None:
    sets = [word for text in servers.sets() for word in ("--set", text)]
    for name, key in (("helm", "helm"), ("nerdctl-full", "containerd.nerdctl_full")):
        archive = next(data for path, data in servers.files.items() if f"/{name}-" in path and not path.endswith("sum"))
        sets += ["--set", f"{key}.sha256={sha256(archive)}"]
    done = CliRunner().invoke(main, ["lock", "--no-packages", "-p", "debian12-efi", *sets])
    assert done.exit_code == 0, done.output
    assert set(pins("debian12-efi")["files"]) == {"cilium", "helm", "nerdctl-full"}
