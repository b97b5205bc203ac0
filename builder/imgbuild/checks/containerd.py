"""The container runtime: where it comes from, whether it starts here, snapshotters."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.checks.pins import pinned
from imgbuild.config.data import versions
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import since, version


def check(context: Context) -> None:
    """All findings about ``containerd``."""
    if context.profile.containerd.source == "distribution":
        _distribution(context)
    else:
        _archive(context)
    _kernel(context)
    _snapshotters(context)
    _folders(context)
    _images(context)


def _distribution(context: Context) -> None:
    containerd, path = context.profile.containerd, ("containerd", "source")
    if context.target.packages.containerd is None:
        context.report(
            "IB501", path, f"{context.target.name} has no containerd package that is new enough",
            "set containerd.source: nerdctl-full (remove the layer distro-containerd)",
        )  # fmt: skip
    for name, enabled in (("buildkit", containerd.buildkit.enabled), ("stargz", containerd.stargz.enabled)):
        if enabled:
            context.report(
                "IB504", ("containerd", name, "enabled"), f"{name} is part of nerdctl-full only",
                f"set containerd.{name}.enabled: false, as the layer distro-containerd does",
            )  # fmt: skip


def _archive(context: Context) -> None:
    archive, path = context.profile.containerd.nerdctl_full, ("containerd", "nerdctl_full")
    row = versions("nerdctl-full")["versions"].get(archive.version)
    if row is None and archive.containerd is None:
        context.report(
            "IB502", (*path, "version"), f"it is not known which containerd is in nerdctl-full {archive.version}",
            "run imgbuild lock with these options, which finds it; or set containerd.nerdctl_full.containerd (the "
            "archive's README lists it)",
        )  # fmt: skip
    if row is not None and row["libc"] != "static" and version(row["libc"]) > version(context.target.glibc):
        context.report(
            "IB503", (*path, "version"),
            f"the containerd of nerdctl-full {archive.version} requires glibc {row['libc']}, {context.target.name} has "
            f"{context.target.glibc}: it would not start", "use 1.7.7 or later: those are linked statically",
        )  # fmt: skip
    pinned(context, "IB505", path, archive.version, archive.urls, "nerdctl-full")
    for index, url in enumerate(archive.urls):
        name = url.rpartition("/")[2]
        if name.startswith("nerdctl-") and not name.startswith("nerdctl-full-"):
            context.report(
                "IB506", (*path, "urls", index), f"{name} is nerdctl alone, without containerd",
                f"use nerdctl-full-{archive.version}-linux-amd64.tar.gz",
            )  # fmt: skip
        if any(arch in name for arch in ("arm64", "aarch64", "s390x", "ppc64le", "riscv64", "arm-v7")):
            context.report(
                "IB506", (*path, "urls", index), f"{name} is for another architecture", "use the amd64 archive"
            )


def _kernel(context: Context) -> None:
    facts = context.resolved.kernel
    if facts is None:
        return
    release = context.profile.kernel.version or facts.version
    if version(release) < since("kernel", "containerd"):
        context.report(
            "IB514", ("kernel", "flavour"), f"containerd requires kernel 4 or later, this node has {release}",
            "set kernel.flavour: kernel-ml",
        )  # fmt: skip


def _snapshotters(context: Context) -> None:
    containerd = context.profile.containerd
    if containerd.stargz.enabled:
        return
    fix = "set it to overlayfs, or containerd.stargz.enabled: true"
    if containerd.snapshotter == "stargz":
        context.report("IB507", ("containerd", "snapshotter"), "stargz is selected, but containerd.stargz is off", fix)
    if containerd.buildkit.enabled and containerd.buildkit.snapshotter == "stargz":
        context.report(
            "IB507", ("containerd", "buildkit", "snapshotter"), "stargz is selected, but containerd.stargz is off", fix
        )


def _folders(context: Context) -> None:
    containerd = context.profile.containerd
    folders: dict[str, Path] = {}
    for path, value, used in (
        (("containerd", "root"), containerd.root, True),
        (("containerd", "state"), containerd.state, True),
        (("containerd", "buildkit", "root"), containerd.buildkit.root, containerd.buildkit.enabled),
        (("containerd", "stargz", "root"), containerd.stargz.root, containerd.stargz.enabled),
    ):
        if used and value in folders:
            context.report(
                "IB508",
                path,
                f"{value} is already used by {'.'.join(map(str, folders[value]))}",
                "give each its own folder",
            )
        folders[value] = path
        if used and path[-1] == "root" and value.split("/")[1] in ("run", "tmp", "dev", "proc", "sys"):
            context.report("IB508", path, f"{value} is gone after a reboot", "use a folder below /var/lib or /opt")


_PACKED = (".zst", ".zstd", ".xz", ".txz", ".bz2", ".tbz", ".lz4", ".zip", ".7z")


def _images(context: Context) -> None:
    images, path = context.profile.containerd.images, ("containerd", "images")
    if images and not context.profile.kubernetes.enabled:
        context.report(
            "IB517", path, "nothing loads these images: only first boot does, and kubernetes.enabled is false",
            "remove them, or load them with run: [ctr images import /usr/share/imgbuild/images/NAME.tar]",
        )  # fmt: skip
    seen: set[str] = set()
    for number, archive in enumerate(images):
        if archive.name in seen:
            context.report(
                "IB515", (*path, number, "name"), f"duplicate archive name {archive.name}", "give each its own name"
            )
        seen.add(archive.name)
        for index, url in enumerate(archive.urls):
            packed = next((end for end in _PACKED if url.split("?")[0].endswith(end)), None)
            if packed is not None:
                context.report(
                    "IB516", (*path, number, "urls", index), f"{packed}: the node loads a plain tar or a gzipped one",
                    "unpack it, or pack it with gzip, and give the new file's sha256",
                )  # fmt: skip
