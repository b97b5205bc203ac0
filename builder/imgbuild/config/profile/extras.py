"""What a node has beyond the recipe: logins, files, commands; and the outputs: clouds, PXE, the disk image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from imgbuild.config.fields import AbsolutePath, FileMode, KernelArg, Model, PasswordHash, SshKey, Url, UserName
from imgbuild.config.reference import Reference
from imgbuild.config.setting import Setting


class User(Model):
    """A login. Keys and hashes only, never a password."""

    name: Annotated[
        UserName, Setting("Name of the login. Names of the system's own accounts are refused.", example="admin")
    ]
    ssh_keys: Annotated[
        list[SshKey],
        Setting(
            "Public keys that may log in: lines as in `~/.ssh/id_ed25519.pub`.",
            example=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvcHktdGhlLWtleS1vZi15b3VyLW93bi1oZXJl you@example"],
        ),
    ] = []
    hashed_password: Annotated[
        Annotated[PasswordHash, Reference(private=None)] | None,
        Setting(
            "Hash made by `openssl passwd -6`, never the password itself.",
            example="$6$saltsaltsalt$" + "x" * 86,
            secret=True,
        ),
    ] = None
    sudo: Annotated[bool, Setting("Whether the login may use sudo, without a password.")] = False
    groups: Annotated[list[UserName], Setting("More groups of the login.", example=["adm"])] = []
    shell: Annotated[AbsolutePath, Setting("Login shell.", example="/bin/sh")] = "/bin/bash"


class File(Model):
    """A user's file, on every node."""

    path: Annotated[AbsolutePath, Setting("Path of the file on the node.", example="/etc/motd")]
    content: Annotated[str, Setting("Text of the file.", example="Welcome\n", secret=True)]
    mode: Annotated[
        FileMode,
        Setting(
            "Mode in octal digits, in quotes. A file that not everybody may read (0600, 0640) is treated as a "
            "secret: `diff` and `cloud.include_url` leave it out.",
            example="0600",
        ),
    ] = "0644"


Provider = Literal["ec2", "openstack", "azure", "gcp"]
"""A cloud that accepts user-data. imgbuild.facts.clouds has its limit."""


class Cloud(Model):
    """``providers``: the clouds this user-data is for. Exceeding the limit of one of them is an error."""

    providers: Annotated[
        list[Provider],
        Setting(
            "Clouds that the user-data is meant for. Exceeding the size limit of one of them is an error. If none is "
            "named, a note lists the clouds whose limits are exceeded.",
            example=["openstack"],
        ),
    ]
    include_url: Annotated[
        Url | None,
        Setting(
            "Address where you will publish `files.tar.gz`, for user-data that is too long for a cloud.",
            example="https://files.example.com/files.tar.gz",
        ),
    ]


def _base_url(value: str) -> str:
    if ";" in value or "?" in value:
        raise ValueError("an address to which file names can be added, without ; (it ends cloud-init's seedfrom) and ?")
    return value if value.endswith("/") else value + "/"


class Pxe(Model):
    """``url``: where pxe/ is served from; null: ${cwduri} of iPXE."""

    url: Annotated[
        Annotated[Url, AfterValidator(_base_url)] | None,
        Setting(
            "Address that pxe/ is served from; a slash is appended if it is missing. `null`: relative to the "
            "place of boot.ipxe.",
            example="http://10.0.0.1:8080/pxe/",
        ),
    ]
    console: Annotated[
        list[KernelArg],
        Setting("Consoles of the kernel when it is started over PXE.", example=["console=ttyS1,115200"]),
    ]


Format = Literal[
    "qcow2", "qcow2-zstd", "raw", "raw.xz", "raw.zst", "vmdk", "ova", "vhd", "vhdx", "containerdisk"
]  # fmt: skip
"""A form of the disk image. imgbuild.facts.formats has its file name."""


class DiskImage(Model):
    """The disk image: it grows to its disk at first boot."""

    formats: Annotated[
        list[Format],
        Field(min_length=1),
        Setting(
            "Forms of the disk image, all made from the one disk. `qcow2`: compressed with zlib, which every QEMU "
            "reads; `qcow2-zstd`: needs QEMU 5.1 or later; `raw`, `raw.xz`, `raw.zst`; `vmdk` (stream-optimised) and "
            "`ova` for VMware; `vhd` (fixed) for Azure; `vhdx` for Hyper-V; `containerdisk` for KubeVirt (an OCI "
            "archive).",
            example=["qcow2", "ova"],
        ),
    ]
    size_mib: Annotated[
        int,
        Field(ge=1024, le=1 << 20),
        Setting("Size of the image before it grows to its disk.", unit="MiB", example=8192),
    ]
    esp_mib: Annotated[
        int, Field(ge=34, le=1024), Setting("Size of the EFI system partition.", unit="MiB", example=128)
    ]
