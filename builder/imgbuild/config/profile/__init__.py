"""The profile: which node to build. Frozen and typed; it has no defaults of its own: they are in profiles/base.yaml.

Each field declares its setting once (imgbuild.config.setting); every item of the recipe has one (docs/recipe.md).
"""

from typing import Annotated, Literal

from pydantic import Field

from imgbuild.config.fields import Firmware, MirrorPrefix, Model, Origin
from imgbuild.config.profile.addons import Addon
from imgbuild.config.profile.containers import Binary, Containerd, Crictl, ImageArchive
from imgbuild.config.profile.extras import Cloud, DiskImage, File, User
from imgbuild.config.profile.images import Preload
from imgbuild.config.profile.kubernetes import Cilium, Helm, Kubernetes
from imgbuild.config.profile.logins import RepositoryLogin
from imgbuild.config.profile.pxe import Pxe
from imgbuild.config.profile.registries import Login, Mirror, Registry, Server
from imgbuild.config.profile.report import Report
from imgbuild.config.profile.site import Hosts, Proxy, Trust
from imgbuild.config.profile.storage import Disk
from imgbuild.config.profile.system import (
    BaseImage,
    Bpffs,
    Firewall,
    GuestAgent,
    Kernel,
    Network,
    Packages,
    Repositories,
    RepositoryKeys,
    Selinux,
    Swap,
    Time,
)
from imgbuild.config.setting import ANOTHER_PROFILE, IN_THE_PROFILE, Setting, Words
from imgbuild.config.shipped import shipped

__all__ = [
    "Binary",
    "Disk",
    "File",
    "ImageArchive",
    "Login",
    "Mirror",
    "Profile",
    "ProfileFile",
    "Registry",
    "RepositoryKeys",
    "RepositoryLogin",
    "Server",
    "User",
]


