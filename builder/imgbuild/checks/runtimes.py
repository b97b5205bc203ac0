"""containerd's runtimes, and the user's drop-in files that its configuration imports."""

from __future__ import annotations

import tomllib

from imgbuild.checks.context import Context
from imgbuild.config.layers import closest
from imgbuild.config.profile.runtimes import RUNC, Runtime
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import containerd_line, since, version
from imgbuild.facts.drop_ins import MAIN, drop_ins
from imgbuild.facts.runtimes import RUNC_OPTIONS

_WORDS = {bool: "true or false", int: "a number", str: "a text"}


def check(context: Context) -> None:
    """All findings about ``containerd.runtimes`` and drop-ins."""
    default: str | None = None
    for name, runtime in sorted(context.profile.containerd.runtimes.items()):
        if runtime is None:
            continue
        path: Path = ("containerd", "runtimes", name)
        if runtime.default and default is not None:
            context.report(
                "IB526", (*path, "default"), f"{default} is the default runtime already", "set it for one of them"
            )
        default = name if runtime.default else default
        _snapshotter(context, path, runtime)
        if runtime.type == RUNC:
            _options(context, path, runtime)
    if context.resolved.complete:
        _drop_ins(context)


def _snapshotter(context: Context, path: Path, runtime: Runtime) -> None:
    release = context.resolved.containerd
    if runtime.snapshotter is None or release is None:
        return
    if version(release) < since("containerd", "runtime_snapshotter"):
        context.report(
            "IB527", (*path, "snapshotter"), f"containerd {release} has one snapshotter for all runtimes",
            "remove it, or use containerd 1.7 or later (containerd.source: nerdctl-full)",
        )  # fmt: skip
    if runtime.snapshotter == "stargz" and not context.profile.containerd.stargz.enabled:
        context.report(
            "IB507", (*path, "snapshotter"), "stargz is selected, but containerd.stargz is off",
            "set it to overlayfs, or containerd.stargz.enabled: true",
        )  # fmt: skip


def _options(context: Context, path: Path, runtime: Runtime) -> None:
    driver = context.profile.containerd.cgroup_driver
    for name, value in runtime.options.items():
        place = (*path, "options", name)
        kind = RUNC_OPTIONS.get(name)
        if kind is None:
            context.report(
                "IB528", place, f"runc's shim has no option {name}, and silently ignores it",
                closest(name, list(RUNC_OPTIONS)) or f"use one of {', '.join(RUNC_OPTIONS)}",
            )  # fmt: skip
        elif type(value) is not kind:
            context.report(
                "IB528", place, f"{name} is {_WORDS[kind]}, and containerd silently ignores another value",
                f"write {_WORDS[kind]}, {'without quotes' if isinstance(value, str) else 'in quotes'}",
            )  # fmt: skip
        elif name == "SystemdCgroup" and value is not (driver == "systemd"):
            context.report(
                "IB528", place, f"the kubelet's cgroup driver is {driver}, and this runtime would use the other one",
                f"remove {name}: it follows from containerd.cgroup_driver",
            )  # fmt: skip


def _whole(context: Context) -> None:
    """The user's whole configuration, which replaces imgbuild's file."""
    for index, file in enumerate(context.profile.files):
        if file.path == MAIN:
            try:
                tomllib.loads(file.text)
            except tomllib.TOMLDecodeError as error:
                context.report(
                    "IB529", ("files", index, file.key_of_text),
                    f"{file.path} is not TOML, and containerd would not start: {error}", "correct it",
                )  # fmt: skip


def _drop_ins(context: Context) -> None:
    _whole(context)
    files, release = drop_ins(context.profile), context.resolved.containerd
    if not files or release is None:
        return
    wanted = containerd_line(release)[1]["config"]
    for file in files:
        place = ("files", file.index, context.profile.files[file.index].key_of_text)
        if file.table is None:
            context.report(
                "IB529", place, f"{file.path} is not TOML, and containerd would not start: {file.wrong}", "correct it"
            )
        elif file.table.get("version") != wanted:
            context.report(
                "IB529", place,
                f"{file.path} needs the version of imgbuild's configuration: containerd {release} would read both in "
                "the drop-in's, or not start", f"begin it with version = {wanted}, with sections of that version",
            )  # fmt: skip
