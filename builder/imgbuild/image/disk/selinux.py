"""SELinux labels on a root file system that no SELinux kernel has written.

The image starts permissive; with every file labelled from the start it can be made enforcing later without
relabelling at boot. The labels are the target's own policy's, set as extended attributes by the host's setfiles, which
needs no SELinux on the host, and are kept by mke2fs -d.
"""

from __future__ import annotations

from pathlib import Path

from imgbuild.diagnostics.errors import HostError
from imgbuild.image.tool import run

LABEL = "security.selinux"
"""The extended attribute of a file that has its label."""
_POLICY = "etc/selinux/targeted/contexts/files/file_contexts"


def label(root: Path) -> None:
    """Label everything below ``root`` by its own policy.

    Raises:
        HostError: there is no policy in it, or setfiles fails.
    """
    policy = root / _POLICY
    if not policy.is_file():
        raise HostError(
            f"the root file system has no SELinux policy (/{_POLICY})",
            "check that the package selinux-policy-targeted is not in base.remove",
        )
    # -F: the user part too; -r: the paths in the policy begin at the root file system's own root.
    run(["setfiles", "-q", "-F", "-r", root, policy, root], what="label the files for SELinux")
