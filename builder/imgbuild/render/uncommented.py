"""imgbuild's own files as they travel in user-data: without what only people read.

The files of an image, of `cloud.include_url` and of elements/ have their comments.
"""

from __future__ import annotations

import re

from imgbuild.render.paths import LIBEXEC
from imgbuild.render.stripped import bare

_COMMENT = re.compile(r"(?m)^[ \t]*#(?:[ \t].*)?\n")
"""Not ``#include`` (sudoers), ``#clear`` (apt) or ``#!``, which programs read."""

_SCRIPTS = (f"/{LIBEXEC}/", "/var/lib/cloud/scripts/per-boot/imgbuild-")
_SHELL = (
    *_SCRIPTS, "/usr/share/bash-completion/", "/etc/profile.d/", "/etc/dracut.conf.d/", "/etc/initramfs-tools/",
    "/etc/sysconfig/",
)  # fmt: skip
_LINES = (
    "/etc/systemd/", "/etc/containerd", "/etc/buildkit/", "/etc/chrony", "/etc/sysctl.d/", "/etc/udev/",
    "/etc/modules-load.d/", "/etc/NetworkManager/", "/etc/yum.repos.d/", "/etc/apt/", "/etc/selinux/",
    "/etc/crictl.yaml",
)  # fmt: skip
"""Where a comment is a line that starts with #, and no value in such a file has several lines."""


def uncommented(path: str, content: bytes, *, scripts_only: bool) -> bytes:
    """``content`` of one of imgbuild's own files without comments, as far as ``path`` tells what is one."""
    if scripts_only:
        return bare(content.decode()).encode() if path.startswith(_SCRIPTS) else content
    if path.startswith(_SHELL) or (path.startswith("/etc/imgbuild/") and path.endswith(".conf")):
        return bare(content.decode()).encode()
    if path.startswith(_LINES):
        return _COMMENT.sub("", content.decode()).encode() or content
    return content
