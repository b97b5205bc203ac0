"""Exports to systems that run fleets."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB880",
        ERROR,
        "An export without the image's address",
        why="The system fetches the disk image itself, from a place that only you know.",
        fix="Pass `--image-url`: the file, or the folder that has it, with a slash at its end.",
        setup="`imgbuild export --to metal3` without `--image-url`.",
    ),
    Code(
        "IB881",
        ERROR,
        "The checksum of an exported image is not known",
        why="The system would refuse the image, or write one that nobody has checked.",
        fix="Build the image into the same `--output` first, or pass `--image-sha256`.",
        lesser=WARNING,
        when="There is an image, but it was built from other input than the nodes.",
        setup="`imgbuild export --to metal3` with an address and without an image in the output folder.",
    ),
    Code(
        "IB882",
        ERROR,
        "A format of the disk image that the system cannot read",
        why="Each system reads some of the formats that `image.formats` may list.",
        fix="Add one of those that the finding lists to `image.formats`.",
        setup="`imgbuild export --to metal3` with the address of an OVA.",
    ),
    Code(
        "IB883",
        WARNING,
        "A machine whose BMC is not known",
        why="The system cannot switch the machine on; imgbuild does not make an address up.",
        fix="Set `machine.bmc` of the node.",
        setup="`imgbuild export --to metal3` for a node without `machine.bmc`.",
    ),
    Code(
        "IB884",
        ERROR,
        "A machine whose MAC is not known",
        why="Systems for physical machines know a machine by the MAC of the card that it boots from.",
        fix="Set `mac` of the node, or of each of its interfaces.",
        setup="`imgbuild export --to metal3` for a node without a MAC.",
    ),
    Code(
        "IB885",
        ERROR,
        "Something that the system cannot express",
        why="It would be lost: a machine would come up in another way than the cluster file describes.",
        fix="Do what the finding tells: it depends on the system.",
        lesser=WARNING,
        when="The machine comes up, but needs something that the system does not give it.",
        setup="`imgbuild export --to metal3` for a node with a bond called uplink.",
    ),
    Code(
        "IB886",
        WARNING,
        "An image that is fetched over http, and not checked",
        why="The system compares no checksum, so whoever is on the way can change the image.",
        fix="Serve the image over https.",
        setup="`imgbuild export --to tinkerbell` with an http:// address.",
    ),
    Code(
        "IB887",
        ERROR,
        "Machines of a group without names of their own",
        why="A group with `count` has neither MACs nor host names, and each machine needs one in the system.",
        fix="Write each machine as a node with its `mac`.",
        setup="`imgbuild export --to metal3` for a group with `count`.",
    ),
    Code(
        "IB888",
        ERROR,
        "A seed over the limit of the system",
        why="The system would refuse the machine, or cut its seed.",
        fix="Make `files` and `run` shorter, or build an image: it has most of what a stock node's seed carries.",
        setup="`imgbuild export --to metal3` for a node whose seed has a file of 2 MiB.",
    ),
    Code(
        "IB889",
        ERROR,
        "The disk for the image is not named",
        why="Tinkerbell writes to a path, which is another disk on another board.",
        fix="Set `install_disk` of the node.",
        lesser=WARNING,
        when="The system takes a default of its own.",
        setup="`imgbuild export --to metal3` for a node without `install_disk`.",
    ),
)
"""The rows of this family."""
