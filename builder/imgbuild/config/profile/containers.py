"""The container runtime: containerd and its companions, images stored on the node, crictl."""

from typing import Annotated, Literal

from pydantic import Field

from imgbuild.config.fields import AbsolutePath, Image, Model, RegistryHost, Sha256, Url, Version, pattern
from imgbuild.config.profile.registries import Registry
from imgbuild.config.profile.runtimes import Runtime, RuntimeName
from imgbuild.config.setting import IN_THE_PROFILE, Setting

Snapshotter = Literal["overlayfs", "native", "stargz"]


class NerdctlFull(Model):
    """The archive that provides containerd, runc, CNI plugins, nerdctl, buildkit and stargz."""

    version: Annotated[
        Version,
        Setting(
            "Version of the nerdctl-full archive.",
            example="2.3.1",
            recipe="tar zxvf nerdctl-full-0.20.0-linux-amd64.tar.gz;",
        ),
    ]
    urls: Annotated[
        list[Url],
        Field(min_length=1),
        Setting(
            "Addresses that the archive is fetched from, in order.",
            example=["https://mirror.example.com/nerdctl-full-2.3.5-linux-amd64.tar.gz"],
        ),
    ]
    sha256: Annotated[Sha256, Setting("Checksum of the archive. It is always verified.", example="0" * 64)]
    containerd: Annotated[
        Version | None,
        Setting(
            "Version of the containerd inside the archive. `null`: looked up by the archive's version; required for "
            "archives that imgbuild does not know.",
            example="2.3.1",
        ),
    ]


class Buildkit(Model):
    """Recipe: buildkitd --root /opt/buildkit --containerd-worker-snapshotter=stargz."""

    enabled: Annotated[bool, Setting("Whether buildkitd runs. It is part of nerdctl-full only.")]
    root: Annotated[
        AbsolutePath,
        Setting(
            "Folder of buildkitd's state.",
            example="/var/lib/buildkit",
            recipe="/usr/local/bin/buildkitd --root /opt/buildkit",
        ),
    ]
    snapshotter: Annotated[
        Snapshotter, Setting("Snapshotter that buildkitd uses.", recipe="--containerd-worker-snapshotter=stargz")
    ]


class Stargz(Model):
    """Recipe: containerd-stargz-grpc --root /opt/containerd-stargz-grpc --log-level=debug."""

    enabled: Annotated[bool, Setting("Whether the stargz snapshotter runs. It is part of nerdctl-full only.")]
    root: Annotated[
        AbsolutePath,
        Setting(
            "Folder of its state; containerd is configured with the same folder.",
            example="/var/lib/containerd-stargz-grpc",
            recipe="/usr/local/bin/containerd-stargz-grpc --root /opt/containerd-stargz-grpc",
        ),
    ]
    log_level: Annotated[
        Literal["trace", "debug", "info", "warn", "error"],
        Setting("How much it logs. The recipe's `debug` fills the journal.", recipe="--log-level=debug"),
    ]


class Binary(Model):
    """A file pinned by its checksum."""

    urls: Annotated[
        list[Url],
        Field(min_length=1),
        Setting("Addresses that the file is fetched from, in order.", example=["https://files.example.com/file.tgz"]),
    ]
    sha256: Annotated[Sha256, Setting("Checksum of the file. It is always verified.", example="0" * 64)]


class ImageArchive(Binary):
    """Container images in a tar (docker save, OCI layout), plain or gzipped; ``name`` is the file's on the node."""

    urls: Annotated[
        list[Url],
        Field(min_length=1),
        Setting(
            "Addresses that the archive is fetched from, in order: what `docker save` writes, or an OCI layout, as "
            "tar or tar.gz.",
            example=["file:///srv/images/tools.tar.gz"],
        ),
    ]
    name: Annotated[
        str,
        pattern(r"[a-z0-9][a-z0-9._-]{0,62}", "a name has lower-case letters, digits, dots, dashes and _"),
        Setting("Name of the archive on the node: `/usr/share/imgbuild/images/NAME.tar`.", example="tools"),
    ]


