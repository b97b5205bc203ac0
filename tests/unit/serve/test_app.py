"""What machines see over HTTP, and what a hostile one does."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from imgbuild.serve.door import MOST_EACH
from tests.support.serving.local import Served, run
from tests.support.serving.tree import CP1, SECRET, W1

ONE, TWO, NOBODY = "127.0.0.11", "127.0.0.12", "127.0.0.13"
SCRIPT = f"boot/{CP1.replace(':', '-')}.ipxe"


async def get(server: Served, path: str, address: str = ONE) -> tuple[int, str]:
    async with server.machine(address) as client, client.get(f"{server.url}{path}") as answer:
        return answer.status, await answer.text()


async def raw(server: Served, sent: bytes, address: str = ONE) -> bytes:
    """Everything that the server answers to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))
    try:
        writer.write(sent)
        await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def words_of(script: str) -> dict[str, str]:
    """The arguments of the kernel that have a value."""
    (line,) = re.findall(r"^kernel (.*) \|\| goto failed$", script, re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def test_a_machine_boots_fetches_its_seed_and_reports(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        status, first = await get(server, "boot.ipxe")
        assert status == 200 and f"chain --replace {server.url}boot/${{mac:hexhyp}}.ipxe" in first
        status, script = await get(server, SCRIPT)
        words = words_of(script)
        assert status == 200 and words["fetch"] == f"{server.url}root.squashfs"
        assert words["BOOTIF"] == "01-52-54-00-00-00-01" and words["ds"].startswith("nocloud-net;s=")
        seed = words["ds"].removeprefix("nocloud-net;s=").removeprefix(server.url)
        assert await get(server, f"{seed}user-data") == (200, f"user-data {SECRET} cp1\n")
        assert (await get(server, f"{seed}user-data", TWO))[0] == 403
        assert (await get(server, f"{seed}nothing"))[0] == 404
        async with server.machine(ONE) as client, client.post(
            words["imgbuild.report"], data={"event": "install", "stage": "write", "progress": "7"}
        ) as answer:  # fmt: skip
            assert answer.status == 204
        record = server.desk.state.nodes[CP1]
        assert record.install is not None and record.install.progress == 7 and record.seed

    run(tmp_path, steps)


def test_grubs_script_is_what_grub_reads(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        status, text = await get(server, f"grub/grub.cfg-01-{W1}", TWO)
        assert status == 200 and f"linux (http,127.0.0.1:{server.port})/vmlinuz 'boot=live'" in text
        (tmp_path / "grub.cfg").write_text(text)

    run(tmp_path, steps)
    assert "'ds=nocloud-net;s=" in (tmp_path / "grub.cfg").read_text()


def test_who_else_asks_gets_no_keys(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        for path, address in ((SCRIPT, TWO), (SCRIPT, NOBODY), ("boot/52-54-00-00-00-99.ipxe", ONE)):
            status, text = await get(server, path, address)
            assert status == 200 and "gives this machine no keys" in text and "/t/" not in text and "/r/" not in text
        assert (await get(server, "boot/nonsense.ipxe"))[0] == 404

    run(tmp_path, steps)


def test_files_with_ranges_and_nothing_else(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        async with server.machine(NOBODY) as client:
            async with client.get(f"{server.url}vmlinuz", headers={"Range": "bytes=3-8"}) as answer:
                assert (answer.status, await answer.read()) == (206, b"nelker")
                assert answer.headers["Content-Range"] == "bytes 3-8/600"
                tag = answer.headers["Etag"]
            async with client.get(f"{server.url}vmlinuz", headers={"Range": "bytes=600-"}) as answer:
                assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */600")
            async with client.get(f"{server.url}vmlinuz", headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
            async with client.head(f"{server.url}vmlinuz") as answer:
                assert (answer.headers["Content-Length"], await answer.read()) == ("600", b"")
                assert answer.headers["Server"] == "imgbuild"
            for _ in range(3):  # over one connection, as a firmware does
                async with client.get(f"{server.url}vmlinuz") as answer:
                    assert len(await answer.read()) == 600
        for path in (
            "grub/",
            "nodes/",
            "manifest.json",
            "pxe/boot.ipxe",
            "pxe-private/boot.json",
            "README.txt",
            ".run",
        ):
            assert (await get(server, path))[0] == 404

    run(tmp_path, steps)


@pytest.mark.parametrize(
    "path",
    [
        "/../manifest.json", "/%2e%2e/manifest.json", "/grub/..%2f..%2fmanifest.json", "//manifest.json",
        "/..%5cmanifest.json", "/%00", "/vmlinuz%00.txt", "/pxe-private/boot.json", "/%2e%2e%2fpxe-private/boot.json",
        "/t/x/..%2f/boot.json", "/t//mac-52-54-00-00-00-01/user-data", "/grub/%252e%252e/manifest.json",
        "http://127.0.0.1/../manifest.json",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_leads_out(tmp_path: Path, path: str) -> None:
    async def steps(server: Served) -> None:
        answer = await raw(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert re.match(rb"HTTP/1\.[01] (400|403|404) ", answer), answer[:200]
        assert b"image_wanted" not in answer and b"nocloud-net" not in answer and SECRET.encode() not in answer

    run(tmp_path, steps)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 1000 + b"\r\n",
        b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 1000000\r\nConnection: close\r\n\r\n" + b"a" * 1_000_000,
        b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"1000\r\n" + b"a" * 4096 + b"\r\n" + b"fffff\r\n"
        + b"a" * 0xFFFFF + b"\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nevent",
    ],
)  # fmt: skip
def test_what_is_too_large_or_no_http_is_refused_and_others_are_served(tmp_path: Path, sent: bytes) -> None:
    async def steps(server: Served) -> None:
        answer = await raw(server, sent)
        assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer) or not answer, answer[:200]
        assert (await get(server, "vmlinuz", TWO))[0] == 200

    run(tmp_path, steps)


def test_a_client_that_sends_no_whole_request_is_ended(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        assert b"200" not in await raw(server, b"GET /vmlinuz HTTP/1.1\r\nHost: x\r\nX-")

    run(tmp_path, steps)


def test_one_address_cannot_take_all_connections(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port, local_addr=(TWO, 0)) for _ in range(150)]
        for _ in range(600):
            ended = sum(1 for reader, _ in held if reader.at_eof())
            if ended >= 150 - MOST_EACH:
                break
            await asyncio.sleep(0.1)
        assert ended == 150 - MOST_EACH
        assert (await get(server, "vmlinuz"))[0] == 200
        for _, writer in held:
            writer.close()

    run(tmp_path, steps, idle=100.0)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"event=ready", "application/x-www-form-urlencoded", 204),
        (b"event=nothing", "application/x-www-form-urlencoded", 400),
        (b'{"event": "ready"}', "application/json", 400),
        (b"\xff\xfe\x00", "application/x-www-form-urlencoded", 400),
        (b"event=console&message=" + b"a" * (64 << 10), "application/x-www-form-urlencoded", 413),
    ],
)  # fmt: skip
def test_reports_that_are_taken_and_refused(tmp_path: Path, body: bytes, kind: str, status: int) -> None:
    async def steps(server: Served) -> None:
        async with server.machine(ONE) as client:
            headers = {"Content-Type": kind}
            async with client.post(f"{server.url}report", data=body, headers=headers) as answer:
                assert answer.status == status
        async with (
            server.machine(NOBODY) as client,
            client.post(f"{server.url}report", data={"event": "ready"}) as answer,
        ):
            assert answer.status == 403

    run(tmp_path, steps)


def test_the_progress_of_a_large_file_is_what_the_machine_has(tmp_path: Path) -> None:
    size = 64 << 20

    async def steps(server: Served) -> None:
        async with server.machine(ONE) as client, client.get(f"{server.url}root.squashfs") as answer:
            got = await answer.content.readexactly(1 << 20)
            for _ in range(600):
                await asyncio.sleep(0.1)
                download = server.desk.state.nodes[CP1].download
                if download is not None:
                    break
            assert download is not None and len(got) <= download.done < size and download.total == size
            assert server.desk.state.nodes[CP1].live is None
            while await answer.content.read(1 << 20):
                pass
        for _ in range(600):
            download = server.desk.state.nodes[CP1].download
            if download is not None and download.done == size:
                break
            await asyncio.sleep(0.1)
        assert download is not None and download.done == size
        assert server.desk.state.nodes[CP1].live is not None

    run(tmp_path, steps, root_bytes=size)


def test_a_machine_that_goes_away_has_no_live_root(tmp_path: Path) -> None:
    size = 64 << 20

    async def steps(server: Served) -> None:
        async with server.machine(ONE) as client, client.get(f"{server.url}root.squashfs") as answer:
            await answer.content.readexactly(1 << 20)
        ended = asyncio.get_running_loop().time() + 30
        while server.open_connections() and asyncio.get_running_loop().time() < ended:
            await asyncio.sleep(0.05)
        record = server.desk.state.nodes[CP1]
        assert record.live is None and (record.download is None or record.download.done < size)

    run(tmp_path, steps, root_bytes=size)
