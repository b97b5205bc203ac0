"""Nothing private is shown: canaries in every place that may hold a secret, and all that imgbuild says is searched.

A canary is a value that would be a secret. It may be in the files that a node gets, for their owner only, and nowhere
else: not in a finding, its line or its fix, not in explain, diff and manifest, not in progress, errors or a log.
"""

from __future__ import annotations

import io
import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from imgbuild.cli.main import main
from imgbuild.cli.terminal import Console
from imgbuild.config.cluster import Cluster
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.data import data_dir
from imgbuild.config.fields import Url
from imgbuild.config.kept_secrets import Kept, load_secrets
from imgbuild.config.load import load
from imgbuild.config.moment import read_moment
from imgbuild.config.profile import Profile
from imgbuild.config.redact import is_private, may_hold_private, shown
from imgbuild.config.secrets import Secrets, make
from imgbuild.config.source import parse
from imgbuild.diagnostics.findings import Findings, format_path
from imgbuild.diagnostics.jsonform import finding_json
from imgbuild.diagnostics.mask import NOT_SHOWN, mask
from imgbuild.diagnostics.progress import JsonSteps, PlainSteps
from imgbuild.diagnostics.text import print_findings
from imgbuild.image.rootfs.dibrun import _keep_log
from tests.support.checking import ADMIN

C = "canary"
HELM = yaml.safe_load((data_dir("profiles") / "base.yaml").read_text())["helm"]["version"]
PROFILE = f"""\
extends: debian12-efi
users:
  - name: ops
    ssh_keys: []
    hashed_password: "$6$salt${C}0123456789{C}"
files:
  - path: /etc/private
    mode: "0600"
    content: |
      user=admin
      api_cred: {C}-file
      {C}filefilefilefile
  - {{path: /etc/other, mode: "0640", content: "{C} in a flow"}}
run:
  - echo {C} run
  - |
    set -e
    login --with {C}
helm:
  urls: ["https://get.helm.sh/helm-v{HELM}-linux-amd64.tar.gz?sig={C}"]
cilium:
  values:
    extraEnv: [{{name: X, value: {C}-env}}]
    extraArgs: [--bearer={C}]
    extraConfig: {{some-key: {C}-config}}
    podAnnotations: {{note: {C}}}
    tls: {{ca: {{key: {C}tlskey}}}}
kernel:
  sysctl: {{vm.swappiness: 1}}
"""
CLUSTER = f"""\
name: lab
endpoint: 10.0.0.11:6443
nodes:
  - {{name: cp1, role: control-plane, mac: "52:54:00:00:00:01"}}
  - name: w1
    role: worker
    mac: "52:54:00:00:00:02"
    settings:
      run: [echo {C} here]
      users: [{{name: ops, hashed_password: "$6$salt${C}9876543210{C}"}}]
"""


def words(secrets: Secrets) -> list[str]:
    """All that must not be shown of a cluster's secrets: each key line by line, and both halves of the token.

    A private key has the public one's number too, now and then in the same letters as the certificate.
    """
    public = "".join(authority.certificate for authority in secrets.authorities.values())
    keys = [secrets.service_account_private_key, *(a.private_key for a in secrets.authorities.values())]
    lines = [line for key in keys for line in key.splitlines() if not line.startswith("-")]
    return [part for line in lines for part in (line[:24], line[24:48]) if len(part) > 12 and part not in public] + [
        secrets.bootstrap_token, secrets.bootstrap_token.partition(".")[2]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    """The secrets of the cluster lab, as of now."""
    return make("lab", read_moment().now)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: Secrets) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(PROFILE)
    (tmp_path / "lab.yaml").write_text(CLUSTER)
    Kept(secrets, tmp_path / "lab.secrets.yaml", None, 0).save()
    return tmp_path


def said(*arguments: str) -> str:
    """All that a command writes to its two outputs; an exception that it does not handle is a failure."""
    done = CliRunner().invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output + (done.stderr if done.stderr_bytes is not None else "")


def clean(text: str, secrets: Secrets | None = None) -> None:
    found = [line for line in text.splitlines() if C in line]
    assert not found, found
    if secrets is not None:
        assert not [word for word in words(secrets) if word in text]


RUN = ("--profile", "mine.yaml", "--cluster", "lab.yaml")


