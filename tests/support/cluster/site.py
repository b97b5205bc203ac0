"""A site around nodes: a proxy with a login, a registry of its own, and an outside that the proxy alone reaches.

It is one more machine of the nodes' network. The outside's addresses are on its loopback interface, and no other
machine has a route to them, nor a name server. So each program of a node reaches the outside through the proxy or not
at all; ``left`` has what they tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cluster.ground import Node, wait
from tests.support.cluster.programs import programs
from tests.support.cri.pause_image import pause_image
from tests.support.registry import Authority, authority, docker_registry, push

LOGIN = "bob:s3cret%2Dof.bob"
OUTSIDE = "198.51.100.10"
HOSTS = {"charts.outside.test": OUTSIDE, "files.outside.test": OUTSIDE, "images.outside.test": "198.51.100.11"}
PROXY, MIRROR = "proxy.corp.test", "mirror.corp.test"
IMAGE = "library/tool:1"
_TINYPROXY = """Port 3128
Timeout 60
LogFile "/srv/proxy.log"
LogLevel Connect
MaxClients 50
BasicAuth bob s3cret-of.bob
"""
_REGISTRY = """version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: /srv/registry}}, maintenance: {{readonly: {{enabled: true}}}}}}
http: {{addr: "{at}", tls: {{certificate: /srv/{pair}.crt, key: /srv/{pair}.key}}}}
"""
_ASKS = "auth: {htpasswd: {realm: outside, path: /srv/htpasswd}}\n"
ALICE = "s3cret-of-alice"
_HTPASSWD = "alice:$2b$05$abcdefghijklmnopqrstuu6SdaO4ukD0CMVhd6QMDsUq2nFZ4PrJS\n"
"""Of that password, by crypt(3). Only the registry outside asks for it."""
_WEB = f"""
import functools, http.server, ssl
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/srv/web")
server = http.server.ThreadingHTTPServer(("{OUTSIDE}", 443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/outside.crt", "/srv/outside.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
# Each connection that this machine opens and each datagram it sends, with the name that it asks a name server for.
_SNIFF = """
import socket, struct
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
packets.bind(("eth0", 0))
with open("/standin/left", "a", buffering=1) as out:
    while True:
        packet, where = packets.recvfrom(65535)
        if where[1] != 0x800 or where[2] != socket.PACKET_OUTGOING:
            continue
        kind, after = packet[9], packet[(packet[0] & 15) * 4 :]
        if kind == 6 and after[13] & 0x12 != 2:
            continue
        port, to = struct.unpack("!H", after[2:4])[0], socket.inet_ntoa(packet[16:20])
        if kind == 17 and port == 53:
            name, labels = "", after[20:]
            while labels[0]:
                name, labels = name + labels[1 : labels[0] + 1].decode() + ".", labels[labels[0] + 1 :]
            to = name
        out.write(f"{({6: 'tcp', 17: 'udp'}).get(kind, kind)} {to} {port}\\n")
"""


@dataclass
class Site:
    """``outside`` and ``corp`` are the authorities of the outside's servers and of the mirror."""

    machine: Node
    outside: Authority
    corp: Authority
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def serve(self, name: str, content: bytes) -> str:
        """A file of files.outside.test; gives its sha256."""
        self.machine.write(f"/srv/web/{name}", content)
        return hashlib.sha256(content).hexdigest()

    def proxied(self) -> set[str]:
        """The servers that the proxy was asked for, as host:port."""
        return set(re.findall(r"Request .*: CONNECT (\S+)", self._log()))

    def refused(self) -> list[str]:
        """What it refused: a request without the login, a server that it cannot reach."""
        return re.findall(r"(?m)^(?:ERROR|.*[Uu]nauthorized|.*[Rr]efused).*", self._log())

    def mirror_asked(self) -> list[str]:
        """The paths that the mirror was asked for."""
        return re.findall(r'"(?:GET|HEAD) (\S+) ', self.machine.read("/srv/mirror.log"))

    def _log(self) -> str:
        return self.machine.read("/srv/proxy.log")

    def start(self) -> None:
        """Switch it on, with all its servers."""
        self.machine.start()
        for address in sorted(set(HOSTS.values())):
            self.machine.ok("ip", "address", "add", f"{address}/32", "dev", "lo")
        for name, command in {
            "web": ["python3", "-c", _WEB],
            "mirror": ["docker-registry", "serve", "/srv/mirror.yml"],
            "images": ["docker-registry", "serve", "/srv/images.yml"],
            "tinyproxy": ["tinyproxy", "-d", "-c", "/srv/tinyproxy.conf"],
        }.items():
            with (self.machine.upper / f"srv/{name}.log").open("ab") as log:
                self._running.append(self.machine.popen(*command, out=log))
        listening = {f"{OUTSIDE}:443", "198.51.100.11:443", f"{self.machine.address}:5000", "0.0.0.0:3128"}
        wait(lambda: listening <= set(self.machine.ok("ss", "-Hltn").split()), 60, "the site's servers listen")

    def stop(self) -> None:
        for process in self._running:
            self.machine.kill(process)

    def node(self, node: Node) -> None:
        """What makes a node part of the site: no name server. Everything else comes with its seed."""
        node.write("/etc/resolv.conf", "nameserver 10.0.0.254\n")
        node.write("/etc/hosts", "127.0.0.1 localhost\n")

    def profile(self) -> tuple[str, ...]:
        """The settings of a profile for this site."""
        url = f"http://{LOGIN}@{PROXY}:3128"
        mirror = f"{{url: 'https://{MIRROR}:5000', ca: {_quoted(self.corp.certificate)}}}"
        alice = f"{{username: alice, password: {ALICE}}}"
        return (
            f"proxy={{http: '{url}', https: '{url}', no_proxy: [.corp.test]}}",
            f"trust.certificates=[{_quoted(self.outside.certificate)}]",
            f"hosts={{{PROXY}: {self.machine.address}, {MIRROR}: {self.machine.address}}}",
            f"containerd.registries={{k8s.test: {{server: 'https://k8s.test', mirrors: [{mirror}]}}, "
            f"images.outside.test: {{server: {{url: 'https://images.outside.test', auth: {alice}}}}}}}",
            "cilium.repository=https://charts.outside.test/charts",
        )


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


@contextlib.contextmanager
def site(machine: Node, folder: Path, *charts: Path) -> Iterator[Site]:
    """The site on a machine that is off; ``charts`` are archives, in the repository and in the registry outside."""
    outside, corp = authority(folder / "outside", *HOSTS), authority(folder / "corp", MIRROR)
    for name, made in {"outside": outside, "corp": corp}.items():
        machine.write(f"/srv/{name}.crt", made.server.read_bytes())
        machine.write(f"/srv/{name}.key", made.key.read_bytes(), 0o600)
    machine.write("/srv/tinyproxy.conf", _TINYPROXY)
    machine.write("/etc/hosts", "".join(f"{at} {name}\n" for name, at in {"localhost": "127.0.0.1", **HOSTS}.items()))
    machine.write("/srv/mirror.yml", _REGISTRY.format(at=f"{machine.address}:5000", pair="corp"))
    machine.write("/srv/images.yml", _REGISTRY.format(at="198.51.100.11:443", pair="outside") + _ASKS)
    machine.write("/srv/htpasswd", _HTPASSWD)
    helm, web = str(programs()["helm"]), machine.upper / "srv/web/charts"
    web.mkdir(parents=True)
    with docker_registry(folder / "registry") as port:
        push(port, IMAGE, pause_image(folder / "image.tar", IMAGE))
        for chart in charts:
            shutil.copy(chart, web)
            subprocess.run(
                [helm, "push", chart, f"oci://127.0.0.1:{port}/charts", "--plain-http"], check=True, capture_output=True
            )
    shutil.copytree(folder / "registry/storage", machine.upper / "srv/registry")
    subprocess.run([helm, "repo", "index", web], check=True, capture_output=True)
    found = Site(machine, outside, corp)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def sniff(node: Node) -> None:
    """Record from now on where the node's packets go, also those that the router that nobody is would get."""
    node.ok("ip", "neighbour", "add", "10.0.0.254", "lladdr", "02:00:00:00:00:fe", "dev", "eth0")
    node.write("/standin/left", "")
    with (node.upper / "standin/sniff.log").open("wb") as log:
        node.popen("python3", "-c", _SNIFF, out=log)


def left(node: Node) -> set[tuple[str, str, int]]:
    """Protocol, address (of a question to a name server: the name) and port of everything that it sent since."""
    rows = (line.split() for line in node.read("/standin/left").splitlines())
    return {(kind, address, int(port)) for kind, address, port in rows}


def packed(chart: Path, target: Path, name: str) -> Path:
    """The chart in a folder as an archive."""
    with tarfile.open(target, "w:gz") as out:
        out.add(chart, name)
    return target
