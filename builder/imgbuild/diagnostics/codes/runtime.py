"""Container runtime and images."""

# ruff: noqa: E501  (examples)

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB501",
        ERROR,
        "The distribution has no containerd that is new enough",
        why="CentOS 7 and 8 ship containerd 1.6 at best, in other repositories.",
        fix="Set `containerd.source: nerdctl-full`.",
        bad="extends: [centos7-efi, distro-containerd]",
        good="containerd: {source: nerdctl-full}",
    ),
    Code(
        "IB502",
        ERROR,
        "It is not known which containerd that nerdctl-full holds",
        why="What containerd can do decides about its configuration and about Kubernetes.",
        fix="Set `containerd.nerdctl_full.containerd`.",
        bad="""
            containerd: {nerdctl_full: {version: 2.9.9, urls: ['https://example.org/nerdctl-full-2.9.9.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
        good="""
            containerd: {nerdctl_full: {version: 2.9.9, containerd: 2.5.0, urls: ['https://example.org/nerdctl-full-2.9.9.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
    ),
    Code(
        "IB503",
        ERROR,
        "This containerd needs a newer glibc",
        why=(
            "Old nerdctl-full archives hold a containerd that is linked dynamically on Debian 11 (glibc 2.31); "
            "CentOS 7 has 2.17."
        ),
        fix="Use nerdctl-full 1.7.7 or later.",
        bad="""
            kubernetes: {version: 1.28.2}
            containerd: {nerdctl_full: {version: 0.20.0, urls: ['https://example.org/nerdctl-full-0.20.0.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
        good="""
            extends: debian12-efi
            kubernetes: {version: 1.28.2}
            containerd: {nerdctl_full: {version: 0.20.0, urls: ['https://example.org/nerdctl-full-0.20.0.tar.gz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}
        """,
    ),
    Code(
        "IB504",
        ERROR,
        "buildkit or stargz with the distribution's containerd",
        why="They are part of nerdctl-full only.",
        fix="Switch them off.",
        bad="""
            extends: debian12-efi
            containerd: {source: distribution, buildkit: {enabled: false}}
        """,
        good="""
            extends: debian12-efi
            containerd: {source: distribution, buildkit: {enabled: false}, stargz: {enabled: false}}
        """,
        also=(
            "IB208",
            "IB209",
        ),
    ),
    Code(
        "IB505",
        ERROR,
        "nerdctl-full's version, URLs and sha256 are not of one release",
        why="One of them was changed without the others.",
        fix="Give all three.",
        bad="containerd: {nerdctl_full: {version: 2.3.3}}",
        good="containerd: {nerdctl_full: {version: 2.3.5}}",
    ),
    Code(
        "IB506",
        ERROR,
        "The archive is nerdctl alone, or for another machine",
        why="The archive nerdctl-… has neither containerd nor runc.",
        fix="Use nerdctl-full-…-linux-amd64.tar.gz.",
        bad="containerd: {nerdctl_full: {urls: ['https://example.org/nerdctl-2.3.5-linux-amd64.tar.gz']}}",
        good="containerd: {nerdctl_full: {urls: ['https://example.org/nerdctl-full-2.3.5-linux-amd64.tar.gz']}}",
    ),
    Code(
        "IB507",
        ERROR,
        "The snapshotter stargz, and `containerd.stargz` is off",
        why="Its service would not be there, and no image could be unpacked.",
        fix="Use overlayfs, or set `containerd.stargz.enabled: true`.",
        bad="containerd: {stargz: {enabled: false}}",
        good="containerd: {stargz: {enabled: false}, buildkit: {snapshotter: overlayfs}}",
    ),
    Code(
        "IB508",
        ERROR,
        "Two services share a folder, or one that a reboot empties",
        why="They would remove each other's files, or lose their images.",
        fix="Use a folder of its own below /var/lib or /opt.",
        bad="containerd: {stargz: {root: /tmp/stargz}}",
        good="containerd: {stargz: {root: /opt/stargz}}",
    ),
    Code(
        "IB514",
        ERROR,
        "containerd needs a kernel of 4 or later",
        why="CentOS 7's own kernel is 3.10, whose overlayfs containerd does not support.",
        fix="Set `kernel.flavour: kernel-ml`.",
        bad="""
            extends: [centos7-efi, container-host]
            kernel: {flavour: distribution}
        """,
        good="""
            extends: [centos7-efi, container-host]
            kernel: {flavour: kernel-lt}
        """,
    ),
    Code(
        "IB515",
        ERROR,
        "Two archives of images have the same name",
        why="A file of that name is put on the node for each.",
        fix="Give each its own.",
        bad="""
            containerd: {images: [{name: a, urls: ['https://example.org/a.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}, {name: a, urls: ['https://example.org/b.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
            cilium: {values: {envoy: {image: {useDigest: false}}}}
        """,
        good="""
            containerd: {images: [{name: a, urls: ['https://example.org/a.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}, {name: b, urls: ['https://example.org/b.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
            cilium: {values: {envoy: {image: {useDigest: false}}}}
        """,
    ),
    Code(
        "IB516",
        ERROR,
        "An archive of images that is not packed by gzip",
        why="containerd 1 imports a plain tar only, and first boot unpacks gzip.",
        fix="Unpack it, or use gzip.",
        bad="""
            containerd: {images: [{name: a, urls: ['https://example.org/a.tar.zst'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
            cilium: {values: {envoy: {image: {useDigest: false}}}}
        """,
        good="""
            containerd: {images: [{name: a, urls: ['https://example.org/a.tgz'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
            cilium: {values: {envoy: {image: {useDigest: false}}}}
        """,
    ),
    Code(
        "IB517",
        WARNING,
        "Archives of images on a node without Kubernetes",
        why="First boot loads them for Kubernetes, and nothing does without it.",
        fix="Remove them, or load them with `run`.",
        bad="""
            extends: [centos7-efi, container-host]
            containerd: {images: [{name: a, urls: ['https://example.org/a.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
        """,
        good="""
            extends: [centos7-efi, container-host]
            containerd: {images: []}
        """,
    ),
    Code(
        "IB518",
        WARNING,
        "Some images come from a registry without a mirror",
        why="A node that cannot reach that registry never starts them, while the others come from the mirror.",
        fix="Name a mirror in `containerd.registries`. `imgbuild images` lists every image with its address.",
        bad="""
            extends: debian12-efi
            kubernetes: {image_repository: registry.example.com/k8s}
            cilium: {repository: 'https://charts.example.com'}
        """,
        good="""
            extends: debian12-efi
            kubernetes: {image_repository: registry.example.com/k8s}
            containerd: {registries: {quay.io: {server: 'https://quay.io', mirrors: ['https://m.example.com']}}}
            cilium: {repository: 'https://charts.example.com'}
        """,
    ),
    Code(
        "IB519",
        WARNING,
        "Images come from a mirror, Cilium's chart from helm.cilium.io",
        why="First boot downloads the chart from there.",
        fix="Set `cilium.chart` to urls and sha256, or `cilium.repository`.",
        bad="""
            extends: debian12-efi
            kubernetes: {image_repository: registry.example.com/k8s}
            containerd: {registries: {quay.io: {server: 'https://quay.io', mirrors: ['https://m.example.com']}}}
        """,
        good="""
            extends: debian12-efi
            kubernetes: {image_repository: registry.example.com/k8s}
            containerd: {registries: {quay.io: {server: 'https://quay.io', mirrors: ['https://m.example.com']}}}
            cilium: {repository: 'https://charts.example.com'}
        """,
    ),
    Code(
        "IB520",
        WARNING,
        "An image by digest is not found in an archive",
        why="In containerd an image that was loaded has its tag only.",
        fix="Set `useDigest: false` for that image.",
        bad="""
            containerd: {images: [{name: a, urls: ['https://example.org/a.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
        """,
        good="""
            containerd: {images: [{name: a, urls: ['https://example.org/a.tar'], sha256: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}]}
            cilium: {values: {envoy: {image: {useDigest: false}}}}
        """,
    ),
    Code(
        "IB526",
        ERROR,
        "Two default runtimes",
        why="Pods without a RuntimeClass have one runtime.",
        fix="Set `default: true` for one.",
        bad="""
            containerd: {runtimes: {a: {default: true}, b: {default: true}}}
        """,
        good="""
            containerd: {runtimes: {a: {default: true}, b: {}}}
        """,
    ),
    Code(
        "IB527",
        ERROR,
        "This containerd has one snapshotter for all runtimes",
        why="A runtime's own snapshotter came with containerd 1.7.",
        fix="Remove it, or use a later containerd.",
        bad="""
            extends: [debian12-efi, distro-containerd, container-host]
            containerd: {runtimes: {kata: {type: io.containerd.kata.v2, snapshotter: devmapper}}}
        """,
        good="""
            containerd: {runtimes: {kata: {type: io.containerd.kata.v2, snapshotter: devmapper}}}
        """,
    ),
    Code(
        "IB528",
        ERROR,
        "An option of runc's shim that has no effect, or the wrong one",
        why="containerd silently ignores an option that it does not know and a value of another type, and a cgroup driver other than the kubelet's breaks pods.",
        fix="Correct it, or remove it.",
        bad="""
            containerd: {runtimes: {nvidia: {options: {binaryName: /usr/bin/nvidia-container-runtime}}}}
        """,
        good="""
            containerd: {runtimes: {nvidia: {options: {BinaryName: /usr/bin/nvidia-container-runtime}}}}
        """,
    ),
    Code(
        "IB529",
        ERROR,
        "A drop-in of containerd cannot be read",
        why="It must be TOML, and of the same version as the configuration that imports it.",
        fix="Correct it.",
        bad="""
            extends: [debian12-efi, distro-containerd, container-host]
            files: [{path: /etc/containerd/conf.d/10-mine.toml, content: "oom_score = -999"}]
        """,
        good="""
            extends: [debian12-efi, distro-containerd, container-host]
            files: [{path: /etc/containerd/conf.d/10-mine.toml, content: "version = 2\\noom_score = -999"}]
        """,
    ),
    Code(
        "IB530",
        ERROR,
        "A drop-in removes imgbuild's settings",
        why="containerd 1.x replaces a plugin's whole section by the one in a drop-in; 2.x merges them.",
        fix="Write all keys of the section, or use containerd.runtimes or containerd 2.",
        rendered=True,
        bad="""
            extends: [debian12-efi, distro-containerd, container-host]
            files: [{path: /etc/containerd/conf.d/10-mine.toml, content: "version = 2\\n[plugins.'io.containerd.grpc.v1.cri']\\nenable_cdi = true\\n"}]
        """,
        good="""
            files: [{path: /etc/containerd/conf.d/10-mine.toml, content: "version = 4\\n[plugins.'io.containerd.cri.v1.runtime']\\nenable_cdi = true\\n"}]
        """,
    ),
)
"""The rows of this family."""
