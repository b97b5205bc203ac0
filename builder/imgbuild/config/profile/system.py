"""The operating system of a node: time, repositories, packages, kernel, security settings, network."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from imgbuild.config.fields import (
    Clients,
    Host,
    KernelArg,
    MinorUrl,
    Model,
    ModuleName,
    PackageName,
    PublicKey,
    Sha256,
    SysctlKey,
    SysctlText,
    Url,
    Version,
    ZoneName,
    no_boolean,
    pattern,
)
from imgbuild.config.profile.logins import Logins
from imgbuild.config.setting import Setting


class Time(Model):
    """The clock: time zone and NTP servers."""

    zone: Annotated[
        ZoneName,
        Setting(
            "Time zone of the node. The layer `china` sets Asia/Shanghai.",
            example="Asia/Tokyo",
            recipe="timedatectl set-timezone Asia/Shanghai;",
        ),
    ]
    ntp_servers: Annotated[
        list[Host],
        Setting(
            "Servers that chrony takes the time from. Empty only where `local_stratum` is set.",
            example=["ntp.example.com"],
            recipe="timedatectl set-ntp true;",
        ),
    ]
    allow: Annotated[
        list[Clients],
        Setting(
            "Networks and addresses whose machines may take the time from this node.",
            example=["10.0.0.0/24"],
            scope="seed",
        ),
    ]
    local_stratum: Annotated[
        Annotated[int, Field(ge=1, le=15)] | None,
        Setting(
            "The node serves its own clock when no time server answers, at this stratum; 10 is usual. For a site "
            "without a time server, on one node: [time without NTP](../how-to/network.md#time-without-ntp).",
            example=10,
            scope="seed",
        ),
    ]


OwnKeys = Annotated[list[PublicKey], Field(min_length=1)]


class RepositoryKeys(Model):
    """The keys that verify a repository's packages. Null: the target's own."""

    distribution: Annotated[
        OwnKeys | None,
        Setting("Keys that the distribution's packages are checked with. `null`: the distribution's own keys."),
    ]
    elrepo: Annotated[OwnKeys | None, Setting("Keys that ELRepo's packages are checked with. `null`: the target's.")]
    epel: Annotated[OwnKeys | None, Setting("Keys that EPEL's packages are checked with. `null`: the target's.")]
    kubernetes: Annotated[
        OwnKeys | None, Setting("Keys that the Kubernetes packages are checked with. `null`: the target's.")
    ]


class Repositories(Model):
    """Where packages come from; lists are tried in order. Null: the target's own list for ``region``."""

    region: Annotated[
        Literal["world", "china"], Setting("Which of the target's lists is used for every repository that is `null`.")
    ]
    distribution: Annotated[
        list[Url] | None,
        Setting(
            "Mirrors of the distribution itself. On debian12 in the region `world` the target's list is empty: the "
            "image build then uses the mirror of the build host.",
            example=["https://mirror.example.com/debian"],
        ),
    ]
    security: Annotated[
        list[Url] | None,
        Setting("Mirrors of Debian's security updates.", example=["https://mirror.example.com/debian-security"]),
    ]
    elrepo: Annotated[
        list[Url] | None,
        Setting(
            "Where kernel-ml and kernel-lt come from.",
            example=["https://mirror.example.com/elrepo/kernel/el8/x86_64"],
            recipe="yum install -y https://www.elrepo.org/elrepo-release-8.el8.elrepo.noarch.rpm",
        ),
    ]
    epel: Annotated[
        list[Url] | None, Setting("Mirrors of EPEL.", example=["https://mirror.example.com/epel/8/Everything/x86_64"])
    ]
    epel_enabled: Annotated[bool, Setting("Whether EPEL is used at all.")]
    kubernetes: Annotated[
        list[MinorUrl] | None,
        Setting(
            "Where kubelet, kubeadm and kubectl come from.",
            example=["https://mirror.example.com/kubernetes/v{minor}/rpm/"],
            recipe="baseurl=https://mirrors.cloud.tencent.com/kubernetes/yum/repos/kubernetes-el7-x86_64/",
        ),
    ]
    logins: Annotated[
        Logins,
        Setting(
            "Logins by host, for packages, archives, the base image, and repositories in your own `files`. They are "
            "[in the seeds alone](../how-to/mirrors.md#a-mirror-that-asks-for-a-login). `null` removes one.",
            scope="seed",
            secret=True,  # all of it: also a text in its place
        ),
    ]
    keys: Annotated[RepositoryKeys, Setting("Your own keys for the signatures of packages.", recipe="gpgcheck=0")]


class Packages(Model):
    """Extra packages, beyond what imgbuild itself needs."""

    install: Annotated[
        list[PackageName],
        Setting("More packages to install, by the names of the target's package manager.", example=["tmux"]),
    ]


GuestAgent = Literal["vmware", "qemu", "hyperv"]
"""A hypervisor's agent in the guest. The target has its packages and units."""