def test_a_good_run_shows_nothing(here: Path, secrets: Secrets) -> None:
    for form in ("text", "json"):
        clean(said("check", *RUN, "--format", form), secrets)
        clean(said(*RUN, "--no-image", "--format", form), secrets)
    clean(said("diff", "debian12-efi", "mine.yaml"), secrets)
    clean(said("diff", "mine.yaml", "centos8-bios"), secrets)
    for key in Profile.model_fields:
        clean(said("explain", key, "--profile", "mine.yaml"), secrets)
    manifest = (here / "out/mine/manifest.json").read_text()
    clean(manifest, secrets)
    assert json.loads(manifest)["values"]["helm.urls[0]"]["value"].endswith(f".tar.gz?{NOT_SHOWN}")
    assert json.loads(manifest)["values"]['kernel.sysctl."vm.swappiness"']["value"] == 1
    holders = set()
    for file in (p for p in here.rglob("*") if p.is_file() and p.parent != here):
        content = file.read_bytes()
        if C.encode() in content or any(word.encode() in content for word in words(secrets)):
            holders.add(file.relative_to(here / "out/mine").parts[0])
            url = content.count(C.encode()) == content.count(f"?sig={C}".encode())  # where it is fetched from
            assert not file.stat().st_mode & 0o007 or url, file
    assert holders == {"nodes", "cloud", "pxe-private", "elements"}


def leaves(annotation: Any, path: tuple[str | int, ...] = (), notes: tuple[object, ...] = ()) -> Iterator[Any]:
    """Every value that a model has: its path, with a name or an index for what a mapping or a list holds."""
    if get_origin(annotation) is Annotated:
        bare, *more = get_args(annotation)
        yield from leaves(bare, path, (*notes, *more))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from leaves(field.annotation, (*path, name), tuple(field.metadata))
    elif get_origin(annotation) is list:
        yield from leaves(get_args(annotation)[0], (*path, 0))
    elif get_origin(annotation) is dict:
        yield from leaves(get_args(annotation)[1], (*path, "docker.io"))
    elif members := [m for m in get_args(annotation) if m is not NoneType and get_origin(annotation) is not None]:
        if str(get_origin(annotation)) != "typing.Literal":
            for member in members:
                yield from leaves(member, path, notes)
    else:
        yield path, annotation, notes


URL_CHECK = get_args(Url)[1]
URLS = sorted({path for path, kind, notes in leaves(Profile) if URL_CHECK in notes or "url" in str(path)}, key=str)
LOGINS = (
    f"https://{C}:{C}@mirror.example/path", f"https://{C}@mirror.example/", f"ftp://x:{C}/{C}@mirror.example/",
    f"https://x:{C}@{C}@mirror.example:8080/a/b?sig={C}", f"https://mirror.example/?token={C}&x={C} y",
    f"admin:{C}@mirror.example", "https://mirror.example/" + "x" * 70 + f"?sig={C}",
    f"https://{'u' * 70}:{C}@mirror.example/",
)  # fmt: skip


def test_there_are_addresses_in_the_profile() -> None:
    assert len(URLS) > 12 and ("repositories", "distribution", 0) in URLS and ("cilium", "repository") in URLS


@pytest.mark.parametrize("url", LOGINS)
def test_an_address_shows_no_login_and_no_signature(url: str, here: Path) -> None:
    """Refused or taken: in the finding, its line, explain, manifest; for each key that takes one, all at once."""
    sets = [word for path in URLS for word in ("--set", f"{format_path(path)}='{url}'")]
    sets += ["--set", f"base.source='{url}'"]
    for form in ("text", "json"):
        clean(said("check", "--profile", "centos8-efi", "--cluster", "lab.yaml", *sets, "--format", form))
    for key in {str(path[0]) for path in URLS} | {"base"}:
        clean(said("explain", key, "--profile", "centos8-efi", *sets))
    data: dict[str, Any] = {"extends": "centos8-efi", "base": {"source": url, "sha256": "0" * 64}}
    data["repositories"] = {"epel": [url], "kubernetes": [url]}
    (here / "bad.yaml").write_text(yaml.safe_dump(data))
    clean(said("check", "--profile", "bad.yaml"))
    del data["repositories"]
    (here / "good.yaml").write_text(yaml.safe_dump(data))
    clean(said("--profile", "good.yaml", "--no-image", "--set", ADMIN))
    clean((here / "out/good/manifest.json").read_text())


PRIVATE_PATHS = sorted({path for path, _, _ in leaves(Profile) if is_private(path)}, key=str)


