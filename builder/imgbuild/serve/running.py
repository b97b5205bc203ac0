"""Talk to a serve that runs already: rearm a node, or read what it knows of the nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import urllib3
from pydantic import BaseModel, ValidationError

from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.serve.store import KEY, RUNNING

_TIMEOUT = urllib3.Timeout(connect=5, read=10)


class Running(BaseModel):
    """What a running serve writes into its state folder."""

    url: str
    port: int


def running(state: Path) -> tuple[str, str] | None:
    """The address and the key of the serve that uses this state; None if none runs."""
    try:
        found = Running.model_validate_json((state / RUNNING).read_bytes())
        return found.url, (state / KEY).read_text().strip()
    except (OSError, ValidationError):
        return None


def rearm(url: str, key: str, name: str, ca: Path | None = None) -> None:
    """Have a running serve rearm a node.

    Raises:
        UsageError: it has no such node.
        HostError: it does not answer.
    """
    answer = _ask("POST", f"{url}do/rearm", key, ca, json.dumps({"mac": name}).encode())
    if answer.status == 404:
        raise UsageError(str(json.loads(answer.data).get("error", "there is no such node")))
    _expect(answer, url)


def state_of(url: str, key: str, ca: Path | None = None) -> dict[str, Any]:
    """What a running serve knows: the JSON of its page.

    Raises:
        HostError: it does not answer, or not to this key.
    """
    answer = _ask("GET", f"{url}state.json", key, ca)
    _expect(answer, url)
    try:
        data: dict[str, Any] = json.loads(answer.data)
    except ValueError as error:
        raise HostError(f"{url} is not imgbuild serve", "pass the link that imgbuild serve printed") from error
    return data


def _ask(method: str, url: str, key: str, ca: Path | None, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
    headers = {"Authorization": f"Bearer {key}", "X-Imgbuild": "1", "Content-Type": "application/json"}
    try:
        with urllib3.PoolManager(ca_certs=str(ca) if ca else None, retries=False, timeout=_TIMEOUT) as pool:
            return pool.request(method, url, headers=headers, body=body, redirect=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        where = url.rpartition("/")[0]
        raise HostError(f"{where} does not answer: {error}", "is imgbuild serve running there?") from error


def _expect(answer: urllib3.BaseHTTPResponse, url: str) -> None:
    if answer.status == 401:
        raise HostError(f"{url} does not accept this key", "pass the link that imgbuild serve printed, key included")
    if answer.status != 200:
        raise HostError(f"{url} answered with {answer.status}", "pass the link that imgbuild serve printed")
