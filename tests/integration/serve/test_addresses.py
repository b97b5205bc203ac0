"""serve at other addresses than its own HTTP one: with HTTPS, under a name, and without a dnsmasq on the host."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.deadline import HUNG
from tests.support.serving.segment import SERVER, Segment, serving
from tests.support.serving.tree import CP1, SECRET, make_tree

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")]
SCRIPT = f"boot/{CP1.replace(':', '-')}.ipxe"
ADDRESS = "10.77.0.11"
ANY = "0.0.0.0"  # noqa: S104 - in a network of the test's own


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "lab", root_bytes=40 << 20)


def certificates(folder: Path) -> None:
    """An authority, ca.pem, and a server's certificate of it, with the intermediate in one file: chain.pem, key.pem."""
    key, issuer = None, None
    now = datetime.datetime.now(datetime.UTC)
    chain = []
    for name in ("authority", "intermediate", "server"):
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=name != "server", path_length=None), critical=True)
        )
        if name == "server":
            there = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(SERVER))])
            made = made.add_extension(there, critical=False)
        chain.append(made.sign(key or own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key, issuer = own, subject
    assert key is not None
    (folder / "ca.pem").write_bytes(chain[0])
    (folder / "chain.pem").write_bytes(chain[2] + chain[1])
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))