class Containerd(Model):
    """Container runtime. ``source`` is where the binaries come from."""

    source: Annotated[
        Literal["nerdctl-full", "distribution"],
        Setting(
            "What provides containerd, runc and the CNI plugins. `distribution` (layer `distro-containerd`) works on "
            "targets that have a [`containerd_package`](targets.md#the-system).",
        ),
    ]
    nerdctl_full: Annotated[NerdctlFull, Setting("The nerdctl-full archive, for `source: nerdctl-full`.")]
    root: Annotated[
        AbsolutePath,
        Setting("Folder of containerd's persistent state: images and snapshots.", example="/data/containerd"),
    ]
    state: Annotated[
        AbsolutePath, Setting("Folder of containerd's state of the current boot.", example="/run/containerd-data")
    ]
    snapshotter: Annotated[Snapshotter, Setting("Snapshotter of the containers that Kubernetes runs.")]
    cgroup_driver: Annotated[
        Literal["systemd", "cgroupfs"],
        Setting(
            "cgroup driver of containerd and of the kubelet, which must agree.",
            scope="cluster",  # the kubelet's configuration is the cluster's: kubeadm join takes it from there
            instead=IN_THE_PROFILE,
            recipe=r"s#SystemdCgroup\(.*\)#SystemdCgroup\ =\ true#g",
        ),
    ]
    runtimes: Annotated[
        dict[RuntimeName, Runtime | None],
        Setting(
            "Runtimes beside runc, by the name that is the handler of a RuntimeClass: [more "
            "runtimes](../how-to/versions.md#more-runtimes). `runc` changes runc itself; `null` removes one.",
            example={"nvidia": {"options": {"BinaryName": "/usr/bin/nvidia-container-runtime"}, "default": True}},
        ),
    ]
    sandbox_image: Annotated[
        Image | None,
        Setting(
            "Pause image, without a tag: the tag is the one that this Kubernetes requires. `null`: `pause` below "
            "`kubernetes.image_repository`.",
            example="registry.example.com/k8s/pause",
            recipe="s#registry.k8s.io#registry.aliyuncs.com/google_containers#g",
        ),
    ]
    buildkit: Annotated[Buildkit, Setting("buildkitd, which builds images.")]
    stargz: Annotated[
        Stargz, Setting("The stargz snapshotter, which starts containers before their image is pulled in full.")
    ]
    registries: Annotated[
        dict[RegistryHost, Registry | None],
        Setting(
            "Where containerd, buildkit, nerdctl and stargz pull images from. The name is the registry's host, or "
            "`_default` for all others (containerd and nerdctl only); `null` removes a default. docker.io, "
            "registry.k8s.io, quay.io, gcr.io and ghcr.io are set without mirrors. How-to: "
            "[with Harbor](../how-to/harbor.md).",
            example={
                "docker.io": {
                    "server": "https://registry-1.docker.io",
                    "mirrors": ["https://docker.mirror.example.com"],
                }
            },
        ),
    ]
    images: Annotated[
        list[ImageArchive],
        Setting(
            "Archives of container images that are stored on the node and loaded by first boot: "
            "[how-to](../how-to/mirrors.md#archives-of-images). `images.preload` needs none.",
            example=[{"name": "tools", "urls": ["file:///srv/images/tools.tar.gz"], "sha256": "0" * 64}],
        ),
    ]


class Crictl(Model):
    """Recipe: /etc/crictl.yaml."""

    endpoint: Annotated[
        Literal["unix:///run/containerd/containerd.sock"],
        Setting(
            "Socket of containerd. There is no other choice.",
            recipe="echo 'runtime-endpoint: unix:///run/containerd/containerd.sock' > /etc/crictl.yaml;",
        ),
    ]
    timeout: Annotated[
        int, Field(ge=1, le=600), Setting("How long crictl waits for an answer.", unit="seconds", example=30)
    ]
