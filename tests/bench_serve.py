"""serve's figures: one large file to one client and to several, paired with nginx in the same run."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.serving.fleet import fleet
from tests.support.serving.tree import make_tree

_SIZE = 512 << 20
_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; client_body_temp_path {folder}/t; proxy_temp_path {folder}/t;
  fastcgi_temp_path {folder}/t; uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
  server {{ listen 127.0.0.1:8742; root {root}; }} }}
"""


@contextmanager
def _running(call: list[str], url: str) -> Iterator[None]:
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server
                    break
                except OSError:
                    time.sleep(0.1)
            yield
        finally:
            server.kill()


def _rate(url: str, machines: int) -> float:
    """Bytes a second; curl for one client, as it costs least."""
    if machines == 1:
        words = ["curl", "-sS", "-f", "-o", "/dev/null", "-w", "%{speed_download}", url]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    found = asyncio.run(fleet(url, machines, _SIZE, ""))
    if found["whole"] != machines:
        raise RuntimeError(str(found))
    return float(str(found["bytes_per_second"]))


def throughput(machines: int, runs: int = 5) -> tuple[list[float], str]:
    """serve's throughput as a share of nginx's, for each pair of runs; and the median rates, as a text."""
    with tempfile.TemporaryDirectory() as name:
        folder = make_tree(Path(name) / "lab")
        with (folder / "pxe/root.squashfs").open("wb") as out:
            for _ in range(_SIZE >> 20):
                out.write(os.urandom(1 << 20))
        conf = Path(name) / "nginx.conf"
        conf.write_text(_NGINX.format(folder=name, root=folder / "pxe"))
        for path in (Path(name), folder, folder / "pxe"):
            path.chmod(0o755)
        ours, theirs = "http://127.0.0.1:8741/", "http://127.0.0.1:8742/"
        call = [sys.executable, "-m", "imgbuild", "serve", str(folder), "--listen", "127.0.0.1", "--port", "8741"]
        with (
            _running([*call, "--state", f"{name}/state"], f"{ours}vmlinuz"),
            _running(["/usr/sbin/nginx", "-c", str(conf)], f"{theirs}vmlinuz"),
        ):
            pairs = [[_rate(f"{url}root.squashfs", machines) for url in (ours, theirs)] for _ in range(runs)]
        rates = [statistics.median(pair[number] for pair in pairs) / 1e6 for number in (0, 1)]
        return [us / them for us, them in pairs], f"{rates[0]:.0f} MB/s, nginx {rates[1]:.0f} MB/s"


if __name__ == "__main__":
    for count in (1, 8):
        shares, text = throughput(count)
        print(f"{count} clients: {statistics.median(shares):.2f} of nginx, {sorted(shares)}; {text}")
