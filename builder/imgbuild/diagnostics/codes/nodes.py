"""Codes: Nodes of the cluster."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB401", ERROR, "Two nodes of one host name", fix="Give each its own"),
    Code("IB402", ERROR, "Two interfaces of one MAC", fix="Give each its own"),
    Code("IB403", ERROR, "Two interfaces of one address", fix="Give each its own"),
    Code(
        "IB404",
        ERROR,
        "Two interfaces, bonds or VLANs of one name on a node, or of one tag on a link; or `lo`",
        fix="Give each its own",
    ),
    Code("IB405", ERROR, "A bond or a VLAN wants an interface that the node has not", fix="The nearest one is named"),
    Code(
        "IB406",
        ERROR,
        "An interface in two bonds, or a VLAN on a port of a bond",
        fix="One bond; put the VLAN on the bond",
    ),
    Code("IB407", ERROR, "A port of a bond has addresses of its own", fix="Move them to the bond"),
    Code("IB408", ERROR, "A VLAN's MTU is over its link's", fix="Raise the link's"),
    Code(
        "IB409",
        ERROR,
        "Enterprise Linux takes link and id of a VLAN from its name: `link.id`, or `vlanID` from cloud-init 20.4 on",
        fix="That name",
    ),
    Code("IB410", ERROR, "No node is a control plane", fix="`role: control-plane`"),
    Code(
        "IB411",
        ERROR,
        "Several nodes, and nobody knows the address of the control plane",
        fix="`endpoint:`, `vip:`, or a static address on the first control plane",
    ),
    Code(
        "IB412",
        WARNING,
        "An even number of control planes: etcd bears no more losses than with one less",
        fix="An odd number",
    ),
    Code("IB413", ERROR, "The endpoint's port is no port", fix="1 to 65535"),
    Code(
        "IB414",
        ERROR,
        "Several control planes, and the endpoint is the address of one of them",
        fix="`vip:`, or a load balancer; `single_endpoint: true` accepts it",
    ),
    Code("IB415", ERROR, "The virtual address is a node's own", fix="One that no machine has"),
    Code(
        "IB416",
        ERROR,
        "The virtual address is in no network of one of the control planes, or in the pods' or the Services'",
        fix="A free address of a network that all of them are in",
    ),
    Code(
        "IB417",
        ERROR,
        "The endpoint is not the virtual address (a warning for a name: it may resolve to it)",
        fix="Take `endpoint:` out",
        lesser=WARNING,
    ),
    Code("IB418", ERROR, "A label that the kubelet refuses to give itself", fix="A domain of your own"),
    Code("IB419", ERROR, "A taint stands twice", fix="Keep one"),
    Code("IB420", ERROR, "A static network without any address", fix="An address, or no `network:` for DHCP"),
    Code("IB421", WARNING, "An interface without address and DHCP that nothing uses", fix="Take it out"),
    Code(
        "IB422",
        ERROR,
        "A gateway in none of the interface's networks, or the node's own address",
        fix="The router's address",
    ),
    Code("IB423", WARNING, "A node without a default gateway", fix="`gateway:` on one interface"),
    Code("IB424", WARNING, "A node with several default gateways of one family", fix="Keep one"),
    Code(
        "IB425",
        WARNING,
        "A static node without DNS: CoreDNS, which asks the node's servers, does not start there",
        fix="`dns:`, any address where there is no server",
    ),
    Code(
        "IB426",
        ERROR,
        "A loopback, multicast, reserved, network or broadcast address for an interface",
        fix="An address of a host",
    ),
    Code(
        "IB427",
        ERROR,
        "kube-vip's interface (`vip.interface`) is not on a control plane",
        fix="One that every control plane has, or null",
    ),
    Code(
        "IB440",
        ERROR,
        "A node's settings hold what cannot differ between nodes of one run, such as `kubernetes.version`",
        fix="The profile; or another profile for these nodes, with the same cluster file and `--secrets`",
    ),
    Code(
        "IB441",
        ERROR,
        "Baked: a node's settings change what is in the image, which all nodes share. The files are named",
        fix="The profile, `--mode stock`, or another profile for these nodes",
    ),
    Code(
        "IB442",
        ERROR,
        "A node's settings change the files that nodes fetch from `cloud.include_url`, and the address is the others'",
        fix="An address of its own in the settings",
    ),
    Code(
        "IB443",
        ERROR,
        "A node's settings give it cgroup v1, and the kubelets' configuration, which the first control plane makes, refuses that",
        fix="v2 for the node, or Kubernetes 1.34 and older",
    ),
    Code(
        "IB461",
        ERROR,
        "The endpoint is one control plane's address (`single_endpoint: true`), and the address of another is not known: made anew, the first could not ask it whether the cluster is there",
        fix="A static address for it, or `kubernetes.advertise_address` in its settings",
    ),
    Code("IB462", WARNING, "`single_endpoint` beside a `vip`", fix="Remove it"),
)
