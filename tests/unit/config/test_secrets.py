"""The cluster's secrets: made once, kept for their owner only, and refused where they are not whole."""

from __future__ import annotations

import datetime
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from imgbuild.config.kept_secrets import Kept, load_secrets
from imgbuild.config.openssl import Kind
from imgbuild.config.secrets import Secrets, make
from imgbuild.config.secrets_file import HEAD, MadeMeanwhile, clear
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.diagnostics.severity import Severity
from imgbuild.pipeline import Request, prepare
from imgbuild.pipeline.write import write
from tests.support.deadline import HUNG

NOW = 1_800_000_000
CAS = ("ca", "front-proxy-ca", "etcd/ca", "sa")
CLUSTER = (
    "name: lab\nendpoint: 10.0.0.9:6443\nnodes:\n  - {name: a, role: control-plane}\n  - {name: b, role: worker}\n"
)


def kept(path: Path, now: int = NOW, cluster: str = "lab") -> tuple[Secrets | None, list[str]]:
    findings = Findings()
    found = load_secrets(path, cluster, now, findings)
    if found is not None:
        found.save()
    return found.secrets if found else None, [f.code for f in findings.items]


@pytest.fixture
def written(tmp_path: Path, secrets: Secrets) -> Path:
    """A secrets file of the cluster lab; the keys are the test session's."""
    path = tmp_path / "lab.secrets.yaml"
    found = load_secrets(path, "lab", NOW, Findings())
    assert found is not None
    type(found)(secrets, path, None, NOW).save()
    return path


