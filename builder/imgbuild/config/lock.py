"""The lock file, imgbuild.lock: what profiles need from outside, each pinned by its checksum.

One file beside the profile has a section for each profile of that folder. `imgbuild lock` writes it, a build
reads it (lock_file.py); imgbuild.facts.locked puts its values into the profile's own keys.
"""

from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from imgbuild.config.fields import Model, Sha256, Url, no_boolean, pattern
from imgbuild.config.lock_packages import Packages
from imgbuild.config.setting import Setting, Words

FORMAT: Final = 1
NAME = "imgbuild.lock"

Component = Literal["cilium", "crictl", "helm", "kubernetes", "nerdctl"]
"""What has a version of its own that `imgbuild lock --update NAME=VERSION` can change."""
COMPONENTS: tuple[Component, ...] = get_args(Component)
Kind = Literal["archive", "chart", "disk-image", "images", "manifest", "program"]
Obtained = Literal["publisher", "index", "registry", "profile", "seen"]

_Release = Annotated[
    str, pattern(r"v?[0-9]+(\.[0-9]+){0,2}([-+~][0-9A-Za-z.~+-]+)?", "a version looks like 1.34.11"), Words("version")
]
_Digest = Annotated[
    str, pattern(r"sha256:[0-9a-f]{64}", "a digest is sha256: and 64 hexadecimal digits"), Words("digest")
]


class Update(Model):
    """A version that `--update` chose in place of the profile's."""

    version: Annotated[_Release, Setting("The version that is used.", example="2.4.0")]
    instead_of: Annotated[
        _Release,
        Setting("The profile's version at that time. If the profile has another one since, the build stops.",
                example="2.3.5"),
    ]  # fmt: skip


class Pin(Model):
    """One file."""

    kind: Annotated[Kind, Setting("What it is.", example="archive")]
    version: Annotated[_Release | None, Setting("Its version, if the profile chooses one.", example="4.3.0")] = None
    containerd: Annotated[
        _Release | None,
        Setting("Of nerdctl-full: the version of the containerd in it, as its Dockerfile has it.", example="2.3.3"),
    ] = None
    chart: Annotated[
        str | None,
        Setting(
            "Of a chart that was looked up: its repository and name, or its address in a registry.",
            example="https://helm.cilium.io/cilium",
        ),
    ] = None
    urls: Annotated[
        list[Url],
        Field(min_length=1),
        Setting(
            "Its addresses, mirrors among them, in the order in which they are tried.",
            example=["https://get.helm.sh/helm-v4.3.0-linux-amd64.tar.gz"],
        ),
    ]
    size: Annotated[
        Annotated[int, Field(ge=0, le=64 << 30)] | None,
        Setting("Its size; left out if no server tells it.", unit="bytes", example=1),
    ] = None
    sha256: Annotated[Sha256, Setting("Its checksum.", example="0" * 64)]
    obtained: Annotated[
        Obtained,
        Setting(
            "Where the checksum comes from: `publisher`, the publisher's own checksum file; `index`, the index of the "
            "chart's repository; `registry`, the manifest in a registry; `profile`, the profile has it and nobody "
            "publishes one; `seen`, nobody does: it is that of the file that was fetched when the lock was made.",
            example="publisher",
        ),
    ]
    checksum_from: Annotated[
        Url | None,
        Setting("Address of that checksum.", example="https://get.helm.sh/helm-v4.3.0-linux-amd64.tar.gz.sha256sum"),
    ] = None
    signed_by: Annotated[
        Annotated[str, pattern("[0-9A-F]{40}", "a fingerprint has 40 hexadecimal digits"), Words("fingerprint")] | None,
        Setting(
            "The OpenPGP key that has signed that checksum file; its signature was verified. Left out if nobody has.",
            example="6341AB2753D78A78A7C27BB124C6A8A7F4A80EB5",
        ),
    ] = None


class ImagePin(Model):
    """One container image."""

    digest: Annotated[
        _Digest,
        Setting("The digest of its manifest, or of the index for all architectures.", example=f"sha256:{'0' * 64}"),
    ]
    size: Annotated[
        Annotated[int, Field(ge=0, le=64 << 30)] | None,
        Setting("Size of its layers for amd64, as they are fetched.", unit="bytes", example=1),
    ] = None
    obtained: Annotated[
        Literal["registry"], Setting("`registry`: the tag in the registry had this digest when the lock was made.")
    ]
    registry: Annotated[
        Url, Setting("Address of the registry or mirror that was asked.", example="https://quay.io")
    ]  # fmt: skip


class Section(Model):
    """The pins of one profile."""

    updates: Annotated[
        dict[Component, Update], Setting("Versions that `--update` chose in place of the profile's.")
    ] = {}
    files: Annotated[dict[str, Pin], Setting("The files that the profile needs, by name.")]
    images: Annotated[dict[str, ImagePin], Setting("The container images that its nodes pull, by name and tag.")]
    packages: Annotated[
        Packages | None,
        Setting("The packages of its root file system."),
    ] = None


class Lock(Model):
    """The whole file."""

    format: Annotated[Literal[1], BeforeValidator(no_boolean), Setting("Version of this file's format.")]
    profiles: Annotated[dict[str, Section], Setting("The pins of each profile of this folder, by the profile's name.")]
