"""The cluster file: the nodes, their roles and addresses. It changes seeds only, never the image."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from imgbuild.config.cluster_fields import Endpoint, InstallDisk, InterfaceName, LabelName, LabelValue, Mac, PinnedImage
from imgbuild.config.fields import Address, DnsName, HostName, Model, duration
from imgbuild.config.node_machine import Machine
from imgbuild.config.node_network import MAC, Interface, NodeNetwork
from imgbuild.config.profile import Profile
from imgbuild.config.setting import Like, Setting, Words


class Taint(Model):
    """What keeps pods off a node."""

    key: Annotated[LabelName, Setting("Key of the taint.", example="example.com/gpu")]
    value: Annotated[LabelValue, Setting("Value of the taint.", example="true")] = ""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"], Setting("What it does to pods that do not tolerate it.")
    ]


class Node(Model):
    """One machine, or a group of workers that share a seed (``count``).

    ``mac`` is that of the interface it boots from over PXE; by default its first interface's.
    """

    name: Annotated[
        HostName,
        Setting(
            "Host name of the machine and name of the Kubernetes node: a short name, or a fully qualified one with "
            "dots. At most 63 characters.",
            example="cp1",
        ),
    ]
    role: Annotated[Literal["control-plane", "worker"], Setting("What the node is.")]
    mac: Annotated[
        Mac | None,
        Setting(
            "MAC of the card that the machine boots from over the network. `null`: its first interface's.", example=MAC
        ),
    ] = None
    install_disk: Annotated[
        InstallDisk,
        Setting(
            "Disk that the image is [installed on](../how-to/install.md), over the network or from a medium. `auto`: "
            "the smallest blank one that holds the image; else the path of a disk, such as a link in /dev/disk/by-id, "
            "or `serial:` and its serial number.",
            example="serial:S676NX0R123456",
        ),
    ] = "auto"
    install_wipe: Annotated[
        bool,
        Setting(
            "Whether the disk that `install_disk` names may have data when it is installed: the data is lost. Set it "
            "for one build, and remove it: each later network boot that installs would erase the node again."
        ),
    ] = False
    network: Annotated[NodeNetwork | None, Setting("Static network of the node. `null`: the node uses DHCP.")] = None
    labels: Annotated[
        dict[LabelName, LabelValue],
        Setting(
            "Labels of the node; a value may be empty. Labels below kubernetes.io that a node may not give itself are "
            "an error.",
            example={"example.com/rack": "r1"},
        ),
    ] = {}
    taints: Annotated[
        list[Taint],
        Setting(
            "Taints that keep pods off the node, in addition to kubeadm's own.",
            example=[{"key": "example.com/gpu", "effect": "NoSchedule"}],
        ),
    ] = []
    settings: Annotated[
        dict[str, object],
        Like(Profile),
        Setting(
            "Keys of a [profile](profile.md), applied on top of the profile for this node alone: "
            "[which ones](cluster.md#settings-of-a-nodes-own).",
            example={"kubernetes": {"schedulable_control_plane": False}},
        ),
    ] = {}

    count: Annotated[
        Annotated[int, Field(ge=1, le=5000)] | None,
        Setting(
            "How many workers share this seed, at most: [workers that a cloud starts by itself]"
            "(../how-to/clouds.md#workers-that-a-cloud-starts). Each takes its host name from the cloud, or gets one "
            "made of `name` and eight digits. `null`: one machine with this name.",
            example=20,
        ),
    ] = None
    unknown_machines: Annotated[
        bool,
        Setting(
            "Over PXE, machines whose MAC no node has get the seed of this group, with the token by which anybody "
            "joins. Without it they get none."
        ),
    ] = False

    machine: Annotated[
        Machine,
        Setting(
            "What [`imgbuild export`](../how-to/export.md) tells other systems about the machine. It changes neither "
            "seed nor image."
        ),
    ] = Machine.model_construct()

    @property
    def shared(self) -> bool:
        """Whether several machines have this seed, each with a host name of its own."""
        return self.count is not None

    @property
    def boot_mac(self) -> str | None:
        """The MAC that PXE files go by."""
        return self.mac or (self.network.interfaces[0].mac if self.network else None)

    @property
    def macs(self) -> list[str]:
        """The MACs that are known, in the order of its interfaces."""
        every = [self.mac_of(interface) for interface in self.network.interfaces] if self.network else [self.mac]
        return [mac for mac in every if mac is not None]

    def mac_of(self, interface: Interface) -> str | None:
        """The MAC of one of its interfaces; the only one's may be given as the node's. None if it is not known."""
        only = self.network is not None and len(self.network.interfaces) == 1
        return interface.mac or (self.mac if only else None)


class Vip(Model):
    """An address that one control plane has at a time, managed by kube-vip as a static pod."""

    address: Annotated[
        Address,
        Setting(
            "Free address of the nodes' network. kube-vip, a static pod, gives it to one control plane at a time.",
            example="10.0.0.10",
        ),
    ]
    interface: Annotated[
        InterfaceName | None,
        Setting(
            "Interface that gets the address, on every control plane. `null`: on each the one in whose network the "
            "address is; with addresses by DHCP the one in `kubernetes.node_ip`, else the one of the default route.",
            example="eth0",
        ),
    ] = None
    image: Annotated[
        PinnedImage, Setting("Image of kube-vip.", example="registry.example.com/kube-vip/kube-vip:v0.8.9")
    ] = "ghcr.io/kube-vip/kube-vip:v0.8.9"


class Cluster(Model):
    """The nodes of one cluster. ``endpoint`` is the control plane's host:port, where it is not the node itself."""

    name: Annotated[
        DnsName,
        Setting(
            "Name of the cluster, in kubeadm's configuration and as Cilium's `cluster.name`. Cilium accepts at most 32 "
            "of a-z, 0-9 and - from 1.16 on (IB640); `cilium.values.cluster.name` gives it another name.",
            example="lab",
            scope="cluster",
        ),
    ]
    endpoint: Annotated[
        Endpoint | None,
        Setting(
            "`host:port` of the control plane (`[…]:port` for IPv6) if it is not the node itself: a load balancer or a "
            "virtual address. `null`: the `vip`, the `balancer`, or the first control plane's own address "
            "(`kubernetes.advertise_address` in its settings, else its first static address). All nodes join there, "
            "whatever settings they have.",
            example="10.0.0.10:6443",
            scope="cluster",
        ),
    ] = None
    single_endpoint: Annotated[
        bool,
        Setting(
            "Accepts an endpoint that is the address of one of several control planes: without that node "
            "the API cannot be reached. [What happens when it is imaged again]"
            "(../how-to/first-boot.md#a-control-plane-was-re-imaged).",
            scope="cluster",
        ),
    ] = False
    vip: Annotated[
        Vip | None,
        Setting("Virtual address of the control planes. `null`: there is none.", scope="cluster"),
    ] = None
    balancer: Annotated[
        Literal["local"] | None,
        Setting(
            "`local`: haproxy, a static pod on every node, on 127.0.0.1; it forwards to every control plane that "
            "answers, and the endpoint is `127.0.0.1:PORT` with `balancer_port`. The [way]"
            "(../how-to/ha.md#a-balancer-on-each-node) to several control planes without a virtual address and "
            "without a load balancer. `null`: there is none.",
            scope="cluster",
        ),
    ] = None
    balancer_port: Annotated[
        int,
        Field(ge=1024, le=65535),
        Setting("Port of the balancer on 127.0.0.1.", example=8443, scope="cluster"),
    ] = 7443
    balancer_image: Annotated[
        PinnedImage,
        Setting("Image of haproxy.", example="registry.example.com/library/haproxy:3.2.21-alpine", scope="cluster"),
    ] = "docker.io/library/haproxy:3.2.21-alpine"
    # docker-library/haproxy, versions.json and 3.2/alpine/Dockerfile (5f3b2c8, 2026-07-03), whose
    # generate-stackbrew-library.sh names the tag. 3.2 is fixed until 2030-04 (endoflife.date).
    token_ttl: Annotated[
        str,
        duration("1h", "90d"),
        Words("duration"),
        Setting(
            "How long a new [bootstrap token](cluster.md#a-new-token) is valid, in hours or days: at least `1h`, "
            "at most `90d`.",
            example="48h",
            scope="cluster",
        ),
    ] = "14d"  # noqa: S105 - a time
    settings: Annotated[
        dict[str, object],
        Like(Profile),
        Setting(
            "Keys of a [profile](profile.md), applied on top of the profile for all nodes of this cluster: "
            "[which ones](cluster.md#settings-of-all-nodes).",
            example={"time": {"ntp_servers": ["10.0.0.1"]}},
        ),
    ] = {}
    nodes: Annotated[
        list[Node],
        Field(min_length=1),
        Setting(
            "The machines. The first control plane makes the cluster, the others join it. It asks the endpoint and the "
            "other control planes first whether the cluster exists.",
            example=[{"name": "cp1", "role": "control-plane"}],
            scope="seed",
        ),
    ]

    @cached_property
    def machines(self) -> int:
        """How many machines there are, at most."""
        return sum(node.count or 1 for node in self.nodes)

    @cached_property
    def first(self) -> Node | None:
        """The control plane that makes the cluster: the first of the file. Cached, because every node needs it."""
        return next((node for node in self.nodes if node.role == "control-plane"), None)


# Not validated: it is known to be right, and the validators of cluster files take a tenth of a short command's time.
DEFAULT = Cluster.model_construct(name="imgbuild", nodes=[Node.model_construct(name="node1", role="control-plane")])
"""Without a cluster file: one control plane that uses DHCP."""