def test_it_is_made_once_and_used_again(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    first, codes = kept(path)
    assert (codes, stat.S_IMODE(path.stat().st_mode)) == ([], 0o600)
    text = path.read_bytes()
    second, codes = kept(path, NOW + 1000)
    assert (second, codes, path.read_bytes()) == (first, [], text)
    assert [p.name for p in tmp_path.iterdir()] == ["s.yaml"]


KINDS = {"ecdsa": ("EC", "NIST CURVE: P-256"), "rsa": ("RSA", "2048 bit")}


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_openssl_takes_the_authorities(kind: Kind, tmp_path: Path) -> None:
    secrets = make("lab", NOW, kind=kind)
    files, (name_of_kind, shown_of_kind) = secrets.files, KINDS[kind]
    for name, subject in (("ca", "kubernetes"), ("front-proxy-ca", "front-proxy-ca"), ("etcd/ca", "etcd-ca")):
        certificate, key = tmp_path / "c.crt", tmp_path / "c.key"
        certificate.write_text(files[f"{name}.crt"])
        key.write_text(files[f"{name}.key"])
        shown = _openssl("x509", "-in", certificate, "-noout", "-text", "-subject")
        assert f"subject=CN = {subject}" in shown
        assert "CA:TRUE" in shown and "Certificate Sign" in shown and shown_of_kind in shown
        _openssl("verify", "-attime", str(NOW), "-CAfile", certificate, certificate)
        public = _openssl("pkey", "-in", key, "-pubout")
        assert public == _openssl("x509", "-in", certificate, "-noout", "-pubkey")
        assert files[f"{name}.key"].startswith(f"-----BEGIN {name_of_kind} PRIVATE KEY-----\n")
    (tmp_path / "ca.crt").write_text(files["ca.crt"])
    # kubernetes.io/docs, kubeadm join: how an administrator gets the same hash.
    line = f"openssl x509 -pubkey -in {tmp_path}/ca.crt | openssl pkey -pubin -outform der | sha256sum"
    shown = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert secrets.ca_hash == f"sha256:{shown.split()[0]}"


def _openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout


def test_secrets_with_rsa_keys_stay_as_they_are(tmp_path: Path) -> None:
    """Those of a cluster that was made before keys were ECDSA, or for an older Kubernetes."""
    path, secrets = tmp_path / "lab.secrets.yaml", make("lab", NOW, kind="rsa")
    Kept(secrets, path, None, NOW).save()
    before = path.read_bytes()
    found = load_secrets(path, "lab", NOW, Findings())
    assert found is not None and found.secrets == secrets and found.secrets.files == secrets.files
    found.save()
    assert path.read_bytes() == before and before.count(b"BEGIN RSA PRIVATE KEY") == 4


@pytest.mark.parametrize(("version", "kind"), [("1.25.16", "RSA"), ("1.26.0", "EC"), ("1.36.4", "EC")])
def test_new_keys_are_those_that_this_kubeadm_takes(version: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(CLUSTER)
    findings = Findings()
    request = Request("debian12-efi", (), (f"kubernetes.version={version}",), None, tmp_path / "lab.yaml")
    try:
        ready = prepare(request, findings)
    except InvalidInput:
        pytest.fail("; ".join(f.message for f in findings.errors))
    assert ready.kept is not None
    keys = [text for name, text in ready.kept.secrets.files.items() if name.endswith(".key")]
    assert len(keys) == 4 and all(key.startswith(f"-----BEGIN {kind} PRIVATE KEY") for key in keys)


def test_a_new_token_has_an_end_of_its_own(secrets: Secrets, tmp_path: Path) -> None:
    old = secrets.token_end  # kept from then on
    renewed = Kept(secrets, tmp_path / "lab.secrets.yaml", None, 1_800_000_000).renew(7 * 86_400).secrets
    assert renewed.token_end == 1_800_000_000 + 7 * 86_400 != old
    assert renewed.ca_hash == secrets.ca_hash and renewed.files == secrets.files


def test_clocks_may_be_a_day_behind(secrets: Secrets) -> None:
    since, until = secrets.valid
    assert since == NOW - 86400
    assert until == NOW + 3650 * 86400
    assert secrets.token_end == NOW + 14 * 86400


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_file_that_others_can_read(written: Path) -> None:
    written.chmod(0o640)
    assert kept(written)[1] == ["IB902"]


def test_a_damaged_key_is_named_and_never_shown(written: Path) -> None:
    change(written, "-----BEGIN EC PRIVATE KEY-----", "-----BEGIN NOTHING-----")
    findings = Findings()
    assert load_secrets(written, "lab", NOW, findings) is None
    (found,) = findings.items
    assert found.code == "IB113"
    assert found.mark is not None and found.mark.file == str(written)
    shown = f"{found.message} {found.hint} {found.mark.text}"
    assert "NOTHING" not in shown and "MHc" not in shown and "MII" not in shown


def test_a_damaged_token_is_not_shown_either(written: Path, secrets: Secrets) -> None:
    change(written, secrets.bootstrap_token, secrets.bootstrap_token.upper())
    findings = Findings()
    assert load_secrets(written, "lab", NOW, findings) is None
    assert secrets.bootstrap_token.upper() not in f"{findings.items[0].message} {findings.items[0].hint}"


def test_a_place_that_is_none(written: Path) -> None:
    assert kept(written / "below-a-file.yaml") == (None, ["IB901"])


@pytest.mark.parametrize("content", ["", "cluster: lab\n", "- a\n", "cluster: [\n", "\x00"])
def test_no_secrets_file(content: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(content)
    path.chmod(0o600)
    found, codes = kept(path)
    assert found is None
    assert codes
    assert path.read_text() == content


def _checked(tmp_path: Path, path: Path, cluster: str = CLUSTER) -> dict[str, Severity]:
    (tmp_path / "lab.yaml").write_text(cluster)
    findings = Findings()
    try:
        prepare(Request("debian12-efi", cluster=tmp_path / "lab.yaml", secrets=path), findings)
    except InvalidInput:
        assert findings.errors
    return {f.code: f.severity for f in findings.items if f.code.startswith("IB9")}


def _now() -> int:
    return int(datetime.datetime.now(datetime.UTC).timestamp())


def _at(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Secrets as of now, for a whole run."""
    path = tmp_path / "s.yaml"
    assert kept(path, _now())[0] is not None
    return path


def test_good_secrets_give_no_finding(fresh: Path, tmp_path: Path) -> None:
    assert _checked(tmp_path, fresh) == {}


def test_a_cloud_hands_the_keys_to_pods(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(CLUSTER)
    for sets, wanted in (((), False), (("cloud.providers=[ec2, openstack]",), True)):
        findings = Findings()
        prepare(Request("debian12-efi", (), sets, None, tmp_path / "lab.yaml", fresh), findings)
        found = [f for f in findings.items if f.code == "IB911"]
        assert bool(found) == wanted
    assert found[0].severity is Severity.WARNING and found[0].message.startswith("EC2 and OpenStack give user-data")
    assert found[0].mark is not None and found[0].mark.file == "--set" and "token_ttl" in found[0].hint
    # Without a cluster file there are no keys in user-data.
    findings = Findings()
    prepare(Request("debian12-efi", (), ("cloud.providers=[ec2]",)), findings)
    assert "IB911" not in {f.code for f in findings.items}


def test_secrets_of_another_cluster(fresh: Path, tmp_path: Path) -> None:
    assert _checked(tmp_path, fresh, CLUSTER.replace("lab", "prod"))["IB903"] is Severity.ERROR


def test_keys_that_are_not_their_certificates(fresh: Path, tmp_path: Path) -> None:
    made = make("lab", _now())
    data = yaml.safe_load(fresh.read_text())
    data["etcd_ca"]["private_key"] = made.ca.private_key
    fresh.write_text(yaml.safe_dump(data))
    assert _checked(tmp_path, fresh)["IB904"] is Severity.ERROR


@pytest.mark.parametrize(("left", "severity"), [(-10, Severity.ERROR), (86400, Severity.WARNING), (8 * 86400, None)])
def test_a_token_that_ends(left: int, severity: Severity | None, fresh: Path, tmp_path: Path) -> None:
    line = next(line for line in fresh.read_text().splitlines() if line.startswith("bootstrap_token_expires"))
    change(fresh, line, f"bootstrap_token_expires: {_at(_now() + left)}")  # as YAML's own time
    assert _checked(tmp_path, fresh).get("IB906") is severity


def test_authorities_that_have_ended(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    kept(path, _now() - 3651 * 86400)
    assert _checked(tmp_path, path)["IB905"] is Severity.ERROR


def test_secrets_without_a_cluster_file(tmp_path: Path) -> None:
    findings = Findings()
    with pytest.raises(InvalidInput):
        prepare(Request("debian12-efi", secrets=tmp_path / "s.yaml"), findings)
    assert [f.code for f in findings.errors] == ["IB907"]


def test_a_run_keeps_them_before_any_node_has_them(tmp_path: Path) -> None:
    cluster = tmp_path / "lab.yaml"
    cluster.write_text(CLUSTER)
    ready = prepare(Request("debian12-efi", cluster=cluster), Findings())
    path = tmp_path / "lab.secrets.yaml"
    assert not path.exists()  # check writes nothing
    with (tmp_path / "log").open("w") as log:
        folder = write(ready, tmp_path / "out", PlainSteps(log), image=False, cache=tmp_path, fresh=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "keep this file" in (tmp_path / "log").read_text()
    secrets, _ = kept(path)
    assert secrets is not None
    key = secrets.ca.private_key.splitlines()[2]
    holders = {
        p.parent.name for p in folder.rglob("*") if p.is_file() and key in p.read_bytes().decode(errors="ignore")
    }
    assert holders == {"a"}
    assert all(
        stat.S_IMODE(p.stat().st_mode) == 0o600
        for p in folder.rglob("*")
        if p.is_file() and secrets.bootstrap_token in p.read_bytes().decode(errors="ignore")
    )
    everything = (folder / "manifest.json").read_text() + (tmp_path / "log").read_text()
    assert secrets.bootstrap_token not in everything
    # The same cluster again: the same seeds, byte for byte.
    again = prepare(Request("debian12-efi", cluster=cluster), Findings())
    assert again.rendered.groups == ready.rendered.groups


PXE_ANY = """\
name: lab
endpoint: 10.0.0.11:6443
nodes:
  - {name: cp1, role: %s}
  - {name: w1, role: %s, mac: "52:54:00:00:00:02"}
"""


@pytest.mark.parametrize("roles", [("control-plane", "worker"), ("worker", "control-plane")])
def test_an_unknown_machine_gets_neither_keys_nor_token_over_pxe(
    roles: tuple[str, str], fresh: Path, tmp_path: Path
) -> None:
    (tmp_path / "lab.yaml").write_text(PXE_ANY % roles)
    findings = Findings()
    ready = prepare(Request("debian12-efi", cluster=tmp_path / "lab.yaml", secrets=fresh), findings)
    assert ready.kept is not None
    secrets = ready.kept.secrets
    private = [secrets.bootstrap_token.encode(), *(secrets.files[f"{n}.key"].splitlines()[2].encode() for n in CAS)]
    assert "boot.ipxe" in ready.rendered.groups["pxe"]
    pxe = {f"{group}/{path}": f for group in ("pxe", "pxe-private") for path, f in ready.rendered.groups[group].items()}
    holders = {path for path in pxe if any(text in pxe[path].content for text in private)}
    assert holders == {"pxe-private/mac-52-54-00-00-00-02/user-data"}
    (found,) = [f for f in findings.items if f.code == "IB801"]
    assert found.message.startswith("node cp1: no PXE files: it has no MAC") and found.severity is Severity.WARNING
    assert found.mark is not None and found.mark.line == 4


def test_keys_are_read_once_a_cluster_and_not_once_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL takes a twentieth of a second to read one: a minute for a thousand nodes."""
    read: list[bytes] = []
    loader = serialization.load_pem_private_key

    def counted(data: bytes, password: None, **more: bool) -> object:
        read.append(data)
        return loader(data, password, **more)

    monkeypatch.setattr(serialization, "load_pem_private_key", counted)
    counts = []
    for workers in (1, 30):
        nodes = "".join(f"  - {{name: w{n}, role: worker}}\n" for n in range(workers))
        (tmp_path / "lab.yaml").write_text(CLUSTER.partition("  - {name: b")[0] + nodes)
        kept(tmp_path / "lab.secrets.yaml", int(time.time()))
        read.clear()
        prepare(Request("debian12-efi", cluster=tmp_path / "lab.yaml"), Findings())
        counts.append(len(read))
    assert counts[0] == counts[1] > 0


def test_a_file_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    found = load_secrets(path, "lab", NOW, Findings())
    assert found is not None
    path.write_text("theirs\n")
    with pytest.raises(MadeMeanwhile, match="another run has created") as caught:
        found.save()
    assert "run this again" in caught.value.hint and "--secrets" not in caught.value.hint
    assert path.read_text() == "theirs\n"
    assert [p.name for p in tmp_path.iterdir()] == ["s.yaml"]


FIRST_RUN = """
import sys
from pathlib import Path
from imgbuild.pipeline import Request, prepare
from imgbuild.pipeline.write import write
from imgbuild.diagnostics.findings import Findings
from imgbuild.config.secrets_file import HEAD, MadeMeanwhile, clear
from imgbuild.diagnostics.progress import PlainSteps
ready = prepare(Request("debian12-efi", cluster=Path("lab.yaml")), Findings())
print("ready", flush=True)
sys.stdin.readline()
write(ready, Path(sys.argv[1]), PlainSteps(sys.stderr), image=False, cache=Path("cache"), fresh=False)
"""


def test_first_runs_at_the_same_time_make_one_cluster(tmp_path: Path) -> None:
    """Each has made keys in memory before any of them writes: all but one must give theirs up."""
    (tmp_path / "lab.yaml").write_text(CLUSTER)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_RUN, f"out{n}"], cwd=tmp_path, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for n in range(6)
    ]  # fmt: skip
    for run in runs:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"
    for run in runs:  # now all of them at once
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    said = [run.communicate(timeout=HUNG)[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs), said
    assert sum("the cluster's new keys are in" in text for text in said) == 1
    assert sum("another run has created" in text for text in said) == len(runs) - 1
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("out")) == [
        "lab.secrets.yaml",
        "lab.yaml",
    ]
    secrets, _ = kept(tmp_path / "lab.secrets.yaml")
    assert secrets is not None
    for place in tmp_path.glob("out*/debian12-efi/nodes/*/user-data"):
        text = place.read_text()
        assert secrets.ca.certificate.splitlines()[5] in text and secrets.bootstrap_token in text, place
    seeds = {n: sorted(p.read_bytes() for p in tmp_path.glob(f"out{n}/*/nodes/*/*")) for n in range(len(runs))}
    assert all(len(files) > 4 and files == seeds[0] for files in seeds.values())


KILLED = """
import os, signal, sys
from pathlib import Path
from imgbuild.config import secrets_file
made = os.link
os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # whole on the disk, and not yet under its name
secrets_file.create(Path(sys.argv[1]), secrets_file.HEAD + "lab\\nkeys\\n")
"""


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path: Path, secrets: Secrets) -> None:
    path = tmp_path / "lab.secrets.yaml"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".lab.secrets.yaml.") and "keys" in left.read_text()
    once = tmp_path / ".lab.secrets.yaml.4711"  # as runs once named it
    shutil.copy(left, once)
    Kept(secrets, path, None, NOW).save()
    assert [p.name for p in tmp_path.iterdir()] == ["lab.secrets.yaml"]
    # A run that finds keys clears as well.
    shutil.copy(path, once)
    found = load_secrets(path, "lab", NOW, Findings())
    assert found is not None and once.exists()  # reading writes nothing
    found.save()
    assert [p.name for p in tmp_path.iterdir()] == ["lab.secrets.yaml"]


