"""The profile: which node to build. Frozen and typed; it has no defaults of its own, those are profiles/base.yaml.

Every key is described in docs/reference/profile.md; every item of the recipe has one (docs/recipe.md).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from imgbuild.config.fields import (
    AbsolutePath,
    Address,
    ClusterCidr,
    DnsName,
    FileMode,
    Host,
    Image,
    KernelArg,
    Line,
    MinorUrl,
    Model,
    ModuleName,
    PackageName,
    PasswordHash,
    PublicKey,
    RegistryHost,
    Sha256,
    SshKey,
    SysctlKey,
    Url,
    UserName,
    Version,
    ZoneName,
    no_boolean,
    pattern,
)
from imgbuild.config.redact import PRIVATE, Listed


class Time(Model):
    """Recipe: "yum install chrony; timedatectl set-timezone"."""

    zone: ZoneName
    ntp_servers: Annotated[list[Host], Field(min_length=1)]


OwnKeys = Annotated[list[PublicKey], Field(min_length=1)]


class RepositoryKeys(Model):
    """The keys that a repository's packages are checked with. Null: the target's own."""

    distribution: OwnKeys | None
    elrepo: OwnKeys | None
    epel: OwnKeys | None
    kubernetes: OwnKeys | None


class Repositories(Model):
    """Where packages come from; lists are tried in order. Null: the target's own list for ``region``."""

    region: Literal["world", "china"]
    distribution: list[Url] | None
    security: list[Url] | None
    elrepo: list[Url] | None
    epel: list[Url] | None
    epel_enabled: bool
    kubernetes: list[MinorUrl] | None
    keys: RepositoryKeys


class Packages(Model):
    """Extra packages, beyond what imgbuild itself needs."""

    install: list[PackageName]


class Kernel(Model):
    """Recipe: ELRepo's kernel-ml. ``flavour`` is one of the target's kernels."""

    flavour: str
    version: Version | None
    arguments: list[KernelArg]
    modules: list[ModuleName]
    sysctl: dict[SysctlKey, int | Line | None]
    cgroup: Literal["auto", "v1", "v2"]
    interface_names: Literal["kernel", "predictable"]
    secure_boot: bool


class NerdctlFull(Model):
    """The archive that brings containerd, runc, CNI plugins, nerdctl, buildkit and stargz."""

    version: Version
    urls: Annotated[list[Url], Field(min_length=1)]
    sha256: Sha256
    containerd: Version | None = Field(description="the containerd inside; null: looked up by the version")


class Buildkit(Model):
    """Recipe: buildkitd --root /opt/buildkit --containerd-worker-snapshotter=stargz."""

    enabled: bool
    root: AbsolutePath
    snapshotter: Literal["overlayfs", "native", "stargz"]


class Stargz(Model):
    """Recipe: containerd-stargz-grpc --root /opt/containerd-stargz-grpc --log-level=debug."""

    enabled: bool
    root: AbsolutePath
    log_level: Literal["trace", "debug", "info", "warn", "error"]


class Registry(Model):
    """One registry's hosts.toml: mirrors are tried in order, then the registry itself."""

    server: Url
    mirrors: list[Url]


class Binary(Model):
    """A file pinned by its checksum."""

    urls: Annotated[list[Url], Field(min_length=1)]
    sha256: Sha256


class ImageArchive(Binary):
    """Container images in a tar (docker save, OCI layout), plain or gzipped; ``name`` is the file's on the node."""

    name: Annotated[
        str, pattern(r"[a-z0-9][a-z0-9._-]{0,62}", "a name has lower-case letters, digits, dots, dashes and _")
    ]


class Containerd(Model):
    """Container runtime. ``source`` says who brings the binaries."""

    source: Literal["nerdctl-full", "distribution"]
    nerdctl_full: NerdctlFull
    root: AbsolutePath
    state: AbsolutePath
    snapshotter: Literal["overlayfs", "native", "stargz"]
    cgroup_driver: Literal["systemd", "cgroupfs"]
    sandbox_image: Image | None = Field(description="without a tag; null: derived from kubernetes.image_repository")
    buildkit: Buildkit
    stargz: Stargz
    registries: dict[RegistryHost, Registry | None]
    images: list[ImageArchive]


class Crictl(Model):
    """Recipe: /etc/crictl.yaml."""

    endpoint: Literal["unix:///run/containerd/containerd.sock"]
    timeout: Annotated[int, Field(ge=1, le=600, description="seconds")]


