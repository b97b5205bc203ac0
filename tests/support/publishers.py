"""The servers of publishers, on the loopback device: files, redirects and checksum files as the real ones have them."""

from __future__ import annotations

import functools
import hashlib
import http.server
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml

from imgbuild.config.data import versions
from tests.support.mirror import listening


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Publishers:
    """``files`` by path, which a test may change at any time; ``asked`` has method and path of each request."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Paths that are answered with 500."""
    no_head: bool = False
    """Whether HEAD is refused, as some mirrors do."""

    def helm(self, version: str, data: bytes = b"helm") -> str:
        """get.helm.sh: the archive, NAME.sha256sum as sha256sum writes it."""
        name = f"helm-v{version}-linux-amd64.tar.gz"
        data += version.encode()
        self.files[f"/helm/{name}"] = data
        self.files[f"/helm/{name}.sha256sum"] = f"{sha256(data)}  {name}\n".encode()
        return sha256(data)

    def nerdctl(self, version: str, containerd: str) -> str:
        """GitHub: SHA256SUMS beside several assets, each redirected to a store; the Dockerfile at the tag."""
        folder = f"/nerdctl/releases/download/v{version}"
        names = [f"nerdctl-{version}-linux-amd64.tar.gz", f"nerdctl-full-{version}-linux-amd64.tar.gz"]
        names += [f"nerdctl-full-{version}-linux-arm64.tar.gz"]
        sums = ""
        for name in names:
            self.files[f"{folder}/{name}"] = name.encode()
            sums += f"{sha256(name.encode())}  {name}\n"
        self.files[f"{folder}/SHA256SUMS"] = sums.encode()
        docker = f"# Basic deps\nARG CONTAINERD_VERSION=v{containerd}\nARG RUNC_VERSION=v1.5.1\nFROM scratch\n"
        self.files[f"/nerdctl/v{version}/Dockerfile"] = docker.encode()
        return sha256(names[1].encode())

    def kubernetes(self, version: str) -> dict[str, str]:
        """dl.k8s.io: NAME.sha256 has the hash alone, without an end of line."""
        found = {}
        for name in ("kubeadm", "kubectl", "kubelet"):
            data = f"{name} {version}".encode()
            self.files[f"/release/v{version}/bin/linux/amd64/{name}"] = data
            self.files[f"/release/v{version}/bin/linux/amd64/{name}.sha256"] = sha256(data).encode()
            found[name] = sha256(data)
        return found

    def crictl(self, version: str) -> str:
        name = f"crictl-v{version}-linux-amd64.tar.gz"
        data = name.encode()
        self.files[f"/cri-tools/v{version}/{name}"] = data
        self.files[f"/cri-tools/v{version}/{name}.sha256"] = f"{sha256(data)}\n".encode()
        return sha256(data)

    def chart(self, name: str, version: str, *, digest: bool = True, at: str = "/charts") -> str:
        """A chart repository: index.yaml with a relative address and the archive's digest."""
        data = f"{name} {version}".encode()
        index = yaml.safe_load(self.files.get(f"{at}/index.yaml", b"{apiVersion: v1, entries: {}}"))
        row = {"name": name, "version": version, "urls": [f"{name}-{version}.tgz"], "created": "2026-01-01T00:00:00Z"}
        if digest:
            row["digest"] = sha256(data)
        index["entries"].setdefault(name, []).append(row)
        self.files[f"{at}/index.yaml"] = yaml.safe_dump(index).encode()
        self.files[f"{at}/{name}-{version}.tgz"] = data
        return sha256(data)

    def origins(self) -> Mapping[str, object]:
        """The table profiles/versions/origins.yaml with these addresses."""
        places = {
            "helm": {"url": f"{self.url}/helm/helm-v{{version}}-linux-amd64.tar.gz"},
            "nerdctl": {
                "url": f"{self.url}/nerdctl/releases/download/v{{version}}/nerdctl-full-{{version}}-linux-amd64.tar.gz",
                "containerd": f"{self.url}/nerdctl/v{{version}}/Dockerfile",
            },
            "kubernetes": {"url": f"{self.url}/release/v{{version}}/bin/linux/amd64/{{name}}"},
            "crictl": {"url": f"{self.url}/cri-tools/v{{version}}/crictl-v{{version}}-linux-amd64.tar.gz"},
        }
        # Without the addresses of signatures, which are those of the real publishers.
        rows = {name: {key: row[key] for key in row if key != "signed"} for name, row in versions("origins").items()}
        return {name: {**row, **places.get(name, {})} for name, row in rows.items()}

    def sets(self) -> list[str]:
        """The profile's addresses, for --set: the shipped versions at these servers."""
        nerdctl, helm = versions("newest")["nerdctl_full"], versions("newest")["helm"]
        full, tool = list(nerdctl.values())[-1], list(helm.values())[-1]
        return [
            f"helm.urls=['{self.url}/helm/helm-v{tool}-linux-amd64.tar.gz']",
            f"containerd.nerdctl_full.urls=['{self.url}/nerdctl/releases/download/v{full}/"
            f"nerdctl-full-{full}-linux-amd64.tar.gz']",
            f"cilium.repository={self.url}/charts",
        ]


@contextmanager
def publishers() -> Iterator[Publishers]:
    """Servers with nothing on them, until the end of the block."""
    found = Publishers()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            if found.no_head:
                self._end(405, b"", body=False)
            else:
                self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            found.asked.append(f"{self.command} {self.path}")
            path = self.path.removeprefix("/assets")
            if path in found.broken:
                self._end(500, b"broken", body=body)
            elif path not in found.files:
                self._end(404, b"<html>Not Found</html>", body=body)
            elif "/releases/download/" in path and path == self.path:  # as GitHub and dl.k8s.io do
                self.send_response(302)
                self.send_header("Location", f"{found.url}/assets{path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._end(200, found.files[path], body=body)

        def _end(self, status: int, data: bytes, *, body: bool) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class has
            pass

    with listening(functools.partial(Handler)) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found
