"""Servers that misbehave: every way ends in the right file, or in one clear error, with exit code 3 and no login."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError
from imgbuild.fetch.ask import ask
from imgbuild.fetch.failure import FetchError
from imgbuild.fetch.limits import Limits
from tests.support.fetch_server import CONTENT, Act, Server, Talk, cut, raw, right, slow, status
from tests.support.fetching import download
from tests.support.image.recorder import Recorder

SUM = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(
    connect_seconds=2, stall_seconds=0.5, stall_bytes=1024, total_seconds=20, max_bytes=1 << 20, tries=3,
    progress_bytes=64 << 10, pause_seconds=0.01, max_pause_seconds=0.02, max_wait_seconds=2,
)  # fmt: skip
LOGIN = "hunter2"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def chunked(*pieces: bytes) -> Act:
    def act(talk: Talk) -> None:
        talk.head("200 OK", "Transfer-Encoding: chunked")
        for piece in pieces:
            talk.send(piece)

    return act


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def with_headers(*headers: str, line: str = "200 OK", body: bytes = CONTENT) -> Act:
    def act(talk: Talk) -> None:
        talk.head(line, *headers)
        talk.send(body)

    return act


def sent(text: str, status_line: str = "302 Found") -> Act:
    return status(status_line, f"Location: {text}")


def circle(talk: Talk) -> None:
    other = "/b" if " /a " in talk.request else "/a"
    talk.head("302 Found", f"Location: {other}", "Content-Length: 0")


def further(talk: Talk) -> None:
    talk.head("302 Found", f"Location: /{talk.number}", "Content-Length: 0")


def headers_without_end(talk: Talk) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\n")
    talk.flood(b"X-More: and more\r\n")


def header_drip(talk: Talk) -> None:
    talk.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000)


def continues(talk: Talk) -> None:
    talk.flood(b"HTTP/1.1 100 Continue\r\n\r\n")


def body_drip(talk: Talk) -> None:
    talk.head("200 OK", f"Content-Length: {len(CONTENT)}")
    talk.drip(CONTENT)


def chunk_drip(talk: Talk) -> None:
    talk.head("200 OK", "Transfer-Encoding: chunked")
    for byte in CONTENT:
        talk.send(chunk(bytes([byte])))
        if talk.server.closing.wait(0.02):
            return


def trailers_without_end(talk: Talk) -> None:
    chunked(chunk(CONTENT), b"0\r\n")(talk)
    talk.flood(b"X-More: and more\r\n")


def extension_without_end(talk: Talk) -> None:
    talk.head("200 OK", "Transfer-Encoding: chunked")
    talk.flood(b"5;" + b"x" * 4000)


def body_without_end(talk: Talk) -> None:
    talk.head("200 OK")
    talk.flood(CONTENT)


def chunks_without_end(talk: Talk) -> None:
    talk.head("200 OK", "Transfer-Encoding: chunked")
    talk.flood(chunk(CONTENT))


def silent(talk: Talk) -> None:
    talk.hang()


def silent_in_the_body(talk: Talk) -> None:
    talk.head("200 OK", f"Content-Length: {len(CONTENT)}")
    talk.send(CONTENT[:5000])
    talk.hang()


def closes(talk: Talk) -> None:
    """Not a byte."""


OK = None
GOOD = f"Content-Length: {len(CONTENT)}"
# What the server does (each act answers one request, the last one all that follow); what the error says, or OK.
TABLE: dict[str, tuple[tuple[Act, ...], str | None]] = {
    # what a good server does
    "right": ((right,), OK),
    "slow to start": ((slow(0.2),), OK),
    "no length": ((with_headers(),), OK),
    "chunked": ((chunked(chunk(CONTENT[:9]), chunk(CONTENT[9:]), b"0\r\n\r\n"),), OK),
    "chunked with extension and trailer": (
        (chunked(b"%x;a=b\r\n%s\r\n" % (len(CONTENT), CONTENT), b"0\r\nX: y\r\n\r\n"),), OK,
    ),
    "a header twice": ((with_headers(GOOD, "X: 1", "X: 2"),), OK),
    "an old protocol": ((raw(b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT),), OK),
    "lines that end in LF": ((raw(b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(CONTENT) + CONTENT),), OK),
    "103 first": ((raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + CONTENT),), OK),
    "gzip in name only": ((with_headers(GOOD, "Content-Encoding: gzip"),), OK),
    "301": ((sent("/other", "301 Moved"), right), OK),
    "307 and 308": ((sent("/a", "307 X"), sent("b?x=1#y", "308 X"), right), OK),
    # what passes when asked again
    "500 once": ((status("500 Oh"), right), OK),
    "502, 503": ((status("502 Oh"), status("503 Oh"), right), OK),
    "429 with seconds": ((status("429 Slow", "Retry-After: 0"), right), OK),
    "429 with a date": ((status("429 Slow", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"), right), OK),
    "429 with nonsense": ((status("429 Slow", "Retry-After: -5 parsecs"), right), OK),
    "503 with no number": ((status("503 X", "Retry-After: " + "9" * 5000 + "x"), right), OK),
    "closes at once": ((closes, right), OK),
    "closes in the headers": ((raw(b"HTTP/1.1 200 OK\r\nContent-"), right), OK),
    "closes in the body": ((cut(100_000, 'ETag: "one"'), right), OK),
    "closes in the body, twice": ((cut(100_000), right), OK),
    "closes in a chunk": ((chunked(b"%x\r\n" % len(CONTENT) + CONTENT[:100]), right), OK),
    "closes without the last chunk": ((chunked(chunk(CONTENT[:100])), right), OK),
    "stalls once": ((silent_in_the_body, right), OK),
    "a bad status line once": ((raw(b"nonsense\r\n\r\n"), right), OK),
    # ranges
    "no ranges": ((cut(100_000), with_headers(GOOD)), OK),
    "416 for what is there": ((cut(100_000), status("416 No"), right), OK),
    "416 that the part is whole": (
        (with_headers(f"Content-Length: {len(CONTENT) + 9}"),
         status("416 No", f"Content-Range: bytes */{len(CONTENT)}")), OK,
    ),
    "416 with nonsense": ((cut(100_000), status("416 No", "Content-Range: bytes */x"), right), OK),
    "206 of another place": (
        (cut(100_000), with_headers("Content-Range: bytes 0-4/307200", line="206 P", body=b"01234"), right), OK,
    ),
    "206 of another size": (
        (cut(100_000), with_headers(f"Content-Range: bytes 100000-{len(CONTENT)}/{len(CONTENT) + 1}", line="206 P"),
         right), OK,
    ),
    "206 without a range": ((cut(100_000), with_headers(GOOD, line="206 Partial"), right), OK),
    "206 in lines": ((cut(100_000), with_headers("Content-Range: lines 1-2/3", line="206 Partial"), right), OK),
    "206 whose length lies": (
        (cut(100_000), with_headers("Content-Length: 7", "Content-Range: bytes 100000-307199/307200", line="206 P",
                                    body=b"1234567"), right), OK,
    ),
    "206 that ends before it begins": (
        (cut(100_000), with_headers("Content-Range: bytes 100000-99999/307200", line="206 P", body=b""), right), OK,
    ),
    "206 of several parts": (
        (cut(100_000), with_headers("Content-Type: multipart/byteranges; boundary=x", line="206 P", body=b"--x"),
         right), OK,
    ),
    "206 of a changed file": (
        (cut(100_000),
         with_headers(f"Content-Range: bytes 100000-{len(CONTENT) - 1}/{len(CONTENT)}", line="206 P",
                      body=bytes(len(CONTENT) - 100_000)), right), OK,
    ),
    "206 that was not asked for": (
        (with_headers(GOOD, "Content-Range: bytes 0-1/2", line="206 P"),), "answers with status 206",
    ),
    # answers that will not change
    "404": ((status("404 Not Found"),), "the server answers with status 404"),
    "401": ((status("401 X", f'WWW-Authenticate: Basic realm="{LOGIN}"'),), "the server asks for a login"),
    "403": ((status("403 X"),), "the server answers with status 403"),
    "407": ((status("407 X"),), "the proxy requires a login"),
    "410": ((status("410 X"),), "the server answers with status 410"),
    "204": ((status("204 X"),), "the server answers with status 204"),
    "304": ((status("304 X"),), "the server answers with status 304"),
    "300": ((status("300 X"),), "the server answers with status 300"),
    "999": ((status("999 X"),), "the server answers with status 999"),
    "500 always": ((status("500 X"),), r"the server answers with status 500 \(tried 3 times\)"),
    "429 for hours": ((status("429 X", "Retry-After: 7200"),), "requests a pause of 7200 s"),
    "another file": ((with_headers("Content-Length: 5", body=b"12345"),), "has the sha256"),
    "an empty file": ((status("200 OK"),), "has the sha256"),
    "a gzip bomb": (
        (with_headers("Content-Encoding: gzip", body=gzip.compress(bytes(100 << 20))),), "has the sha256",
    ),
    "longer than it says": ((with_headers("Content-Length: 5"),), "has the sha256"),
    # redirects
    "in a loop": ((circle,), "redirects in a loop"),
    "to itself": ((sent("/base.qcow2"),), "redirects in a loop"),
    "further and further": ((further,), "more than 10 times"),
    "to nowhere": ((status("302 X"),), "sends no address"),
    "to an empty place": ((status("302 X", "Location: "),), "sends no address"),
    "to a file": ((sent("file:///etc/shadow"),), "redirects to file: only http"),
    "to ftp": ((sent("ftp://127.0.0.1/x"),), "redirects to ftp"),
    "to javascript": ((sent("javascript:alert(1)"),), "redirects to javascript"),
    "to half an address": ((sent("http://[::1"),), "not an address"),
    "to no host": ((sent("http:///x"),), "redirects in a loop|not a valid address"),
    "to a port of letters": ((sent("http://127.0.0.1:abc/"),), "not a valid address"),
    "to port 0": ((sent("http://127.0.0.1:0/"),), "not a valid address"),
    "to port 99999": ((sent("http://127.0.0.1:99999/"),), "not a valid address"),
    "to a long label": ((sent(f"http://{'a' * 70}.example/"),), "not a valid address"),
    "to control characters": ((sent("http://127.0.0.1/\x01\x7f"),), "not a valid address"),
    "to a dead port, with a login": (
        (sent(f"http://me:{LOGIN}@127.0.0.1:9/x?token={LOGIN}#{LOGIN}"),), "Connection refused",
    ),
    # not HTTP
    "no status line": ((raw(b"nonsense\r\n\r\n"),), "not valid HTTP"),
    "an empty status line": ((raw(b"\r\n\r\n\r\n"),), "not valid HTTP|closed"),
    "a status of letters": ((raw(b"HTTP/1.1 abc OK\r\n\r\n"),), "not valid HTTP"),
    "a status of 0": ((raw(b"HTTP/1.1 0 OK\r\n\r\n"),), "not valid HTTP"),
    "a negative status": ((raw(b"HTTP/1.1 -20 OK\r\n\r\n"),), "not valid HTTP"),
    "a protocol of tomorrow": ((raw(b"HTTP/9.9 200 OK\r\n\r\n"),), "not valid HTTP"),
    "HTTP/0.9": ((raw(CONTENT),), "not valid HTTP"),
    "TLS where none was asked for": ((raw(b"\x15\x03\x01\x00\x02\x02\x16"),), "not valid HTTP"),
    "an SSH server": ((raw(b"SSH-2.0-OpenSSH_9.2\r\n"),), "not valid HTTP"),
    "closes always": ((closes,), "closed|not valid HTTP|answer"),
    "a length of letters": ((with_headers("Content-Length: many"),), "Content-Length is not a number"),
    "a negative length": ((with_headers("Content-Length: -5"),), "Content-Length is not a number"),
    "a length in hexadecimal": ((with_headers("Content-Length: 0x10"),), "Content-Length is not a number"),
    "a length with a sign": ((with_headers("Content-Length: +5"),), "Content-Length is not a number"),
    "two lengths": ((with_headers("Content-Length: 5", "Content-Length: 6"),), "not valid HTTP|not a number"),
    "an endless length": ((with_headers("Content-Length: " + "9" * 100),), "not a number"),
    "a length beyond all disks": ((with_headers("Content-Length: 99999999999999"),), "more than the limit of 1048576"),
    "a chunk of letters": ((chunked(b"xyz\r\nabc\r\n"),), "not valid HTTP|closed"),
    "a negative chunk": ((chunked(b"-5\r\nabcde\r\n0\r\n\r\n"),), "not valid HTTP|closed|sha256"),
    "a chunk without its end": ((chunked(b"5\r\nabcdeXX5\r\nabcde"),), "not valid HTTP|closed"),
    "a chunk of all memory": ((chunked(b"ffffffffffffffffffff\r\nabc"),), "not valid HTTP|closed|too large"),
    "an unknown transfer encoding": ((with_headers("Transfer-Encoding: gzip, chunked"),), "transfer encoding"),
    "a header without a colon": ((raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"),), "sha256|not valid"),
    "a header with a zero": ((raw(b"HTTP/1.1 404 OK\r\nX: a\0b\r\n\r\n"),), "answers with status 404|not valid"),
    "a folded header": ((raw(b"HTTP/1.1 404 OK\r\nX: a\r\n b\r\n\r\n"),), "answers with status 404|not valid"),
    "a header line of 1 MiB": ((raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n"),), "not valid HTTP"),
    "1,000 headers": ((raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),), "not valid HTTP"),
    "a status line of 1 MiB": ((raw(b"HTTP/1.1 200 " + b"y" * (1 << 20) + b"\r\n\r\n"),), "not valid HTTP"),
    "bytes that are not ASCII": (
        (raw(b"HTTP/1.1 404 \xff\xfe\r\n\xe9: \xff\r\n\r\n"),), "answers with status 404|not valid",
    ),
    "an escape sequence": ((raw(b"\x1b]0;title\x07\x1b[31mred\r\n\r\n"),), "not valid HTTP"),
    # without an end
    "silent": ((silent,), "stalled|no answer in time"),
    "silent in the body": ((silent_in_the_body,), "stalled|no answer in time"),
    "a byte at a time": ((body_drip,), "stalled"),
    "a byte a chunk": ((chunk_drip,), "stalled"),
    "headers a byte at a time": ((header_drip,), "stalled"),
    "headers without end": ((headers_without_end,), "not valid HTTP"),
    "100 Continue without end": ((continues,), "stalled|not valid HTTP"),
    "trailers without end": ((trailers_without_end,), "stalled|not valid HTTP"),
    "a chunk extension without end": ((extension_without_end,), "not valid HTTP|closed"),
    "a body without end": ((body_without_end,), "does not stop"),
    "chunks without end": ((chunks_without_end,), "does not stop"),
}  # fmt: skip


def _files(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("kind", TABLE)
def test_a_server_that_misbehaves(kind: str, tmp_path: Path) -> None:
    acts, error = TABLE[kind]
    file = tmp_path / "base"
    steps = Recorder()
    with Server(*acts) as server:
        url = server.url.replace("//", f"//me:{LOGIN}@") + f"?token={LOGIN}"
        if error is OK:
            download(url, file, SUM, steps, QUICK)
            assert file.read_bytes() == CONTENT
            assert _files(tmp_path) == {"base"}
        else:
            with pytest.raises(FetchError, match=error) as caught:
                download(url, file, SUM, steps, QUICK)
            assert caught.value.exit_code == 3
            assert "127.0.0.1" in str(caught.value)
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 500
            assert LOGIN not in f"{caught.value} {caught.value.hint}"
            assert not file.exists()
            assert _files(tmp_path) <= {"base.part", "base.part.json"}
    assert LOGIN not in "\n".join(steps.lines)
    assert LOGIN not in "".join(p.read_text("latin-1") for p in tmp_path.glob("*.json"))


@pytest.mark.parametrize("kind", [k for k, (_, e) in TABLE.items() if e and "sha256" not in e])
def test_a_question_ends_too(kind: str) -> None:
    """With an answer, or with one clear error."""
    acts, _ = TABLE[kind]
    with Server(*acts) as server:
        try:
            answer = ask(server.url, limits=replace(QUICK, stall_bytes=1, total_seconds=2))
        except HostError as error:
            assert error.exit_code == 3
            assert str(error).isprintable()
            assert LOGIN not in f"{error} {error.hint}"
        else:
            assert answer.status == int(kind) if kind.isdigit() else True


def test_bytes_at_random_never_end_in_a_traceback(tmp_path: Path) -> None:
    """Right answers with a few bytes changed, cut out or doubled, in the head above all."""
    source = random.Random(9)  # noqa: S311 - not a secret
    good = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "x"\r\n\r\n' + chunk(CONTENT[:300]) + b"0\r\n\r\n"
    plain = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"
    limits = replace(QUICK, tries=1, stall_seconds=0.2)
    for number in range(300):
        data = bytearray(source.choice((good, plain)))
        for _ in range(source.randint(1, 6)):
            at = source.randrange(min(len(data), 130))
            kind = source.randrange(3)
            if kind == 0:
                data[at] = source.randrange(256)
            elif kind == 1:
                del data[at : at + source.randint(1, 9)]
            else:
                data[at:at] = data[at : at + source.randint(1, 9)]
        with Server(raw(bytes(data))) as server, pytest.raises(FetchError) as caught:
            download(server.url, tmp_path / str(number), SUM, Recorder(), limits)
        assert str(caught.value).isprintable()


Change = Callable[[Path], object]
PARTS: dict[str, Change] = {
    "a tail of zeros": lambda p: p.write_bytes(CONTENT[:50_000] + bytes(50_000)),
    "nothing but zeros": lambda p: p.write_bytes(bytes(100_000)),
    "longer than the file": lambda p: p.write_bytes(CONTENT + b"more"),
    "as long as the file, and wrong": lambda p: p.write_bytes(bytes(len(CONTENT))),
    "whole": lambda p: p.write_bytes(CONTENT),
    "empty": lambda p: p.write_bytes(b""),
    "a good part": lambda p: p.write_bytes(CONTENT[:1000]),
    "a link": lambda p: p.symlink_to("/etc/passwd"),
    "a folder": lambda p: p.mkdir(),
}
RECORDS = {
    "empty": "",
    "a list": "[]",
    "nothing in it": "{}",
    "deep": "[" * 100_000,
    "of other types": '{"address": 1, "validator": [], "total": "x"}',
}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("kind", PARTS)
def test_a_part_of_an_earlier_run_is_gone_on_with_or_fetched_afresh(kind: str, record: str, tmp_path: Path) -> None:
    file = tmp_path / "base"
    PARTS[kind](tmp_path / "base.part")
    (tmp_path / "base.part.json").write_text(RECORDS[record])
    steps = Recorder()
    with Server(right) as server:
        download(server.url, file, SUM, steps, QUICK)
        assert file.read_bytes() == CONTENT
        assert not file.is_symlink()
        assert _files(tmp_path) == {"base"}
        asked = server.ranges()
    if kind == "a tail of zeros":
        assert asked == ["bytes=100000-", None]
        assert any("from its first byte" in line for line in steps.lines)
    if kind == "a good part":
        assert asked == ["bytes=1000-"]


def test_a_file_that_changed_between_two_tries_is_fetched_whole(tmp_path: Path) -> None:
    """If-Range: the server itself sees that the part is of another file."""
    with Server(cut(100_000, 'ETag: "old"'), right) as server:
        download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
        assert server.ranges() == [None, "bytes=100000-"]
        assert 'If-Range: "old"' in server.requests[1]
        assert len(server.requests) == 2


def test_a_weak_tag_is_no_validator(tmp_path: Path) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    with Server(cut(1000, 'ETag: W/"old"', f"Last-Modified: {date}"), right) as server:
        download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
        assert f"If-Range: {date}" in server.requests[1]


def test_tries_that_bring_something_are_not_counted(tmp_path: Path) -> None:
    """A connection that breaks every 64 KiB still gets there."""

    def breaking(talk: Talk) -> None:
        start = talk.start
        end = min(start + (65 << 10), len(CONTENT))
        talk.head("206 P" if start else "200 OK", f"Content-Length: {len(CONTENT) - start}",
                  f"Content-Range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")  # fmt: skip
        talk.send(CONTENT[start:end])

    with Server(breaking) as server:
        download(server.url, tmp_path / "base", SUM, Recorder(), replace(QUICK, tries=2))
        assert len(server.requests) == 5
    assert (tmp_path / "base").read_bytes() == CONTENT


def test_too_little_space_is_said_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1 << 20

    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage)
    with (
        Server(right) as server,
        pytest.raises(FetchError, match=r"it needs 1[67] MiB, 16 MiB of which stay free, and .* has 1 MiB"),
    ):
        download(server.url, tmp_path / "base", SUM, Recorder(), QUICK)
