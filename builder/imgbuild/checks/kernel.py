"""Kernel, boot and firmware: flavours, cgroup hierarchies, Secure Boot, conflicting sysctls and arguments."""

from __future__ import annotations

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.config.layers import closest
from imgbuild.facts.derive import since, sysctl_name, version

# Arguments that imgbuild or the boot loader sets, and the key to use instead.
_SELINUX = "set selinux.mode"
_OURS = {
    "root": "remove it: imgbuild sets root= from the image's own file system",
    "ro": "",
    "rw": "",
    "BOOT_IMAGE": "remove it: the boot loader sets it",
    "initrd": "remove it: the boot loader sets it",
    "systemd.unified_cgroup_hierarchy": "set kernel.cgroup",
    "systemd.legacy_systemd_cgroup_controller": "set kernel.cgroup",
    "cgroup_no_v1": "set kernel.cgroup",
    "net.ifnames": "set kernel.interface_names",
    "biosdevname": "set kernel.interface_names",
    "selinux": _SELINUX,
    "enforcing": _SELINUX,
    "ds": "remove it: cloud-init finds the seed by its label",
    "ip": "set the node's addresses in the cluster file",
}

_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on", "enabled", "enable"), 1),
    **dict.fromkeys(("false", "no", "off", "disabled", "disable"), 0),
}


def check(context: Context) -> None:
    """All findings about ``kernel``, ``firmware``, ``selinux`` and ``image``."""
    _flavour(context)
    _cgroup(context)
    _secure_boot(context)
    _sysctl(context)
    _arguments(context)
    _rest(context)


def _named(word: str, known: list[str]) -> str:
    """The one whose last part it is: lt for kernel-lt."""
    found = [name for name in known if name.endswith(f"-{word}")]
    return f'did you mean "{found[0]}"?' if len(found) == 1 else ""


def _flavour(context: Context) -> None:
    kernel, known = context.profile.kernel, list(context.target.kernels)
    facts = context.resolved.kernel
    if facts is None:
        context.report(
            "IB301", ("kernel", "flavour"), f'{context.target.name} has no kernel "{kernel.flavour}"',
            _named(kernel.flavour, known) or closest(kernel.flavour, known) or f"use one of {', '.join(known)}",
        )  # fmt: skip
        return
    if kernel.version is None:
        return
    pinned, newest = version(kernel.version), version(facts.version)
    if pinned != newest:
        age, why = (
            ("older", "repositories drop old kernels") if pinned < newest else ("newer", "imgbuild has not seen it")
        )
        context.report(
            "IB302", ("kernel", "version"),
            f"{kernel.version} is {age} than {facts.version}, the newest {kernel.flavour} known: {why}",
            "set kernel.version: null for the newest in the repository",
        )  # fmt: skip


def _cgroup(context: Context) -> None:
    profile, target = context.profile, context.target
    has_v2 = target.cgroup.default == "v2" or target.cgroup.v2_arguments is not None
    if profile.kernel.cgroup == "v2" and not has_v2:
        context.report(
            "IB303", ("kernel", "cgroup"), f"systemd {target.systemd} of {target.name} has no unified hierarchy",
            "set kernel.cgroup: auto",
        )  # fmt: skip
    facts = context.resolved.kernel
    if facts is None or context.resolved.cgroup == "v2":
        return
    pinned = profile.kernel.version
    lacks = not facts.cpuset_v1 and (pinned is None or version(pinned) >= since("kernel", "no_cpuset_v1"))
    if lacks and (profile.kubernetes.enabled or profile.kernel.cgroup == "v1"):
        have = [n for n, k in target.kernels.items() if k.cpuset_v1]
        context.report(
            "IB304", ("kernel", "cgroup"),
            f"{profile.kernel.flavour} {pinned or facts.version} has no cpuset controller on cgroup v1: "
            "the kubelet cannot start without it",
            f"set kernel.cgroup: {'v2' if has_v2 else 'auto'}{', or kernel.flavour: ' + have[0] if have else ''}",
        )  # fmt: skip


def _secure_boot(context: Context) -> None:
    profile = context.profile
    if not profile.kernel.secure_boot:
        return
    path = ("kernel", "secure_boot")
    if profile.firmware == "bios":
        context.report("IB306", path, "BIOS firmware has no Secure Boot", "set firmware: efi, or secure_boot: false")
    facts = context.resolved.kernel
    if facts is not None and not facts.signed:
        signed = [n for n, k in context.target.kernels.items() if k.signed]
        context.report(
            "IB305", path, f"{profile.kernel.flavour} is not signed: with Secure Boot the machine refuses to boot it",
            f"set kernel.flavour: {signed[0] if signed else 'a signed one'}; or sign the kernel with your own key "
            "and enrol it on each machine (mokutil --import), then set secure_boot: false here",
        )  # fmt: skip