def test_what_is_private_is_declared() -> None:
    assert set(PRIVATE_PATHS) >= {("users", 0, "hashed_password"), ("files", 0, "content"), ("run", 0)}
    assert ("time", "zone") not in PRIVATE_PATHS and ("users", 0, "name") not in PRIVATE_PATHS
    private: list[tuple[str | int, ...]] = [
        ("bootstrap_token",), ("ca", "private_key"), ("ca",), ("service_account_private_key",), ("nobody", "knows"),
        ("nodes", 3, "settings", "run", 0), ("nodes", 0, "settings", "nobody"), ("users",), ("files", 0, "nobody"),
        ("cilium", "values", "extraEnv", 0, "value"), ("cilium", "values", "extraConfig", "a"), (),
        ("cilium", "values", "hubble", "tls", "server", "key"), ("cilium", "values", "nobody"),
        ("cilium", "values", "extraArgs", 0),
        # A mirror may be a mapping with a login.
        ("containerd", "registries", "docker.io", "mirrors", 1),
    ]  # fmt: skip
    for path in private:
        assert is_private(path), path
        assert shown(path, "x") == "(set)"
    public: list[tuple[str | int, ...]] = [
        ("extends",), ("extends", 0), ("cluster",), ("ca", "certificate"), ("kernel", "sysctl", "vm.swappiness"),
        ("nodes", 3, "settings", "time", "zone"), ("cilium", "values", "routingMode"), ("packages", "install"),
        ("cilium", "values", "devices", 0), ("containerd", "nerdctl_full", "urls", 1),
    ]  # fmt: skip
    for path in public:
        assert not is_private(path), path
    assert shown(("users",), []) == [] and shown(("users", 0, "hashed_password"), None) is None


@pytest.mark.parametrize("value", [f"{C}", f"[{C}]", f"{{x: {C}}}", f"!{C} {C}", f"0{7}", f"'{C}", f"{C}: {C}"])
def test_a_bad_value_of_a_private_key_is_not_shown(value: str, here: Path) -> None:
    del here
    paths = [*PRIVATE_PATHS, ("users",), ("users", 0), ("files",), ("run",), ("nobody",), ("kernel", "nobody")]
    sets = [word for path in paths for word in ("--set", f"{format_path(path)}={value}")]
    for form in ("text", "json"):
        text = said("check", "--profile", "debian12-efi", *sets, "--format", form)
        clean(text)
        assert "0" + "7" not in re.sub(r"IB\d+|:\d+", "", text) or value != "07"


