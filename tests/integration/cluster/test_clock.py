"""A node asks the API server for the time before it joins: in chroots, with the real curl and date."""

from __future__ import annotations

import tempfile
import time

import pytest

from imgbuild.config.secrets import make
from tests.integration.cluster.test_firstboot import (
    ADMIN,
    FIRSTBOOT,
    background,
    boot,
    ends,
    finished,
    lay,
    of,
    waits_for,
)
from tests.support.cluster.ground import Node
from tests.support.cluster.nodes import MakeNode

AT = "the API server's at 10.0.0.1:6443"


def date(server: Node, ahead: str) -> None:
    """The API server's clock is ahead by these seconds; none: its answers have no Date."""
    server.ok("bash", "-c", 'printf %s "$1" > /standin/date.new; mv /standin/date.new /standin/date', "date", ahead)


@pytest.mark.slow
def test_a_node_joins_when_its_clock_agrees(make_node: MakeNode) -> None:
    first, late, undated = make_node("node1"), make_node("node2"), make_node("node3")
    lay(of("control-plane", "worker", "worker"), make("demo", int(time.time())), first, late, undated)
    for node in (first, late, undated):
        boot(node)
    first.ok(FIRSTBOOT)
    # A proxy's Date is not asked for: with a proxy that does not answer nothing changes.
    late.write("/etc/imgbuild/proxy.env", "https_proxy=http://127.0.0.1:9\nno_proxy=localhost\n")
    date(first, "3630")
    with tempfile.TemporaryFile() as out:
        process = background(late, out)
        waits_for(late, f"this node's clock is 60 min behind {AT}")
        assert "chrony is synchronised here: is the API server's own clock right?" in late.read(
            "/run/imgbuild/status.json"
        )
        date(first, "-600")
        waits_for(late, f"ahead of {AT}")
        assert not late.exists("/etc/kubernetes/kubelet.conf")
        date(first, "-150")
        ends(process, out)
        out.seek(0)
        said = out.read().decode()
    finished(late)
    assert said.count(f"behind {AT}") == 1, said  # what stays the same is printed once
    assert f"notice: this node's clock is 2 min ahead of {AT}" in said
    date(first, "none")
    said = undated.ok(FIRSTBOOT)
    finished(undated)
    assert "clock is" not in said.replace("the clock is synchronised", "")
    date(first, "0")
    first.ok(*ADMIN, "wait", "--for=condition=Ready", "node/node2", "node/node3", "--timeout=60s")
