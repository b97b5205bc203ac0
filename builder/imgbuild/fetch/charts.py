"""Find a chart in the index of its repository, or in a registry."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import yaml

from imgbuild.config.profile import Server
from imgbuild.facts.outside import Chart
from imgbuild.facts.registries import source
from imgbuild.fetch.address import shown
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.limits import Limits
from imgbuild.fetch.oci_format import CHART_ARCHIVE, DIGEST, hex_of
from imgbuild.fetch.publisher import text_at
from imgbuild.fetch.registry import AnswerError, Registries

_INDEX = Limits(total_seconds=600.0, max_bytes=128 << 20, tries=3)
"""Indexes grow with every release: some have tens of megabytes."""


@dataclass(frozen=True)
class Found:
    """A chart's archive. ``sha256`` None: the index has no checksum."""

    urls: tuple[str, ...]
    sha256: str | None
    size: int | None
    source: str
    """Where this is from: the address of the index, or of the manifest."""


class Charts:
    """Repositories, each asked once. Threads may share it."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._lock = threading.Lock()
        self._indexes: dict[str, Any] = {}

    def find(self, chart: Chart, version: str) -> Found:
        """The archive of a chart.

        Raises:
            FetchError: the repository does not answer, or has no such chart or version.
            HostError: skopeo is needed and is not installed.
        """
        return self._in_index(chart, version) if chart.name else self._in_registry(chart, version)

    def _in_index(self, chart: Chart, version: str) -> Found:
        address = f"{chart.repository.rstrip('/')}/index.yaml"
        with self._lock:
            if address not in self._indexes:
                self._indexes[address] = _entries(address)
            entries = self._indexes[address]
        known = entries.get(chart.name)
        if not isinstance(known, list):
            raise FetchError(f"{shown(address)} has no chart {chart.name}", "check the chart's name and its repository")
        rows = [row for row in known if isinstance(row, dict)]
        for row in rows:
            # Helm takes 1.2.3 for v1.2.3 and the other way round.
            if str(row.get("version", "")).removeprefix("v") != version.removeprefix("v"):
                continue
            urls = _joined(address, row.get("urls"))
            if not urls:
                raise FetchError(f"{shown(address)} has no address of {chart.name} {version}", "ask its publisher")
            digest = f"sha256:{str(row.get('digest')).removeprefix('sha256:').lower()}"
            return Found(urls, digest.partition(":")[2] if DIGEST.fullmatch(digest) else None, None, address)
        newest = ", ".join(str(row.get("version")) for row in rows[:3])
        raise FetchError(
            f"{shown(address)} has no version {version} of the chart {chart.name}", f"its first ones are {newest}"
        )

    def _in_registry(self, chart: Chart, version: str) -> Found:
        """A chart is an artifact with one layer, the archive. + is not a character of tags and becomes _ (helm.sh)."""
        host, _, path = chart.repository.removeprefix("oci://").partition("/")
        tag, place = version.replace("+", "_"), source(Server(url=f"https://{host}"))
        try:
            found = json.loads(self._registries.manifest(place, f"{path}:{tag}"))
            layers = [layer for layer in found["layers"] if layer["mediaType"] == CHART_ARCHIVE]
            sha256, size = hex_of(layers[0]["digest"]), int(layers[0]["size"])
        except AnswerError as error:
            raise FetchError(f"{host}: {error}", "check the chart's address, its version and the login") from error
        except (ValueError, TypeError, KeyError, IndexError):
            raise FetchError(f"{host}/{path}:{tag} is not a chart", "check the chart's address") from None
        at = f"{place.url}/v2/{path}"
        return Found((f"{at}/blobs/sha256:{sha256}",), sha256, size, f"{at}/manifests/{tag}")


def _joined(address: str, urls: Any) -> tuple[str, ...]:
    """The addresses of a chart, which can be relative to the index; none if there is one that cannot be read."""
    try:
        found = urls if isinstance(urls, list) else []
        return tuple(urljoin(address, url) for url in found if isinstance(url, str) and url)
    except ValueError:
        return ()


def _entries(address: str) -> Any:
    text = text_at(address, _INDEX)
    try:
        found = yaml.load(text, yaml.CSafeLoader)
        entries = found["entries"]
    except (yaml.YAMLError, ValueError, TypeError, KeyError):
        entries = None
    if not isinstance(entries, dict):
        raise FetchError(f"{shown(address)} is not the index of a chart repository", "check the repository's address")
    return entries