BAD: dict[str, str] = {
    "a tag": f"users:\n  - {{name: ops, hashed_password: !{C} x}}\n",
    "a key twice": f"users:\n  - name: ops\n    hashed_password: {C}\n    hashed_password: {C}\n",
    "a line of text as a key": f"files:\n  - path: /etc/x\n    content: |\n      a\napi_cred: {C}\n",
    "a neighbour": f"kernel: {{flavor: x, api_cred: {C}, other: {C}}}\n",
    "a neighbour before": f"kernel: {{api_cred: {C}, flavor: x}}\n",
    "not YAML in a file": f'files:\n  - path: /etc/x\n    mode: "0600"\n    content: |\n      a\n   {C}\n  x\n',
    "not YAML in a command": f"run:\n  - 'echo {C}\n  - x\n",
    "an alias in a file": f"files:\n  - path: /etc/x\n    content: *{C}\n",
    "not a mapping": f"{C}\n",
    "an item": f"- {C}\n",
    "a password file": f"root:$6$x${C}:19000:0:99999:7:::\nops:{C}:1:\n",
    "a list for text": f"users: [{{name: ops, hashed_password: [{C}]}}]\n",
    "a number with a zero": "users: [{name: ops, hashed_password: 0777}]\nrun: [0666]\n",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("option", ["--profile", "--layer", "--cluster", "--secrets"])
def test_a_bad_file_shows_nothing_private(name: str, option: str, here: Path) -> None:
    (here / "bad.yaml").write_text(BAD[name])
    (here / "bad.yaml").chmod(0o600)
    options = {"--profile": "debian12-efi", "--cluster": "lab.yaml", option: "bad.yaml"}
    text = said("check", *(word for pair in options.items() for word in pair))
    assert "bad.yaml:" in text
    clean(text)
    assert "0777" not in text and "0666" not in text


def test_lines_that_hold_nothing_private_are_still_shown(here: Path) -> None:
    (here / "bad.yaml").write_text(
        PROFILE.replace("vm.swappiness: 1", "vm swappiness: 1").replace("name: ops", "name: O")
    )
    text = said("check", "--profile", "bad.yaml")
    assert "sysctl: {vm swappiness: 1}" in text and "- name: O" in text
    (here / "bad.yaml").write_text("extends: debian12-efi\nkernel:\n  flavour: x: y\n")
    assert " 3 |   flavour: x: y" in said("check", "--profile", "bad.yaml")
    (here / "bad.yaml").write_text("extends: debian12-efi\nusers:\n  - {name: O, hashed_password: abc}\n")
    assert f"- {{name: O, hashed_password: {NOT_SHOWN}" in said("check", "--profile", "bad.yaml")


PIECES = st.sampled_from(
    [":", "'", '"', "\t", "{", "}", "[", "]", "- ", "#", "&a ", "*a ", "!x ", "|", "\n", "\n\n", ": ", "%"]
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_shows_nothing_private(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, secrets: Secrets
) -> None:
    """Characters and lines lost, doubled, moved to the left or put in, in each of the three files."""
    folder = tmp_path_factory.mktemp("damaged")
    place = folder / "lab.secrets.yaml"
    Kept(secrets, place, None, 0).save()
    texts = {"profile": PROFILE, "cluster": CLUSTER, "secrets": place.read_text()}
    kind = data.draw(st.sampled_from(sorted(texts)))
    lines = texts[kind].split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        column = data.draw(st.integers(0, len(line)))
        what = data.draw(st.sampled_from(["cut", "put", "left", "right", "twice", "gone", "end"]))
        new = {
            "cut": [line[:column] + line[column + 1 :]],
            "put": [line[:column] + data.draw(PIECES) + line[column:]],
            "left": [line.lstrip()],
            "right": ["   " + line],
            "twice": [line, line],
            "gone": [],
            "end": [line[:column]],
        }[what]
        lines = [*lines[:number], *new, *([] if what == "end" and number else lines[number + 1 :])] or [""]
    path = folder / "x.yaml"
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    findings = Findings()
    if kind == "profile":
        load(str(path), (), (), None, findings)
    elif kind == "cluster":
        load_cluster(path, findings)
    else:
        load_secrets(path, "lab", 1_800_000_000, findings)
    out = io.StringIO()
    console = Console()
    console.file = out
    print_findings(console, findings.items)
    text = out.getvalue() + json.dumps([finding_json(finding) for finding in findings.items])
    clean(text, secrets)


def test_reprs_hold_nothing_private(here: Path, secrets: Secrets) -> None:
    """An assertion, a debugger or a traceback with values shows them."""
    findings = Findings()
    loaded = load("mine.yaml", (), (), None, findings)
    cluster = load_cluster(Path("lab.yaml"), findings)
    kept = load_secrets(here / "lab.secrets.yaml", "lab", read_moment().now, findings)
    assert loaded is not None and cluster is not None and kept is not None
    clean(f"{loaded.profile.users!r} {loaded.profile.files} {secrets!r} {kept!r}", secrets)
    clean(repr(loaded.layered) + repr(kept.layered), secrets)
    assert C not in repr(Cluster.model_validate(cluster.layered.data).nodes[0])


MASKED = {
    "https://u:p@h/x": f"https://{NOT_SHOWN}@h/x",
    "http://h:80/a@b": "http://h:80/a@b",
    "https//h/a?b=c": f"https//h/a?{NOT_SHOWN}",
    "http:/h/a?b=c": f"http:/h/a?{NOT_SHOWN}",
    "//h/a?b=c": "//h/a?b=c",
    "https://[2001:db8::1]:8080/a@b?c=d": f"https://[2001:db8::1]:8080/a@b?{NOT_SHOWN}",
    "ghcr.io/kube-vip/kube-vip:v0.8.9@sha256:00": "ghcr.io/kube-vip/kube-vip:v0.8.9@sha256:00",
    "+ http_proxy='http://u:p'\\''w@h:3128'": f"+ http_proxy='http://{NOT_SHOWN}@h:3128'",
    "proxy=u:p@h:3128": f"proxy={NOT_SHOWN}@h:3128",
    "why? a@b": "why? a@b",
    "getty@tty1.service 10:20": "getty@tty1.service 10:20",
}


@pytest.mark.parametrize("text", MASKED)
def test_logins_are_found_by_their_form(text: str) -> None:
    assert mask(text) == MASKED[text]
    assert mask(mask(text)) == mask(text)


def test_progress_and_the_log_that_is_kept_show_no_login(tmp_path: Path) -> None:
    out = io.StringIO()
    for steps in (PlainSteps(out), JsonSteps(out)):
        with steps.step(f"Fetch https://u:{C}@h/x"):
            steps.note(f"from https://h/x?sig={C}")
    clean(out.getvalue())
    log, kept = tmp_path / "log", tmp_path / "kept.log"
    log.write_bytes(f'+ export http_proxy=http://u:{C}@h:3128\n\xff+ Acquire::http::Proxy "http://u:{C}@h";\n'.encode())
    kept.write_text("old")
    kept.chmod(0o644)
    _keep_log(log, kept)
    clean(kept.read_text(errors="replace"))
    assert "export http_proxy" in kept.read_text(errors="replace")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


ASKS = re.compile(r"(?i)(^|\.)(key|[a-z]*(args|env|config|script|secret))$|password|token")
NOT_SECRET = {
    "k8sServiceHostRef.key",  # the name of a key in a ConfigMap
    "standaloneDnsProxy.automountServiceAccountToken",  # true or false
}


def test_keys_of_the_chart_whose_names_look_like_a_secret_are_decided() -> None:
    """The product has no list of words: this asks for a decision when a new chart brings such a key."""
    folder = data_dir("profiles") / "versions"
    known, secret = (
        {key for keys in yaml.safe_load((folder / f"{name}.yaml").read_text()).values() for key in keys.split()}
        for name in ("cilium-keys", "cilium-secret")
    )
    named = {key for key in known if ASKS.search(key) and not key.endswith((".existingSecret", ".useSecret"))}
    assert named - NOT_SECRET == secret
    assert known >= NOT_SECRET
    for key in secret:
        assert is_private(("cilium", "values", *key.split(".")))


@pytest.mark.parametrize(
    "text",
    [
        "password: x\n\t- y", "kernel:\n  db_token: x: y\n", "kernel:\n  flavour: x\n  free text\n a: : b",
        "{'kernel': {'api_key': x", "? secret\n: x: y\n", "kernel: {flavour: x, auth: y", "run: [x",
    ],
)  # fmt: skip
def test_a_text_that_is_not_yaml_is_hidden_unless_all_its_keys_are_public(text: str) -> None:
    assert may_hold_private(text)


@pytest.mark.parametrize("piece", ["- ", " ", ",", "{", "a", ", a", "\"'", "time: x\n", "zone "])
def test_a_long_text_that_is_not_yaml_is_gone_through_once(piece: str) -> None:
    text = "time: {" + piece * (1_000_000 // len(piece))
    start = time.process_time()
    may_hold_private(text)
    assert time.process_time() - start < 10


def test_a_hidden_line_has_its_place() -> None:
    findings = Findings()
    parse("password: [1", "mine.yaml", findings)
    (found,) = findings.items
    assert found.mark is not None and (found.mark.line, found.mark.column, found.mark.text) == (1, 13, "")


def test_a_text_of_public_keys_that_is_not_yaml_is_shown() -> None:
    text = "# mine\nextends: debian12-efi\ntime:\n  zone: 'UTC\nrepositories: {region: china\n"
    assert not may_hold_private(text + "packages:\n  install:\n    - https://x\n")


@pytest.mark.parametrize(
    ("path", "value", "seen"),
    [
        (("server",), "https://r.example", "https://r.example"),
        (("mirrors", 0), "https://m.example/hub", "https://m.example/hub"),
        (("mirrors", 0), "https://n:hunter2@m.example", "https://(not shown)@m.example"),
        (("mirrors", 0, "url"), "https://m.example", "https://m.example"),
        (("mirrors", 0), {"url": "https://m.example"}, "(set)"),
        (("mirrors", 0, "auth"), "hunter2", "(set)"),
        (("mirrors", 0, "auth", "password"), "hunter2", "(set)"),
        (("mirrors",), "hunter2", "(set)"),
        (("mirrors", 0), "hunter2", "(set)"),
    ],
)
def test_a_mirror_that_is_a_url_is_shown(path: tuple[str | int, ...], value: object, seen: object) -> None:
    assert shown(("containerd", "registries", "docker.io", *path), value) == seen
