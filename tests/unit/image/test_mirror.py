"""Which Debian mirror is used, from apt's own configuration forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.findings import Findings
from imgbuild.fetch.failure import FetchError
from imgbuild.image import build
from imgbuild.image.build import kept_plan, rootfs_plan
from imgbuild.image.rootfs.build import kept_tar
from imgbuild.image.rootfs.mirror import AptSource, DebianMirrors, apt_sources, debian_mirrors
from imgbuild.pipeline import Request, prepare
from tests.support.image.recorder import Recorder


def _everything(_uri: str, _suite: str) -> bool:
    return True


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_deb822_with_comments_continuations_and_a_disabled_paragraph(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian/\nSuites: bookworm\n bookworm-updates\n"
        "Components: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        "\n"
        "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n"
    )
    assert list(apt_sources(apt)) == [
        AptSource("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        AptSource("http://mirror.example/debian", "bookworm-updates", ("main", "contrib")),
    ]


def test_one_line_sources_with_options(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "# deb http://no.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x.gpg] https://mirror.example/debian bookworm main # ours\n"
        "deb-src https://mirror.example/debian bookworm main\n"
        "deb cdrom:[Debian]/ bookworm main\n"
    )
    assert [s for s in apt_sources(apt) if s.uri] == [AptSource("https://mirror.example/debian", "bookworm", ("main",))]


def test_the_hosts_own_mirror_and_its_security_archive(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "deb http://other.example/tools stable main\n"
        "deb http://mirror.example/debian bookworm main\n"
        "deb http://security.example/debian-security bookworm-security main\n"
    )
    found = debian_mirrors("bookworm", apt=apt, asked=_everything)
    assert (found.main, found.security) == ("http://mirror.example/debian", "http://security.example/debian-security")
    assert found.sources().splitlines() == [
        "debian:deb http://mirror.example/debian bookworm main",
        "debian-updates:deb http://mirror.example/debian bookworm-updates main",
        "debian-backports:deb http://mirror.example/debian bookworm-backports main",
        "debian-security:deb http://security.example/debian-security bookworm-security main",
    ]


def test_a_host_of_another_debian_release_lends_its_archive(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://mirror.example/debian trixie main\n")
    assert debian_mirrors("bookworm", apt=apt, asked=_everything).main == "http://mirror.example/debian"


def test_the_profiles_mirror_comes_first(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    asked: list[tuple[str, str]] = []

    def ask(uri: str, suite: str) -> bool:
        asked.append((uri, suite))
        return "backports" not in suite

    found = debian_mirrors("bookworm", "https://wanted.example/debian/", apt=apt, asked=ask)
    assert found.main == "https://wanted.example/debian"
    assert found.security == "https://wanted.example/debian-security"
    assert not found.backports
    assert "backports" not in found.sources()
    assert all(uri.startswith("https://wanted.example/") for uri, _ in asked)


def test_no_mirror_at_all(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://archive.example/ubuntu noble main\n")
    with pytest.raises(HostError, match="no Debian mirror for bookworm"):
        debian_mirrors("bookworm", apt=apt, asked=_everything)


def test_a_dead_mirror_is_named_with_the_reason(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    with pytest.raises(HostError, match=r"the Debian mirror http://127\.0\.0\.1:9/debian does not answer: .*refused"):
        debian_mirrors("bookworm", apt=apt)


def test_a_mirror_without_the_release(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://mirror.example/debian trixie main\n")
    with pytest.raises(HostError, match="has no bookworm"):
        debian_mirrors("bookworm", apt=apt, asked=lambda _uri, suite: suite != "bookworm")


def test_the_list_is_tried_in_order_and_the_dead_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = {"https://b.example/debian", "https://s2.example/security"}

    def ask(main: str, release: str) -> bool:
        if main not in alive:
            raise FetchError("Connection refused")
        return True

    def mirrors(release: str, wanted: str, *, security: str) -> DebianMirrors:
        return debian_mirrors(release, wanted, security=security, asked=ask)

    monkeypatch.setattr(build, "debian_mirrors", mirrors)
    steps = Recorder()
    mains = ["https://a.example/debian", "https://b.example/debian"]
    found = build._answering("bookworm", mains, ["https://s1.example/security", "https://s2.example/security"], steps)
    assert (found.main, found.security) == ("https://b.example/debian", "https://s2.example/security")
    said = "\n".join(steps.lines)
    assert said.count("skipped") == 2
    assert "a.example" in said
    assert "s1.example" in said

    with pytest.raises(HostError) as caught:
        build._answering("bookworm", ["https://a.example/debian", "https://c.example/debian"], [""], steps)
    assert "a.example" in str(caught.value)
    assert "c.example" in str(caught.value)
    with pytest.raises(HostError, match=r"a\.example"):
        build._answering("bookworm", ["https://a.example/debian"], [""], steps)


def test_no_mirror_is_asked_for_a_root_file_system_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    ready = prepare(Request("debian12-efi", ("distro-containerd", "container-host")), Findings())
    own, asked = ["http://a.example/debian"], []

    def mirrors(release: str, _wanted: str, *, security: str) -> DebianMirrors:
        asked.append(own[0])
        return DebianMirrors(release, own[0], security)

    monkeypatch.setattr(build, "debian_mirrors", mirrors)
    monkeypatch.setattr(build, "own_archives", lambda _release: (own[0], ""))

    def key(*, fresh: bool = False) -> str:
        return rootfs_plan(ready.resolved, ready.rendered.install, tmp_path, Recorder(), fresh=fresh).key

    first = key()
    assert (key(), len(asked)) == (first, 2)
    tar = kept_tar(first, tmp_path)
    tar.parent.mkdir()
    tar.touch()
    assert (key(), len(asked)) == (first, 2)
    assert (key(fresh=True), len(asked)) == (first, 3)
    own[0] = "http://b.example/debian"  # the host's apt has another one now
    assert key() != first
    assert len(asked) == 4
    own[0] = "http://c.example/debian"  # offline, on another host: that of the host where it was built
    kept = kept_plan(ready.resolved, ready.rendered.install, tmp_path, Recorder())
    assert kept is not None
    assert kept.environment["DIB_DISTRIBUTION_MIRROR"] == "http://b.example/debian"
