"""Registries and mirrors."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB509",
        ERROR,
        "A registry that containerd never looks up under that name",
        why=(
            "containerd looks for a folder of the name in the image's reference, and Docker Hub's is docker.io "
            "(containerd's docs/hosts.md)."
        ),
        fix="Use docker.io, or the name in the image's reference.",
        bad="containerd: {registries: {index.docker.io: {server: 'https://registry-1.docker.io', mirrors: []}}}",
        good="containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: []}}}",
    ),
    Code(
        "IB510",
        ERROR,
        "The URL of a registry ends in /v2, has a query, or is not http",
        why="Images are requested as /v2/PATH/NAME, whatever program asks.",
        fix="Write https://HOST, or https://HOST/PATH.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org/hub/v2/']}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org']}}}
        """,
        also=("IB525",),
    ),
    Code(
        "IB512",
        WARNING,
        "Images over http",
        why="Anyone on the network path can replace them.",
        fix="Use https.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['http://example.org:5000']}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org:5000']}}}
        """,
    ),
    Code(
        "IB513",
        WARNING,
        "A mirror is given twice",
        why="The second one has no effect.",
        fix="Remove one of them.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org', 'https://example.org']}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org']}}}
        """,
    ),
    Code(
        "IB521",
        ERROR,
        "A mirror has a path in its URL and `path`",
        why="Only one of them can count.",
        fix="Write the path once.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: [{url: 'https://example.org/hub', path: hub}]}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org/hub']}}}
        """,
        also=("IB525",),
    ),
    Code(
        "IB522",
        ERROR,
        "`ca` or `skip_verify` of a registry over http",
        why="There is no certificate, and containerd would try https first.",
        fix="Write https, or remove it.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: [{url: 'http://example.org:5000', skip_verify: true}]}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org:5000']}}}
        """,
        also=("IB512",),
    ),
    Code(
        "IB523",
        WARNING,
        "The certificate of a registry is not verified",
        why="Anyone on the network path can replace images.",
        fix="Set `ca`.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: [{url: 'https://example.org', skip_verify: true}]}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org']}}}
        """,
        also=("IB525",),
    ),
    Code(
        "IB524",
        ERROR,
        "A host of mirrors is used in two ways",
        why="buildkit reads scheme and certificates by host.",
        fix="Write all mirrors of a host alike.",
        bad="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['http://example.org/a', 'https://example.org/b']}}}
        """,
        good="""
            containerd: {registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org/b']}}}
        """,
        also=(
            "IB512",
            "IB525",
        ),
    ),
    Code(
        "IB525",
        WARNING,
        "The stargz snapshotter cannot use a mirror",
        lesser=Severity.INFO,
        when="only buildkit uses the snapshotter",
        why="It has no path for a mirror and always verifies certificates. It then asks the registry itself for each layer, and the image is pulled in full once that fails.",
        fix="Use overlayfs, or a mirror without a path.",
        bad="""
            containerd:
              snapshotter: stargz
              registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org/hub']}}
        """,
        good="""
            containerd:
              buildkit: {snapshotter: overlayfs}
              registries: {docker.io: {server: 'https://registry-1.docker.io', mirrors: ['https://example.org/hub']}}
        """,
    ),
    Code(
        "IB531",
        ERROR,
        "A login at a registry is incomplete",
        why="It is a username with its password, or a token.",
        fix="Write both, or the token alone.",
        bad="""
            containerd: {registries: {r.example.org: {server: {url: 'https://r.example.org', auth: {username: n}}, mirrors: []}}}
        """,
        good="""
            containerd: {registries: {r.example.org: {server: 'https://r.example.org', mirrors: []}}}
        """,
    ),
    Code(
        "IB532",
        ERROR,
        "Two logins at one host",
        why="Programs look a login up by the host that they ask.",
        fix="Write the same one.",
        bad="""
            containerd: {registries: {r.example.org: {server: {url: 'https://r.example.org', auth: {username: n, password: hunter2}}, mirrors: [{url: 'https://r.example.org', path: b, auth: {username: m, password: hunter2}}]}}}
        """,
        good="""
            containerd: {registries: {r.example.org: {server: 'https://r.example.org', mirrors: []}}}
        """,
        also=(
            "IB118",
            "IB525",
        ),
    ),
    Code(
        "IB533",
        ERROR,
        "A login at a registry goes over http",
        why="Anyone on the network path can read it.",
        fix="Use https.",
        bad="""
            containerd: {registries: {r.example.org: {server: {url: 'http://r.example.org', auth: {username: n, password: hunter2}}, mirrors: []}}}
        """,
        good="""
            containerd: {registries: {r.example.org: {server: 'https://r.example.org', mirrors: []}}}
        """,
        also=(
            "IB118",
            "IB512",
        ),
    ),
    Code(
        "IB534",
        ERROR,
        "Your file keeps the logins at registries from working",
        why="They come with the seed, in a drop-in of containerd and in /root/.docker/config.json.",
        fix="Remove the file, or import the drop-in.",
        bad="""
            containerd: {registries: {r.example.org: {server: {url: 'https://r.example.org', auth: {username: n, password: hunter2}}, mirrors: []}}}
            files: [{path: /root/.docker/config.json, content: '{}', mode: '0600'}]
        """,
        good="""
            files: [{path: /root/.docker/config.json, content: '{}', mode: '0600'}]
        """,
        also=("IB118",),
    ),
)
"""The rows of this family."""
