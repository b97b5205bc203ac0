"""What a node has beyond the recipe: logins, files, commands; and the outputs: clouds, PXE, the disk image."""

import base64
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from imgbuild.config.clouds import Provider
from imgbuild.config.fields import (
    AbsolutePath,
    FileMode,
    Model,
    PasswordHash,
    SshKey,
    Url,
    UserName,
    pattern,
)
from imgbuild.config.reference import LocalFile, Reference
from imgbuild.config.setting import Setting, Words


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


ROOT = "root:root"
MAX_FILE = 32 << 20
"""Bytes of a file: a seed is read into memory whole, by imgbuild and by cloud-init."""


def _base64(value: str | None, info: ValidationInfo) -> str | None:
    if value is not None and (info.data or {}).get("encoding") == "base64":
        try:
            base64.b64decode("".join(value.split()), validate=True)
        except ValueError as error:
            raise ValueError("write base64, as `base64 FILE` prints it, or name the file in source") from error
    return value


class File(Model):
    """A user's file, on every node: exactly one of ``content`` and ``source``."""

    path: Annotated[AbsolutePath, Setting("Path of the file on the node.", example="/etc/motd")]
    encoding: Annotated[
        Literal["text", "base64"],
        Setting("How `content` is written: `base64` for what is not text. A `source` needs none.", example="base64"),
    ] = "text"
    content: Annotated[
        Annotated[str, AfterValidator(_base64)] | None, Setting("The file itself.", example="Welcome\n", secret=True)
    ] = None
    source: Annotated[
        Annotated[str, Field(min_length=1), LocalFile(), Words("path of a file")] | None,
        Setting(
            "A file of the build host, taken byte for byte; a path is relative to the file that names it. At most "
            "32 MiB.",
            example="files/agent.conf",
        ),
    ] = None
    owner: Annotated[
        Annotated[
            str,
            pattern(
                r"([a-z_][a-z0-9_-]{0,31}|[0-9]{1,9}):([a-z_][a-z0-9_-]{0,31}|[0-9]{1,9})",
                "write user:group, by their names or numbers: root:adm, 1000:1000",
            ),
            Words("user:group"),
        ],
        Setting(
            "Who owns the file. It is root's until the end of cloud-init, when the profile's users exist.",
            example="admin:admin",
        ),
    ] = ROOT
    mode: Annotated[
        FileMode,
        Setting(
            "Mode in octal digits, in quotes. A file that not everybody may read (0600, 0640) is treated as a "
            "secret: `diff` and `cloud.include_url` leave it out.",
            example="0600",
        ),
    ] = "0644"

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        content = self.content or ""
        return base64.b64decode("".join(content.split())) if self.encoding == "base64" else content.encode()

    @property
    def text(self) -> str:
        """The file's text; what is not UTF-8 in it is replaced."""
        return self.data.decode(errors="replace")

    @property
    def key_of_text(self) -> str:
        """The key that gives the text: ``source`` or ``content``."""
        return "content" if self.source is None else "source"


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


Format = Literal[
    "qcow2", "qcow2-zstd", "raw", "raw.xz", "raw.zst", "vmdk", "ova", "vhd", "vhdx", "containerdisk"
]  # fmt: skip
"""A format of the disk image. imgbuild.facts.formats has its file name."""


class DiskImage(Model):
    """The disk image: it grows to its disk at first boot."""

    formats: Annotated[
        list[Format],
        Field(min_length=1),
        Setting(
            "Formats of the disk image, all made from one disk. `qcow2`: compressed with zlib, which every QEMU "
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
