"""Users who can log in, and the user's own files that must not conflict with imgbuild's."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from packaging.version import Version

from imgbuild.checks.context import Context, parts
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import version

# Accounts and groups that a distribution has: cloud-init would change them, or useradd silently fails
# on them. "default" is cloud-init's name for the image's own user.
_SYSTEM = (
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody adm shutdown halt "
    "operator ftp dbus sshd systemd-network systemd-resolve systemd-timesync messagebus chrony polkitd tss "
    "default sudo wheel users staff input tty disk lp kmem dialout floppy cdrom tape audio video plugdev netdev kvm "
    "render shadow utmp mem dip src ssh_keys systemd-journal crontab"
)
_VOLATILE = ("/run/", "/proc/", "/sys/", "/dev/", "/tmp/")  # noqa: S108
_CLOUD_INIT = ("/var/lib/cloud/", "/etc/cloud/")
_KUBEADM_FOLDER = "/etc/kubernetes"
# What kubeadm writes, and `kubeadm reset` removes: path, what to do instead.
_KUBEADMS = (
    ("/var/lib/kubelet/config.yaml", "write its fields in kubernetes.kubelet"),
    ("/var/lib/kubelet", "write kubernetes.kubelet, or kubernetes.node_registration.kubeletExtraArgs"),
    ("/etc/kubernetes/pki", "give your own CAs in the secrets file of the cluster"),
    (
        "/etc/kubernetes/manifests",
        "change kubeadm's pods with kubernetes.kubeadm or kubernetes.patches; pods of your own belong in the cluster",
    ),
    (
        _KUBEADM_FOLDER,
        "put what API server, controller manager or scheduler reads into kubernetes.control_plane_files; other files "
        "into a folder of your own",
    ),
    ("/var/lib/etcd", "remove it"),
)
# What cloud-init writes from a node's network-config (the renderers in its cloudinit/net), and what adds to it.
_NETWORK = re.compile(
    r"/etc/sysconfig/network-scripts/(?:ifcfg|route|route6)-(?P<device>[^/]+)|/etc/network/interfaces(?:\.d/[^/]+)?|"
    r"/etc/netplan/[^/]+\.yaml|/etc/systemd/network/[^/]+\.(?:network|netdev)|"
    r"/etc/NetworkManager/system-connections/[^/]+"
)
# Units that come with containerd and the kubelet: a file of the same name in /etc is read in their place.
_UNIT = re.compile(r"/etc/systemd/system/(?P<unit>(?:containerd|kubelet)\.service)(?:\.d/10-kubeadm\.conf)?")
_DROP_IN = "/etc/systemd/system/{}.d/20-mine.conf"
_CLOUD_CFG = "/etc/cloud/cloud.cfg.d/"
# Files that other programs write: path, owner, what to do instead.
_OWNED = (
    (
        ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/sudoers"),
        "the system's accounts",
        "use users: instead",
    ),
    (("/etc/hostname",), "cloud-init's own", "the host name is the node's name in the cluster file"),
    (("/etc/fstab",), "the image's own", "remove it, and write disks: [{mount: /data, size: 100GB}] for further disks"),
    (("/etc/hosts",), "cloud-init's own", "remove it, and write hosts: {NAME: ADDRESS}"),
    (
        ("/etc/machine-id", "/boot", "/etc/default/grub", "/etc/resolv.conf"),
        "the image's own",
        "remove it",
    ),
)


def check(context: Context) -> None:
    """All findings about ``users``, ``files`` and ``run``."""
    _users(context)
    _files(context)
    for index, line in enumerate(context.profile.run):
        if "\x00" in line or "\r" in line:
            context.report(
                "IB457", ("run", index), "a carriage return in a command becomes part of its last word",
                "save the file with LF line ends",
            )  # fmt: skip


def _users(context: Context) -> None:
    users = context.profile.users
    if not any(user.ssh_keys or user.hashed_password for user in users):
        context.report_whole(
            "IB450", ("users",), "no user has an SSH key or a password: you will not be able to log in",
            "give one in users: [{name: admin, sudo: true, ssh_keys: [ssh-ed25519 AAAA…]}]",
        )  # fmt: skip
    seen: set[str] = set()
    for index, user in enumerate(users):
        path: Path = ("users", index, "name")
        if user.name in seen:
            context.report("IB451", path, f"duplicate user {user.name}", "merge the two")
        seen.add(user.name)
        if user.name in _SYSTEM.split():
            context.report(
                "IB452", path, f"{user.name} is one of the system's own accounts or groups",
                "use another name, and set sudo: true if the account needs root",
            )  # fmt: skip
        kind = (user.hashed_password or "$6$").split("$")[1]
        if kind not in ("5", "6") and version(context.target.glibc) < Version("2.28"):
            # Later distributions have libxcrypt; glibc's own crypt knows $5$ and $6$ of these.
            context.report(
                "IB459", ("users", index, "hashed_password"),
                f"{context.target.name} cannot verify a hash that begins with ${kind}$: {user.name} could not log in",
                "make one with `openssl passwd -6`",
            )  # fmt: skip
        if len(set(user.ssh_keys)) != len(user.ssh_keys):
            context.report("IB453", ("users", index, "ssh_keys"), "duplicate key", "remove one of them")


def _files(context: Context) -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    for index, file in enumerate(context.profile.files):
        path: Path = ("files", index, "path")
        if file.path in seen:
            context.report("IB454", path, f"duplicate file {file.path}: the last one would win", "keep one of them")
        above = [str(folder) for folder in PurePosixPath(file.path).parents]
        for both in [folder for folder in above if folder in seen] + [file.path] * (file.path in folders):
            context.report("IB454", path, f"{both} cannot be both a file and a folder", "move one of them")
        seen.add(file.path)
        folders.update(above)
        if file.path.startswith(_VOLATILE):
            context.report(
                "IB455", path, f"{file.path} is gone after a reboot", "use a path below /etc, /opt or /var/lib"
            )
        elif file.path.startswith(_CLOUD_INIT):
            _cloud_init(context, path, file.path)
        for paths, whose, fix in _OWNED:
            if any(file.path == owned or file.path.startswith(f"{owned}/") for owned in paths):
                context.report("IB460", path, f"{file.path} is {whose}: the node might not come up with your file", fix)
        _network(context, path, file.path)
        unit = _UNIT.fullmatch(file.path)
        if unit is not None:
            context.report(
                "IB458", path, f"{file.path} replaces the file of that name that comes with {unit['unit']}",
                f"write a drop-in: {_DROP_IN.format(unit['unit'])}; else you maintain this file", lesser=True,
            )  # fmt: skip
        _kubeadms(context, path, file.path)
        if file.content is None:
            context.report(
                "IB467", ("files", index), f"{file.path} has neither content nor source",
                "write its text in content, or the path of a file in source",
            )  # fmt: skip
        _owner(context, index, file.owner)
        mode = int(file.mode, 8)
        if mode & 0o6000:
            context.report(
                "IB456", ("files", index, "mode"), f"{file.mode} is setuid or setgid", "use 0755 unless it has to be"
            )
        if mode & 0o002:
            context.report(
                "IB456", ("files", index, "mode"), f"{file.mode}: any account can change it", "use 0644 or 0755"
            )
        if file.text.startswith("#!") and "\r" in file.text:
            context.report(
                "IB457", ("files", index, file.key_of_text),
                "a script with carriage returns: its interpreter would not be found",
                "save it with LF line ends",
            )  # fmt: skip


def _network(context: Context, path: Path, file: str) -> None:
    """A file of the network's configuration: an error if cloud-init writes the same one."""
    found = _NETWORK.fullmatch(file)
    if found is None or found["device"] == "lo":
        return
    devices = {name for _, node in context.nodes for _, name, _ in parts(node)} or {"eth0"}
    same = found["device"] in devices if found["device"] else "cloud-init" in file
    context.report(
        "IB460", path,
        f"{file} is cloud-init's own, from the node's network in the cluster file" if same
        else f"{file} sets up the network beside cloud-init, and imgbuild does not know what is in it",
        "remove it, and write nodes[].network in the cluster file",
        lesser=not same,
    )  # fmt: skip


