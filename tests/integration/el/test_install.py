"""The install scripts on a base that goes for CentOS: real dnf, rpm and dracut, packages from a mirror on the loopback.

Then each part broken on purpose: what the tools pass over in silence must end the installation with a message.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.facts.drivers import boot_drivers
from imgbuild.image.rootfs.packages import read_list
from tests.support.el.chroot import Chroot
from tests.support.el.ground import BASE, DEAD, OLD, Ground, ended, make_ground
from tests.support.el.rpms import Rpm
from tests.support.el.world import KUBERNETES, as_set
from tests.support.install.keys import signer
from tests.support.places import SUPPORT

STANDINS = SUPPORT / "el/standins"
NOTHING = "#!/bin/sh\n# Stand-in of imgbuild's tests: does nothing, and says that all is well.\n"
# Each release in a process of its own, where tests run in several: its ground is made once. make test has CentOS 7
# here, and an image of CentOS 8 in test_image.py.
MARKS = {"7": [pytest.mark.xdist_group("el7")], "8": [pytest.mark.xdist_group("el8"), pytest.mark.slow]}
BOTH = [pytest.param(release, id=f"centos{release}", marks=marks) for release, marks in MARKS.items()]
ONLY_7 = pytest.mark.parametrize("ground", BOTH[:1], indirect=True)
ONLY_8 = pytest.mark.parametrize("ground", BOTH[1:], indirect=True)


@pytest.fixture(scope="module", params=BOTH)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    if os.geteuid() != 0:
        pytest.skip("a chroot needs root")
    folder = tmp_path_factory.mktemp(f"el{request.param}")
    with make_ground(request.param, folder) as made:
        yield made
    shutil.rmtree(folder)


def installed(chroot: Chroot) -> dict[str, str]:
    """What rpm's own database has."""
    said = ended(chroot.run("rpm", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n"))
    return dict(line.split() for line in said.splitlines() if not line.startswith("gpg-pubkey"))


def test_a_whole_node(ground: Ground) -> None:
    node, release, kernel = ground.whole, ground.world.release, ground.world.kernel
    found = installed(node)
    assert {"cloud-init", "NetworkManager", "grub2-efi-x64", "container-selinux", "conntrack-tools"} <= found.keys()
    assert found["kubelet"] == found["kubeadm"] == f"{KUBERNETES}-150500.1.1"
    assert "kernel" not in found  # the base's older one
    assert not node.exists(f"/boot/vmlinuz-{OLD.version}-{OLD.release}")
    listed = {p.name: p for p in read_list(node.read("/usr/share/imgbuild/packages.tsv"))}
    assert {name: p.version for name, p in listed.items()} == found
    assert listed["basesystem"].origin == "base"
    assert (listed["kernel-ml"].repository, listed["kernel-ml"].origin) == ("elrepo-kernel", "profile")
    assert (listed["kubernetes-cni"].repository, listed["kubernetes-cni"].origin) == ("kubernetes", "dependency")
    first = "imgbuild-os" if release == "7" else "imgbuild-BaseOS"
    assert (listed["socat"].repository, listed["socat"].origin) == (first, "profile")

    # The kernel's name for itself is not the package's version.
    assert node.read("/usr/share/imgbuild/kernel") == f"{kernel}\n"
    assert kernel not in found["kernel-ml"]
    modules = ended(node.run("lsinitrd", f"/boot/initramfs-{kernel}.img"))
    built_in = node.read(f"/usr/lib/modules/{kernel}/modules.builtin")
    for driver in boot_drivers().always:
        assert f"/{driver}.ko" in modules + built_in
    if release == "8":
        (entry,) = (node.upper / "boot/loader/entries").iterdir()
        assert re.fullmatch(rf"[0-9a-f]{{32}}-{re.escape(kernel)}\.conf", entry.name)
        assert f"saved_entry={entry.stem}\n" in node.read("/boot/grub2/grubenv")


def test_what_the_archives_bring_runs(ground: Ground) -> None:
    node = ground.whole
    assert "containerd" in ended(node.run("/usr/local/bin/containerd", "--version"))
    ended(node.run("sh", "-c", "cd /usr/local && sha256sum --check --quiet share/doc/nerdctl-full/SHA256SUMS"))
    for name in ("bridge", "firewall", "host-local", "loopback"):
        assert (node.upper / f"usr/local/bin/buildkit-cni-{name}").readlink() == Path(f"../libexec/cni/{name}")
    assert ended(node.run("kubelet", "--version")) == f"Kubernetes v{KUBERNETES}\n"
    assert ended(node.run("systemctl", "is-enabled", "NetworkManager.service")) == "enabled\n"


def test_nothing_of_the_build_stays(ground: Ground) -> None:
    node = ground.whole
    assert node.read("/etc/machine-id") == node.read("/etc/resolv.conf") == ""
    left = [str(p) for name in ("yum", "dnf", "imgbuild") for p in (node.upper / "var/cache" / name).rglob("*")
            if p.is_file()]  # fmt: skip
    assert left == []
    assert [p for p in (node.upper / "var/log").rglob("*") if p.is_file()] == []
    stock = node.read("/etc/yum.repos.d/CentOS-Base.repo")
    assert stock.count("enabled=0") == stock.count("[")
    assert node.read("/etc/yum.repos.d/imgbuild.repo").count("\ngpgcheck=1\n") == len(
        re.findall(r"^\[", node.read("/etc/yum.repos.d/imgbuild.repo"), re.MULTILINE)
    )


@pytest.mark.slow
def test_a_second_run_changes_no_package(ground: Ground, tmp_path: Path) -> None:
    again = ground.copy(ground.whole, tmp_path)
    ended(again.run("/usr/libexec/imgbuild/install"))
    assert installed(again) == installed(ground.whole)
    assert again.read("/usr/share/imgbuild/kernel") == ground.whole.read("/usr/share/imgbuild/kernel")


def test_a_newer_kubelet_waits_for_kubeadm(ground: Ground, tmp_path: Path) -> None:
    """It is held: an update of everything leaves it, and takes what is not held."""
    key = ground.world.signer
    kubernetes = ground.mirror_with(Rpm("kubelet", "1.30.99", "150500.1.1"), tmp_path, key)
    distribution = ground.mirror_with(Rpm("socat", "2.0"), tmp_path / "other", key)
    node = ground.copy(
        ground.whole,
        tmp_path / "copy",
        as_set("repositories.kubernetes", [f"{kubernetes}v{{minor}}/rpm/"]),
        as_set("repositories.distribution", [distribution]),
    )
    ended(node.run("yum" if ground.world.release == "7" else "dnf", "-y", "upgrade"))
    found = installed(node)
    assert (found["kubelet"], found["socat"]) == (f"{KUBERNETES}-150500.1.1", "2.0-1")


# --- Packages and keys


@pytest.mark.parametrize("fault", ["unsigned", "signed by another", "changed"])
def test_a_package_that_the_repository_s_key_does_not_vouch_for(ground: Ground, tmp_path: Path, fault: str) -> None:
    keys = {"unsigned": None, "signed by another": signer("another"), "changed": ground.world.signer}
    thing = Rpm("thing", scripts={"/usr/bin/thing": NOTHING})
    mirror = ground.mirror_with(thing, tmp_path, keys[fault], changed=fault == "changed")
    sets = as_set("repositories.distribution", [mirror]), as_set("packages.install", ["thing"])
    node = ground.copy(ground.packages, tmp_path / "copy", *sets)
    said = ended(node.step("20-packages"), 1)
    assert "packages could not be installed" in said
    assert "thing-1.0" in said
    assert "thing" not in installed(node)
    assert not node.exists("/usr/bin/thing")


def test_a_profile_with_another_key_installs_nothing(ground: Ground, tmp_path: Path) -> None:
    other = signer("another")
    sets = [other.option(kind) for kind in ("distribution", "elrepo", "kubernetes")]
    node = ground.copy(ground.base, tmp_path / "copy", *sets)
    said = ended(node.run("/usr/libexec/imgbuild/install"), 1)
    assert "packages could not be installed" in said
    assert "step 20-packages failed" in said
    assert installed(node).keys() == {rpm.name for rpm in BASE}


def test_a_package_that_needs_what_is_nowhere(ground: Ground, tmp_path: Path) -> None:
    thing = Rpm("thing", requires=["not-there"])
    mirror = as_set("repositories.distribution", [ground.mirror_with(thing, tmp_path, ground.world.signer)])
    node = ground.copy(ground.packages, tmp_path / "copy", mirror, as_set("packages.install", ["thing"]))
    assert "not-there" in ended(node.step("20-packages"), 1)
    assert "thing" not in installed(node)


def test_packages_of_the_base_that_the_profile_does_not_want(ground: Ground, tmp_path: Path) -> None:
    node = ground.copy(ground.packages, tmp_path / "copy", as_set("base.remove", ["mlocate", "not-there"]))
    ended(node.step("20-packages"))
    assert "mlocate" not in installed(node)


def test_a_package_that_leaves_with_one_of_the_base(ground: Ground, tmp_path: Path) -> None:
    """What needs a package goes with it, and the package manager ends with 0."""
    mirror = ground.mirror_with(Rpm("thing", requires=["mlocate"]), tmp_path, ground.world.signer)
    sets = as_set("packages.install", ["thing"]), as_set("base.remove", ["mlocate"])
    node = ground.copy(ground.packages, tmp_path / "copy", as_set("repositories.distribution", [mirror]), *sets)
    said = ended(node.step("20-packages"), 1)
    assert "removing mlocate (base.remove) also removed thing" in said


def test_a_name_that_no_mirror_has(ground: Ground, tmp_path: Path) -> None:
    node = ground.copy(ground.packages, tmp_path / "copy", as_set("packages.install", ["no-such-thing"]))
    assert "no-such-thing" in ended(node.step("20-packages"), 1)


@ONLY_7
def test_a_yum_that_passes_over_a_name_whatever_it_is_told(ground: Ground, tmp_path: Path) -> None:
    """Without skip_missing_names_on_install, which older ones do not know: the end of yum is not believed."""
    node = ground.copy(ground.packages, tmp_path / "copy", as_set("packages.install", ["no-such-thing"]))
    node.write("/usr/bin/yum", node.read("/usr/bin/yum").replace("install=0) strict=1", "install=0)"), 0o755)
    assert "succeeded: no-such-thing" in ended(node.step("20-packages"), 1)


def test_a_version_of_kubernetes_that_the_mirror_lacks(ground: Ground, tmp_path: Path) -> None:
    node = ground.copy(ground.packages, tmp_path / "copy", "kubernetes.version=1.30.99")
    assert "kubelet-1.30.99" in ended(node.step("50-kubernetes"), 1)
    assert "kubelet" not in installed(node)


# --- Mirrors


@ONLY_8
def test_a_dead_first_mirror_is_named_and_passed_over(ground: Ground) -> None:
    """On CentOS 7 yum itself says so."""
    passed = [line for line in ground.said.splitlines() if "skipping an address" in line]
    assert [DEAD in line for line in passed] == [True] * 3  # BaseOS, AppStream, extras


def test_a_file_that_the_first_mirror_lacks_comes_from_the_next(ground: Ground, tmp_path: Path) -> None:
    """A mirror that is not in step: its lists are whole, its files are not."""
    whole = ground.mirror_with(Rpm("thing"), tmp_path, ground.world.signer)
    served = ground.world.mirror.folder
    shutil.copytree(served / f"with-{tmp_path.name}", served / "partial")
    (file,) = (served / "partial").rglob("thing-*.rpm")
    file.unlink()
    partial = whole.replace(f"with-{tmp_path.name}", "partial")
    mirrors = as_set("repositories.distribution", [partial, whole])
    node = ground.copy(ground.packages, tmp_path / "copy", mirrors, as_set("packages.install", ["thing"]))
    assert "404" in ended(node.step("20-packages"))
    assert "thing" in installed(node)


@pytest.mark.parametrize("repository", ["distribution", "elrepo", "kubernetes"])
def test_when_all_mirrors_are_dead_the_message_lists_them(ground: Ground, tmp_path: Path, repository: str) -> None:
    gone = f"{ground.world.mirror.url}/gone/"
    node = ground.copy(ground.base, tmp_path / "copy", as_set(f"repositories.{repository}", [DEAD, gone]))
    said = ended(node.step("10-repositories"), 75)  # they may come back
    assert f"imgbuild: tried {DEAD}" in said
    assert f"imgbuild: tried {gone}" in said
    assert "no package list" in said


@pytest.mark.parametrize("fault", ["another file", "cut short"])
def test_an_archive_that_is_not_the_pinned_one(ground: Ground, tmp_path: Path, fault: str) -> None:
    urls = as_set("containerd.nerdctl_full.urls", [f"{ground.world.mirror.url}/{tmp_path.name}"])
    sets = [urls] if fault == "cut short" else ["containerd.nerdctl_full.sha256=" + "ab" * 32]
    (archive,) = (ground.world.mirror.folder / "archives").glob("nerdctl-full-*")
    (ground.world.mirror.folder / tmp_path.name).write_bytes(archive.read_bytes()[:100_000])
    node = ground.copy(ground.packages, tmp_path / "copy", *sets)
    said = ended(node.step("40-containerd"), 1)
    assert "is at none of its addresses" in said
    assert ": the file there has sha256 " in said
    assert not node.exists("/usr/local/bin/containerd")


# --- The kernel


def quick(ground: Ground, folder: Path, *sets: str, mode: str | None = None) -> Chroot:
    """A copy before the kernel, where dracut gives what it gave before: most of the step's time is its."""
    node = ground.copy(ground.packages, folder / "copy", *sets, mode=mode)
    made = ground.whole.upper / f"boot/initramfs-{ground.world.kernel}.img"
    shutil.copy(made, node.upper / "made.img")
    node.write("/usr/bin/dracut", f'{NOTHING}cp /made.img "${{!#}}"\n'.replace("/bin/sh", "/bin/bash"), 0o755)
    return node


def test_an_initramfs_for_this_machine_only(ground: Ground, tmp_path: Path) -> None:
    """A file of the base's that comes after ours and has another word. dracut is the real one."""
    node = ground.copy(ground.packages, tmp_path / "copy")
    node.write("/etc/dracut.conf.d/zzz-later.conf", 'hostonly="yes"\nadd_drivers=""\n')
    said = ended(node.step("30-kernel"), 1)
    assert "it was made for the machine that built it" in said
    assert "lacks virtio_" in said


def test_the_long_term_kernel(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path, "kernel.flavour=kernel-lt")
    if ground.world.release == "7":
        menu(node)  # of the base
    said = ended(node.step("30-kernel"))
    found = installed(node)
    assert "kernel-lt" in found
    assert "kernel-ml" not in found
    assert node.read("/usr/share/imgbuild/kernel") == f"{ground.world.kernel}\n"
    assert ground.world.kernel in node.read("/boot/grub2/grubenv")
    assert f"DEFAULTKERNEL=kernel-lt{'-core' if ground.world.release == '8' else ''}\n" in node.read(
        "/etc/sysconfig/kernel"
    ), said


def test_a_kernel_without_files(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path)
    node.write("/usr/bin/dracut", NOTHING, 0o755)
    said = ended(node.step("30-kernel"), 1)
    assert f"/boot/initramfs-{ground.world.kernel}.img is missing" in said


def test_power_that_fails_before_the_initramfs_is_made_leaves_a_node_that_boots(ground: Ground, tmp_path: Path) -> None:
    """The new kernel becomes the default when it is complete; the package is installed by then, and not again."""
    node = quick(ground, tmp_path, mode="stock")
    if ground.world.release == "7":
        menu(node)  # of the base
    node.write("/etc/machine-id", f"{'0123456789abcdef' * 2}\n")
    node.write("/boot/grub2/grubenv", "# GRUB Environment Block\nsaved_entry=old\n".ljust(1024, "#"))
    dracut = node.read("/usr/bin/dracut")
    node.write("/usr/bin/dracut", NOTHING, 0o755)
    assert f"/boot/initramfs-{ground.world.kernel}.img is missing" in ended(node.step("30-kernel", image=False), 1)
    assert "saved_entry=old\n" in node.read("/boot/grub2/grubenv")
    assert "UPDATEDEFAULT=no\n" in node.read("/etc/sysconfig/kernel")
    node.write("/usr/bin/dracut", dracut, 0o755)
    said = ended(node.step("30-kernel", image=False))
    assert f"completing the kernel {ground.world.kernel}" in said
    assert node.read("/usr/share/imgbuild/kernel") == f"{ground.world.kernel}\n"
    assert ground.world.kernel in node.read("/boot/grub2/grubenv")
    assert "UPDATEDEFAULT=yes\n" in node.read("/etc/sysconfig/kernel")


def test_a_version_of_the_kernel_that_the_mirror_lacks(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path, "kernel.version=6.9.7")
    assert "kernel-ml-6.9.7" in ended(node.step("30-kernel"), 1)


@ONLY_8
def test_a_kernel_that_does_not_become_the_default_is_made_it(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path)
    node.write("/etc/sysconfig/kernel", "UPDATEDEFAULT=no\nDEFAULTKERNEL=kernel-core\n")
    node.write("/boot/grub2/grubenv", "# GRUB Environment Block\nsaved_entry=old\n".ljust(1024, "#"))
    assert f"making {ground.world.kernel} the boot loader's default" in ended(node.step("30-kernel"))
    assert f"-{ground.world.kernel}\n" in node.read("/boot/grub2/grubenv")


@ONLY_8
def test_a_default_that_cannot_be_changed(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path)
    node.write("/usr/bin/grub2-editenv", NOTHING, 0o755)
    assert "as its default" in ended(node.step("30-kernel"), 1)


@ONLY_8
def test_an_empty_machine_id_outside_of_an_image(ground: Ground, tmp_path: Path) -> None:
    """kernel-install then makes no entry and copies no kernel, and ends with 0. In an image the step sees to it."""
    node = quick(ground, tmp_path, mode="stock")
    assert node.read("/etc/machine-id") == ""
    said = ended(node.step("30-kernel", image=False), 1)
    assert f"is incomplete: /boot/vmlinuz-{ground.world.kernel}" in said
    assert "run systemd-machine-id-setup" in said


@ONLY_8
def test_a_machine_id_that_is_emptied_on_the_way(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path)
    node.write("/usr/bin/kernel-install", f": > /etc/machine-id\n{node.read('/usr/bin/kernel-install')}", 0o755)
    assert f"is incomplete: /boot/vmlinuz-{ground.world.kernel}" in ended(node.step("30-kernel"), 1)


@ONLY_8
def test_a_kernel_without_an_entry(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path)
    own = node.read("/usr/bin/kernel-install").replace("exec dracut", "rm -r /boot/loader/entries; exec dracut")
    node.write("/usr/bin/kernel-install", own, 0o755)
    assert "created no entry in /boot/loader/entries" in ended(node.step("30-kernel"), 1)


def menu(node: Chroot) -> None:
    """A menu as a base of CentOS 7 has it, with one kernel in it."""
    node.write(
        "/boot/grub2/grub.cfg",
        "menuentry 'CentOS Linux (old) 7 (Core)' --class os {\n\tlinux16 /boot/vmlinuz-old root=UUID=x ro\n"
        "\tinitrd16 /boot/initramfs-old.img\n}\n",
    )


@ONLY_7
@pytest.mark.parametrize("works", [True, False])
def test_new_kernel_pkg_adds_nothing(ground: Ground, tmp_path: Path, works: bool) -> None:
    """It ends with 0. grubby itself can do it; where it cannot either, that is the end."""
    node = quick(ground, tmp_path)
    menu(node)
    node.write("/usr/sbin/grubby", (STANDINS / "grubby").read_text() if works else NOTHING, 0o755)
    said = ended(node.step("30-kernel"), 0 if works else 1)
    assert "added no entry to /boot/grub2/grub.cfg: adding it" in said
    if works:
        assert f"linux16 /boot/vmlinuz-{ground.world.kernel} root=UUID=x" in node.read("/boot/grub2/grub.cfg")
        assert f"saved_entry=CentOS Linux ({ground.world.kernel})\n" in node.read("/boot/grub2/grubenv")
    else:
        assert f"has no entry for {ground.world.kernel}" in said


@ONLY_7
def test_a_menu_whose_default_stays_the_old_kernel(ground: Ground, tmp_path: Path) -> None:
    node = quick(ground, tmp_path)
    menu(node)
    node.write("/usr/sbin/grubby", (STANDINS / "grubby").read_text(), 0o755)
    stays = f"{NOTHING}[ \"$2\" != list ] || echo 'saved_entry=CentOS Linux (old) 7 (Core)'\n"
    node.write("/usr/bin/grub2-editenv", stays, 0o755)
    assert f"does not start {ground.world.kernel} by default" in ended(node.step("30-kernel"), 1)
