"""Checksum files in every form that publishers have, and what servers tell about a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbuild.facts.outside import Chart
from imgbuild.facts.registries import Source
from imgbuild.fetch.charts import Charts
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.publisher import checksum_in, published, seen_at, size_at
from imgbuild.fetch.registry import AnswerError, Registries
from tests.support.publishers import Publishers, publishers, sha256

NONE = Registries(Path(), frozenset(), frozenset())
A, B = "a" * 64, "B" * 64


@pytest.fixture
def servers() -> Iterator[Publishers]:
    with publishers() as found:
        yield found


@pytest.mark.parametrize(
    "text",
    [
        A,  # dl.k8s.io
        f"{A}\n",  # crictl
        f"{A}  helm.tar.gz\n",  # get.helm.sh
        f"{A} *helm.tar.gz\r\n",  # sha256sum --binary, by Windows
        f"{B}  other.tar.gz\n{A}  ./helm.tar.gz\n",  # with a folder
        f"{B}  helm.tar.gz.asc\n{A}  helm.tar.gz\n",
        f"# helm.tar.gz: 4 bytes\nSHA256 (helm.tar.gz) = {A}\nSHA256 (x) = {B}\n",  # CentOS 8
        f"{A.upper()}\thelm.tar.gz",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{A}  helm.tar.gz\n-----BEGIN PGP SIGNATURE-----\n",
    ],
)
def test_a_checksum_is_found_in_each_form(text: str) -> None:
    assert checksum_in(text, "helm.tar.gz") == A


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Not Found</html>",
        A[:-1],
        f"{A}0",
        f"{A}  helm.tar",
        f"{A}  xhelm.tar.gz",
        f"{A}\n{B}\n",  # of which file?
        f"{A}  helm.tar.gz\n{B}  helm.tar.gz\n",  # which one?
        f"{'a' * 128}  helm.tar.gz\n",  # sha512
        f"SHA512 (helm.tar.gz) = {A}",
    ],
)
def test_nothing_is_taken_for_a_checksum_of_another_file(text: str) -> None:
    assert checksum_in(text, "helm.tar.gz") is None


def test_the_first_address_with_a_checksum_counts(servers: Publishers) -> None:
    servers.files["/two"] = f"{A}  x\n".encode()
    assert published([f"{servers.url}/one", f"{servers.url}/two"], "x") == (A, f"{servers.url}/two")
    assert published([f"{servers.url}/one", f"{servers.url}/two"], "y") is None


def test_a_server_that_cannot_be_asked_is_not_one_without_a_checksum(servers: Publishers) -> None:
    servers.files["/sums"] = b""
    servers.broken.add("/sums")
    with pytest.raises(FetchError, match=r"cannot be read: .*status 500"):
        published([f"{servers.url}/one", f"{servers.url}/sums"], "x")


@pytest.mark.parametrize("no_head", [False, True])
def test_size_and_checksum_are_those_of_the_first_address_that_has_it(servers: Publishers, no_head: bool) -> None:
    servers.no_head = no_head
    servers.files["/nerdctl/releases/download/x"] = b"content"
    places = [f"{servers.url}/gone", f"{servers.url}/nerdctl/releases/download/x"]
    assert size_at(places) == 7
    assert seen_at(places) == (sha256(b"content"), 7, places[1])
    with pytest.raises(FetchError, match=r"no address has it: .*/gone: the server answers with status 404"):
        size_at(places[:1])
    with pytest.raises(FetchError, match="no address has it"):
        seen_at(places[:1])


def test_a_chart_is_found_in_its_index(servers: Publishers) -> None:
    wanted = servers.chart("cilium", "1.19.6")
    servers.chart("cilium", "1.19.5", digest=False)
    charts, chart = Charts(NONE), Chart(f"{servers.url}/charts/", "cilium")
    found = charts.find(chart, "1.19.6")
    assert (found.sha256, found.urls) == (wanted, (f"{servers.url}/charts/cilium-1.19.6.tgz",))
    assert charts.find(chart, "v1.19.5").sha256 is None
    assert servers.asked == ["GET /charts/index.yaml"]
    with pytest.raises(FetchError, match=r"no version 1\.19\.7") as caught:
        charts.find(chart, "1.19.7")
    assert "1.19.6, 1.19.5" in caught.value.hint
    with pytest.raises(FetchError, match="no chart tetragon"):
        charts.find(Chart(chart.repository, "tetragon"), "1.0.0")


@pytest.mark.parametrize("text", [b"", b"<html>", b"entries: [1]", b"{", b"\xff\xfe"])
def test_what_is_no_index_is_an_error(servers: Publishers, text: bytes) -> None:
    servers.files["/charts/index.yaml"] = text
    with pytest.raises(FetchError, match="is not the index of a chart repository"):
        Charts(NONE).find(Chart(f"{servers.url}/charts", "cilium"), "1.0.0")


class Registry(Registries):
    """One that has this manifest, at the address that it is asked for."""

    def manifest(self, source: Source, place: str) -> bytes:
        if place != "stable/app:1.2.3_build.4":
            raise AnswerError("manifest unknown")
        return json.dumps({"layers": LAYERS}).encode()


LAYERS = [
    {"mediaType": "application/vnd.cncf.helm.chart.provenance.v1.prov", "digest": f"sha256:{'b' * 64}", "size": 7},
    {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": f"sha256:{A}", "size": 4711},
]


def test_a_chart_is_found_in_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """helm pushes its archive as one layer; a plus in the version is an underscore in the tag."""
    charts, chart = Charts(Registry(Path(), frozenset(), frozenset())), Chart("oci://hub.example.com/stable/app", "")
    found = charts.find(chart, "1.2.3+build.4")
    assert (found.sha256, found.size) == (A, 4711)
    assert found.urls == (f"https://hub.example.com/v2/stable/app/blobs/sha256:{A}",)
    with pytest.raises(FetchError, match=r"hub\.example\.com: manifest unknown"):
        charts.find(chart, "1.2.4")
    monkeypatch.setattr("tests.unit.fetch.test_publisher.LAYERS", LAYERS[:1])
    with pytest.raises(FetchError, match="is not a chart"):
        charts.find(chart, "1.2.3+build.4")