class BaseImage(Model):
    """What an EL image starts from (qcow2, archive or folder); null fields: the target's cloud image."""

    source: Annotated[
        str | None,
        Setting(
            "A qcow2 image, an archive, a folder or a URL. `null`: the target's cloud image.",
            example="/srv/images/CentOS-8-GenericCloud.qcow2",
        ),
    ]
    sha256: Annotated[
        Sha256 | None, Setting("Checksum of `base.source`. Required unless the source is a folder.", example="0" * 64)
    ]
    remove: Annotated[list[PackageName], Setting("Packages that are removed from it.", example=["cockpit-ws"])]


class Kernel(Model):
    """The kernel, its command line, modules and sysctls. ``flavour`` is one of the target's kernels."""

    flavour: Annotated[
        str,
        Setting(
            "One of the target's kernels: `kernel-ml`, `kernel-lt` or `distribution` on CentOS, `newest` or "
            "`distribution` on Debian.",
            example="distribution",
            recipe="yum install kernel-ml --enablerepo=elrepo-kernel",
        ),
    ]
    version: Annotated[
        Version | None,
        Setting(
            "Exact kernel version to install. `null`: the newest of that flavour in the repository.", example="6.9.7"
        ),
    ]
    arguments: Annotated[
        list[KernelArg],
        Setting(
            "End of the kernel's command line. imgbuild puts `net.ifnames=0` and the cgroup argument before it.",
            example=["console=tty0", "quiet"],
        ),
    ]
    modules: Annotated[
        list[ModuleName],
        Setting(
            "Modules that are loaded at boot. `fuse` is added if stargz is enabled.",
            example=["overlay", "br_netfilter", "nbd"],
            recipe="sudo modprobe overlay;",
        ),
    ]
    initramfs_drivers: Annotated[
        list[ModuleName],
        Setting(
            "Drivers that the initramfs must have, beyond those that imgbuild always includes: for a RAID controller "
            "or a network card that the root file system is behind. The build fails if the kernel has no such module.",
            example=["megaraid_mbox", "bnx2x"],
        ),
    ]
    sysctl: Annotated[
        dict[SysctlKey, int | SysctlText | None],
        Setting(
            "Sysctls. `null` removes a default. A `*` in a name is refused: use `network.rp_filter`.",
            example={"vm.swappiness": 10},
            recipe="net.bridge.bridge-nf-call-iptables = 0",
        ),
    ]
    cgroup: Annotated[
        Literal["auto", "v1", "v2"],
        Setting(
            "Which cgroup version the node boots with. `auto`: v2 if it is the distribution's default, and on CentOS 8 "
            "also if the kernel has no cpuset controller for v1.",
        ),
    ]
    interface_names: Annotated[
        Literal["kernel", "predictable"],
        Setting("`kernel`: eth0 and so on (`net.ifnames=0`). `predictable`: the names that systemd gives."),
    ]
    secure_boot: Annotated[
        bool,
        Setting(
            "Whether the machine accepts signed kernels only. An unsigned flavour is then an error.",
            scope="seed",  # no file has it: checks alone read it, and each machine may differ
        ),
    ]


class Bpffs(Model):
    """Recipe: sys-fs-bpf.mount. From 238 on, systemd mounts it itself and refuses another unit for it."""

    enabled: Annotated[
        bool,
        Setting(
            "Whether /sys/fs/bpf must be mounted. On CentOS 7 a unit mounts it, elsewhere systemd does so itself.",
            recipe="systemctl enable sys-fs-bpf.mount",
        ),
    ]


class Firewall(Model):
    """Recipe: systemctl disable firewalld."""

    disabled: Annotated[
        bool,
        Setting(
            "Whether the distribution's firewall units are masked.",
            recipe="systemctl disable firewalld;systemctl stop firewalld;",
        ),
    ]


class Selinux(Model):
    """Recipe: permissive. Null leaves the distribution's setting."""

    mode: Annotated[
        Literal["permissive", "enforcing", "disabled"] | None,
        Setting("SELinux mode of the node. `null` keeps the distribution's setting.", recipe="setenforce 0"),
    ]


class Swap(Model):
    """The kubelet requires swap to be off."""

    enabled: Annotated[
        bool, Setting("Whether swap may be used. `false`: swap is off and stays off, which the kubelet requires.")
    ]


class Network(Model):
    """Settings of the whole node; addresses belong to the cluster file's nodes."""

    rp_filter: Annotated[
        Literal[0, 1, 2],
        BeforeValidator(no_boolean),
        Setting(
            "Reverse path filter of every interface, present and future. 0: off, 1: strict, 2: loose.",
            recipe="net.ipv4.conf.all.rp_filter = 0",
        ),
    ]
    unmanaged: Annotated[
        list[Annotated[str, pattern(r"[A-Za-z0-9_.-]+\*?", "an interface name, * at its end")]],
        Setting(
            "Interfaces that NetworkManager and systemd-networkd do not manage. A name may end in `*`.",
            example=["cilium*", "lxc*", "tailscale0"],
        ),
    ]
