"""A target: the facts of one distribution release, as data (profiles/targets/). No code depends on its name."""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from imgbuild.config.data import data_dir
from imgbuild.config.fields import Firmware, Hierarchy, Model
from imgbuild.config.layers import closest, read_shipped
from imgbuild.config.shipped import shipped
from imgbuild.diagnostics.errors import InvalidInput
from imgbuild.diagnostics.findings import Findings

Compression = Literal["zstd", "gzip"]


class OsRelease(Model):
    """/etc/os-release's ID and VERSION_ID."""

    id: str
    version_id: str


class Cgroup(Model):
    """``v2_arguments``: kernel arguments that give the unified hierarchy; null if this systemd has none."""

    default: Hierarchy
    v2_arguments: list[str] | None


class CloudImage(Model):
    """The distribution's own cloud image."""

    url: str
    sha256: str


class TargetImage(Model):
    """How the disk image is made. ``base``: null for mmdebstrap.

    ``element``: imgbuild's base element without ``imgbuild-``; ``environment``: diskimage-builder's variables;
    ``wants``: what the user of an exported build.sh must set, and why.
    """

    base: CloudImage | None
    element: Literal["debian", "el"]
    environment: dict[str, str] = {}
    wants: dict[str, str] = {}


class VmwareGuest(Model):
    """The kind of guest in an OVF descriptor.

    ``guest``: VMware's own id, one that ESXi 6.5 knows (VirtualMachineGuestOsIdentifier of the vSphere API); ``cim``:
    the number that belongs to it (CIM_OperatingSystem.OsType).
    """

    guest: str
    cim: int


class CloudInit(Model):
    """Versions of cloud-init: in the stock cloud image and in the baked image."""

    stock: str
    baked: str


class Paths(Model):
    """Paths that differ between distributions.

    ``timezone``: a file with the zone's name beside /etc/localtime; ``cni``: the folder of the distribution's own
    CNI plugins; ``environment``: the folder of services' variables.
    """

    chrony: str
    timezone: str | None
    cni: str | None
    environment: str


class Services(Model):
    """systemd units by purpose.

    ``crash_dump`` needs memory that only the kernel argument crashkernel= reserves, and fails without it;
    ``ntp_rivals`` also set the clock, against chrony; ``updaters`` fetch from the package mirrors by themselves: they
    fail on a node without mirrors, and hold the package manager's lock on others.
    """

    chrony: str
    ntp_rivals: list[str]
    ssh: str
    firewall: list[str]
    updaters: list[str]
    crash_dump: list[str]


class KernelFacts(Model):
    """One kernel flavour. ``version`` is the newest known; ``cpuset_v1``: CONFIG_CPUSETS_V1 (or older than 6.12).

    ``end_of_life``: the day (ISO 8601) after which this target's repository gets no fixed kernel of this flavour; null
    if none is known.

    ``ip6table_raw``: it has the module (or is older than 6.17, from which on ELRepo's configs have it off).

    ``owner``: the package (a shell pattern) that owns /boot/vmlinuz-* of this flavour.
    """

    packages: list[str]
    owner: str
    version: str
    release: str | None = None
    cpuset_v1: bool
    ip6table_raw: bool = True
    signed: bool
    end_of_life: str | None = None


class TargetPackages(Model):
    """Package names by purpose. ``containerd`` is null where the distribution has none that is new enough."""

    base: list[str]
    image: list[str]
    kubernetes: list[str]
    containerd: list[str] | None
    stargz: list[str]
    xfs: list[str]
    selinux: list[str]


class AgentFacts(Model):
    """A hypervisor's agent: its packages, the units that nothing else enables, and the one that runs there."""

    packages: list[str]
    enable: list[str]
    unit: str


class Boot(Model):
    """Where the release has its boot loader, and how to use its GRUB. Paths are on the node.

    ``linux``: GRUB's commands that load a kernel and an initramfs. ``mkimage`` is run in the target's own root.
    ``menu``: what its grub-mkconfig writes: "submenu" starts the newest kernel and keeps the others in a submenu,
    "saved" starts the one that grubenv names, "bls" the same with an entry a file in /boot/loader/entries.
    ``signed_efi``: the folder with the distribution's signed shim and GRUB; null: the EFI program is linked here.
    ``defaults_file``: where its grub-mkconfig reads settings from; ``distributor`` and ``title``: GRUB_DISTRIBUTOR
    and what grub-mkconfig makes of it in the menu. ``kernel_prefix`` is followed by the version, which replaces
    ``{version}`` in ``initrd`` (and in ``title``). ``ext4_features``: everything that kernel, e2fsck and GRUB of the
    release understand; nothing comes from the build host's defaults. ``core_modules``: what is linked into core.img
    or the EFI program.
    """

    grub_dir: str
    efi_vendor: str
    linux: dict[Firmware, Annotated[list[str], Field(min_length=2, max_length=2)]]
    menu: Literal["submenu", "saved", "bls"]
    signed_efi: str | None
    module_dirs: dict[Firmware, str]
    mkimage: str
    defaults_file: str
    kernel_prefix: str
    initrd: str
    ext4_features: list[str]
    core_modules: dict[Firmware, list[str]]
    distributor: str
    title: str
    root_options: str


