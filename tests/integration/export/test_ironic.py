"""The real client of Ironic sends what was exported to a stand-in for its API, which checks what the API requires."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.export.test_scripts import placed
from tests.support.deadline import HUNG
from tests.support.exporting import FETCHED, exported
from tests.unit.export.test_golden import NODES

VERSION = {"X-OpenStack-Ironic-API-Minimum-Version": "1.1", "X-OpenStack-Ironic-API-Maximum-Version": "1.78"}
NODE = {"name", "driver", "driver_info", "properties", "boot_interface"}
"""Of the fields that a node may be made with (api-ref: Create Node), those that an export has."""


class Api(BaseHTTPRequestHandler):
    """Nodes, ports and provisioning, as far as the client asks for them."""

    calls: list[tuple[str, str, Any]]

    def answer(self, code: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        for name, value in {**VERSION, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2].partition("?")[0]
        self.answer(200, {"uuid": name, "name": name, "provision_state": "available", "instance_info": {}})

    def do_POST(self) -> None:
        body = self.body()
        self.calls.append(("POST", self.path, body))
        wrong = set(body) - NODE if self.path == "/v1/nodes" else set(body) - {"address", "pxe_enabled", "node_uuid"}
        self.answer(400 if wrong else 201, {"uuid": body.get("name") or body["address"], **body})

    def do_PATCH(self) -> None:
        body = self.body()
        self.calls.append(("PATCH", self.path, body))
        self.answer(200, {"uuid": self.path.rpartition("/")[2]})

    def do_PUT(self) -> None:
        self.calls.append(("PUT", self.path, self.body()))
        self.answer(202, None)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def api() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """Its address, and what it was asked to change."""
    calls: list[tuple[str, str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Api,), {"calls": calls}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", calls
    server.shutdown()
    server.server_close()


def run(address: str, folder: Path, *words: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OS_AUTH_TYPE": "none", "OS_ENDPOINT": address}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=HUNG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nodes_ports_image_and_config_drive(api: tuple[str, list[tuple[str, str, Any]]], tmp_path: Path) -> None:
    address, calls = api
    folder = placed(exported("ironic", tmp_path, NODES), tmp_path / "ironic")
    run(address, folder, "openstack", "baremetal", "create", "nodes.json")
    nodes = [body for _, path, body in calls if path == "/v1/nodes"]
    ports = [body for _, path, body in calls if path == "/v1/ports"]
    assert [node["name"] for node in nodes] == ["cp1.example.com", "w1"]
    assert nodes[0]["driver"] == "redfish" and nodes[1]["driver"] == "ipmi"
    assert [(port["node_uuid"], port["address"]) for port in ports] == [
        ("cp1.example.com", "52:54:00:00:00:01"), ("w1", "52:54:00:00:00:02"),
        ("w1", "52:54:00:00:00:03"), ("w1", "52:54:00:00:00:04"),
    ]  # fmt: skip
    calls.clear()
    run(address, folder, "./deploy.sh", "w1")
    (patch, put) = calls
    assert patch[:2] == ("PATCH", "/v1/nodes/w1") and put[:2] == ("PUT", "/v1/nodes/w1/states/provision")
    info = {change["path"]: change["value"] for change in patch[2]}
    assert info["/instance_info/image_source"] == FETCHED.image_url
    assert info["/instance_info/image_os_hash_value"] == FETCHED.image_sha256
    assert put[2]["target"] == "active"
    drive = gzip.decompress(base64.b64decode(put[2]["configdrive"]))
    assert re.search(rb"#cloud-config\n# w1, worker of lab", drive)
