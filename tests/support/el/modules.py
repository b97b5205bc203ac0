"""Packages of a module, as CentOS 8's AppStream has them: dnf sees those of the module's default stream alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.el.rpms import Rpm, build, index
from tests.support.install.keys import Signer

MODULAR = "container-selinux"
"""The package that CentOS 8 has in a module and the profile asks for."""
SEEN, HIDDEN = "2.167", "2.221"
"""Its version in the default stream, and a newer one in another stream."""
_STREAMS = {"rhel8": SEEN, "4.0": HIDDEN}
_STREAM = """---
document: modulemd
version: 2
data:
  name: container-tools
  stream: "{stream}"
  version: 1
  context: abc
  arch: noarch
  summary: x
  description: x
  license: {{module: [none]}}
  artifacts: {{rpms: ["{MODULAR}-0:{version}-1.noarch"]}}
...
"""
_DEFAULT = """---
document: modulemd-defaults
version: 1
data: {module: container-tools, stream: rhel8, profiles: {rhel8: []}}
...
"""


def write_modular(folder: Path, work: Path, signer: Signer | None, *, described: bool = True) -> None:
    """Make a repository of both streams. ``described``: with what `reposync` fetches only with --download-metadata."""
    rpms = [Rpm(MODULAR, version, module=f"container-tools:{stream}:1:abc") for stream, version in _STREAMS.items()]
    build(rpms, folder, work, signer)
    index(folder)
    if described:
        streams = (_STREAM.format(stream=s, version=v, MODULAR=MODULAR) for s, v in _STREAMS.items())
        text = work / "modules.yaml"
        text.write_text("".join((*streams, _DEFAULT)))
        subprocess.run(["modifyrepo_c", "--mdtype=modules", text, folder / "repodata"], check=True, capture_output=True)
