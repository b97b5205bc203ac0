"""The lock file, and mirrors of files."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING
INFO = Severity.INFO

CODES = (
    Code(
        "IB810",
        ERROR,
        "A lock file of another imgbuild",
        why="Its pins may mean something else.",
        fix="Use the imgbuild that wrote it; or delete it, and run `imgbuild lock` for each of its profiles.",
        setup="imgbuild.lock has another `format` than the one that this imgbuild writes.",
    ),
    Code(
        "IB811",
        ERROR,
        "The lock has no pins of this profile",
        why="A build beside a lock uses what is pinned, and nothing of this profile is.",
        fix="Run the command that is named, which adds the profile to the lock, or pass `--no-lock`.",
        setup="imgbuild.lock was made for another profile in the same folder.",
    ),
    Code(
        "IB812",
        ERROR,
        "The profile has another version or file than the lock",
        why="The pinned file is not the one that the profile asks for.",
        fix="Run the command that is named, or set the version or the address back.",
        setup="A version in the profile, `base.source`, or the chart of an addon, was changed after `imgbuild lock` "
        "had been run.",
    ),
    Code(
        "IB813",
        ERROR,
        "The profile has another checksum than the lock",
        why="Both are of the same version, so one of them is wrong, or the publisher has replaced the file.",
        fix="Run the command that is named: it compares the profile's checksum with the publisher's.",
        setup="A `sha256` in the profile was changed after `imgbuild lock` had been run.",
    ),
    Code(
        "IB814",
        ERROR,
        "Something that the profile needs is not pinned",
        why="A build with a lock fetches nothing that is not pinned.",
        fix="Run the command that is named.",
        lesser=WARNING,
        when="an image that only the cluster file names",
        setup="A pin is missing in imgbuild.lock, for example that of an addon that was added later.",
    ),
    Code(
        "IB815",
        INFO,
        "Pins that this build does not use",
        why="They belong to other options, or to something that the profile no longer needs.",
        fix="Run the command that is named, which removes them, unless builds with other options use them.",
        setup="imgbuild.lock has a pin of an addon that was removed from the profile.",
    ),
    Code(
        "IB816",
        WARNING,
        "A mirror of an address that no file comes from",
        why="It would never be asked.",
        fix="Remove it, or correct the address. Packages and container images have mirrors of their own.",
        bad="mirrors: {'https://quay.io/': ['https://mirror.example.com/quay/']}",
        good="mirrors: {'https://get.helm.sh/': ['https://mirror.example.com/helm/']}",
    ),
    Code(
        "IB817",
        ERROR,
        "The packages of the lock are for another base or target",
        why="They were chosen to be installed on that base, and fit no other.",
        fix="Run the command that is named, with sudo: it chooses the packages again.",
        setup="`target`, or `base.source` with its sha256, was changed after `imgbuild lock` had been run.",
    ),
    Code(
        "IB818",
        ERROR,
        "The packages of the lock are older than the profile",
        why="A build installs exactly the packages of the lock, and these are not what the profile asks for now.",
        fix="Run the command that is named, with sudo: it chooses the packages again. "
        "Or add `--no-packages` to it: a build then takes what the repositories have.",
        setup="A package was added to `packages.install` after `imgbuild lock` had been run.",
    ),
    Code(
        "IB823",
        ERROR,
        "A secret that a bundle would carry",
        why="`imgbuild bundle` carries the profile, but no secrets: a file that not everybody may read on the node is "
        "one, and its content is in the profile itself.",
        fix="Put the content into a file of its own, and name it with `source`: it is left out, and listed.",
        setup="A file in `files` has `mode: '0600'` and `content`, and `imgbuild bundle` was run.",
    ),
)
"""The rows of this family."""