def test_only_what_is_imgbuilds_and_nobody_s_any_more_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "lab.secrets.yaml"
    ours = f"{HEAD}lab\n"
    stay = {
        ".lab.secrets.yaml.swp": ours,  # an editor's
        ".lab.secrets.yaml.20261128": ours,  # a backup by date
        ".prod.secrets.yaml.4711": ours,  # another cluster's
        ".lab.secrets.yaml.4711": "notes of mine\n",
        ".lab.secrets.yaml.4712": ours,  # readable by others: not as imgbuild makes it
        ".lab.secrets.yaml.new-abcd0123": ours,  # a live run's
    }
    for name, text in stay.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name.endswith("4712") else 0o600)
    (tmp_path / "elsewhere").write_text(ours)
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / ".lab.secrets.yaml.4713").symlink_to("elsewhere")
    os.mkfifo(tmp_path / ".lab.secrets.yaml.4714", 0o600)
    (tmp_path / ".lab.secrets.yaml.4715").mkdir()
    if os.geteuid() == 0:
        (tmp_path / ".lab.secrets.yaml.4716").write_text(ours)
        (tmp_path / ".lab.secrets.yaml.4716").chmod(0o600)
        os.chown(tmp_path / ".lab.secrets.yaml.4716", 65534, 65534)
    (tmp_path / ".lab.secrets.yaml.4717").write_text(ours[:9])  # killed while it wrote
    (tmp_path / ".lab.secrets.yaml.4717").chmod(0o600)
    before = {p.name for p in tmp_path.iterdir()}
    with (tmp_path / ".lab.secrets.yaml.new-abcd0123").open() as live:
        fcntl.flock(live, fcntl.LOCK_EX)
        clear(path)
        assert {p.name for p in tmp_path.iterdir()} == before - {".lab.secrets.yaml.4717"}
    clear(path)
    assert {p.name for p in tmp_path.iterdir()} == before - {".lab.secrets.yaml.4717", ".lab.secrets.yaml.new-abcd0123"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a small file system of its own")
def test_a_full_disk_leaves_no_half_a_file(tmp_path: Path) -> None:
    script = """
set -e
mount -t tmpfs -o size=4k none "$1"
echo x > "$1/x"
"$2" - "$1" <<'PY'
import sys
from pathlib import Path
from imgbuild.config import secrets_file
from imgbuild.diagnostics.errors import HostError
try:
    secrets_file.create(Path(sys.argv[1]) / "s.yaml", "x" * 10_000)
except HostError as error:
    print("said:", error, "/", error.hint)
print(sorted(p.name for p in Path(sys.argv[1]).iterdir()))
PY
"""
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "sh", str(tmp_path), sys.executable],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "No space left on device / free some space" in done.stdout
    assert done.stdout.endswith("['x']\n")
