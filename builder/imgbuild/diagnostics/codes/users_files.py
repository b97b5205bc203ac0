"""Users, files and commands."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING

CODES = (
    Code(
        "IB450",
        WARNING,
        "You will not be able to log in",
        why=(
            "No user has an SSH key or a password. The cluster runs without one, but you cannot look at a node "
            "that does not join."
        ),
        fix="Add a user with a key to `users`.",
        bad="users: [{name: bob}]",
        good="users: [{name: bob, ssh_keys: [SSH-KEY]}]",
    ),
    Code(
        "IB451",
        ERROR,
        "A user is given twice",
        why="cloud-init would make the user once, and the second entry would have no effect.",
        fix="Merge the two.",
        bad="users: [{name: bob, ssh_keys: [SSH-KEY]}, {name: bob}]",
        good="users: [{name: bob, ssh_keys: [SSH-KEY]}, {name: alice}]",
    ),
    Code(
        "IB452",
        ERROR,
        "A user or a group that the system has already",
        why="cloud-init would change it, or useradd fails. `default` is cloud-init's own name for the image's user.",
        fix="Use another name, and set `sudo: true` if the account needs root.",
        bad="users: [{name: root, ssh_keys: [SSH-KEY]}]",
        good="users: [{name: bob, ssh_keys: [SSH-KEY], sudo: true}]",
    ),
    Code(
        "IB453",
        WARNING,
        "A user's key is given twice",
        why="The second one has no effect.",
        fix="Remove one of them.",
        bad="users: [{name: bob, ssh_keys: [SSH-KEY, SSH-KEY]}]",
        good="users: [{name: bob, ssh_keys: [SSH-KEY]}]",
    ),
    Code(
        "IB454",
        ERROR,
        "A file is given twice, or is a file and a folder",
        why="The last one would win, or none could be written.",
        fix="Keep one of them.",
        bad="files: [{path: /etc/a, content: x}, {path: /etc/a/b, content: y}]",
        good="files: [{path: /etc/a, content: x}, {path: /etc/b, content: y}]",
    ),
    Code(
        "IB455",
        ERROR,
        "A file where nothing stays, or that is read before it is there",
        why=(
            "/run and /tmp are empty after a boot, and cloud-init has read its own folders before it writes files. In "
            "baked mode the image has your files in /etc/cloud/cloud.cfg.d, and cloud-init reads them."
        ),
        fix="Use another place.",
        bad="files: [{path: /run/a, content: x}]",
        good="files: [{path: /opt/a, content: x}]",
    ),
    Code(
        "IB456",
        WARNING,
        "A file that is setuid, setgid or writable by anybody",
        why="Any account on the node, and a pod that gets out of its container, can use it to become root.",
        fix="Use 0644 or 0755.",
        bad="files: [{path: /opt/a, content: x, mode: '0666'}]",
        good="files: [{path: /opt/a, content: x, mode: '0644'}]",
    ),
    Code(
        "IB457",
        ERROR,
        "Carriage returns in a script or a command",
        why=(
            "The kernel looks for an interpreter whose name ends in one, and a shell takes one as part of the "
            "last word."
        ),
        fix="Save the file with LF line ends.",
        bad='run: ["echo a\\r"]',
        good='run: ["echo a"]',
    ),
    Code(
        "IB458",
        ERROR,
        "A file that replaces one that imgbuild writes",
        why=(
            "The profile has no effect on it then. Files that decide which packages are installed "
            "are read before yours is there. The units of containerd and the kubelet come with these programs."
        ),
        fix="Use the key of the profile that does it.",
        lesser=WARNING,
        when="the file may be replaced; the checks of imgbuild-verify that are left out are named",
        bad="files: [{path: /etc/yum.repos.d/imgbuild.repo, content: x}]",
        good="files: [{path: /etc/yum.repos.d/mine.repo, content: x}]",
        rendered=True,
    ),
    Code(
        "IB459",
        ERROR,
        "A password hash that the target cannot check",
        why="The C library of CentOS 7 has no yescrypt and no bcrypt (libxcrypt came later).",
        fix="Make one with `openssl passwd -6`.",
        bad="users: [{name: bob, hashed_password: '$y$j9T$abcdefghijklmnopqrstuv'}]",
        good="users: [{name: bob, hashed_password: '$6$abcdefghijklmnopqrstuv'}]",
    ),
    Code(
        "IB460",
        ERROR,
        "A file that the system, cloud-init or the image writes itself",
        lesser=Severity.WARNING,
        when="a file of the network's configuration that cloud-init does not write itself",
        why="The node might not come up with another one.",
        fix="Use `users` or the cluster file, or remove it.",
        bad="files: [{path: /etc/fstab, content: x}]",
        good="files: [{path: /etc/fstab.d/x, content: x}]",
    ),
    Code(
        "IB463",
        ERROR,
        "Shell that does not parse",
        why="It would fail on the node at first boot. `bash -n` reads it without running it, if this machine has bash.",
        fix="Correct what bash names.",
        bad="run: ['if true; then echo a']",
        good="run: ['if true; then echo a; fi']",
    ),
    Code(
        "IB466",
        ERROR,
        "A file where kubeadm has its own",
        lesser=Severity.WARNING,
        when="a file in `/etc/kubernetes` that is none of kubeadm's: a pod sees it only if it is mounted there",
        why=(
            "kubeadm writes `/etc/kubernetes` and `/var/lib/kubelet` itself, refuses a node where some of its files "
            "exist already, and removes them before another attempt."
        ),
        fix="Write the settings as keys of the profile: the message names them.",
        bad="""
            files:
              - {path: /var/lib/kubelet/config.yaml, content: "maxPods: 250"}
        """,
        good="kubernetes: {kubelet: {maxPods: 250}}",
    ),
    Code(
        "IB467",
        ERROR,
        "A file without content, or with a source that cannot be read",
        why="The node needs the file's bytes, and only one of `content` and `source` can have them.",
        fix="Write the text in `content`, or the path of a file in `source`.",
        bad="files: [{path: /opt/a, source: missing.txt}]",
        good="files: [{path: /opt/a, content: x}]",
    ),
    Code(
        "IB468",
        ERROR,
        "A file of a user or a group that does not exist",
        why="The owner is set at the end of cloud-init, which stops at the first command that fails.",
        fix="Add the user to `users`, or write the number of a user that a package makes.",
        bad="files: [{path: /opt/a, content: x, owner: 'bob:bob'}]",
        good="""
            files: [{path: /opt/a, content: x, owner: 'bob:bob'}]
            users: [{name: bob, ssh_keys: [SSH-KEY]}]
        """,
    ),
)
"""The rows of this family."""
