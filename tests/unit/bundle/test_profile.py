"""The profile in a bundle: every file that it needs, no secret, and the same values where it is unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.bundle.profile import Carried, carried
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Findings
from imgbuild.pipeline import Request, prepare
from tests.support.checking import ADMIN
from tests.support.mirror_login import Authority

PASSWORD = "correct-horse-battery"
PROFILE = """\
# A node of ours
extends: [debian12-efi, ../common/base.yaml]
files:
  - {path: /etc/motd, source: motd.txt}   # everybody may read it
  - path: /etc/agent.key
    mode: "0600"
    source: ABSOLUTE
containerd:
  registries:
    docker.io:
      server: https://registry-1.docker.io
      mirrors:
        - url: https://harbor.example.com
          auth: {username: robot, password: "correct-horse-battery"} # literal
    quay.io:
      server:
        url: https://quay.example.com
        auth:
          username: robot
          password: {file: quay.txt}
    ghcr.io:
      server:
        url: https://ghcr.example.com
        auth:
          username: robot
          password: |-
            correct-horse-battery
        skip_verify: true
proxy: {http: {env: SITE_PROXY}}
trust: {certificates: [{file: ca.pem}]}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SITE_PROXY", "http://proxy.example.com:3128")
    for folder in ("site", "common", "keys"):
        Path(folder).mkdir()
    Path("common/base.yaml").write_text("time: {zone: Asia/Tokyo}\nfiles: [{path: /etc/x, source: x.txt}]\n")
    Path("common/x.txt").write_text("x")
    Path("keys/agent.key").write_text("secret key of an agent")
    Path("site/node.yaml").write_text(PROFILE.replace("ABSOLUTE", str(tmp_path / "keys/agent.key")))
    Path("site/motd.txt").write_text("Welcome\n")
    Path("site/quay.txt").write_text(f"{PASSWORD}\n")
    Path("site/ca.pem").write_text(Authority().pem)
    Path("extra.yaml").write_text("kernel: {sysctl: {vm.swappiness: 1}}\n")


def take(*sets: str, cluster: Path | None = None) -> Carried:
    findings = Findings()
    found = carried("site/node.yaml", ("extra.yaml", "container-host"), sets, "baked", cluster, findings)
    assert not findings.items
    return found


def test_every_file_is_carried_and_no_secret() -> None:
    found = take()
    assert set(found.files) == {
        "node.yaml", "motd.txt", "ca.pem", "outside/1-base.yaml", "outside/2-x.txt", "outside/4-extra.yaml",
    }  # fmt: skip
    everything = b"".join(found.files.values())
    assert PASSWORD.encode() not in everything and b"secret key" not in everything
    assert b"# A node of ours\n" in found.files["node.yaml"] and b"# everybody may read it" in found.files["node.yaml"]
    assert found.options[:2] == ["--profile", "node.yaml"] and found.options[-2:] == ["--mode", "baked"]
    assert "container-host" in found.options
    said = [f"{left.where} {left.what}: {left.fix}" for left in found.left_out]
    assert len(said) == 5, said
    assert any("quay.txt" in line and "mode 0600" in line for line in said)
    assert any("agent.key" in line for line in said) and any("SITE_PROXY" in line for line in said)
    literal = "IMGBUILD_CONTAINERD_REGISTRIES_DOCKER_IO_MIRRORS_0_AUTH_PASSWORD"
    assert any(line.startswith("node.yaml:14 ") and literal in line for line in said)


def test_each_secret_has_a_variable_of_its_own() -> None:
    """Names of registries that differ in - and . alone, and the same key in two files."""
    entry = '{server: {url: "https://HOST", auth: {username: robot, password: PASSWORD}}}'
    own = "".join(
        f"    {name}: {entry.replace('HOST', name).replace('PASSWORD', f'{PASSWORD}-{number}')}\n"
        for number, name in enumerate(("reg-a.test", "reg.a.test"))
    )
    Path("site/node.yaml").write_text(f"extends: debian12-efi\ncontainerd:\n  registries:\n{own}")
    Path("extra.yaml").write_text(f"containerd:\n  registries:\n{own.splitlines()[0]}\n")
    found = take()
    name = "IMGBUILD_CONTAINERD_REGISTRIES_REG_A_TEST_SERVER_AUTH_PASSWORD"
    fixes = [left.fix for left in found.left_out]
    assert fixes == [f"set the variable {each}, and export it" for each in (name, f"{name}_2", f"{name}_3")]
    text = found.files["node.yaml"].decode()
    assert f'"{name}"' in text and f'"{name}_2"' in text and PASSWORD not in text


