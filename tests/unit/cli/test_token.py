"""`imgbuild token`: the Secret is kubeadm's, the file is never half written, and the seeds have its token."""

from __future__ import annotations

import datetime
import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from pydantic import ValidationError

from imgbuild.cli.main import main
from imgbuild.config.cluster import Cluster
from imgbuild.config.fields import duration_seconds
from imgbuild.config.kept_secrets import Kept
from imgbuild.config.secrets import Secrets, make
from imgbuild.facts.bootstrap_token import secret_text
from imgbuild.facts.endpoint import reach
from imgbuild.outputs import manifest
from imgbuild.render.kubeadm import INIT, files
from tests.support.checking import ADMIN
from tests.support.cluster.programs import programs
from tests.support.events import findings_of, result_of
from tests.support.nodes import DHCP, cluster_of, resolved

CLUSTER = """\
name: lab
endpoint: 10.0.0.9:6443
token_ttl: 48h
nodes:
  - {name: a, role: control-plane, mac: "52:54:00:00:00:01"}
  - {name: b, role: worker, mac: "52:54:00:00:00:02"}
"""
# cmd/kubeadm/app/apis/bootstraptoken/v1/utils.go (BootstrapTokenToSecret) and k8s.io/cluster-bootstrap/token/api
# (types.go) of Kubernetes 1.34: each key of the Secret, and what it must match.
SECRET = {
    "token-id": r"[a-z0-9]{6}",
    "token-secret": r"[a-z0-9]{16}",
    "description": r".+",
    "expiration": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",  # time.RFC3339, in UTC
    "usage-bootstrap-signing": "true",
    "usage-bootstrap-authentication": "true",
    "auth-extra-groups": r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]",  # BootstrapGroupPattern
}


@pytest.fixture(scope="module")
def fresh() -> Secrets:
    """The secrets of the cluster lab, as of now."""
    return make("lab", int(time.time()))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Secrets) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(CLUSTER)
    Kept(fresh, Path("lab.secrets.yaml"), None, 0).save()


def imgbuild(*words: str) -> Result:
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def token(*words: str) -> Result:
    return imgbuild("token", "--cluster", "lab.yaml", *words)


def in_file(path: str = "lab.secrets.yaml") -> dict[str, Any]:
    data = yaml.safe_load(Path(path).read_text())
    return {key: str(data[key]) for key in ("bootstrap_token", "bootstrap_token_expires")}


def test_the_secret_is_the_one_that_kubeadm_writes(fresh: Secrets) -> None:
    before = time.time()
    done = token()
    assert done.exit_code == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert made.keys() == {"apiVersion", "kind", "metadata", "type", "stringData"}
    assert (made["apiVersion"], made["kind"], made["type"]) == ("v1", "Secret", "bootstrap.kubernetes.io/token")
    data = made["stringData"]
    assert made["metadata"] == {"name": f"bootstrap-token-{data['token-id']}", "namespace": "kube-system"}
    assert data.keys() == SECRET.keys()
    assert all(isinstance(data[key], str) and re.fullmatch(SECRET[key], data[key]) for key in SECRET), data
    assert data["auth-extra-groups"] == "system:bootstrappers:kubeadm:default-node-token"  # kubeadm's constants
    now = in_file()
    assert now == {
        "bootstrap_token": f"{data['token-id']}.{data['token-secret']}", "bootstrap_token_expires": data["expiration"],
    }  # fmt: skip
    assert now["bootstrap_token"] != fresh.bootstrap_token
    end = datetime.datetime.fromisoformat(data["expiration"]).timestamp()
    assert before + 48 * 3600 - 1 <= end <= time.time() + 48 * 3600
    # The old one is not lost in silence: until when it works, and how to end it. Neither token is in these words.
    assert f"bootstrap-token-{fresh.bootstrap_token[:6]}" in done.stderr
    assert fresh.bootstrap_token_expires in done.stderr
    assert data["token-secret"] not in done.stderr and fresh.bootstrap_token[7:] not in done.stdout + done.stderr