def _kubeadms(context: Context, path: Path, file: str) -> None:
    """A file where kubeadm has its own: it would be overwritten, or removed before kubeadm's next attempt."""
    if not context.profile.kubernetes.enabled:
        return
    found = next((row for row in _KUBEADMS if file == row[0] or file.startswith(f"{row[0]}/")), None)
    if found is None:
        return
    if found[0] == _KUBEADM_FOLDER and file != found[0] and not file.endswith(".conf"):
        what = f"{file} is in kubeadm's folder, and the control plane's pods see only what is mounted from there"
        context.report("IB466", path, what, found[1], lesser=True)
    elif found[0] == _KUBEADM_FOLDER and file.endswith(".conf"):
        context.report("IB466", path, f"{file} is kubeadm's: it overwrites or removes the file", "remove it")
    else:
        context.report("IB466", path, f"{file} is kubeadm's: it overwrites or removes the file", found[1])


def _owner(context: Context, index: int, owner: str) -> None:
    """User and group must exist when cloud-init has made the profile's users."""
    user, _, group = owner.partition(":")
    users = context.profile.users
    known = {*_SYSTEM.split(), context.target.default_user, *(each.name for each in users)}
    for name, kind, more in (
        (user, "user", known),
        (group, "group", known | {name for each in users for name in each.groups}),
    ):
        if not name.isdigit() and name not in more:
            context.report(
                "IB468", ("files", index, "owner"), f"no {kind} {name} is known: cloud-init would stop at this file",
                f"add it to users:, or write the number of the {kind} if a package makes it",
            )  # fmt: skip


def _cloud_init(context: Context, path: Path, name: str) -> None:
    """cloud-init reads its configuration before the seed, so only the image can have a part of it."""
    if not name.startswith(_CLOUD_CFG):
        context.report(
            "IB455", path, f"{name} belongs to cloud-init, which replaces it or reads it before the file is there",
            f"set it in the profile; in baked mode your files in {_CLOUD_CFG} add to its configuration",
        )  # fmt: skip
    elif context.profile.mode == "stock":
        context.report(
            "IB455", path, f"cloud-init has read {_CLOUD_CFG} before it writes {name}",
            "use --mode baked, in which the image has the file, or set it in the profile",
        )  # fmt: skip
    elif not name.endswith(".cfg"):
        context.report(
            "IB455", path, f"cloud-init reads only files in {_CLOUD_CFG} whose name ends in .cfg",
            f"name it {name}.cfg",
        )  # fmt: skip