def test_it_gives_the_same_values_in_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    found = take(ADMIN, "time.ntp_servers=[time.example.com]")
    before = prepare(
        Request("site/node.yaml", ("extra.yaml", "container-host"), (ADMIN, "time.ntp_servers=[time.example.com]")),
        Findings(),
    )
    place = tmp_path / "elsewhere/profile"
    for name, content in found.files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    monkeypatch.chdir(place)
    for name in ("DOCKER_IO_MIRRORS_0", "GHCR_IO_SERVER"):
        monkeypatch.setenv(f"IMGBUILD_CONTAINERD_REGISTRIES_{name}_AUTH_PASSWORD", PASSWORD)
    Path("quay.txt").write_text(PASSWORD)
    (key,) = (left for left in found.left_out if "agent.key" in left.what)
    there = Path(key.fix.split(" to ")[1])
    there.parent.mkdir(exist_ok=True)
    there.write_text("secret key of an agent")
    words = list(found.options)
    layers = [words[at + 1] for at, word in enumerate(words) if word == "--layer"]
    sets = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    after = prepare(Request(words[1], layers, sets), Findings())
    without = {"files": {"__all__": {"source"}}}
    values = [one.resolved.profile.model_dump(exclude=without) for one in (before, after)]
    assert values[0] == values[1]
    assert after.rendered.node == before.rendered.node


def test_a_private_value_of_set_and_one_that_names_a_file() -> None:
    login = f"{{username: x, password: {PASSWORD}}}"
    found = take(
        f'containerd.registries."a.example".server={{url: "https://a.example", auth: {login}}}',
        "files=[{path: /etc/x, source: extra.yaml}]",
        "time.zone=Asia/Seoul",
    )
    assert "time.zone=Asia/Seoul" in found.options and PASSWORD not in " ".join(found.options)
    said = [left.fix for left in found.left_out if left.where == "--set"]
    keys = ('containerd.registries."a.example".server', "files")
    assert said == [f"pass --set {key}=… to the build again" for key in keys]
    assert all(PASSWORD not in left.what + left.fix for left in found.left_out)


def test_a_shipped_profile_and_a_layer_of_the_current_folder() -> None:
    found = carried("debian12-efi", ("extra.yaml", "./common/base.yaml"), (), None, None, Findings())
    assert found.options == ["--profile", "debian12-efi", "--layer", "extra.yaml", "--layer", "common/base.yaml"]
    assert set(found.files) == {"extra.yaml", "common/base.yaml", "common/x.txt"}


def test_a_cluster_file_without_its_secrets() -> None:
    Path("site/lab.yaml").write_text("name: lab\nnodes: [{name: a, role: control-plane}]\n")
    Path("site/lab.secrets.yaml").write_text("cluster: lab\n")
    found = take(cluster=Path("site/lab.yaml"))
    assert "lab.yaml" in found.files and "lab.secrets.yaml" not in found.files
    assert any("keys and token" in left.what for left in found.left_out)


def test_a_secret_in_the_profile_itself_is_refused_with_its_place() -> None:
    Path("site/node.yaml").write_text(
        "extends: debian12-efi\nfiles:\n  - {path: /etc/k, mode: '0640', content: 'a secret'}\n"
    )
    findings = Findings()
    carried("site/node.yaml", (), (), None, None, findings)
    (found,) = findings.items
    assert found.code == "IB823" and found.mark is not None and (found.mark.line, found.mark.column) == (3, 43)
    assert "a secret" not in found.message + found.mark.text


def test_a_secret_behind_an_alias_is_refused() -> None:
    """Its text is in the file once and in the profile twice: the change would leave the other without it."""
    auth = "auth: {username: x, password: %s}"
    Path("site/node.yaml").write_text(
        "extends: debian12-efi\ncontainerd:\n  registries:\n"
        f"    docker.io: {{server: {{url: 'https://a.example', {auth % '&word hunter22'}}}}}\n"
        f"    quay.io: {{server: {{url: 'https://b.example', {auth % '*word'}}}}}\n"
    )
    with pytest.raises(UsageError, match="cannot be carried"):
        carried("site/node.yaml", (), (), None, None, Findings())
