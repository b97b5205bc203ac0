"""What enters the install tree, and that every script in it is sound."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from imgbuild.render.nodefile import NodeTree, digest
from tests.support.install.room import tree
from tests.support.places import ROOT
from tests.support.shellcheck import shellcheck

CENTOS = ("centos7-bios", "centos7-efi", "centos8-bios", "centos8-efi")
DEBIAN = ("debian12-bios", "debian12-efi")
BASE = "/usr/libexec/imgbuild"

VARIANTS: list[tuple[str, tuple[str, ...]]] = [
    *((profile, layers) for profile in CENTOS for layers in ((), ("china",), ("container-host",))),
    *((profile, layers) for profile in DEBIAN for layers in ((), ("china",), ("container-host",))),
    *((profile, ("distro-containerd", "container-host")) for profile in DEBIAN),
]


def unpacked(tree: NodeTree, folder: Path) -> Path:
    for file in tree.files:
        place = folder / file.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content)
    return folder


@pytest.mark.xdist_group("shellcheck")  # one worker: what it found clean once is not read again
# Firmware changes nothing in the install tree (tests/unit/test_golden.py): one of the two is enough.
@pytest.mark.parametrize("mode", ["baked", "stock"])
@pytest.mark.parametrize(("profile", "layers"), [v for v in VARIANTS if v[0].endswith("bios")])
def test_shellcheck(profile: str, layers: tuple[str, ...], mode: str, tmp_path: Path) -> None:
    files = tree(profile, *layers, mode=mode)
    root = unpacked(files, tmp_path)
    scripts = [root / f.path.lstrip("/") for f in files.files if f.mode == 0o755]
    assert len(scripts) >= 6
    shellcheck(
        [*scripts, root / "etc/imgbuild/install.conf"],
        sorted((root / BASE.lstrip("/") / "lib").glob("*.sh")),
        "-x",
        source_paths=[root / BASE.lstrip("/"), ROOT / "node" / BASE.lstrip("/")],  # lib/stage.sh may be first boot's
    )


@pytest.mark.parametrize(
    "change",
    [
        "time.zone=Asia/Tokyo",
        "time.ntp_servers=[ntp.example.org]",
        "kernel.sysctl={net.ipv4.ip_forward: 1, vm.swappiness: 1}",
        "kernel.arguments=[quiet]",
        "kernel.modules=[overlay, br_netfilter, nf_tables]",
        "kubernetes.pod_cidr=10.99.0.0/16",
        "kubernetes.advertise_address=192.0.2.7",
        "kubernetes.image_repository=registry.example.org/k8s",
        "containerd.root=/data/containerd",
        "containerd.sandbox_image=registry.example.org/pause",
        "cilium.version=1.18.1",
        "network.rp_filter=2",
        "image.size_mib=9000",
        "firmware=bios",
        "users=[{name: ops, ssh_keys: []}]",
        "run=[echo hello]",
        "firewall.disabled=false",
        "selinux.mode=enforcing",
    ],
)
@pytest.mark.parametrize("profile", ["centos8-efi", "debian12-efi"])
def test_configuration_does_not_change_the_digest(profile: str, change: str) -> None:
    assert digest(tree(profile)) == digest(tree(profile, sets=(change,)))


def test_the_firmwares_share_one_root_file_system() -> None:
    for release in ("centos7", "centos8", "debian12"):
        assert digest(tree(f"{release}-bios")) == digest(tree(f"{release}-efi"))


@pytest.mark.parametrize(
    "change",
    [
        "packages.install=[vim]",
        "kernel.flavour=distribution",
        "kernel.version=6.9.7",
        "kubernetes.version=1.33.1",
        "kubernetes.enabled=false",
        "helm.enabled=false",
        "helm.version=3.18.5",
        "containerd.nerdctl_full.version=2.3.4",
        "containerd.stargz.enabled=false",
        "repositories.region=china",
        "repositories.epel_enabled=true",
        "base.remove=[firewalld]",
        "selinux.mode=disabled",
        "mode=stock",
    ],
)
def test_what_decides_packages_changes_the_digest(change: str) -> None:
    assert digest(tree("centos8-efi")) != digest(tree("centos8-efi", sets=(change,)))


def test_no_family_finds_the_other_ones_scripts() -> None:
    debian = b"".join(f.content for f in tree("debian12-efi", mode="stock").files)
    assert not [word for word in (b"rpm ", b"yum", b"dnf", b"grubby") if word in debian]
    for release in ("centos7", "centos8"):
        el = b"".join(f.content for f in tree(f"{release}-efi", mode="stock").files)
        assert not [word for word in (b"apt-get", b"dpkg", b"update-initramfs") if word in el]
    assert b"dnf -y" not in b"".join(f.content for f in tree("centos7-efi").files)


def test_setup_has_no_time_limit_on_any_systemd() -> None:
    """systemd 219 takes TimeoutStartSec=infinity for no time at all: the service ends as it starts."""
    unit = tree("centos7-efi", mode="stock").by_path()["/etc/systemd/system/imgbuild-setup.service"].content
    assert b"\nType=oneshot\n" in unit
    assert b"\nTimeout" not in unit


def test_no_list_that_may_be_empty_is_taken_whole() -> None:
    """bash 4.2 takes "${empty[@]}" for an unset variable. These are never empty where they are used."""
    never = {
        *(
            "CONTAINERD_URLS",
            "HELM_URLS",
            "IMAGE_PACKAGES",
            "IMAGE_UNITS",
            "INITRAMFS_DRIVERS",
            "INITRAMFS_DRIVERS_WHERE_BUILT",
            "KERNEL_PACKAGES",
        ),
        *("KEYS", "KUBERNETES_BROUGHT", "KUBERNETES_PACKAGES", "PACKAGES", "REMOVE_PACKAGES", "names", "packages"),
        *("wanted", "places", "also", "files", "WORDS"),  # begin with something
        *("present", "others", "tried", "missing"),  # behind a look at how many there are
    }
    for file in tree("centos7-efi", mode="stock").files:
        if file.path.startswith(BASE):
            text = file.content.decode()
            if '[ "${#KERNEL_ARGUMENTS[@]}" -gt 0 ] || exit 0' in text:
                text = text.replace("KERNEL_ARGUMENTS", "packages")
            assert set(re.findall(r'(?<!\+)"[^"]*\$\{([A-Za-z_]+)\[[@*]\]\}"', text)) <= never, file.path


def test_dracut_takes_no_driver_that_the_kernel_lacks_and_makes_no_rescue_image(tmp_path: Path) -> None:
    """dracut reads the files of both folders in the order of `sort -V`; a cloud image has a xen.conf."""
    files = tree("centos8-efi").by_path()
    (path,) = [Path(p) for p in files if p.startswith("/etc/dracut.conf.d/")]
    (tmp_path / path.name).write_bytes(files[str(path)].content)
    (tmp_path / "xen.conf").write_text('add_drivers+=" xen-netfront xen-blkfront "\n')
    (tmp_path / "02-rescue.conf").write_text('hostonly="yes"\ndracut_rescue_image="yes"\n')
    script = 'kernel=6.9.7; modinfo() { [[ $3 != xen* ]]; }; for f in $(ls "$1" | sort -V); do . "$1/$f"; done;'
    script += 'echo "$hostonly $dracut_rescue_image $add_drivers"'
    done = subprocess.run(["bash", "-c", script, "-", tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no no ")
    assert "virtio_blk" in done.stdout
    assert "xen" not in done.stdout


def test_setup_reaches_stock_nodes_only() -> None:
    assert f"{BASE}/setup" in tree("debian12-efi", mode="stock").by_path()
    assert f"{BASE}/setup" not in tree("debian12-efi").by_path()


def test_words_of_the_profile_are_quoted(tmp_path: Path) -> None:
    url = "http://mirror.example.org/a(b)&c;d*e?f"
    root = unpacked(tree("centos7-bios", sets=(f'helm.urls=["{url}"]',)), tmp_path)
    script = f". {root}/etc/imgbuild/install.conf; printf '%s' \"${{HELM_URLS[0]}}\""
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout == url


def test_yum_repositories() -> None:
    text = tree("centos7-efi", "china").by_path()["/etc/yum.repos.d/imgbuild.repo"].content.decode()
    assert "gpgcheck=0" not in text.replace("repo_gpgcheck=0", "")
    assert text.count("\ngpgcheck=1") == text.count("\ngpgkey=file:///") == text.count("\n[") == 5
    assert text.count("failovermethod=priority") == 5
    assert "baseurl=https://mirrors.aliyun.com/centos-vault/7.9.2009/os/$basearch/\n        https://" in text
    assert "mirrorlist" not in text
    kernel = text.partition("[elrepo-kernel]")[2].partition("[")[0]
    assert "enabled=0" in kernel
    assert "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni" in text
    assert "failovermethod" not in tree("centos8-efi").by_path()["/etc/yum.repos.d/imgbuild.repo"].content.decode()
    assert (
        "[epel]"
        in tree("centos7-efi", sets=("repositories.epel_enabled=true",))
        .by_path()["/etc/yum.repos.d/imgbuild.repo"]
        .content.decode()
    )


def test_no_mirror_of_debian_is_named() -> None:
    """A mirror is the host's own or the profile's; the layer china names some."""
    for file in tree("debian12-efi", "distro-containerd", "container-host").files:
        assert b"http" not in file.content, file.path
