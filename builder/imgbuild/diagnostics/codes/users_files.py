"""Codes: Users, files and commands."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

CODES = (
    Code("IB450", WARNING, "No user has a key or a password: nobody will be able to log in", fix="`users:`"),
    Code("IB451", ERROR, "A user stands twice", fix="Merge the two"),
    Code(
        "IB452",
        ERROR,
        "A user or a group that the system has already, such as root or sudo; or cloud-init's word `default`",
        fix="Another name",
    ),
    Code("IB453", WARNING, "A key stands twice", fix="Take one out"),
    Code("IB454", ERROR, "A file stands twice, or is a file and a folder", fix="Keep one"),
    Code(
        "IB455",
        ERROR,
        "A file where nothing stays (/run, /tmp), or where cloud-init has read already",
        fix="Another place",
    ),
    Code("IB456", WARNING, "A file that is setuid, setgid or writable by anybody", fix="0644 or 0755"),
    Code("IB457", ERROR, "Carriage returns in a script or a command", fix="Save with LF line ends"),
    Code(
        "IB458",
        ERROR,
        "A file in place of one that imgbuild writes itself (it names the checks of `imgbuild-verify` that are left out), or where its folders are; or of one that decides which packages are installed",
        fix="The key of the profile that does it",
        lesser=WARNING,
    ),
    Code("IB459", ERROR, "A password hash that CentOS 7 cannot check (yescrypt, bcrypt)", fix="`openssl passwd -6`"),
    Code(
        "IB460",
        ERROR,
        "A file that the system, cloud-init or the image writes itself, such as /etc/fstab or /etc/passwd",
        fix="`users:`, the cluster file, or leave it out",
    ),
)
