"""Mirrors that ask for a login or a client certificate: real apt, dnf and curl, with what the seed brings alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgbuild.config.cluster import DEFAULT
from imgbuild.facts.endpoint import reach
from imgbuild.facts.repository_logins import host_of
from imgbuild.image.surroundings import surroundings
from imgbuild.render.nodefile import NodeTree
from imgbuild.render.seed_files import CONF, SCRIPT, seed_files
from imgbuild.render.templates import static
from tests.support.el.rpms import Rpm, build, index
from tests.support.image.plan import ELEMENTS
from tests.support.install.archive import suite
from tests.support.install.keys import Signer, signer
from tests.support.install.room import Room, resolved, tree
from tests.support.mirror import Mirror
from tests.support.mirror_login import LOGIN, Authority, asking
from tests.support.node.power import Power

KINDS = ("password", "certificate", "both")
STORE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def key() -> Signer:
    return signer("mine")


@contextmanager
def mirror_of(kind: str, folder: Path, authority: Authority) -> Iterator[tuple[Mirror, str]]:
    """A mirror, and --set with its login."""
    login = LOGIN if kind != "certificate" else None
    given: dict[str, str] = {} if login is None else {"username": login[0], "password": login[1]}
    if kind != "password":
        # CentOS 7 reads RSA keys alone.
        certificate, private = authority.issue("node", kind="rsa" if kind == "both" else "ec")
        given |= {"client_certificate": certificate, "client_key": private}
    with asking(folder / "mirror", folder, authority, login=login, certificate=kind != "password") as mirror:
        yield mirror, f"repositories.logins={json.dumps({host_of(mirror.url): given})}"


def plant(room: Room, profile: str, *sets: str) -> list[str]:
    """What cloud-init writes of a seed, made to take effect by the seed's own script; the paths with a secret."""
    own = resolved(profile, sets=sets)
    files = seed_files(own, DEFAULT, DEFAULT.nodes[0], reach(own.profile, DEFAULT))
    room.lay(NodeTree(tuple(files)))
    room.write("/var/lib/cloud/instance/cloud-config.txt", f"- path: {CONF}\n")
    script(room)
    return [file.path for file in files if file.secret]


def script(room: Room) -> None:
    done = room.run("bash", SCRIPT)
    assert done.returncode == 0 and not done.stderr, done.stderr


def uproot(room: Room) -> None:
    """A later seed without logins; the files of other seeds are no concern here."""
    room.write("/var/lib/cloud/instance/cloud-config.txt", "- path: /etc/motd\n")
    script(room)


