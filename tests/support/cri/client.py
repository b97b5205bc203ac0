"""Ask a container runtime through CRI, as the kubelet does, and print what it says as JSON.

    python3 cri.pyz SOCKET [--sandbox]

The field numbers are those of runtime.v1's api.proto (k8s.io/cri-api). Runs on a node with Python alone, as
the zip file that tests.support.cri.pack makes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.cri.grpc import GrpcError, call
from tests.support.cri.protobuf import Fields, decode, encode, flag, messages, string_map, text

_RUNTIME = "/runtime.v1.RuntimeService/"
_IMAGES = "/runtime.v1.ImageService/"
_NODE = 2  # NamespaceMode


@dataclass(frozen=True)
class Cri:
    """A runtime at a unix socket. Each method is one call; GrpcError when it is refused."""

    socket: str

    def _call(self, method: str, request: bytes = b"") -> Fields:
        return decode(call(self.socket, method, request))

    def version(self) -> dict[str, str]:
        answer = self._call(_RUNTIME + "Version")
        return {"name": text(answer, 2), "version": text(answer, 3), "api": text(answer, 4)}

    def status(self) -> dict[str, object]:
        """Conditions by name, and the verbose info: containerd's own config is in it, as JSON."""
        answer = self._call(_RUNTIME + "Status", encode({1: True}))
        conditions = {
            text(condition, 1): {"ok": flag(condition, 2), "message": text(condition, 4)}
            for status in messages(answer, 1)
            for condition in messages(status, 1)
        }
        return {"conditions": conditions, "info": _parsed(string_map(answer, 2))}

    def image(self, name: str) -> dict[str, object] | None:
        """The image's id and tags, None if the runtime doesn't have it."""
        answer = self._call(_IMAGES + "ImageStatus", encode({1: encode({1: name})}))
        for image in messages(answer, 1):
            tags = [tag.decode() for tag in image.get(2, []) if isinstance(tag, bytes)]
            return {"id": text(image, 1), "tags": tags}
        return None

    def pull(self, name: str) -> str:
        """Pull an image, as the kubelet does for a pod without a secret of its own: its id."""
        return text(self._call(_IMAGES + "PullImage", encode({1: encode({1: name})})), 1)

    def remove_image(self, name: str) -> None:
        self._call(_IMAGES + "RemoveImage", encode({1: encode({1: name})}))

    def run_sandbox(self, name: str, cgroup_parent: str) -> str:
        """Start a pod sandbox on the host's network: its id. No CNI plugin is asked."""
        metadata = encode({1: name, 2: f"uid-{name}", 3: "imgbuild-test"})
        host = encode({1: _NODE, 2: _NODE, 3: _NODE})
        linux = encode({1: cgroup_parent, 2: encode({1: host})})
        return text(self._call(_RUNTIME + "RunPodSandbox", encode({1: encode({1: metadata, 8: linux})})), 1)

    def sandbox(self, sandbox_id: str) -> dict[str, object]:
        """State (0 is ready) and the verbose info, which has the process id."""
        answer = self._call(_RUNTIME + "PodSandboxStatus", encode({1: sandbox_id, 2: True}))
        (status,) = messages(answer, 1)
        return {"ready": not flag(status, 3), "info": _parsed(string_map(answer, 2))}

    def sandboxes(self) -> list[str]:
        return [text(item, 1) for item in messages(self._call(_RUNTIME + "ListPodSandbox"), 1)]

    def remove_sandbox(self, sandbox_id: str) -> None:
        request = encode({1: sandbox_id})
        self._call(_RUNTIME + "StopPodSandbox", request)
        self._call(_RUNTIME + "RemovePodSandbox", request)


def _parsed(info: dict[str, str]) -> dict[str, object]:
    parsed: dict[str, object] = {}
    for key, value in info.items():
        try:
            parsed[key] = json.loads(value)
        except ValueError:
            parsed[key] = value
    return parsed


def _dig(value: object, *path: str) -> object:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def report(cri: Cri, *, sandbox: bool) -> dict[str, object]:
    """What the checks need to know. containerd 1.x and 2.x keep the sandbox image in different places."""
    status = cri.status()
    config = _dig(status, "info", "config")
    runtime = str(_dig(config, "containerd", "defaultRuntimeName") or "runc")
    image = _dig(config, "sandboxImage") or _dig(config, "imageConfig", "pinned_images", "sandbox")
    result: dict[str, object] = {
        "version": cri.version(),
        "conditions": status["conditions"],
        "runtime": runtime,
        "systemd_cgroup": _dig(config, "containerd", "runtimes", runtime, "options", "SystemdCgroup"),
        "sandbox_image": image,
        "sandbox_image_present": isinstance(image, str) and cri.image(image) is not None,
        "registry_config_path": _dig(config, "registry", "configPath"),
        "cni_bin_dir": _dig(config, "cni", "binDir"),
    }
    if sandbox:
        result["sandbox"] = _try_sandbox(cri, systemd=result["systemd_cgroup"] is True)
    return result


def _command(proc: Path) -> list[str]:
    """What the process runs. It is "ready" a moment before it has become the image's own program.

    Until then it is runc's, and without words while the kernel replaces it.
    """
    for _ in range(100):
        command = (proc / "cmdline").read_bytes().rstrip(b"\0").decode().split("\0")
        if command not in (["runc", "init"], [""]):
            break
        time.sleep(0.1)
    return command


def _try_sandbox(cri: Cri, *, systemd: bool) -> dict[str, object]:
    """Run one, look at where its process is, remove it."""
    parent = "imgbuildtest.slice" if systemd else "/imgbuildtest"
    sandbox_id = cri.run_sandbox("probe", parent)
    try:
        found = cri.sandbox(sandbox_id)
        pid = _dig(found, "info", "info", "pid")
        proc = Path("/proc") / str(pid)
        return {
            "id": sandbox_id,
            "ready": found["ready"],
            "cgroup": (proc / "cgroup").read_text().splitlines(),
            "command": _command(proc),
            "host_network": (proc / "ns/net").readlink() == Path("/proc/self/ns/net").readlink(),
        }
    finally:
        cri.remove_sandbox(sandbox_id)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Ask a container runtime through CRI.")
    parser.add_argument("socket")
    parser.add_argument("--sandbox", action="store_true", help="run a pod sandbox too, and remove it")
    options = parser.parse_args(arguments)
    try:
        answer = report(Cri(options.socket), sandbox=options.sandbox)
    except (GrpcError, OSError, ValueError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
