"""The page: who may open it, what it shows, and that another site can do nothing with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from tests.support.serving.local import Served, run
from tests.support.serving.tree import CP1, SECRET, W1

EVIL = "<img src=x onerror=alert(1)>\"'&</script>"


def test_the_key_opens_the_page_and_nothing_else_does(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        key = server.desk.state.key
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as client:
            for path in ("", "state.json", "events", "page.js", "console/52-54-00-00-00-01", "?key=wrong", "?key="):
                async with client.get(f"{server.url}{path}") as answer:
                    assert answer.status == 401 and key not in await answer.text()
            async with client.get(f"{server.url}?key={key}", allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, "/")
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
            async with client.get(server.url) as answer:
                assert answer.status == 200 and "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "http://" not in await answer.text()  # nothing from elsewhere

    run(tmp_path, steps)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("10.evil.example", 403),
        ("", 403),
    ],
)
def test_a_name_that_is_not_ours_is_refused(tmp_path: Path, host: str, status: int) -> None:
    async def steps(server: Served) -> None:
        async with server.operator() as client, client.get(f"{server.url}state.json", headers={"Host": host}) as answer:
            assert answer.status == status

    run(tmp_path, steps)


def test_another_site_cannot_act(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        server.desk.script(CP1, "127.0.0.11")
        server.desk.state.nodes[CP1].state = "installed"
        body, cookie = {"mac": CP1}, {"imgbuild-serve": server.desk.state.key}
        async with ClientSession(cookies=cookie, cookie_jar=CookieJar(unsafe=True)) as client:
            client.cookie_jar.update_cookies(cookie)
            for headers in (
                {},
                {"Origin": "http://evil.example", "X-Imgbuild": "1"},
                {"Origin": "null", "X-Imgbuild": "1"},
            ):
                async with client.post(f"{server.url}do/rearm", json=body, headers=headers) as answer:
                    assert answer.status == 403
            async with client.post(f"{server.url}do/rearm", json={"mac": 1}, headers={"X-Imgbuild": "1"}) as answer:
                assert answer.status == 404
            async with client.post(f"{server.url}do/rearm", data="[", headers={"X-Imgbuild": "1"}) as answer:
                assert answer.status == 400
        async with ClientSession() as client:
            async with client.post(f"{server.url}do/rearm", json=body, headers={"X-Imgbuild": "1"}) as answer:
                assert answer.status == 401
            async with client.get(f"{server.url}do/rearm") as answer:
                assert answer.status == 404
        assert server.desk.state.nodes[CP1].state == "installed"
        async with server.operator() as client:
            own = {"Origin": server.url.rstrip("/")}
            async with client.post(f"{server.url}do/rearm", json=body, headers=own) as answer:
                assert answer.status == 200
        assert server.desk.state.nodes[CP1].state == "new"

    run(tmp_path, steps)


def test_what_is_shown_has_no_secret(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        answer = server.desk.script(CP1, "127.0.0.11")
        server.desk.seed(answer.token, "mac-52-54-00-00-00-01", "127.0.0.11")
        async with server.operator() as client, client.get(f"{server.url}state.json") as shown:
            text = await shown.text()
        token, reports = server.desk.state.nodes[CP1].token, server.desk.state.nodes[CP1].reports
        assert token and reports
        for secret in (answer.token, answer.reports, token.digest, reports.digest, server.desk.state.key, SECRET):
            assert secret not in text
        node = json.loads(text)["nodes"][0]
        assert node["name"] == "cp1" and node["seed_ends"] > node["seed"]

    run(tmp_path, steps)


def test_events_begin_with_everything_and_go_on_with_what_changed(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        async with server.operator() as client, client.get(f"{server.url}events") as answer:
            assert answer.content_type == "text/event-stream"

            async def event() -> dict[str, object]:
                while True:
                    line = await asyncio.wait_for(answer.content.readline(), 60)
                    if line.startswith(b"data: "):
                        data: dict[str, object] = json.loads(line[6:])
                        return data

            first = await event()
            assert first["whole"] and [n["mac"] for n in first["nodes"]] == [CP1, W1]  # type: ignore[attr-defined]
            async with server.machine("127.0.0.12") as machine:
                await machine.post(f"{server.url}report", data={"event": "failed", "message": EVIL})
            then = await event()
            assert not then["whole"]
            assert [(n["mac"], n["error"]) for n in then["nodes"]] == [(W1, EVIL)]  # type: ignore[attr-defined]

    run(tmp_path, steps)


def test_there_is_a_bound_for_open_pages(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        async with server.operator() as client:
            answers = [await client.get(f"{server.url}events") for _ in range(33)]
            assert [answer.status for answer in answers].count(503) == 1
            for answer in answers:
                answer.close()

    run(tmp_path, steps)


def test_a_console_log_is_plain_text(tmp_path: Path) -> None:
    async def steps(server: Served) -> None:
        async with server.machine("127.0.0.11") as machine:
            await machine.post(f"{server.url}report", data={"event": "console", "message": EVIL})
        async with server.operator() as client, client.get(f"{server.url}console/52-54-00-00-00-01") as answer:
            assert (answer.content_type, await answer.text()) == ("text/plain", EVIL)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"

    run(tmp_path, steps)


def test_no_markup_is_made_of_text() -> None:
    """The browser's test shows it too; this one needs no browser."""
    text = (Path(__file__).parents[3] / "builder/imgbuild/serve/page/page.js").read_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert word not in text