@pytest.mark.parametrize("kind", KINDS)
def test_apt(room: Room, tmp_path: Path, authority: Authority, key: Signer, kind: str) -> None:
    if "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("the host is no Debian 12")
    with mirror_of(kind, tmp_path, authority) as (mirror, login):
        for name in ("bookworm", "bookworm-updates", "bookworm-security"):
            suite(mirror.folder / "debian", name, key)
        suite(mirror.folder / "k8s", "/", key, ("kubeadm", "1.35.8-1.1"))
        folders = {"distribution": "debian", "security": "debian", "kubernetes": "k8s/"}
        lists = [f'repositories.{name}=["{mirror.url}/{folder}"]' for name, folder in folders.items()]
        sets = (*lists, key.option("distribution"), key.option("kubernetes"), "kernel.flavour=distribution")
        room.lay(tree("debian12-efi", mode="stock", sets=sets))
        room.write("/etc/apt/sources.list", "")
        room.write(STORE, authority.pem)
        done = room.step("10-repositories", image=False)
        assert done.returncode != 0 and not mirror.asked
        assert ("asks for a login, or refuses the one it gets" in done.stderr) == (kind == "password")
        secret = plant(room, "debian12-efi", login, *sets)
        assert all((room.upper / path[1:]).stat().st_mode & 0o077 == 0 for path in secret) and len(secret) >= 2
        done = room.step("10-repositories", image=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {"/k8s/InRelease", "/debian/dists/bookworm-security/InRelease"} <= set(mirror.asked)
        # A package, by the user's own way to apt.
        got = room.run("sh", "-c", "cd /tmp && apt-get download kubeadm && ls")
        assert got.returncode == 0 and "kubeadm_1.35.8-1.1_all.deb" in got.stdout, got.stderr
        assert LOGIN[1] not in "".join(path.read_text() for path in (room.upper / "etc/apt/sources.list.d").iterdir())
        uproot(room)
        assert (
            room.run("sh", "-c", "ls -A /etc/imgbuild/logins /etc/apt/auth.conf.d").stdout.count("imgbuild.conf") == 0
        )
        assert room.run("apt-get", "-o", "APT::Update::Error-Mode=any", "update").returncode != 0


@pytest.mark.parametrize("kind", KINDS)
def test_dnf(room: Room, tmp_path: Path, authority: Authority, kind: str) -> None:
    if shutil.which("dnf") is None:
        pytest.skip("there is no dnf here")
    with mirror_of(kind, tmp_path, authority) as (mirror, login):
        build([Rpm("pet")], mirror.folder, tmp_path / "build", None)
        index(mirror.folder)
        own = {"path": "/etc/yum.repos.d/own.repo", "content": f"[own]\nname=own\nbaseurl={mirror.url}/\ngpgcheck=0\n"}
        sets = (f'repositories.elrepo=["{mirror.url}/"]', 'repositories.kubernetes=["http://127.0.0.1:1/"]')
        for release in ("7", "8") if kind != "certificate" else ("8",):
            room.lay(tree(f"centos{release}-efi", sets=sets))
            both = {"imgbuild.repo": room.read("/etc/yum.repos.d/imgbuild.repo"), "own.repo": str(own["content"])}
            assert both["imgbuild.repo"].count(mirror.url) == 1
            room.write(str(own["path"]), str(own["content"]))
            room.write(STORE, authority.pem)
            plant(room, f"centos{release}-efi", login, f"files={json.dumps([own])}", *sets)
            for name, text in both.items():
                laid = room.upper / "etc/yum.repos.d" / name
                assert laid.stat().st_mode & 0o777 == 0o600
                kept = [line for line in laid.read_text().splitlines() if line in text.splitlines()]
                assert kept == text.splitlines() and laid.read_text().count("# imgbuild: login, mode 644\n") == 1
            before = room.read("/etc/yum.repos.d/imgbuild.repo")
            script(room)  # at each boot
            assert room.read("/etc/yum.repos.d/imgbuild.repo") == before
            asks = [
                "dnf",
                "--disablerepo=*",
                "--enablerepo=elrepo-kernel,own",
                "--releasever=8",
                "--installroot=/tmp/root",
            ]
            asks += ["--setopt=reposdir=/etc/yum.repos.d", "--setopt=elrepo-kernel.gpgcheck=0"]
            command = [*asks, "-y", "--setopt=keepcache=1", "install", "--downloadonly", "pet"]
            done = room.run(*command)
            assert done.returncode == 0 and LOGIN[1] not in done.stdout + done.stderr, done.stdout + done.stderr
            assert any(path.endswith(".rpm") for path in mirror.asked), mirror.asked
            uproot(room)
            for name, text in both.items():
                laid = room.upper / "etc/yum.repos.d" / name
                assert (laid.read_text(), laid.stat().st_mode & 0o777) == (text, 0o644)
            mirror.asked.clear()
            assert room.run(*command).returncode != 0 and not mirror.asked


@pytest.mark.parametrize("kind", KINDS)
def test_archives(room: Room, tmp_path: Path, authority: Authority, kind: str) -> None:
    """What curl fetches: nerdctl-full, helm, charts, archives of images."""
    with mirror_of(kind, tmp_path, authority) as (mirror, login):
        (mirror.folder / "file").write_text("a file\n")
        room.lay(tree("debian12-efi"))
        room.write(STORE, authority.pem)
        words = (
            "set -euo pipefail; . /usr/libexec/imgbuild/lib/install.sh; . /usr/libexec/imgbuild/lib/archive.sh; "
            f"download /tmp/part {mirror.url}/file; cat /tmp/part"
        )
        assert room.run("bash", "-c", words, IMGBUILD_RETRIES="1").returncode != 0 and not mirror.asked
        plant(room, "debian12-efi", login)
        done = room.run("bash", "-c", words)
        assert done.stdout == "a file\n", done.stderr


TWO = "https://a.example/x/ https://b.example:8443/y"
CASES = {
    "each": ("baseurl=https://a.example/x/\n        https://A.example/$basearch", True),
    "list": ("mirrorlist = https://a.example/list", True),
    "comment": ("#baseurl=https://b.example/\nbaseurl=https://a.example/x\ngpgkey=https://c.example/key", True),
    "other": ("baseurl=https://b.example/", False),
    "port": ("baseurl=https://a.example:8443/x", False),
    "mixed": (f"baseurl={TWO}", False),
    "below": ("baseurl=https://b.example/\n  https://a.example/", False),
    "own": ("baseurl=https://a.example/x\nusername=me\npassword=mine", False),
    "file": ("baseurl=file:///srv", False),
    "longer": ("baseurl=https://a.example.org/x", False),
}


@pytest.mark.parametrize("awk", ["gawk", "mawk", "busybox"])
def test_which_repositories_get_a_login(tmp_path: Path, awk: str) -> None:
    """A login is for its host alone: yum and dnf send it to each address of a repository."""
    if shutil.which(awk) is None:
        pytest.skip(f"there is no {awk}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/awk").symlink_to(shutil.which(awk) or "")
    repos, table = tmp_path / "etc/yum.repos.d", tmp_path / "etc/imgbuild/logins/repositories"
    repos.mkdir(parents=True)
    table.parent.mkdir(parents=True)
    text = "# mine\n" + "".join(f"\n[{name}]\nname={name}\n{lines}\nenabled=1\n" for name, (lines, _) in CASES.items())
    (repos / "all.repo").write_text(text)
    (repos / "all.repo").chmod(0o640)
    rows = "a.example\tusername\tn\na.example\tpassword\tp\\n&%s$1\n"
    table.write_text(rows)

    def update() -> str:
        environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "IMGBUILD_ROOT": str(tmp_path)}
        done = subprocess.run(
            ["bash", "-c", static("node", "etc/imgbuild/logins-update-rpm").decode()],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    said = update()
    assert [line.split("[")[1].split("]")[0] for line in said.splitlines()] == ["mixed", "below"]
    block = "# imgbuild: login, mode 640\nusername=n\npassword=p\\n&%s$1\n# imgbuild: end of login\n"
    wanted = text
    for name, (_, gets) in CASES.items():
        if gets:
            wanted = wanted.replace(f"[{name}]\n", f"[{name}]\n{block}")
    assert (repos / "all.repo").read_text() == wanted
    update()
    assert (repos / "all.repo").read_text() == wanted and (repos / "all.repo").stat().st_mode & 0o777 == 0o600
    table.write_text(rows.replace("%s", "new"))
    update()
    assert (repos / "all.repo").read_text() == wanted.replace("%s", "new")
    table.unlink()
    update()
    assert (repos / "all.repo").read_text() == text and (repos / "all.repo").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in repos.iterdir()] == ["all.repo"]


