"""What a build gets of its site: a real proxy with a login, used without anybody else seeing the login."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest

from imgbuild.config.profile import Profile, RepositoryLogin
from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.repository_logins import host_of
from imgbuild.fetch.ask import ask
from imgbuild.fetch.checksum import sha256_of
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.logins import HostLogin, logged_in
from imgbuild.image.rootfs.build import build_rootfs
from imgbuild.image.rootfs.mirror import debian_mirrors, serves
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.image.surroundings import TRUST, refuse_logins, surroundings
from tests.support.deadline import HUNG
from tests.support.fetching import download
from tests.support.image.plan import ELEMENTS, install_tree
from tests.support.image.recorder import Recorder
from tests.support.mirror import Mirror, listening
from tests.support.mirror_login import LOGIN as NAME_AND_PASSWORD
from tests.support.mirror_login import Authority, asking
from tests.support.places import ROOT
from tests.support.profiles import resolved
from tests.support.proxy import LOGIN, Site
from tests.unit.checks.test_site import pem


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield stack.enter_context(Site.running(tmp_path))


def profile(url: str, certificates: list[str] | None = None) -> Profile:
    given = resolved("debian12-efi").profile
    proxy = given.proxy.model_copy(update={"http": url, "https": url})
    trust = given.trust.model_copy(update={"certificates": certificates or []})
    return given.model_copy(update={"proxy": proxy, "trust": trust})


def test_fetching_goes_through_the_proxy_and_its_login_is_nowhere(site: Site, tmp_path: Path) -> None:
    steps: Steps = Recorder()
    before = dict(os.environ)
    with surroundings(profile(site.url)):
        assert LOGIN not in "".join(os.environ.values())
        assert os.environ["http_proxy"].startswith("http://127.0.0.1:")
        # The name is one that only the proxy can resolve.
        download(f"http://files.corp.invalid:{site.port}/file", tmp_path / "file", sha256_of(site.file), steps)
        for words in (["curl", "-sS", "--fail"], ["curl", "-sS", "--fail", "--proxytunnel"]):
            done = subprocess.run(
                [*words, f"http://files.corp.invalid:{site.port}/file"], capture_output=True, text=True, check=True
            )
            assert done.stdout == site.file.read_text()
    assert dict(os.environ) == before
    log = site.log()
    assert "CONNECT files.corp.invalid" in log and "GET http://files.corp.invalid" in log


def test_apt_goes_through_it(site: Site, tmp_path: Path) -> None:
    for folder in ("lists/partial", "cache/archives/partial", "state"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] http://mirror.corp.invalid:{site.port}/repo ./\n")
    options = {
        "Dir::Etc::sourcelist": tmp_path / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": tmp_path / "lists", "Dir::Cache": tmp_path / "cache", "APT::Sandbox::User": "root",
        "Dir::Etc::parts": "-", "APT::Update::Error-Mode": "any",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with surroundings(profile(site.url)):
        subprocess.run(["apt-get", "-q", *words, "update"], check=True, capture_output=True, timeout=HUNG)
    assert "mirror.corp.invalid" in site.log()
    assert [path.name for path in (tmp_path / "lists").iterdir() if "_Packages" in path.name]


@pytest.mark.skipif(shutil.which("dnf") is None, reason="needs Debian's dnf")
def test_dnf_goes_through_it_except_to_what_no_proxy_names(site: Site, tmp_path: Path) -> None:
    repo = site.file.parent / "repo"
    subprocess.run(["createrepo_c", "-q", str(repo)], check=True)
    given = profile(site.url)
    direct = given.proxy.model_copy(update={"no_proxy": [".corp.invalid"]})
    asked: list[int] = []
    for one, reached in ((given, True), (given.model_copy(update={"proxy": direct}), False)):
        root = tmp_path / f"root-{reached}"
        (root / "repos").mkdir(parents=True)
        (root / "repos/corp.repo").write_text(
            f"[corp]\nname=corp\nbaseurl=http://mirror.corp.invalid:{site.port}/repo\ngpgcheck=0\nretries=1\n"
        )
        (root / "dnf.conf").write_text("[main]\nretries=1\n")
        words = ["dnf", "-q", "-c", str(root / "dnf.conf"), "--releasever=8", f"--installroot={root}"]
        for name in ("cachedir", "persistdir", "logdir"):
            (root / name).mkdir()
        options = [f"--setopt={name}={root / name}" for name in ("cachedir", "persistdir", "logdir")]
        with surroundings(one):
            done = subprocess.run(
                [*words, *options, f"--setopt=reposdir={root / 'repos'}", "makecache"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        assert (done.returncode == 0) == reached, done.stderr
        asked.append(site.log().count("repomd.xml"))
    assert asked[0] > 0 and asked[0] == asked[1]  # the second has not come to the proxy


def test_a_wrong_login_is_an_answer_and_not_a_silence(site: Site) -> None:
    with surroundings(profile(site.url.replace(LOGIN, "bob:wrong"))):
        done = subprocess.run(
            ["curl", "-sS", "--fail", f"http://files.corp.invalid:{site.port}/file"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 22 and "error: 40" in done.stderr


def test_a_proxy_that_is_not_there(tmp_path: Path) -> None:
    with surroundings(profile("http://bob:secret@127.0.0.1:1")):
        began = time.monotonic()
        done = subprocess.run(["curl", "-sS", "--fail", "http://a.invalid/"], capture_output=True, check=False)
        assert done.returncode == 22 and time.monotonic() - began < 60


def test_a_proxy_without_a_login_is_given_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "")
    monkeypatch.setenv("https_proxy", "http://other.example:1")
    with surroundings(profile("http://proxy.corp:3128")):
        assert os.environ["https_proxy"] == "http://proxy.corp:3128"
        assert "10.244.0.0/16" in os.environ["NO_PROXY"]
    assert os.environ["https_proxy"] == "http://other.example:1"


def test_authorities_are_added_to_the_hosts(tmp_path: Path) -> None:
    own = pem("Corp")
    with surroundings(profile("http://proxy.corp:3128", [own])):
        assert own in Path(os.environ["SSL_CERT_FILE"]).read_text()
        assert Path(os.environ[TRUST]).read_text() == own
    assert TRUST not in os.environ


@pytest.mark.parametrize("kept", ["p@ss", "p%40ss", "Ym9iOnBAc3M="])
def test_a_root_file_system_with_the_login_is_refused(tmp_path: Path, kept: str) -> None:
    tar = tmp_path / "root.tar"
    for text, refused in ((f"proxy={kept}\n", True), ("proxy=\n", False)):
        (tmp_path / "yum.conf").write_text("#" * ((4 << 20) - 515) + text)  # over the end of a block of the search
        with tarfile.open(tar, "w") as archive:
            archive.add(tmp_path / "yum.conf", "./etc/yum.conf")
        given = profile("http://bob:p%40ss@proxy.corp:3128")
        if refused:
            with pytest.raises(HostError, match="has the login of the proxy"):
                refuse_logins(given, tar)
        else:
            refuse_logins(given, tar)


@pytest.mark.parametrize(
    ("store", "program"),
    [
        ("etc/pki/ca-trust/source/anchors", "update-ca-trust"),
        ("usr/local/share/ca-certificates", "update-ca-certificates"),
    ],
)
def test_the_chroot_has_the_authorities_for_the_time_of_the_build(tmp_path: Path, store: str, program: str) -> None:
    element, root = ROOT / "elements/imgbuild-install", tmp_path / "root"
    if "pki" in store:
        (root / store).mkdir(parents=True)
    (root / "bin").mkdir(parents=True)
    (root / "bin" / program).write_text(f'#!/bin/sh\necho "$*" $(ls {root / store}) >> {tmp_path / "log"}\n')
    (root / "bin" / program).chmod(0o755)
    (tmp_path / "own.pem").write_text("# One\n" + pem("One") + pem("Two"))

    def run(name: str, **more: str) -> None:
        text = (element / name).read_text()
        if not name.startswith("bin/"):  # it runs in the chroot: its paths are below the root here
            text = text.replace("/etc/pki", f"{root}/etc/pki").replace("/usr/local/share", f"{root}/usr/local/share")
        environment = {"PATH": f"{root / 'bin'}:{os.environ['PATH']}", **more}
        subprocess.run(["bash", "-c", text, name, str(root)], env=environment, check=True)

    run("pre-install.d/05-imgbuild-site")
    assert not (tmp_path / "log").exists()
    run("bin/imgbuild-site", IMGBUILD_TRUST=str(tmp_path / "own.pem"))
    made = sorted((root / store).iterdir())
    assert [path.name for path in made] == ["imgbuild-build-1.crt", "imgbuild-build-2.crt"]
    assert all(path.read_text().count("BEGIN CERTIFICATE") == 1 for path in made)
    run("pre-install.d/05-imgbuild-site")
    run("finalise.d/98-imgbuild-site")
    calls = (tmp_path / "log").read_text().splitlines()
    assert len(calls) == 2 and calls[0].endswith("imgbuild-build-1.crt imgbuild-build-2.crt")
    assert "imgbuild" not in calls[1] and not list((root / store).iterdir())


def with_logins(given: Profile, **logins: RepositoryLogin) -> Profile:
    """``logins`` by host, with _ for the colon before its port."""
    found = {host.replace("_", ":"): login for host, login in logins.items()}
    repositories = given.repositories.model_copy(update={"logins": found})
    return given.model_copy(update={"repositories": repositories})


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@contextmanager
def asking_site(folder: Path, authority: Authority, *, certificate: bool) -> Iterator[tuple[Profile, Mirror]]:
    """A mirror that asks for a certificate or a login, and a profile that has it, with the mirror's authority."""
    crt, key = authority.issue("builder", kind="rsa")
    login = RepositoryLogin(client_certificate=crt, client_key=key) if certificate else RepositoryLogin(
        username=NAME_AND_PASSWORD[0], password=NAME_AND_PASSWORD[1])  # fmt: skip
    asked = None if certificate else NAME_AND_PASSWORD
    with asking(folder / "mirror", folder, authority, login=asked, certificate=certificate) as mirror:
        given = with_logins(resolved("debian12-efi").profile, **{host_of(mirror.url).replace(":", "_"): login})
        trust = given.trust.model_copy(update={"certificates": [authority.pem]})
        yield given.model_copy(update={"trust": trust}), mirror