@pytest.mark.parametrize("word", ["12e456.0123456789abcdef", "123456.1234567890123456", "0x1234.000000000000e100"])
def test_kubectl_reads_every_value_as_text(word: str, fresh: Secrets, tmp_path: Path) -> None:
    """The real kubectl, with tokens that YAML takes for numbers; --local asks no server."""
    secrets = fresh.model_copy(update={"bootstrap_token": word})
    (tmp_path / "secret.yaml").write_text(secret_text(secrets))
    kubectl = [
        str(programs()["kubectl"]),
        "annotate",
        "--local",
        "-f",
        str(tmp_path / "secret.yaml"),
        "-o",
        "json",
        "a=b",
    ]
    done = subprocess.run(kubectl, capture_output=True, text=True, env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read["type"] == "bootstrap.kubernetes.io/token"
    assert f"{read['stringData']['token-id']}.{read['stringData']['token-secret']}" == word


def test_first_boot_makes_the_same_token(fresh: Secrets) -> None:
    """kubeadm init's bootstrapTokens and the Secret say the same, so that it is one token however it came."""
    given, cluster = resolved("debian12-efi", "baked"), cluster_of(DHCP)
    made_of = files(given, given, cluster, DHCP, reach(given.profile, cluster), fresh)
    text = {file.path: file.content for file in made_of}[INIT]
    (made,) = next(d for d in yaml.safe_load_all(text) if d["kind"] == "InitConfiguration")["bootstrapTokens"]
    data = yaml.safe_load(secret_text(fresh))["stringData"]
    assert data["description"] == made["description"]
    assert data["auth-extra-groups"] == ",".join(made["groups"])
    assert {f"usage-bootstrap-{usage}" for usage in made["usages"]} <= set(data)


def test_keep_prints_the_token_that_is_there(fresh: Secrets) -> None:
    text = Path("lab.secrets.yaml").read_bytes()
    done = token("--keep")
    data = yaml.safe_load(done.stdout)["stringData"]
    assert f"{data['token-id']}.{data['token-secret']}" == fresh.bootstrap_token and done.stderr == ""
    assert Path("lab.secrets.yaml").read_bytes() == text
    shown = result_of(token("--keep", "--format", "json").stdout)
    assert shown["secret"]["stringData"] == data and shown["renewed"] is False


def test_the_file_keeps_its_keys_its_mode_and_a_link_to_it(fresh: Secrets) -> None:
    Path("elsewhere").mkdir()
    Path("lab.secrets.yaml").rename("elsewhere/keys.yaml")
    Path("lab.secrets.yaml").symlink_to("elsewhere/keys.yaml")
    if os.geteuid() == 0:
        os.chown("elsewhere/keys.yaml", 1234, 1234)
    assert token().exit_code == 0
    assert Path("lab.secrets.yaml").is_symlink()
    there = Path("elsewhere/keys.yaml").stat()
    assert stat.S_IMODE(there.st_mode) == 0o600
    assert os.geteuid() != 0 or (there.st_uid, there.st_gid) == (1234, 1234)
    made = Secrets.model_validate(yaml.safe_load(Path("lab.secrets.yaml").read_text()))
    assert (made.ca, made.etcd_ca, made.service_account_private_key) == (
        fresh.ca, fresh.etcd_ca, fresh.service_account_private_key
    )  # fmt: skip
    assert sorted(p.name for p in Path().iterdir()) == ["elsewhere", "lab.secrets.yaml", "lab.yaml"]
    assert [p.name for p in Path("elsewhere").iterdir()] == ["keys.yaml"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Path("lab.secrets.yaml").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = token()
    assert done.exit_code == 3 and "No space left on device" in done.stderr and done.stdout == ""
    assert Path("lab.secrets.yaml").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lab.secrets.yaml", "lab.yaml"]


def test_a_token_that_has_expired_is_renewed_as_the_finding_tells(fresh: Secrets) -> None:
    """By the hint alone: its first command, and the seeds rendered again."""
    past = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    Path("lab.secrets.yaml").unlink()
    Kept(fresh.model_copy(update={"bootstrap_token_expires": past}), Path("lab.secrets.yaml"), None, 0).save()
    words = ("--profile", "debian12-efi", "--cluster", "lab.yaml", "--set", ADMIN)
    done = imgbuild("check", *words, "--format", "json")
    (error,) = [f for f in findings_of(done.stdout) if f["severity"] == "error"]
    assert error["code"] == "IB906" and "has expired" in error["message"]
    command, _, kubectl = error["hint"].splitlines()[0].partition(" | ")
    assert command == "imgbuild token --cluster lab.yaml" and kubectl == "kubectl apply -f -"
    assert imgbuild(*command.split()[1:]).exit_code == 0
    assert imgbuild("check", *words).exit_code == 0
    # The hint names a secrets file that is not beside the cluster file.
    Path("lab.secrets.yaml").unlink()
    Kept(fresh.model_copy(update={"bootstrap_token_expires": past}), Path("k e y s"), None, 0).save()
    done = imgbuild("check", *words, "--secrets", "k e y s", "--format", "json")
    assert "imgbuild token --cluster lab.yaml --secrets 'k e y s' | kubectl" in done.stdout


def test_it_is_warned_of_before_half_of_a_short_life_is_over_and_not_sooner(fresh: Secrets) -> None:
    for hours, wanted in ((30, False), (20, True)):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
        made = fresh.model_copy(update={"bootstrap_token_expires": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
        Path("lab.secrets.yaml").unlink()
        Kept(made, Path("lab.secrets.yaml"), None, 0).save()
        done = imgbuild(
            "check", "--profile", "debian12-efi", "--cluster", "lab.yaml", "--set", ADMIN, "--format", "json"
        )
        assert ("IB906" in {f["code"] for f in findings_of(done.stdout)}) == wanted


def test_the_seeds_are_renewed_and_nothing_else(fresh: Secrets) -> None:
    words = ("--profile", "debian12-efi", "--cluster", "lab.yaml", "--set", ADMIN)
    assert imgbuild(*words, "--no-image").exit_code == 0
    out = Path("out/debian12-efi")
    _image(out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    done = token("--render", "--profile", "debian12-efi", "--set", ADMIN)
    assert done.exit_code == 0, done.stderr
    now = in_file()["bootstrap_token"]
    data = yaml.safe_load(done.stdout)["stringData"]
    assert now == f"{data['token-id']}.{data['token-secret']}" != fresh.bootstrap_token
    after = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert after.keys() == before.keys()
    changed = {p.relative_to(out).parts[0] for p in after if after[p] != before[p] and p.name != ".run"}
    assert changed == {"nodes", "cloud", "pxe-private", "manifest.json"}
    for name in ("nodes/a", "nodes/b", "cloud/b", "pxe-private/mac-52-54-00-00-00-02"):
        text = (out / name / "user-data").read_text()
        assert now in text and fresh.bootstrap_token not in text
    assert not manifest.mixed(out, manifest.read_manifest(out))
    # Another run with --keep renders the same bytes again.
    assert token("--render", "--keep", "--profile", "debian12-efi", "--set", ADMIN).exit_code == 0
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == after


def _image(out: Path) -> None:
    """As a build with an image leaves it: the group, its record, kernel and initramfs for PXE."""
    (out / "image").mkdir(mode=0o700)
    wanted = manifest.read_manifest(out)["image_wanted"]
    (out / "image/.run").write_text(f"{wanted}\n")
    (out / "image/debian12-efi.qcow2").write_text("disk")
    for name in ("vmlinuz", "initrd.img"):
        (out / "pxe" / name).write_text(name)
    data = manifest.read_manifest(out)
    data["groups"]["image"] = {"run": wanted, "files": {}}
    (out / "manifest.json").write_text(json.dumps(data))


def test_seeds_of_another_image_are_not_written() -> None:
    assert imgbuild("--profile", "debian12-efi", "--cluster", "lab.yaml", "--no-image").exit_code == 0
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    done = token("--render", "--profile", "debian12-efi", "--set", "time.zone=Asia/Tokyo")
    assert done.exit_code == 2 and "built from other input" in done.stderr and "--layer" in done.stderr
    done = token("--render", "--profile", "debian12-bios")
    assert done.exit_code == 3 and "manifest.json" in done.stderr
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--cluster is missing"),
        (("--cluster", "lab.yaml", "--render"), 2, "--render needs --profile"),
        (("--cluster", "lab.yaml", "--profile", "debian12-efi"), 2, "without --render"),
        (("--cluster", "lab.yaml", "--secrets", "none.yaml"), 1, "IB910"),
        (("--cluster", "lab.yaml", "--secrets", "none.yaml", "--keep"), 1, "IB910"),
        (("--cluster", "lab.yaml", "--secrets", "none.yaml", "--render", "--profile", "debian12-efi"), 1, "IB910"),
        (
            ("--cluster", "lab.yaml", "--secrets", "n.yaml", "--render", "--keep", "--profile", "debian12-efi"),
            1,
            "IB910",
        ),
        (("--cluster", "none.yaml"), 1, "IB100"),
        (("--cluster", "prod.yaml", "--secrets", "lab.secrets.yaml"), 1, "IB903"),
        (("--cluster", "lab.yaml", "--render", "--profile", "debian12-efi", "--set", "x=1"), 1, "IB111"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(words: tuple[str, ...], code: int, said: str) -> None:
    Path("prod.yaml").write_text(CLUSTER.replace("lab", "prod"))
    before = {p: p.read_bytes() for p in Path().rglob("*")}
    done = imgbuild("token", *words)
    assert (done.exit_code, done.stdout) == (code, "") and said in done.stderr
    assert {p: p.read_bytes() for p in Path().rglob("*")} == before


@pytest.mark.parametrize(("text", "seconds"), [("1h", 3600), ("48h", 172800), ("14d", 1209600), ("90d", 7776000)])
def test_a_life_that_is_taken(text: str, seconds: int) -> None:
    cluster = Cluster.model_validate({"name": "x", "token_ttl": text, "nodes": [{"name": "a", "role": "worker"}]})
    assert duration_seconds(cluster.token_ttl) == seconds


@pytest.mark.parametrize("text", ["91d", "0d", "2161h", "0h", "30m", "14", "1w", "", "-1d", "1.5d", "14D", 14])
def test_a_life_that_is_not(text: object) -> None:
    with pytest.raises(ValidationError):
        Cluster.model_validate({"name": "x", "token_ttl": text, "nodes": [{"name": "a", "role": "worker"}]})


def test_without_a_key_a_token_lives_for_14_days() -> None:
    assert Cluster.model_validate({"name": "x", "nodes": [{"name": "a", "role": "worker"}]}).token_ttl == "14d"
    Path("lab.yaml").write_text(CLUSTER.replace("token_ttl: 48h\n", ""))
    Path("lab.secrets.yaml").unlink()
    assert imgbuild("--profile", "debian12-efi", "--cluster", "lab.yaml", "--no-image").exit_code == 0
    end = datetime.datetime.fromisoformat(in_file()["bootstrap_token_expires"]).timestamp()
    assert abs(end - time.time() - 14 * 86400) < 600