def test_a_power_cut_costs_no_repository(tmp_path: Path) -> None:
    root = tmp_path / "root"
    file, table = root / "etc/yum.repos.d/all.repo", root / "etc/imgbuild/logins/repositories"
    file.parent.mkdir(parents=True)
    table.parent.mkdir(parents=True)
    table.write_text("a.example\tusername\tn\n")
    text = "[base]\nbaseurl=https://a.example/\n"
    power = Power(root, tmp_path / "bin", tmp_path / "power")
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "IMGBUILD_ROOT": str(root)}

    def prepare() -> None:
        file.write_text(text)
        file.chmod(0o644)

    def script() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", static("node", "etc/imgbuild/logins-update-rpm").decode()],
            env=environment, capture_output=True, text=True, check=False, start_new_session=True,
        )  # fmt: skip

    for number in power.cuts(prepare, script):
        block = "# imgbuild: login, mode 644\nusername=n\n# imgbuild: end of login\n"
        assert file.read_text() == text.replace("\n", f"\n{block}", 1), number
        assert file.stat().st_mode & 0o777 == 0o600, number


@pytest.mark.parametrize("base", ["centos8-efi", "debian12-efi"])
def test_an_image_has_the_logins_for_the_time_of_its_build(room: Room, authority: Authority, base: str) -> None:
    """The hooks of the elements, in the order in which diskimage-builder runs them."""
    certificate, private = authority.issue("builder")
    given = {
        "username": LOGIN[0],
        "password": LOGIN[1],
        "client_certificate": certificate,
        "client_key": private,
    }
    own = resolved(base, sets=(f"repositories.logins={json.dumps({'a.example': given})}",))
    element = ELEMENTS / "imgbuild-install"
    repository = "[own]\nname=own\nbaseurl=https://a.example/\n"
    room.write("/etc/yum.repos.d/own.repo", repository)
    room.write("/etc/imgbuild/install.conf", "")

    def every() -> set[str]:
        return {str(path.relative_to(room.upper)) for path in room.upper.rglob("*") if path.is_file()}

    before = every()
    with surroundings(own.profile) as site:
        environment = {**os.environ, **site.local()}
        subprocess.run(["bash", element / "bin/imgbuild-site", room.upper], env=environment, check=True)
    done = room.run("bash", "-c", (element / "pre-install.d/05-imgbuild-site").read_text())
    assert done.returncode == 0, done.stderr
    if own.target.family == "el":
        assert f"\npassword={LOGIN[1]}\n" in room.read("/etc/yum.repos.d/own.repo")
    else:
        assert (
            "/etc/apt/auth.conf.d/imgbuild.conf"[1:] in every() and "etc/imgbuild/logins/apt/a.example.key" in every()
        )
    done = room.run("bash", "-c", (element / "finalise.d/98-imgbuild-site").read_text())
    assert done.returncode == 0, done.stderr
    assert every() == before and room.read("/etc/yum.repos.d/own.repo") == repository
    assert not (room.upper / "etc/imgbuild/logins").is_dir()