@pytest.mark.parametrize("certificate", [False, True])
def test_the_host_fetches_with_the_login(tmp_path: Path, authority: Authority, certificate: bool) -> None:
    with asking_site(tmp_path, authority, certificate=certificate) as (given, mirror):
        release = mirror.folder / "debian/dists/bookworm/InRelease"
        release.parent.mkdir(parents=True)
        release.write_text("a release\n" * 9999)
        sum_of, steps = sha256_of(release), Recorder()
        url = f"{mirror.url}/debian"
        with surroundings(with_logins(given)), pytest.raises(FetchError):
            serves(url, "bookworm")
        assert not mirror.asked
        with surroundings(given) as site:
            assert serves(url, "bookworm") and not serves(url, "trixie")
            download(f"{url}/dists/bookworm/InRelease", tmp_path / "file", sum_of, steps)
            local = site.local(f"debian:deb {url} bookworm main\nmore:deb {url} bookworm-backports main")
            kind, there, *rest = local["IMGBUILD_FIRST_SOURCES"].split()
            assert [kind, *rest] == ["deb", "bookworm", "main"]
            assert there.startswith("http://127.0.0.1:") and local["no_proxy"].endswith("127.0.0.1")
            done = subprocess.run(
                ["wget", "--no-verbose", "-O", tmp_path / "got", f"{there}/dists/bookworm/InRelease"],
                env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False, timeout=HUNG,
            )  # fmt: skip
            assert done.returncode == 0 and sha256_of(tmp_path / "got") == sum_of, done.stderr
            lost = subprocess.run(["wget", "-q", f"{there}/none"], check=False, timeout=HUNG, cwd=tmp_path)
            assert lost.returncode == 8  # the mirror's own answer: 404
            folder = Path(local["IMGBUILD_LOGINS"])
            assert folder.stat().st_mode & 0o077 == 0 and (folder / "etc/imgbuild/logins").is_dir()
        assert not folder.exists()
        with pytest.raises(FetchError):
            ask(there, limits=Limits(tries=1))


