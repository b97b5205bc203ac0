"""Mirrors on the loopback interface and the layer that makes a shipped profile use them.

The profile under test is the real one: the layer changes where things come from, with which keys and checksums, and the
versions that this host's containerd can stand in for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from imgbuild.config.load import load
from imgbuild.config.target import load_target
from imgbuild.diagnostics.findings import Findings
from imgbuild.facts.resolved import Resolved, resolve
from imgbuild.render.install import install_tree
from tests.support.el.modules import MODULAR, write_modular
from tests.support.el.nerdctl import helm, nerdctl_full
from tests.support.el.rpms import Rpm, build, index, kernel
from tests.support.install.keys import Signer, signer
from tests.support.machine.packages import cache_dir, depends_on, download, unpack
from tests.support.mirror import Mirror

KUBERNETES = "1.30.14"
CONTAINERD = "1.6.20"
_RELEASES = {"7": "7.9.2009", "8": "8.5.2111"}
_KUBELET_UNIT = """[Unit]
Description=kubelet: a stand-in of imgbuild's tests
[Service]
ExecStart=/usr/bin/kubelet
Restart=always
RestartSec=10
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class World:
    """What a test needs to build an image of CentOS ``release`` ("7" or "8")."""

    mirror: Mirror
    release: str
    kernel: str
    layer: Path
    """The layer's file; tests lay another one over it to break something."""
    signer: Signer
    base: Path
    """The tar that the layer names."""

    def folder(self, repository: str) -> Path:
        """Where a repository's packages lie: "distribution", "elrepo" or "kubernetes"."""
        return self.mirror.folder / _places(self.release)[repository]


def make_world(mirror: Mirror, release: str, base: Path, base_sha256: str, work: Path) -> World:
    """Fill the mirror for one release, and write the layer."""
    key = signer()
    places = {name: mirror.folder / place for name, place in _places(release).items()}
    layout = load_target(f"centos{release}").repositories.layout
    uname, kernels = kernel(_debian_kernel(), work, bls=release == "8")
    kernels += kernel(_debian_kernel(), work, bls=release == "8", flavour="kernel-lt")[1]
    # What the packages with scriptlets want; the profile does not ask for it by name.
    shell = Rpm("bash", provides=["/bin/sh"])
    names = [name for name in _names(release) if release == "7" or name != MODULAR]
    build([shell, *(Rpm(name) for name in names)], places["distribution"], work / "build", key)
    build(kernels, places["elrepo"], work / "build", key)
    build(_kubernetes(), places["kubernetes"], work / "build", key)
    archives = mirror.folder / "archives"
    archives.mkdir(exist_ok=True)
    runtime, runtime_sum = nerdctl_full(archives, "2.3.5")
    tool, tool_sum = helm(archives, "4.3.0")
    for path in layout.values():
        index(mirror.folder / _RELEASES[release] / path.replace("$basearch", "x86_64"))
    if release == "8":
        streams = layout["AppStream"].replace("$basearch", "x86_64")
        write_modular(mirror.folder / _RELEASES[release] / streams, work / "build", key)
    index(places["elrepo"])
    index(places["kubernetes"])
    url = mirror.url
    values: dict[str, Any] = {
        "base": {"source": str(base), "sha256": base_sha256},
        "repositories": {
            # The first of the list is dead: a build must say so, and go on.
            "distribution": ["http://127.0.0.1:9/gone/", f"{url}/{_RELEASES[release]}/"],
            "elrepo": [f"{url}/elrepo/el{release}/x86_64/"],
            "kubernetes": [f"{url}/kubernetes/v{{minor}}/rpm/"],
            "keys": {name: [key.public] for name in ("distribution", "elrepo", "kubernetes")},
        },
        "kubernetes": {"version": KUBERNETES},
        "containerd": {
            "nerdctl_full": {
                "urls": [f"{url}/archives/{runtime.name}"],
                "sha256": runtime_sum,
                "containerd": CONTAINERD,
            },
        },
        # Debian's kernel runs AppArmor, and the base has no policy that could be loaded: the files are labelled all the
        # same, but there is no mode to look at.
        "selinux": {"mode": None},
        "helm": {"urls": [f"{url}/archives/{tool.name}"], "sha256": tool_sum},
    }
    layer = work / f"world{release}.yaml"
    layer.write_text(yaml.safe_dump(values))
    return World(mirror, release, uname, layer, key, base)


def _places(release: str) -> dict[str, str]:
    first = next(iter(load_target(f"centos{release}").repositories.layout.values())).replace("$basearch", "x86_64")
    minor = KUBERNETES.rpartition(".")[0]
    return {
        "distribution": f"{_RELEASES[release]}/{first}",
        "elrepo": f"elrepo/el{release}/x86_64",
        "kubernetes": f"kubernetes/v{minor}/rpm",
    }


def _debian_kernel() -> Path:
    deb = download(depends_on("linux-image-cloud-amd64"))
    return unpack(deb, cache_dir() / deb.stem)


def resolved(release: str, *sets: str) -> Resolved:
    """The shipped profile, for what it asks for by name."""
    findings = Findings()
    found = load(f"centos{release}-efi", (), sets, None, findings)
    assert found is not None, findings.items
    return resolve(found)


def _names(release: str) -> list[str]:
    """Every package that the profile asks the distribution for."""
    found = resolved(release, "pxe.live=true")
    tree = install_tree(found)
    conf = next(file.content.decode() for file in tree.files if file.path == "/etc/imgbuild/install.conf")
    names: set[str] = set()
    for line in conf.splitlines():
        key, _, value = line.partition("=")
        if key in {"PACKAGES", "IMAGE_PACKAGES", "LIVE_PACKAGES"}:
            names |= set(value.strip("()").split())
    return sorted(names)


def _kubernetes() -> list[Rpm]:
    version, release = KUBERNETES, "150500.1.1"
    says = "#!/bin/sh\n# Stand-in of imgbuild's tests.\n"
    kubelet = says + f'[ "${{1:-}}" = --version ] && echo "Kubernetes v{version}" || exit 1\n'
    kubeadm = (
        says + f"[ \"${{1:-}}\" = version ] || {{ echo 'error: not the real kubeadm' >&2; exit 1; }}\necho v{version}\n"
    )
    kubectl = says + f"echo 'Client Version: v{version}'\n"
    crictl = says + "echo 'crictl version v1.30.1'\n"
    return [
        Rpm("kubelet", version, release, scripts={
            "/usr/bin/kubelet": kubelet, "/usr/lib/systemd/system/kubelet.service": _KUBELET_UNIT,
        }, requires=["kubernetes-cni"]),
        Rpm("kubeadm", version, release, scripts={"/usr/bin/kubeadm": kubeadm}, requires=["cri-tools"]),
        Rpm("kubectl", version, release, scripts={"/usr/bin/kubectl": kubectl}),
        Rpm("cri-tools", "1.30.1", release, scripts={"/usr/bin/crictl": crictl}),
        Rpm("kubernetes-cni", "1.4.0", release, scripts={
            f"/opt/cni/bin/{name}": says for name in ("bridge", "host-local", "loopback", "portmap")
        }),
    ]  # fmt: skip


def as_set(key: str, value: object) -> str:
    """A value for ``--set``."""
    return f"{key}={json.dumps(value)}"
