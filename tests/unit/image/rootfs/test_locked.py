"""Builds with the packages of a lock: where they come from, and what else is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.config.lock_packages import LockedPackage, Packages
from imgbuild.diagnostics.errors import HostError
from imgbuild.facts.locked_packages import unfit
from imgbuild.facts.packages import requested
from imgbuild.fetch.store import Store
from imgbuild.image.rootfs.locked import locked_build, locked_files, locked_mirrors, refuse_others
from imgbuild.image.rootfs.packages import Package
from imgbuild.image.rootfs.plan import RootfsPlan
from imgbuild.image.rootfs.supply import Supply
from imgbuild.render.nodefile import NodeTree
from tests.support.install.room import resolved
from tests.support.locks import made_up_packages

SUM = "d" * 64


def packages(profile: str, *lines: str, **more: object) -> Packages:
    """A lock's packages with these lines."""
    own = made_up_packages(resolved(profile)).model_dump()
    return Packages.model_validate({**own, "installed": list(lines) or own["installed"], **more})


def package(line: str, origin: str = "dependency") -> Package:
    one = LockedPackage.of(line)
    return Package(one.name, one.version, one.arch, one.repository, origin)


def line(name: str, version: str = "1.0") -> str:
    return f"{name} {version} amd64 bookworm 10 {SUM} pool/{name}.deb"


def test_what_was_installed_is_compared_with_the_lock() -> None:
    lock = packages("debian12-efi", line("a"), line("b"))
    refuse_others(lock, [package(line("a")), package(line("b"))])
    with pytest.raises(HostError) as error:
        refuse_others(lock, [package(line("a", "2.0")), package(line("c"))])
    said = str(error.value)
    assert "b 1.0 is not installed" in said and "a is installed as 2.0, the lock has 1.0" in said
    assert "c 1.0 is not in the lock" in said and "--update packages" in error.value.hint


def test_what_a_base_had_and_keeps_is_not_in_the_lock() -> None:
    lock = packages("centos8-efi", line("a"))
    refuse_others(lock, [package(line("a")), package(line("glibc"), "base")])
    with pytest.raises(HostError, match=r"vim 1\.0 is not in the lock"):
        refuse_others(lock, [package(line("a")), package(line("vim"))])


def test_packages_fit_until_the_profile_asks_for_something_else() -> None:
    lock = packages("debian12-efi")
    assert not unfit(resolved("debian12-efi"), lock)
    assert not unfit(resolved("debian12-bios"), lock), "the same packages boot on both firmwares"
    (why,) = unfit(resolved("debian12-efi", sets=("packages.install=[htop]", "kernel.flavour=distribution")), lock)
    assert why.kind == "requested"
    assert why.what.endswith(
        "now asked for: htop, linux-image-amd64; no longer asked for: linux-image-amd64/bookworm-backports"
    )
    assert [why.kind for why in unfit(resolved("centos8-efi"), lock)] == ["target"]
    other = resolved("centos8-efi", sets=("base.source=https://example.com/base.qcow2", f"base.sha256={'e' * 64}"))
    assert [why.kind for why in unfit(other, packages("centos8-efi"))] == ["base"]


def test_what_is_asked_for_has_versions_and_what_is_removed() -> None:
    every = requested(resolved("centos8-efi", sets=("base.remove=[firewalld]",)))
    assert {"-firewalld", "kubeadm=1.35.8", "chrony", "cloud-init", "kernel-ml"} <= set(every)
    assert every == sorted(set(every))


def test_mirrors_of_today_come_first_and_the_locks_own_stay() -> None:
    lock = packages("debian12-efi")
    there = locked_mirrors(resolved("debian12-efi"), lock)
    assert (there.main, there.security, there.updates) == ("https://debian.example.com/debian", "", False)
    moved = resolved("debian12-efi", sets=('repositories.distribution=["https://own.example.com/debian/"]',))
    assert locked_mirrors(moved, lock).main == "https://own.example.com/debian"
    (file,) = locked_files(moved, lock)
    assert [url.partition("/debian/")[0] for url in file.urls] == [
        "https://own.example.com", "https://debian.example.com",
    ]  # fmt: skip
    assert not locked_files(resolved("debian12-efi", mode="stock"), lock) and not locked_files(moved, None)
    settings = locked_build(moved, lock).settings
    assert settings["addresses"] == (
        b"bookworm https://debian.example.com/debian\ndebian https://own.example.com/debian\n"
    )


def test_a_lock_without_the_release_is_refused() -> None:
    lock = packages("debian12-efi", line("a").replace("bookworm", "other"), repositories={
        "other": {"urls": ["https://example.com"], "suite": "other", "obtained": "index"},
    })  # fmt: skip
    with pytest.raises(HostError, match="no repository bookworm"):
        locked_mirrors(resolved("debian12-efi"), lock)


def test_repositories_of_el_are_folders_and_keep_their_keys() -> None:
    text = locked_build(resolved("centos8-efi"), packages("centos8-efi")).settings["repos.d/imgbuild.repo"].decode()
    urls = [line for line in text.splitlines() if line.startswith("baseurl=")]
    assert "baseurl=file:///var/cache/imgbuild/locked/imgbuild-BaseOS/" in urls and "http" not in text
    assert text.count("gpgcheck=1") == len(urls) and "exclude=kubelet" in text


def test_the_packages_are_part_of_what_names_a_root_file_system(tmp_path: Path) -> None:
    plan = RootfsPlan("debian12", (), tmp_path, NodeTree(()), {})
    one, two = packages("debian12-efi", line("a")), packages("debian12-efi", line("a", "2.0"))
    keys = {plan.key, replace(plan, packages=one).key, replace(plan, packages=two).key}
    assert len(keys) == 3
    moved = one.repositories["bookworm"].model_copy(update={"urls": ["https://elsewhere.example.com"]})
    same = packages("debian12-efi", line("a"), repositories={"bookworm": moved.model_dump()})
    assert replace(plan, packages=same).key == replace(plan, packages=one).key, "addresses do not count"


def test_without_a_lock_a_build_gets_no_repository(tmp_path: Path) -> None:
    from tests.support.image.recorder import Recorder

    with Supply(Store(tmp_path / "store")).folder(tmp_path / "work", Recorder()) as folder:
        assert {path.name for path in folder.iterdir()} <= {".lock"}
