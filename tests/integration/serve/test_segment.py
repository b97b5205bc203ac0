"""The real command with a real dnsmasq, a DHCP client and the kernel's neighbour table, in a network of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.deadline import HUNG, Deadline
from tests.support.serving.segment import SERVER, URL, Segment, serving
from tests.support.serving.tree import CP1, SECRET, W1, make_tree

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs Debian's dnsmasq-base"),
]
SCRIPT = f"{URL}boot/{CP1.replace(':', '-')}.ipxe"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "lab")


def seed_of(script: str) -> str:
    (found,) = re.findall(r"nocloud-net;s=(\S+)", script)
    return str(found)


def test_leases_bind_seeds_over_a_kill_and_dnsmasq_ends_with_serve(network: Segment, lab: Path) -> None:
    options = ("--interface", "br0", "--dhcp", "10.77.0.100,10.77.0.120")
    with serving(network, lab, *options) as server:
        mine, other = network.machine(CP1), network.machine(W1)
        address, theirs = mine.dhcp(), other.dhcp()
        assert address.startswith("10.77.0.1") and address != theirs
        assert "dnsmasq.leases" in os.listdir(network.folder / "state")  # noqa: PTH208
        assert mine.curl(f"tftp://{SERVER}/snponly.efi", "-o", "/dev/null")[0] == 0
        assert "configfile (http,10.77.0.1:8080)/grub/grub.cfg-01-" in mine.curl(f"tftp://{SERVER}/grub/grub.cfg")[1]
        status, script = mine.curl(SCRIPT)
        assert status == 200
        seed = seed_of(script)
        assert "no keys" in other.curl(SCRIPT)[1] and other.curl(f"{seed}user-data")[0] == 403
        # Another address that this machine takes, as with a static one after the kernel has started.
        mine.call("ip", "addr", "flush", "dev", "eth0")
        mine.call("ip", "addr", "add", "10.77.0.50/24", "dev", "eth0")
        assert mine.curl(f"{seed}user-data") == (200, f"user-data {SECRET} cp1\n")
        # One that takes the address of another machine's lease.
        other.call("ip", "addr", "flush", "dev", "eth0")
        mine.call("ip", "addr", "add", f"{theirs}/24", "dev", "eth0")
        mine.call("busybox", "arping", "-U", "-c", "1", "-I", "eth0", theirs)
        status, text = mine.curl(f"{seed}user-data", "--interface", theirs)
        assert status == 403 and SECRET not in text
        mine.call("ip", "addr", "del", f"{theirs}/24", "dev", "eth0")
        wanted = {
            "tcp 10.77.0.1:8080", "udp 0.0.0.0%br0:67", "udp 10.77.0.1:69", "udp [::]%br0:547",
        }  # fmt: skip
        found = {line.rpartition(" ")[0] for line in network.sockets()}
        assert {line for line in found if "fe80::" not in line} == wanted
        server.kill()
    limit = Deadline(30)
    while any("dnsmasq" in line for line in network.sockets()):
        assert not limit.passed()
        time.sleep(0.1)
    with serving(network, lab, *options, times=2) as server:
        assert mine.curl(f"{seed}meta-data") == (200, f"meta-data {SECRET} cp1\n")
        status, script = mine.curl(SCRIPT)
        assert status == 200
        (report,) = re.findall(r"imgbuild\.report=(\S+)", script)
        assert mine.curl(report, "-d", "event=installed")[0] == 204
        words = [sys.executable, "-m", "imgbuild", "serve", str(lab), "--state", str(network.folder / "state")]
        assert "booting its disk" in mine.curl(SCRIPT)[1]
        rearm = ["ip", "netns", "exec", network.server, *words, "--rearm", "cp1"]
        assert subprocess.run(rearm, timeout=HUNG).returncode == 0
        assert "loading the kernel" in mine.curl(SCRIPT)[1]
        second = subprocess.run([*words, "--listen", "127.0.0.1", "--port", "8099"], capture_output=True, text=True)
        assert second.returncode == 3 and "another imgbuild serve" in second.stderr
        assert server.kill(signal.SIGTERM) == 0
    assert subprocess.run([*words, "--rearm", "w1"], timeout=HUNG).returncode == 0
    assert subprocess.run([*words, "--rearm", "w7"], timeout=HUNG).returncode == 2
    assert all(token not in server.text() for token in (seed, SECRET))


def test_beside_another_dhcp_server_the_neighbour_table_decides(network: Segment, lab: Path) -> None:
    with serving(network, lab, "--interface", "br0", "--proxy-dhcp") as server:
        mine, other = network.machine(CP1, "10.77.0.11"), network.machine(W1, "10.77.0.12")
        seed = seed_of(mine.curl(SCRIPT)[1])
        assert mine.curl(f"{seed}user-data")[0] == 200 and other.curl(f"{seed}user-data")[0] == 403
        assert "belongs to" in other.curl(SCRIPT)[1]
        assert "proxy DHCP on br0" in server.text()


BAD: list[tuple[tuple[str, ...], int, str]] = [
    (("--interface", "br9"), 3, "there is no interface br9"),
    (("--listen", "192.0.2.1"), 3, "ip -brief address"),
    (("--listen", SERVER, "--port", "8081"), 3, "pass another --port"),
    (("--interface", "br0", "--dhcp", "10.77.0.5,10.77.0.1"), 2, "not a range in 10.77.0.0/24"),
    (("--interface", "br0", "--dhcp", "10.77.0.1,10.77.0.9"), 2, "contains 10.77.0.1"),
    (("--interface", "br0", "--dhcp", "10.78.0.1,10.78.0.9"), 2, "not a range"),
    (("--interface", "br0", "--dhcp", "all"), 2, "FIRST,LAST"),
    (("--interface", "br0", "--dhcp", "10.77.0.5,10.77.0.9", "--proxy-dhcp"), 2, "one DHCP server"),
    (("--interface", "br0", "--tls-cert", "/dev/null"), 2, "belong together"),
    (("--interface", "br0", "--tls-cert", "/dev/null", "--tls-key", "/dev/null"), 3, "PEM files"),
    (("--interface", "br0", "--url", "10.0.0.2"), 2, "is not an address such as"),
]


def test_what_cannot_be_served_says_so(network: Segment, lab: Path) -> None:
    words = ["ip", "netns", "exec", network.server, sys.executable]
    taken = "import socket,time; s=socket.create_server(('10.77.0.1', 8081)); print(flush=True); time.sleep(900)"
    with subprocess.Popen([*words, "-c", taken], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        for number, (options, code, text) in enumerate(BAD):
            state = network.folder / f"state{number}"
            call = [*words, "-m", "imgbuild", "serve", str(lab), "--state", str(state), *options]
            done = subprocess.run(call, capture_output=True, text=True, timeout=60)
            assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
            assert text in " ".join(done.stderr.split()), done.stderr
        other.kill()


def test_a_dhcp_server_that_is_there_already(network: Segment, lab: Path) -> None:
    conf = network.folder / "other.conf"
    conf.write_text("port=0\ninterface=br0\nbind-interfaces\nenable-tftp\ntftp-root=/tmp\n")
    words = ["ip", "netns", "exec", network.server]
    call = [*words, sys.executable, "-m", "imgbuild", "serve", str(lab), "--state", str(network.folder / "state")]
    with subprocess.Popen([*words, "dnsmasq", "--keep-in-foreground", f"--conf-file={conf}"]) as other:
        limit = Deadline(30)
        while not network.sockets():
            assert not limit.passed()
            time.sleep(0.1)
        done = subprocess.run(
            [*call, "--interface", "br0", "--proxy-dhcp"], capture_output=True, text=True, timeout=HUNG
        )
        other.kill()
    assert done.returncode == 3 and "another server uses port 69 (TFTP)" in done.stderr, done.stderr
