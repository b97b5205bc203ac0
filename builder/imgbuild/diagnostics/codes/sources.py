"""Base image, repositories and keys."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB430",
        ERROR,
        "A base image without a checksum, or no path at all",
        why="Its content may change, and the image that is built with it.",
        fix="Set `base.sha256`. Only a folder needs none.",
        bad="base: {source: 'https://example.org/base.qcow2'}",
        good="""
            base: {source: 'https://example.org/base.qcow2', sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
        """,
    ),
    Code(
        "IB431",
        ERROR,
        "A checksum without a base image of your own",
        why="The target's own image has its own checksum.",
        fix="Set `base.source` as well, or remove the checksum.",
        bad="base: {sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}",
        good="base: {sha256: null}",
    ),
    Code(
        "IB432",
        WARNING,
        "A base image for a target that is installed from packages",
        why="Debian is installed by mmdebstrap, so no base image is read.",
        fix="Set `base.source: null`.",
        bad="""
            extends: debian12-efi
            base: {source: /srv}
        """,
        good="extends: debian12-efi",
    ),
    Code(
        "IB433",
        ERROR,
        "ELRepo or EPEL for a target that does not use it",
        why="They are repositories of Enterprise Linux.",
        fix="Set it to null, or `epel_enabled` to false.",
        lesser=WARNING,
        when="the addresses are only not read",
        bad="""
            extends: debian12-efi
            repositories: {epel_enabled: true}
        """,
        good="extends: debian12-efi",
    ),
    Code(
        "IB434",
        ERROR,
        "An empty list of repositories",
        why="There would be no repository at all.",
        fix="Set it to null for the target's own.",
        bad="repositories: {elrepo: []}",
        good="repositories: {elrepo: null}",
    ),
    Code(
        "IB435",
        WARNING,
        "A repository or a key is given twice",
        why="The second one has no effect.",
        fix="Remove one of them.",
        bad="repositories: {elrepo: ['https://example.org/', 'https://example.org/']}",
        good="repositories: {elrepo: ['https://example.org/']}",
    ),
    Code(
        "IB436",
        WARNING,
        "There is no such time zone",
        why="Time zones are names of the IANA database, and most are named after the largest city of the zone.",
        fix="Use the name that is given.",
        bad="time: {zone: Asia/Beijing}",
        good="time: {zone: Asia/Shanghai}",
    ),
    Code(
        "IB437",
        ERROR,
        "The key of a repository in use is missing",
        why="Without its key no package of a repository is installed, which would show on the node only.",
        fix="Set `repositories.keys` to the key from the address that is named.",
        setup="imgbuild does not ship the key of a repository that is in use.",
    ),
    Code(
        "IB438",
        ERROR,
        "A key of a repository has expired, or will within 60 days",
        why="apt refuses what an expired key has signed; rpm does not look at the date.",
        fix="Get a newer copy. See [an expired key](../../how-to/mirrors.md#an-expired-key).",
        lesser=WARNING,
        when="the key that imgbuild ships, or one that has not expired yet",
        bad="extends: debian12-efi",
        good="extends: centos7-efi",
        day="2026-12-31",
    ),
    Code(
        "IB439",
        WARNING,
        "Keys of a repository that is not in use",
        why="They are not read.",
        fix="Set them to null.",
        bad="repositories: {keys: {epel: [PUBLIC-KEY]}}",
        good="repositories: {keys: {elrepo: [PUBLIC-KEY]}}",
    ),
    Code(
        "IB444",
        ERROR,
        "An address that is gone or frozen",
        why=(
            "Old recipes name hosts that no longer exist and repositories that get no new packages. "
            "profiles/versions/addresses.yaml lists them with their sources."
        ),
        fix="Use the address that is named.",
        lesser=WARNING,
        when="a frozen repository still has this version",
        bad="""
            repositories: {kubernetes: ['https://mirrors.aliyun.com/kubernetes/yum/repos/kubernetes-el7-x86_64/']}
        """,
        good="repositories: {kubernetes: ['https://mirrors.aliyun.com/kubernetes-new/core/stable/v{minor}/rpm/']}",
    ),
    Code(
        "IB445",
        ERROR,
        "A repository or a base image of another release, version or distribution, or a part of a repository",
        why=(
            "Its packages are for another system, or hold another version of Kubernetes; or the address is above or "
            "below the one at which package managers look for a repository. A base image is recognised by the name that its "
            "distribution gives it."
        ),
        fix="Use the address that is named.",
        bad="repositories: {distribution: ['https://mirrors.aliyun.com/centos-vault/8.5.2111/']}",
        good="repositories: {distribution: ['https://mirrors.aliyun.com/centos-vault/7.9.2009/']}",
    ),
    Code(
        "IB446",
        ERROR,
        "An archive or a repository for another machine",
        why="imgbuild builds x86_64 nodes; a program for another machine does not start there.",
        fix="Use the one for x86_64 (amd64).",
        bad="helm: {urls: ['https://get.helm.sh/helm-v4.3.0-linux-arm64.tar.gz']}",
        good="helm: {urls: ['https://get.helm.sh/helm-v4.3.0-linux-amd64.tar.gz']}",
    ),
    Code(
        "IB447",
        ERROR,
        "A file that is named is not on this machine",
        why=(
            "The build reads it, and would stop minutes later. In stock mode each node reads the `file://` address of "
            "an archive, and a plain cloud image does not have the file."
        ),
        fix="Correct the path. A relative one is relative to the current folder. In stock mode give an http address.",
        lesser=WARNING,
        when="an archive, which the store, or a cloud image of your own, may have",
        bad="""
            base: {source: ./CentOS-7.qcow2, sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
        """,
        good="base: {source: null}",
    ),
    Code(
        "IB448",
        ERROR,
        "A base image in a form that cannot be read",
        why=(
            "imgbuild takes a root file system from a disk image, an archive or a folder. An installer's ISO "
            "holds no installed system, and a packed disk image is not unpacked."
        ),
        fix="Use the distribution's cloud image (qcow2), an archive or a folder; unpack a packed image first.",
        bad="""
            base: {source: 'https://example.org/CentOS-7-x86_64-Minimal-2009.iso', sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
        """,
        good="base: {source: null}",
    ),
)
"""The rows of this family."""
