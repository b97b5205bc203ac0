"""The user's files compared with those that imgbuild renders for the same profile."""

from __future__ import annotations

from imgbuild.config.layers import report
from imgbuild.diagnostics.findings import Findings, listing
from imgbuild.facts.drop_ins import FOLDER
from imgbuild.facts.resolved import Resolved
from imgbuild.outputs.lint import drop_ins
from imgbuild.render.install import early_files
from imgbuild.render.nodefile import NodeTree
from imgbuild.render.paths import LIBEXEC
from imgbuild.render.verify import left_out

_IMGBUILD = ("/etc/imgbuild/", f"/{LIBEXEC}/")


def lint(resolved: Resolved, install: NodeTree, node: NodeTree, findings: Findings) -> None:
    """Add all findings about ``files``. ``install`` and ``node`` are the rendered trees of this profile."""
    drop_ins.lint(resolved, node, findings)
    own = {file.path for file in resolved.profile.files}
    ours = {f.path for f in node.files if f.path not in own} | {link.path for link in node.links} | {*node.replaced}
    packages = {f.path for f in {*install.files} - {*early_files(resolved.profile)}}

    def tell(message: str, hint: str, *, lesser: bool = False) -> None:
        report(findings, resolved.layered, "IB458", path, message, hint, lesser=lesser)

    for index, file in enumerate(resolved.profile.files):
        path = ("files", index, "path")
        if file.path.startswith(_IMGBUILD):
            tell(f"{file.path} is imgbuild's own", "use a path below /opt or /usr/local")
        elif file.path in packages:
            tell(
                f"{file.path} decides which packages are installed, before your file is there",
                "use repositories:, kernel: or packages: instead, or give your file another name",
            )
        elif file.path in ours:
            tell(
                f"{file.path} replaces the file that imgbuild writes from the profile{_unchecked(resolved, file.path)}",
                f"{_instead(resolved, file.path)}; else you maintain this file",
                lesser=True,
            )
        elif file.path in left_out(resolved).values():
            tell(
                f"{file.path} is read after imgbuild's own file{_unchecked(resolved, file.path)}",
                "check whether a key of the profile does the same (docs/recipe.md); else you maintain this file",
                lesser=True,
            )
        elif any(known.startswith(file.path + "/") or file.path.startswith(known + "/") for known in ours):
            tell(f"imgbuild has a folder or a file at {file.path}", "use another path")


def _instead(resolved: Resolved, path: str) -> str:
    """The keys that do what people replace a file for."""
    if path == "/etc/containerd/config.toml":
        return f"use containerd.runtimes, or a drop-in {FOLDER}/NAME.toml beside imgbuild's own file"
    if path == resolved.target.paths.chrony:
        return "use time.ntp_servers, time.allow and time.local_stratum"
    if path.startswith("/etc/containerd/certs.d/"):
        return "use containerd.registries"
    return "check whether a key of the profile does the same (docs/recipe.md)"


def _unchecked(resolved: Resolved, path: str) -> str:
    """What imgbuild-verify does not check on the node because of this file."""
    names = sorted({name.partition(":")[0] for name, own in left_out(resolved).items() if own == path})
    if path == resolved.target.paths.chrony:
        names = ["the time servers"]
    elif path == "/etc/containerd/config.toml":
        names.append("the keys of containerd-config")
    return f": imgbuild-verify does not check {listing(names)}" if names else ""
