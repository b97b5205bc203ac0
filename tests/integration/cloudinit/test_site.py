"""A node behind a proxy with a login, with a mirror of the site's own authority: real cloud-init, curl and tinyproxy.

The node's network has the loopback interface alone. The proxy's name is in `hosts`, the mirror's is known to the proxy
alone, and the mirror's certificate is signed by an authority of `trust`.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.applied import Applied, apply_seed
from tests.support.cloudinit.words import module_list
from tests.support.nodes import NODES, resolved, seed_of

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and an overlay need root"),
    pytest.mark.skipif(shutil.which("cloud-init") is None, reason="needs Debian's cloud-init"),
    pytest.mark.skipif(shutil.which("tinyproxy") is None, reason="needs Debian's tinyproxy"),
]

PEM = serialization.Encoding.PEM
MIRROR = "https://mirror.corp.invalid:8443/file"
LOGIN = "bob:s3cret%2Dof.bob"
# Set-up itself, or a command of the user's.
FETCH = f"""#!/bin/sh
env | sort > /var/lib/its-environment
curl --silent --show-error --fail --retry 20 --retry-delay 1 --retry-connrefused {MIRROR} > /var/lib/fetched
sudo -n env > /var/lib/its-sudo
bash -lc env > /var/lib/its-login
"""
SERVE = """#!/bin/bash
unshare --mount bash -c 'mount --bind {work}/hosts /etc/hosts && exec tinyproxy -d -c {work}/tinyproxy.conf' &
exec python3 - <<'END'
import functools, http.server, ssl
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="{work}/served")
server = http.server.ThreadingHTTPServer(("127.0.0.3", 8443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("{work}/mirror.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
END
"""
CONF = """Port 3128
Listen 127.0.0.4
Timeout 60
LogFile "{work}/proxy.log"
LogLevel Info
MaxClients 20
BasicAuth bob s3cret-of.bob
"""


def authority(work: Path) -> str:
    """The certificate of a new authority, which has signed the mirror's in ``work``."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Corp CA", "mirror")]
    made = [
        x509.CertificateBuilder()
        .subject_name(names[number])
        .issuer_name(names[0])
        .public_key(keys[number].public_key())
        .serial_number(number + 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=not number, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mirror.corp.invalid")]), critical=False)
        .sign(keys[0], hashes.SHA256())
        for number in range(2)
    ]
    form = serialization.PrivateFormat.PKCS8
    key = keys[1].private_bytes(PEM, form, serialization.NoEncryption())
    (work / "mirror.pem").write_bytes(made[1].public_bytes(PEM) + key)
    return made[0].public_bytes(PEM).decode()


def applied(mode: str, work: Path) -> Applied:
    certificate = authority(work)
    url = f"http://{LOGIN}@proxy.corp.invalid:3128"
    sets = [
        f"proxy={{http: '{url}', https: '{url}', no_proxy: [.corp.example]}}",
        f"trust.certificates=[{json.dumps(certificate)}]",
        "hosts={proxy.corp.invalid: 127.0.0.4}",
    ]
    given = resolved("debian12-efi", mode, sets, run=[FETCH] if mode == "baked" else [])
    (work / "served").mkdir()
    (work / "served/file").write_text("of the mirror\n")
    (work / "hosts").write_text("127.0.0.3 mirror.corp.invalid\n")
    (work / "tinyproxy.conf").write_text(CONF.format(work=work))
    return apply_seed(
        seed_of(given, NODES["dhcp"]), work, modules=module_list(given), setup=FETCH, serve=SERVE.format(work=work)
    )


@pytest.mark.parametrize("mode", ["stock", pytest.param("baked", marks=pytest.mark.slow)])
def test_what_cloud_init_runs_reaches_the_mirror(mode: str, tmp_path: Path) -> None:
    done = applied(mode, tmp_path)
    assert done.errors == [], done.output
    assert done.read("/var/lib/fetched") == b"of the mirror\n"
    log = (tmp_path / "proxy.log").read_text()
    assert "CONNECT mirror.corp.invalid:8443" in log
    assert f"https_proxy=http://{LOGIN}@proxy.corp.invalid:3128" in done.read("/var/lib/its-environment").decode()
    assert "127.0.0.4 proxy.corp.invalid" in done.read("/etc/hosts").decode()
    assert done.mode("/etc/imgbuild/proxy.env") == 0o600
    # By hand, too: with sudo, and in root's login shell.
    assert "https_proxy=" in done.read("/var/lib/its-sudo").decode()
    assert "NO_PROXY=localhost," in done.read("/var/lib/its-login").decode()
    assert (done.root / "var/lib/imgbuild/seed-files/conf").exists()