class Profile(Model):
    """One node to build."""

    target: Annotated[
        str,
        Setting(
            f"[Distribution](targets.md) to build: {', '.join(f'`{name}`' for name in shipped('targets'))}.",
            example="debian12",
            scope="cluster",
            instead=ANOTHER_PROFILE,
        ),
    ]
    firmware: Annotated[
        Firmware,
        Setting(
            "How the machine starts. One root file system serves both; the layout of the disk differs.",
            scope="cluster",
            instead=ANOTHER_PROFILE,
            recipe="grub2-set-default 0;grub2-mkconfig -o /boot/efi/EFI/centos/grub.cfg;",
        ),
    ]
    mode: Annotated[
        Literal["baked", "stock"],
        Setting(
            "`baked`: the image holds packages, kernel and node files. `stock`: a plain cloud image, and user-data "
            "that does everything at first boot. `--mode` sets it too.",
            scope="cluster",
            instead=ANOTHER_PROFILE,
        ),
    ]
    time: Annotated[Time, Setting("The clock: time zone and NTP servers.", recipe="yum install -y chrony;")]
    repositories: Annotated[Repositories, Setting("Where packages come from. A list is tried in order.")]
    mirrors: Annotated[
        dict[Origin, Annotated[list[MirrorPrefix], Field(min_length=1)]],
        Setting(
            "Mirrors of files by the start of the address that they replace: what is below it is fetched from "
            "the mirrors first, in order, then from there. `{version}` in a mirror is replaced by the version in the "
            "file's name. For the base image, nerdctl-full, helm, charts that are files, archives of images and "
            "Kubernetes' programs; packages have `repositories`, images `containerd.registries`.",
            example={"https://get.helm.sh/": ["https://mirror.example.com/helm/"]},
            scope="cluster",
            instead=ANOTHER_PROFILE,
        ),
    ]
    packages: Annotated[Packages, Setting("Packages beyond those that imgbuild itself installs.")]
    base: Annotated[
        BaseImage,
        Setting(
            "What the image of an EL target starts from. Only the files of its root file system are taken; its disk "
            "layout does not matter.",
            scope="cluster",
            instead=ANOTHER_PROFILE,
        ),
    ]
    kernel: Annotated[Kernel, Setting("The kernel, its command line, modules and sysctls.")]
    containerd: Annotated[Containerd, Setting("The container runtime.")]
    crictl: Annotated[Crictl, Setting("crictl, the command-line client of the container runtime.")]
    kubernetes: Annotated[
        Kubernetes,
        Setting("Kubernetes. kubeadm's configuration comes with the seed, and first boot runs kubeadm with it."),
    ]
    helm: Annotated[Helm, Setting("helm, which installs Cilium's chart.")]
    cilium: Annotated[
        Cilium,
        Setting(
            "Cilium. The values come with the seed as a file, and first boot installs the chart with them.",
            scope="cluster",
            instead="set it in the profile: one chart serves all nodes; a CiliumNodeConfig in the cluster is for one "
            "node",
        ),
    ]
    addons: Annotated[
        list[Addon],
        Setting(
            "Manifests and Helm charts that first boot applies to the cluster after Cilium, in this order; each must "
            "be ready before the next one: [how-to](../how-to/addons.md). They travel in the seed of the control plane "
            "that makes the cluster.",
            example=[
                {
                    "name": "ingress-nginx",
                    "chart": "ingress-nginx",
                    "repository": "https://kubernetes.github.io/ingress-nginx",
                    "version": "4.11.3",
                    "namespace": "ingress-nginx",
                }
            ],
            scope="cluster",
            instead=IN_THE_PROFILE,
        ),
    ]
    bpffs: Annotated[Bpffs, Setting("The BPF file system, in which Cilium keeps its maps.")]
    firewall: Annotated[Firewall, Setting("The distribution's firewall.")]
    selinux: Annotated[Selinux, Setting("SELinux on targets that have it.")]
    swap: Annotated[Swap, Setting("Whether the node may swap.")]
    network: Annotated[Network, Setting("Network settings of the whole node.")]
    guest_agents: Annotated[
        list[GuestAgent],
        Setting(
            "Agents for the hypervisors that the node may run on: `vmware` (open-vm-tools), `qemu` (qemu-guest-agent: "
            "KVM, Proxmox, KubeVirt), `hyperv` (hyperv-daemons). Without one, VMware and Hyper-V show no address. Each "
            "runs only on its hypervisor, so an image can have all of them.",
            example=["vmware", "qemu"],
        ),
    ]
    disks: Annotated[
        list[Disk],
        Setting(
            "Further disks, each with one file system. They are formatted if they are blank, and mounted before "
            "containerd, etcd and the kubelet start: [Use further disks](../how-to/disks.md).",
            example=[{"mount": "/var/lib/containerd", "size": "500GB", "filesystem": "xfs"}],
            scope="seed",
        ),
    ]
    proxy: Annotated[Proxy, Setting("The HTTP proxy of the site.", scope="seed")]
    trust: Annotated[Trust, Setting("Certificate authorities of the site.", scope="seed")]
    hosts: Annotated[
        Hosts,
        Setting(
            "Names and their addresses in `/etc/hosts` of each node, there before anything is fetched. `null` removes "
            "a name that the profile sets.",
            example={"k8s.example.com": "10.0.0.10"},
            scope="seed",
        ),
    ]
    users: Annotated[
        list[User],
        Setting(
            "Logins. If no user has a key or a password, a warning tells that you cannot log in.",
            example=[
                {
                    "name": "admin",
                    "sudo": True,
                    "ssh_keys": [
                        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvcHktdGhlLWtleS1vZi15b3VyLW93bi1oZXJl you@example"
                    ],
                }
            ],
            scope="seed",
        ),
    ]
    files: Annotated[
        list[File],
        Setting(
            "Files of your own. A file at the path of one of imgbuild's replaces it.",
            example=[{"path": "/etc/motd", "content": "Welcome\n"}],
        ),
    ]
    run: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Setting(
            "Shell commands that are run at the end of cloud-init, in order, until each has succeeded once: one that "
            "fails, or that a power cut interrupts, is run again at the next boot. What has succeeded is not repeated "
            "on the machine when its seed changes.",
            example=["mkdir -p /srv/scratch"],
            scope="seed",
            secret=True,
        ),
    ]
    cloud: Annotated[Cloud, Setting("User-data for clouds.", scope="seed")]
    report: Annotated[
        Report,
        Setting("Where a node reports its progress: [how-to](../how-to/serve.md#reports).", scope="seed"),
    ]
    pxe: Annotated[
        Pxe,
        Setting(
            "Booting over the network.",
            scope="cluster",
            instead="set it in the profile: one boot menu and one live root serve all nodes",
        ),
    ]
    images: Annotated[
        Preload,
        Setting("Container images that are in the disk image.", scope="cluster", instead=ANOTHER_PROFILE),
    ]
    image: Annotated[
        DiskImage,
        Setting("The disk image. It grows to its disk at first boot.", scope="cluster", instead=ANOTHER_PROFILE),
    ]


class Extends(Model):
    """The keys of a user's file in addition to those of a profile."""

    extends: Annotated[
        list[str] | str,
        Words("name or file, or a list of them"),
        Setting(
            "A shipped profile or layer, or a file beside this one, to apply this one on top of; or a list of those.",
            example="debian12-efi",
            scope="cluster",
            instead=ANOTHER_PROFILE,
        ),
    ] = []


class ProfileFile(Profile, Extends):
    """A profile or a layer as it is written in a file."""