def imgbuild(network: Segment, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command on the server's host."""
    call = ["ip", "netns", "exec", network.server, sys.executable, "-m", "imgbuild", *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, timeout=HUNG, check=False)


def test_https_with_a_certificate_of_the_operators_own(network: Segment, lab: Path, tmp_path: Path) -> None:
    certificates(tmp_path)
    url, trust = f"https://{SERVER}:8080/", ("--cacert", str(tmp_path / "ca.pem"))
    files = ("--tls-cert", str(tmp_path / "chain.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with serving(network, lab, "--interface", "br0", *files) as server:
        machine = network.machine(CP1, ADDRESS)
        assert f"chain --replace {url}boot/" in machine.curl(f"{url}boot.ipxe", *trust)[1]
        script = machine.curl(f"{url}{SCRIPT}", *trust)[1]
        assert f"kernel {url}vmlinuz" in script and "http://" not in script
        (seed,) = re.findall(r"nocloud-net;s=(\S+)", script)
        assert machine.curl(f"{seed}user-data", *trust) == (200, f"user-data {SECRET} cp1\n")
        assert machine.curl(f"{url}root.squashfs", *trust, "-o", str(tmp_path / "root"))[0] == 200
        assert (tmp_path / "root").read_bytes() == (lab / "pxe/root.squashfs").read_bytes()
        (report,) = re.findall(r"imgbuild\.report=(\S+)", script)
        assert machine.curl(report, *trust, "-d", "event=installed")[0] == 204
        with pytest.raises(subprocess.CalledProcessError) as caught:
            machine.curl(f"{url}boot.ipxe")
        assert caught.value.returncode == 60, "curl: the certificate's authority is not known"
        with pytest.raises(subprocess.CalledProcessError):
            machine.curl(f"http://{SERVER}:8080/boot.ipxe")
        assert "live-boot of these nodes fetches no live root over https" in server.text()
        (link,) = re.findall(r"page: (\S+)", server.text())
        head = machine.call("curl", "-sSi", *trust, link)
        assert "HttpOnly" in head and "Secure" in head and "303" in head
        # The host's own commands know the certificate, whoever signed it.
        assert "booting its disk" in machine.curl(f"{url}{SCRIPT}", *trust)[1]
        done = imgbuild(network, "serve", lab, "--state", network.folder / "state", "--rearm", "cp1")
        assert done.returncode == 0, done.stderr
        assert "loading the kernel" in machine.curl(f"{url}{SCRIPT}", *trust)[1]
        (tmp_path / "cluster.yaml").write_text("name: lab\nnodes: [{name: cp1, role: worker}]\n")
        wait = ("wait", "--cluster", tmp_path / "cluster.yaml", "--timeout", "1")
        known = imgbuild(network, *wait, "--serve", link, "--ca", tmp_path / "ca.pem")
        assert known.returncode == 3 and "cp1 is not ready after 1 s" in known.stderr, known.stderr
        local = imgbuild(network, *wait, "--state", network.folder / "state")
        assert local.returncode == 3 and "cp1 is not ready after 1 s" in local.stderr, local.stderr
        unknown = imgbuild(network, *wait, "--serve", link)
        assert unknown.returncode == 3 and "CERTIFICATE_VERIFY_FAILED" in unknown.stderr, unknown.stderr


def test_another_certificate_at_the_same_address_gets_no_key(network: Segment, lab: Path, tmp_path: Path) -> None:
    certificates(tmp_path)
    files = ("--tls-cert", str(tmp_path / "chain.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with serving(network, lab, "--interface", "br0", *files):
        path = network.folder / "state/running.json"
        path.write_text(re.sub(r'"fingerprint":"..', '"fingerprint":"00', path.read_text()))
        done = imgbuild(network, "serve", lab, "--state", network.folder / "state", "--rearm", "cp1")
        assert done.returncode == 3 and "Fingerprints did not match" in done.stderr, done.stderr


def test_every_address_that_a_machine_gets_is_the_one_of_url(network: Segment, lab: Path) -> None:
    name, url = "boot.lab.test", "http://boot.lab.test:8080/"
    resolved = ("--resolve", f"{name}:8080:{SERVER}")
    with serving(network, lab, "--listen", ANY, "--url", f"http://{name}:8080") as server:
        machine = network.machine(CP1, ADDRESS)
        assert f"chain --replace {url}boot/" in machine.curl(f"http://{SERVER}:8080/boot.ipxe")[1]
        script = machine.curl(f"{url}{SCRIPT}", *resolved)[1]
        assert SERVER not in script and set(re.findall(r"http://[^/]+/", script)) == {url}
        (seed,) = re.findall(r"nocloud-net;s=(\S+)", script)
        assert machine.curl(f"{seed}user-data", *resolved) == (200, f"user-data {SECRET} cp1\n")
        grub = machine.curl(f"{url}grub/grub.cfg-01-{CP1}", *resolved)[1]
        assert f"linux (http,{name}:8080)/vmlinuz" in grub
        (link,) = re.findall(r"page: (\S+)", server.text())
        assert link.startswith(f"{url}?key=") and machine.curl(link, *resolved)[0] == 303
        other = ("--resolve", f"evil.test:8080:{SERVER}")
        assert machine.curl(link.replace(name, "evil.test").partition("?")[0], *other)[0] == 403
        assert imgbuild(network, "serve", lab, "--state", network.folder / "state", "--rearm", "cp1").returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--listen", ANY),
        ("--listen", SERVER, "--url", f"http://{SERVER}/pxe/"),
        ("--listen", SERVER, "--url", "ftp://x/"),
        ("--listen", SERVER, "--url", "http://user@x/"),
    ],
)
def test_what_is_no_address_for_machines(network: Segment, lab: Path, options: tuple[str, ...]) -> None:
    done = imgbuild(network, "serve", lab, "--state", network.folder / "state", *options)
    assert done.returncode == 2 and "address" in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs Debian's dnsmasq-base")
def test_without_dnsmasq_it_serves_http_and_says_so(network: Segment, lab: Path) -> None:
    """Machines have fixed addresses, and the neighbour table tells who they are."""
    hidden = ("unshare", "-m", "sh", "-c", f'mount --bind /dev/null {shutil.which("dnsmasq")}; exec "$@"', "sh")
    options = ("--interface", "br0", "--dhcp", "10.77.0.100,10.77.0.120")
    with serving(network, lab, *options, through=hidden) as server:
        said = server.text()
        assert "dnsmasq is not installed" in said and "HTTP only" in said and "DHCP on br0" not in said
        machine = network.machine(CP1, ADDRESS)
        script = machine.curl(f"http://{SERVER}:8080/{SCRIPT}")[1]
        (seed,) = re.findall(r"nocloud-net;s=(\S+)", script)
        assert machine.curl(f"{seed}user-data") == (200, f"user-data {SECRET} cp1\n")
        assert {line.rpartition(" ")[0] for line in network.sockets()} == {f"tcp {SERVER}:8080"}
