"""Paths on the node that several modules of rendering name. Without a leading slash: below node/ and below / alike."""

LIBEXEC = "usr/libexec/imgbuild"
"""The folder of the scripts that run on nodes."""
SYSTEM = "etc/systemd/system"
"""The folder of units and their drop-ins."""
INSTALL_CONF = "etc/imgbuild/install.conf"
CLUSTER_CONF = "etc/imgbuild/cluster.conf"
ADDONS_CONF = "etc/imgbuild/addons.conf"
