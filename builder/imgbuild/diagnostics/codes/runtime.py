"""Codes: Container runtime and images."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code(
        "IB501", ERROR, "The distribution has no containerd that is new enough", fix="`containerd.source: nerdctl-full`"
    ),
    Code(
        "IB502",
        ERROR,
        "It is not known which containerd that nerdctl-full holds",
        fix="`containerd.nerdctl_full.containerd`",
    ),
    Code("IB503", ERROR, "Its containerd wants a newer glibc (0.20.0 on CentOS 7)", fix="1.7.7 or later"),
    Code("IB504", ERROR, "buildkit or stargz with the distribution's containerd", fix="Switch them off"),
    Code("IB505", ERROR, "nerdctl-full's version, URLs and sha256 are not of one release", fix="Give all three"),
    Code(
        "IB506",
        ERROR,
        "The archive is nerdctl alone, or for another machine",
        fix="`nerdctl-full-…-linux-amd64.tar.gz`",
    ),
    Code(
        "IB507",
        ERROR,
        "The snapshotter stargz, and `containerd.stargz` is off",
        fix="overlayfs, or `containerd.stargz.enabled: true`",
    ),
    Code(
        "IB508",
        ERROR,
        "Two services in one folder, or a root that a reboot empties",
        fix="A folder of its own below /var/lib or /opt",
    ),
    Code("IB509", ERROR, "A registry that containerd never looks up under that name, or no port", fix="`docker.io`"),
    Code("IB510", ERROR, "A registry's URL with /v2, or that is no http", fix="`https://HOST`"),
    Code("IB511", WARNING, "A registry's URL with a path", fix="`https://HOST`, unless the mirror says so"),
    Code("IB512", WARNING, "Images over http", fix="https"),
    Code("IB513", WARNING, "A mirror stands twice", fix="Take one out"),
    Code(
        "IB514", ERROR, "containerd wants kernel 4 or later (CentOS 7's own is 3.10)", fix="`kernel.flavour: kernel-ml`"
    ),
    Code("IB515", ERROR, "Two archives of images of one name", fix="Give each its own"),
    Code(
        "IB516",
        ERROR,
        "An archive of images that is packed otherwise than by gzip: containerd 1 takes a plain tar only, and first boot unpacks gzip",
        fix="Unpack it, or gzip",
    ),
    Code(
        "IB517",
        WARNING,
        "Archives of images on a node without Kubernetes: nothing loads them",
        fix="Take them out, or load them with `run`",
    ),
    Code(
        "IB518",
        WARNING,
        "Some images come from a mirror, others from a registry that has none: a node that cannot reach that registry never starts them",
        fix="Name a mirror in `containerd.registries`; `imgbuild images` lists every image with its address",
    ),
    Code(
        "IB519",
        WARNING,
        "Images come from a mirror, Cilium's chart from helm.cilium.io at first boot",
        fix="`cilium.chart` with urls and sha256, or `cilium.repository`",
    ),
    Code(
        "IB520",
        WARNING,
        "Images are loaded from archives, and the chart asks for one by digest: in containerd a loaded image has its tag only",
        fix="`useDigest: false` for that image",
    ),
)