def _sysctl(context: Context) -> None:
    profile = context.profile
    seen: dict[str, str] = {}
    for key, value in profile.kernel.sysctl.items():
        path = ("kernel", "sysctl", key)
        name = sysctl_name(key)
        if name in seen:
            context.report(
                "IB307", path, f"{key} and {seen[name]} are the same setting", "keep one of them; null removes one"
            )
        seen[name] = key
        if value is None:
            continue
        _word(context, key, name, value)
        ending = name.rpartition(".")[2]
        if name.startswith("net.ipv4.conf.") and ending == "rp_filter" and str(value) != str(profile.network.rp_filter):
            context.report(
                "IB308", path, f"{key} is {value} and network.rp_filter is {profile.network.rp_filter}: "
                "the kernel uses the higher of all and an interface's own value", "set network.rp_filter alone",
            )  # fmt: skip
        _needs(context, key, name)


def _word(context: Context, key: str, name: str, value: int | str) -> None:
    """A word in place of 1 or 0: the kernel's parser of numbers refuses it (proc_get_long in kernel/sysctl.c)."""
    word = str(value).strip().lower()
    if word in _SWITCHES and name != "kernel.printk_devkmsg":  # this one is on, off or ratelimit
        context.report(
            "IB317", ("kernel", "sysctl", key), f"{key} is {value}, and the kernel takes a number",
            f"write {_SWITCHES[word]}",
        )  # fmt: skip


def _needs(context: Context, key: str, name: str) -> None:
    """Some sysctls exist only once a module is loaded, or another module that loads it: ip_vs_rr loads ip_vs."""
    loaded = [module.replace("-", "_") for module in context.profile.kernel.modules]
    for row in versions("kernel")["needs"]:
        brings = row["modules"]
        if name.startswith(row["prefix"]) and not any(
            module == other or module.startswith(f"{other}_") for module in loaded for other in brings
        ):
            context.report(
                "IB309", ("kernel", "sysctl", key), f"{key} does not exist before the module {brings[0]} is loaded",
                f"add {brings[0]} to kernel.modules",
            )  # fmt: skip


def _arguments(context: Context) -> None:
    seen: set[str] = set()
    for index, argument in enumerate(context.profile.kernel.arguments):
        name = argument.partition("=")[0]
        path = ("kernel", "arguments", index)
        if name in _OURS:
            fix = _OURS[name] or "remove it: imgbuild sets it"
            if fix == _SELINUX and not context.target.selinux:
                fix = f"remove it: imgbuild has no SELinux policy for {context.target.name}"
            context.report(
                "IB310",
                path,
                f"{argument} conflicts with an argument that imgbuild manages",
                fix,
            )
        if argument in seen:
            context.report("IB311", path, f"duplicate argument {argument}", "remove one of them")
        seen.add(argument)


def _rest(context: Context) -> None:
    profile, target = context.profile, context.target
    if profile.selinux.mode is not None and not target.selinux:
        context.report(
            "IB312", ("selinux", "mode"), f"imgbuild has no SELinux policy for {target.name}", "set selinux.mode: null"
        )
    # A root file system of less than 1.5 GiB is too small for a node (measured: the packages alone).
    if profile.image.size_mib < profile.image.esp_mib + 1536:
        context.report(
            "IB313", ("image", "size_mib"), f"{profile.image.size_mib} MiB is too small for a node",
            "use 4096; the image grows to its disk anyway, and empty blocks take no space",
        )  # fmt: skip
    for number, form in enumerate(profile.image.formats):
        if form in profile.image.formats[:number]:
            context.report("IB315", ("image", "formats", number), f"duplicate format {form}", "remove one of them")
    for name in type(profile.image).model_fields:
        if profile.mode == "stock" and not context.shipped("image", name):
            context.report(
                "IB316", ("image", name), f"image.{name} has no effect in mode stock, in which no disk image is built",
                "remove it, or set mode: baked",
            )  # fmt: skip
    if "overlay" not in profile.kernel.modules:
        context.report(
            "IB314", ("kernel", "modules"), "the module overlay is not loaded at boot: containerd's snapshots need it",
            "add overlay to kernel.modules",
        )  # fmt: skip
