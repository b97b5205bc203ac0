"""Talk to a serve that runs already: rearm a node, or read what it knows of the nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from pydantic import BaseModel, ValidationError

from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.serve.state import KEY, RUNNING

_TIMEOUT = urllib3.Timeout(connect=5, read=10)


class Running(BaseModel):
    """What a running serve writes into its state folder: the address that it listens at, and its certificate's
    SHA-256, which is enough to know it there.
    """

    url: str
    fingerprint: str | None = None


@dataclass(frozen=True)
class Where:
    """A serve to talk to. ``ca``: a file with the authority of its certificate; None for those that this host knows."""

    url: str
    key: str
    ca: Path | None = None
    fingerprint: str | None = None


def running(state: Path) -> Where | None:
    """The serve that uses this state; None if none runs."""
    try:
        found = Running.model_validate_json((state / RUNNING).read_bytes())
        return Where(found.url, (state / KEY).read_text().strip(), fingerprint=found.fingerprint)
    except (OSError, ValidationError):
        return None


def rearm(where: Where, name: str) -> None:
    """Have a running serve rearm a node.

    Raises:
        UsageError: it has no such node.
        HostError: it does not answer.
    """
    answer = _ask("POST", where, "do/rearm", json.dumps({"mac": name}).encode())
    if answer.status == 404:
        raise UsageError(str(json.loads(answer.data).get("error", "there is no such node")))
    _expect(answer, where.url)


def state_of(where: Where) -> dict[str, Any]:
    """What a running serve knows: the JSON of its page.

    Raises:
        HostError: it does not answer, or not to this key.
    """
    answer = _ask("GET", where, "state.json")
    _expect(answer, where.url)
    try:
        data: dict[str, Any] = json.loads(answer.data)
    except ValueError as error:
        raise HostError(f"{where.url} is not imgbuild serve", "pass the link that imgbuild serve printed") from error
    return data


def _ask(method: str, where: Where, path: str, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
    headers = {"Authorization": f"Bearer {where.key}", "X-Imgbuild": "1", "Content-Type": "application/json"}
    certificate: dict[str, Any] = {"ca_certs": str(where.ca) if where.ca else None}
    if where.fingerprint is not None:  # whoever signed it, and for whatever name
        certificate = {"cert_reqs": "CERT_NONE", "assert_fingerprint": where.fingerprint}
    try:
        with urllib3.PoolManager(retries=False, timeout=_TIMEOUT, **certificate) as pool:
            return pool.request(method, f"{where.url}{path}", headers=headers, body=body, redirect=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise HostError(f"{where.url} does not answer: {error}", "is imgbuild serve running there?") from error


def _expect(answer: urllib3.BaseHTTPResponse, url: str) -> None:
    if answer.status == 401:
        raise HostError(f"{url} does not accept this key", "pass the link that imgbuild serve printed, key included")
    if answer.status != 200:
        raise HostError(f"{url} answered with {answer.status}", "pass the link that imgbuild serve printed")
