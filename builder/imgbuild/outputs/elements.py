"""The element set for a stock disk-image-create: imgbuild's elements, the rendered trees and build.sh."""

from __future__ import annotations

import shlex
from pathlib import Path

from imgbuild.config.data import data_dir
from imgbuild.config.target import Target
from imgbuild.outputs.tree import OutFile
from imgbuild.render.nodefile import NodeTree


def element_files(target: Target, install: NodeTree, node: NodeTree) -> dict[str, OutFile]:
    """The content of the output's elements/.

    ``imgbuild-install/tree`` is the package part, ``imgbuild-node/tree`` the node files; both are copied by the
    elements' own hooks, with the modes that they have here.
    """
    out: dict[str, OutFile] = {}
    source = data_dir("elements")
    for path in sorted(p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        executable = path.stat().st_mode & 0o100
        out[str(path.relative_to(source))] = OutFile(path.read_bytes(), 0o755 if executable else 0o644)
    for element, tree in (("imgbuild-install", install), ("imgbuild-node", node)):
        for file in tree.files:
            out[f"{element}/tree{file.path}"] = OutFile(file.content, file.mode)
    out["imgbuild-node/links.sh"] = OutFile(_links(node), 0o755)
    out["build.sh"] = OutFile(_build_script(target), 0o755)
    return out


def elements_of(target: Target) -> tuple[str, ...]:
    """The elements that make this target's root file system, in order."""
    return (f"imgbuild-{target.image.element}", "imgbuild-install")


def _build_script(target: Target) -> bytes:
    elements = shlex.join([*elements_of(target), "imgbuild-node"])
    environment = "\n".join(f"export {k}={shlex.quote(v)}" for k, v in sorted(target.image.environment.items()))
    wants = "\n".join(f': "${{{name}:?{why}}}"' for name, why in sorted(target.image.wants.items()))
    return f"""#!/bin/bash
# The same root file system with a stock disk-image-create (diskimage-builder 3.43), as root:
#     ./build.sh OUTPUT.tar
# A tar and nothing else (-t tar): diskimage-builder's own disk formats come with a boot loader element that knows no
# CentOS 7, where its helpers find no Python 3 either. imgbuild makes the disk from the tar.
set -euo pipefail
here=$(cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")" && pwd)
output=${{1:?name the file to write: ./build.sh OUTPUT.tar}}
{wants}
{environment}

# diskimage-builder copies folders with their modes, and these are for one user only.
staging=$(mktemp -d)
trap 'rm -rf -- "$staging"' EXIT
cp -a -- "$here/imgbuild-install/tree" "$staging/install"
cp -a -- "$here/imgbuild-node/tree" "$staging/node"
find "$staging" -type d -exec chmod 0755 {{}} +
chmod 0700 "$staging"

export IMGBUILD_INSTALL_TREE=$staging/install
export IMGBUILD_NODE_TREE=$staging/node
export IMGBUILD_NODE_LINKS=$here/imgbuild-node/links.sh
export ELEMENTS_PATH=$here${{ELEMENTS_PATH:+:$ELEMENTS_PATH}}
unshare --mount disk-image-create -n -x -t tar -o "${{output%.tar}}" {elements}
""".encode()


def _links(node: NodeTree) -> bytes:
    lines = [
        "#!/bin/bash",
        "# What files alone cannot say: links, and the units that are on and off.",
        "set -euo pipefail",
    ]
    for link in node.links:
        lines.append(f"mkdir -p {shlex.quote(str(Path(link.path).parent))}")
        lines.append(f"ln -sfnT {shlex.quote(link.target)} {shlex.quote(link.path)}")
    if node.enable:
        lines.append(f"systemctl enable {shlex.join(node.enable)}")
    if node.mask:
        lines.append(f"systemctl mask {shlex.join(node.mask)}")
    return ("\n".join(lines) + "\n").encode()