class LiveRoot(Model):
    """The root file system of a machine that boots over the network, as this release's initramfs can mount it.

    ``packages``: what makes such an initramfs; they are removed again when it is made. ``tool``: what mounts the root
    in it. ``layout``: "flat" if the squashfs is the root itself, "nested" if it has an ext4 in LiveOS/rootfs.img.
    ``compression``: of squashfs, with ``options`` of mksquashfs. ``kernel``: options (without CONFIG_) that the kernel
    must have built in or as a module. ``modules`` and ``files``: what the initramfs must have; a module may be built
    in, a file's name may be a pattern. ``arguments``: the kernel's, with {base} for the address of pxe/; ``medium``:
    the same for a CD or a USB disk, with {label} for its name; ``medium_root``: the squashfs' place on it;
    ``medium_mount``: where it is mounted in the live system. ``snapshot_mib``: how much can be written to / where
    that is a snapshot of a fixed size (MiB); null where it is memory. ``installer``: packages that stay in the root,
    for writing the image to a disk; ``install_compression``: what the disk's data is packed with, which they unpack.
    """

    packages: list[str]
    tool: Literal["live-boot", "dracut"]
    layout: Literal["flat", "nested"]
    compression: Literal["zstd", "xz", "gzip"]
    options: list[str]
    kernel: list[str]
    modules: list[str]
    files: list[str]
    arguments: list[str]
    medium: list[str]
    medium_root: str
    medium_mount: str
    snapshot_mib: int | None
    installer: list[str]
    install_compression: Compression


class Mirrors(Model):
    """Base URLs by region, tried in order."""

    world: list[str]
    china: list[str]


class RepositoryKey(Model):
    """A key file on the node.

    ``fingerprint`` null: no two sources agree on one. ``sources``: the public repositories that agree, as
    OWNER/NAME[@COMMIT]:PATH. ``shipped``: whether node/ has the file; else the base image must. ``origin``: where to
    get it.
    """

    path: str
    fingerprint: str | None
    origin: str
    sources: list[str] = []
    shipped: bool = False


class TargetRepositories(Model):
    """``layout``: repository id to path below a distribution mirror. ``{minor}`` is replaced by Kubernetes' minor.

    ``key_files``: by repository: "distribution", "elrepo", "epel", "kubernetes".
    """

    layout: dict[str, str]
    key_files: dict[str, list[RepositoryKey]]
    distribution: Mirrors
    security: Mirrors | None = None
    epel: Mirrors | None = None
    elrepo: Mirrors | None = None
    kubernetes: Mirrors


class Target(Model):
    """One distribution release.

    ``sudo_path``: what its /etc/sudoers sets secure_path to; null where that has /usr/local already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    id: str
    name: str
    family: Literal["el", "debian"]
    os_release: OsRelease
    glibc: str
    tzdata: str
    systemd: int
    package_manager: Literal["yum", "dnf", "apt"]
    bpffs_unit: bool
    guest_agents: dict[str, AgentFacts]
    selinux: bool
    sudo_path: str | None
    default_user: str
    cgroup: Cgroup
    image: TargetImage
    vmware: VmwareGuest
    cloud_init: CloudInit
    network_daemons: list[Literal["NetworkManager", "systemd-networkd", "ifupdown"]]
    paths: Paths
    services: Services
    kernels: dict[str, KernelFacts]
    packages: TargetPackages
    containerd_package: str | None
    boot: Boot
    live: LiveRoot
    repositories: TargetRepositories
    defaults: dict[str, Any]


@cache
def load_target(name: str) -> Target:
    """One of the shipped targets.

    Raises:
        KeyError: there is no such target (see ``suggest``).
        InvalidInput: the file is broken.
    """
    path = data_dir("profiles") / "targets" / f"{name}.yaml"
    if "/" in name or not path.is_file():
        raise KeyError(name)
    document, said = read_shipped(path, f"profiles/targets/{name}.yaml")
    if document is None or said.items:
        raise InvalidInput(said)
    try:
        return Target.model_validate({"id": name, **document.data})
    except ValidationError as error:
        findings = Findings()
        for item in error.errors():
            key = ".".join(map(str, item["loc"]))
            findings.add(
                "IB110", item["msg"], key=key, mark=document.marks.get(item["loc"]), hint="install imgbuild again"
            )
        raise InvalidInput(findings) from error


def target_names() -> list[str]:
    """The shipped targets."""
    return shipped("targets")


def suggest(name: str) -> str:
    """The hint for a target that does not exist."""
    return closest(name, target_names()) or f"imgbuild ships {', '.join(target_names())}"
