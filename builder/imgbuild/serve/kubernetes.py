"""The nodes of a cluster as its API server has them, asked with a kubeconfig. No kubectl is needed."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import urllib3
import yaml

from imgbuild.diagnostics.errors import HostError, UsageError

_TIMEOUT = urllib3.Timeout(connect=5, read=20)


class Api:
    """One API server, and how to log in there."""

    def __init__(self, pool: urllib3.PoolManager, server: str, headers: Mapping[str, str]) -> None:
        self._pool, self._server, self._headers = pool, server, headers

    def not_ready(self) -> dict[str, str]:
        """Each node that the cluster has, and why it is not Ready; empty for one that is.

        Raises:
            HostError: the API server does not answer, or not to this login.
        """
        try:
            answer = self._pool.request("GET", f"{self._server}/api/v1/nodes", headers=dict(self._headers))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise HostError(f"the API server {self._server} does not answer: {error}", "is it up?") from error
        if answer.status != 200:
            hint = "pass a kubeconfig that may list nodes, such as /etc/kubernetes/admin.conf of a control plane"
            raise HostError(f"the API server {self._server} answered with {answer.status}", hint)
        try:
            items = json.loads(answer.data)["items"]
            return {item["metadata"]["name"]: _reason(item.get("status", {}).get("conditions", [])) for item in items}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HostError(f"{self._server} is not a Kubernetes API server", "check the kubeconfig") from error


def _reason(conditions: list[dict[str, Any]]) -> str:
    ready = next((each for each in conditions if each.get("type") == "Ready"), None)
    if ready is None:
        return "its kubelet has not reported yet"
    if ready.get("status") == "True":
        return ""
    return f"{ready.get('reason', 'NotReady')}: {ready.get('message', '')}".rstrip(": ")


@contextmanager
def api(kubeconfig: Path) -> Iterator[Api]:
    """The API server of the current context of a kubeconfig.

    Raises:
        UsageError: it cannot be read, or logs in in a way that this does not know.
    """
    try:
        data = yaml.safe_load(kubeconfig.read_text())
        current = data["current-context"]
        context = _named(data["contexts"], current)["context"]
        cluster = _named(data["clusters"], context["cluster"])["cluster"]
        user = _named(data["users"], context["user"])["user"]
        server = str(cluster["server"]).rstrip("/")
    except OSError as error:
        raise UsageError(f"cannot read {kubeconfig}: {error.strerror}", "pass the file with --kubeconfig") from error
    except (yaml.YAMLError, KeyError, TypeError, StopIteration, UnicodeDecodeError) as error:
        raise UsageError(f"{kubeconfig} is not a kubeconfig with a current context", "check the file") from error
    headers = {"Accept": "application/json"}
    if user.get("token"):
        headers["Authorization"] = f"Bearer {user['token']}"
    elif not (user.get("client-certificate-data") or user.get("client-certificate")):
        hint = "pass one with a token or a client certificate, such as /etc/kubernetes/admin.conf"
        raise UsageError(f"{kubeconfig} has neither a token nor a client certificate", hint)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgbuild-wait-")))  # 0700
        ca = _file(cluster, "certificate-authority", kubeconfig, folder)
        certificate = _file(user, "client-certificate", kubeconfig, folder)
        key = _file(user, "client-key", kubeconfig, folder)
        yield Api(
            stack.enter_context(
                urllib3.PoolManager(
                    ca_certs=ca,
                    cert_file=certificate,
                    key_file=key,
                    retries=False,
                    timeout=_TIMEOUT,
                    server_hostname=cluster.get("tls-server-name"),
                )
            ),
            server,
            headers,
        )


def _named(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(row for row in rows if row["name"] == name)


def _file(data: Mapping[str, Any], key: str, kubeconfig: Path, folder: Path) -> str | None:
    """A file that the kubeconfig names, or has as base64."""
    text = data.get(f"{key}-data")
    if text:
        place = folder / key
        place.touch(mode=0o600)
        try:
            place.write_bytes(base64.b64decode(text, validate=True))
        except ValueError as error:
            raise UsageError(f"{kubeconfig}: {key}-data is not base64", "check the file") from error
        return str(place)
    return str(kubeconfig.parent / data[key]) if data.get(key) else None