class Kubernetes(Model):
    """Recipe: kubelet, kubeadm, kubectl and kubeadm init."""

    enabled: bool
    version: Version
    source: Literal["packages", "binaries"]
    binaries: dict[Literal["kubeadm", "kubelet", "kubectl", "crictl"], Binary]
    image_repository: Image
    pod_cidr: ClusterCidr
    service_cidr: ClusterCidr
    dns_domain: DnsName
    advertise_address: Address | None
    api_port: Annotated[int, Field(ge=1, le=65535)]
    kube_proxy: bool
    schedulable_control_plane: bool
    cgroup_v1: Literal["refuse", "accept"]
    certificate_validity: Annotated[int, Field(ge=1, le=3650, description="days")] | None


class Helm(Model):
    """Recipe: helm 3.9.2 from a mirror; Cilium's charts from 1.16 need a newer one."""

    enabled: bool
    version: Version
    urls: Annotated[list[Url], Field(min_length=1)]
    sha256: Sha256


class Cilium(Model):
    """Recipe: the chart and its 51 values. ``values`` are the chart's, under the names of that chart."""

    enabled: bool
    version: Version
    repository: Url
    chart: Binary | None = Field(description="null: from the repository at first boot")
    values: Annotated[dict[str, object], Listed("cilium-keys")]


class Bpffs(Model):
    """Recipe: sys-fs-bpf.mount. From systemd 238 on systemd mounts it and refuses a unit of ours."""

    enabled: bool


class Firewall(Model):
    """Recipe: systemctl disable firewalld."""

    disabled: bool


class Selinux(Model):
    """Recipe: permissive. Null leaves the distribution's setting."""

    mode: Literal["permissive", "enforcing", "disabled"] | None


class Swap(Model):
    """Kubelet wants none."""

    enabled: bool


class Network(Model):
    """Settings of the whole node; addresses belong to the cluster file's nodes."""

    rp_filter: Annotated[Literal[0, 1, 2], BeforeValidator(no_boolean)] = Field(
        description="on all interfaces, present and to come"
    )
    unmanaged: list[Annotated[str, pattern(r"[A-Za-z0-9_.-]+\*?", "an interface name, * at its end")]]


class User(Model):
    """A login. Keys and hashes only, never a password."""

    name: UserName
    ssh_keys: list[SshKey] = []
    hashed_password: Annotated[PasswordHash | None, PRIVATE] = None
    sudo: bool = False
    groups: list[UserName] = []
    shell: AbsolutePath = "/bin/bash"


class File(Model):
    """A file of the user's own on every node."""

    path: AbsolutePath
    content: Annotated[str, PRIVATE]
    mode: FileMode = "0644"


class Cloud(Model):
    """``providers``: the clouds this user-data is for: over their limit is an error, for the others a warning."""

    providers: list[Literal["ec2", "openstack", "azure", "gcp"]]
    include_url: Url | None = Field(description="where the user will put cloud/files.tar.gz (stock mode)")


def _base_url(value: str) -> str:
    if ";" in value or "?" in value:
        raise ValueError("an address to which file names can be added, without ; (it ends cloud-init's seedfrom) and ?")
    return value if value.endswith("/") else value + "/"


class Pxe(Model):
    """``url``: where pxe/ is served from; null: ${cwduri} of iPXE."""

    url: Annotated[Url, AfterValidator(_base_url)] | None
    console: list[KernelArg]


class BaseImage(Model):
    """What an EL image starts from (qcow2, archive or folder); null fields: the target's cloud image."""

    source: str | None
    sha256: Sha256 | None
    remove: list[PackageName]


class DiskImage(Model):
    """The qcow2: it grows to its disk at first boot."""

    size_mib: Annotated[int, Field(ge=1024, le=1 << 20)]
    esp_mib: Annotated[int, Field(ge=34, le=1024)]


class Profile(Model):
    """One node to build."""

    target: str
    firmware: Literal["bios", "efi"]
    mode: Literal["baked", "stock"]
    time: Time
    repositories: Repositories
    packages: Packages
    base: BaseImage
    kernel: Kernel
    containerd: Containerd
    crictl: Crictl
    kubernetes: Kubernetes
    helm: Helm
    cilium: Cilium
    bpffs: Bpffs
    firewall: Firewall
    selinux: Selinux
    swap: Swap
    network: Network
    users: list[User]
    files: list[File]
    run: list[Annotated[str, PRIVATE, Field(min_length=1)]] = Field(
        description="shell commands at the end of cloud-init"
    )
    cloud: Cloud
    pxe: Pxe
    image: DiskImage