def test_a_login_is_for_its_host_alone(tmp_path: Path) -> None:
    """The mirror redirects to another host, which must not get it."""
    heads: list[dict[str, str]] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heads.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(302 if self.path == "/file" else 200)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/other")  # type: ignore[attr-defined]
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing."""

    with listening(Redirecting) as port:
        logins = {f"127.0.0.1:{port}": HostLogin("n", "secret")}
        with logged_in(logins):
            assert ask(f"http://127.0.0.1:{port}/file").status == 200
            assert ["authorization" in head for head in heads] == [True, False]
            ask(f"http://localhost:{port}/file")
        ask(f"http://127.0.0.1:{port}/file")
        assert not any("authorization" in head for head in heads[2:])


def test_a_mirror_without_a_login_is_asked_by_mmdebstrap_itself() -> None:
    sources = "debian:deb https://deb.example/debian bookworm main"
    with surroundings(resolved("debian12-efi").profile) as site:
        assert site.local(sources) == site.local() == {}


@pytest.mark.parametrize("word", ["plain", "quoted", "basic", "curl", "key"])
def test_a_root_file_system_with_a_mirrors_login_is_refused(tmp_path: Path, authority: Authority, word: str) -> None:
    crt, key = authority.issue("node", kind="rsa")
    name, password = NAME_AND_PASSWORD
    login = RepositoryLogin(username=name, password=password, client_certificate=crt, client_key=key)
    given = with_logins(resolved("debian12-efi").profile, **{"mirror.example": login})
    texts = {
        "plain": f"password={password}", "quoted": quote(password, safe=""), "key": key,
        "basic": base64.b64encode(f"{name}:{password}".encode()).decode(),
        "curl": password.replace("\\", "\\\\").replace('"', '\\"'),
    }  # fmt: skip
    for text, refused in ((texts[word], True), (crt, False)):
        (tmp_path / "kept").write_text(text)
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            archive.add(tmp_path / "kept", "./etc/kept")
        if refused:
            with pytest.raises(HostError, match=r"has the login at mirror\.example") as caught:
                refuse_logins(given, tmp_path / "root.tar")
            assert password not in str(caught.value) + caught.value.hint
        else:
            refuse_logins(given, tmp_path / "root.tar")


@pytest.mark.image
def test_a_build_has_the_site_and_the_image_nothing_of_it(
    tiny: Callable[[str], RootfsPlan], site: Site, tmp_path: Path, authority: Authority
) -> None:
    script = (
        "#!/bin/bash\nset -euo pipefail\nmkdir -p /etc/imgbuild\nenv > /etc/imgbuild/seen\n"
        "ls /usr/local/share/ca-certificates >> /etc/imgbuild/seen\n"
        "find /etc/imgbuild/logins /etc/apt/auth.conf.d -type f -printf '%p %m %u %s\n' >> /etc/imgbuild/seen\n"
    )
    crt, key = authority.issue("node")
    name, secret = NAME_AND_PASSWORD
    login = RepositoryLogin(username=name, password=secret, client_certificate=crt, client_key=key)
    given = with_logins(profile(site.url, [pem("One"), pem("Two")]), **{"mirror.example": login})
    with surroundings(given) as around:
        made = build_rootfs(replace(tiny(script), local=around.local()), tmp_path / "cache", Recorder())
    refuse_logins(given, made.tar)
    seen = subprocess.run(["tar", "-xOf", made.tar, "./etc/imgbuild/seen"], capture_output=True, text=True, check=True)
    assert "https_proxy=http://127.0.0.1:" in seen.stdout and LOGIN not in seen.stdout
    assert "imgbuild-build-1.crt\nimgbuild-build-2.crt" in seen.stdout
    listing = subprocess.run(["tar", "-tf", made.tar], capture_output=True, text=True, check=True).stdout
    assert "imgbuild-build" not in listing and "build-logins" not in listing and "auth.conf.d/imgbuild" not in listing
    assert "/etc/imgbuild/logins" not in listing and "90imgbuild-logins" not in listing
    assert f"/etc/imgbuild/logins/apt/mirror.example.key 400 _apt {len(key)}\n" in seen.stdout
    assert "/etc/apt/auth.conf.d/imgbuild.conf 600 root " in seen.stdout
    words = [LOGIN.partition(":")[2].encode(), secret.encode(), key.splitlines()[2].encode()]
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept and not [word for word in words if any(word in content for content in kept)]


@pytest.mark.image
@pytest.mark.slow
def test_debian_comes_from_a_mirror_that_asks_for_both(tmp_path: Path, authority: Authority) -> None:
    """mmdebstrap, the first package lists and the packages of the profile; the host does not know the authority."""
    host = debian_mirrors("bookworm")
    crt, key = authority.issue("builder")
    name, secret = NAME_AND_PASSWORD
    login = RepositoryLogin(username=name, password=secret, client_certificate=crt, client_key=key)
    script = (
        "#!/bin/bash\nset -euo pipefail\napt-get update\napt-get -y --no-install-recommends install hello\n"
        "[ \"$(stat -c '%a %U' /etc/imgbuild/logins/apt/*.key)\" = '400 _apt' ]\n"
        "mkdir -p /usr/share/imgbuild\n"
        "dpkg-query -W -f '${Package}\\t${Version}\\t${Architecture}\\tdebian\\tbase\\n' | LC_ALL=C sort "
        "> /usr/share/imgbuild/packages.tsv\n"
    )
    behind = {"debian": host.main, "security": host.security}
    with asking(
        tmp_path / "none", tmp_path, authority, login=NAME_AND_PASSWORD, certificate=True, behind=behind
    ) as mirror:
        url = mirror.url.replace("localhost", "127.0.0.1")  # a fresh chroot has no /etc/hosts
        given = with_logins(resolved("debian12-efi").profile, **{host_of(url).replace(":", "_"): login})
        given = given.model_copy(update={"trust": given.trust.model_copy(update={"certificates": [authority.pem]})})
        with surroundings(given) as site:
            found = debian_mirrors("bookworm", f"{url}/debian", security=f"{url}/security")
            assert not found.backports or host.backports
            plan = RootfsPlan(
                "debian", ("imgbuild-debian", "imgbuild-install"), ELEMENTS, install_tree(script), found.environment(),
                local=site.local(found.sources()),
            )  # fmt: skip
            made = build_rootfs(plan, tmp_path / "cache", Recorder())
            asked = [path.rpartition("/")[2].partition("_")[0] for path in mirror.asked if path.endswith(".deb")]
            other = replace(plan, install=install_tree(f"{script}true\n"))
            again = build_rootfs(other, tmp_path / "cache", Recorder())
        refuse_logins(given, made.tar)
    assert {"dpkg", "bash", "hello", "systemd-sysv"} <= set(asked)
    assert again.packages == made.packages
    assert sum(path.endswith(".deb") for path in mirror.asked) == len(asked), "what a build has fetched is kept"
    listing = subprocess.run(["tar", "-tf", made.tar], capture_output=True, text=True, check=True).stdout
    assert not [
        word
        for word in ("imgbuild-build", "imgbuild-site", "build-logins", "imgbuild/logins", "conf.d/imgbuild.c")
        if word in listing
    ]
    words = [secret.encode(), key.splitlines()[2].encode()]
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept and not [word for word in words if any(word in content for content in kept)]
