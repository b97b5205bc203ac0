"""The page in a real browser, headless Chromium: what it shows, hostile reports, keyboard, small screens, its actions.

IMGBUILD_SCREENSHOTS=FOLDER keeps a screenshot of each way to look at it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from imgbuild.serve.reports import Report
from tests.support.serving.local import Served, run
from tests.support.serving.tree import CP1, W1

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
ONE, TWO = "127.0.0.11", "127.0.0.12"
EVIL = '<img src=x onerror="window.hacked=1">"\'&</script><script>window.hacked=1</script>'


async def opened(server: Served, browser: Browser, width: int = 1280, scheme: str = "light") -> tuple[Page, list[str]]:
    """The page, and what the browser complains about from now on."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page, problems = await context.new_page(), list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda asked: problems.append(asked.url) if not asked.url.startswith((server.url, "data:")) else None
    )
    await page.goto(f"{server.url}?key={server.desk.state.key}")
    await page.wait_for_selector(".node")
    assert page.url == server.url, "the key does not stay in the address"
    return page, problems


def in_browser(folder: Path, steps: object, *, confirm: bool = False) -> None:
    async def whole(server: Served) -> None:
        async with async_playwright() as playwright:
            # Chromium as root has no sandbox; it opens nothing but our own page.
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            await steps(server, browser)  # type: ignore[operator]
            await browser.close()

    run(folder, whole, confirm=confirm, idle=60.0)


def test_hostile_reports_are_text_on_every_screen(tmp_path: Path) -> None:
    async def steps(server: Served, browser: Browser) -> None:
        desk = server.desk
        desk.script(CP1, ONE, EVIL)
        desk.downloads(desk.state.nodes[CP1], "root.squashfs", 120 << 20, 239 << 20)
        desk.report(Report("stage", stage=EVIL[:60], state="failed", message=EVIL), None, TWO)
        desk.report(Report("console", message=EVIL), None, TWO)
        desk.report(Report("cloud-init", instance=EVIL), None, TWO)
        desk.script("de:ad:be:ef:00:01", "127.0.0.50")
        for width, scheme in ((1280, "light"), (1280, "dark"), (320, "light")):
            page, problems = await opened(server, browser, width, scheme)
            await page.locator(".node", has_text="w1").locator("summary").click()
            await page.get_by_role("button", name="Show console log").click()
            await page.get_by_label("Console log", exact=True).get_by_text("<img src=x").wait_for()
            assert await page.locator(".node", has_text="w1").get_by_role("alert").inner_text() != ""
            assert await page.evaluate("window.hacked") is None
            assert await page.locator("img").count() == 0
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
            assert await page.locator("button:visible", has_text="Confirm").count() == 0
            assert await page.locator("progress:visible").count() == 1
            if folder := os.environ.get("IMGBUILD_SCREENSHOTS"):
                await page.screenshot(path=f"{folder}/serve-{width}-{scheme}.png", full_page=True)
            assert problems == []
            await page.context.close()

    in_browser(tmp_path, steps)


def test_it_updates_by_itself(tmp_path: Path) -> None:
    async def steps(server: Served, browser: Browser) -> None:
        page, _ = await opened(server, browser)
        desk = server.desk
        node = page.locator(".node", has_text="cp1")
        await node.get_by_text("not seen yet").wait_for()
        reports = desk.script(CP1, ONE).reports
        await node.get_by_text("has its boot script").wait_for()
        desk.report(Report("install", stage="write", progress=42), reports, ONE)
        await node.get_by_text("Install: write · 42 %").wait_for()
        desk.report(Report("installed"), reports, ONE)
        await node.locator(".badge", has_text="installed").wait_for()
        desk.report(Report("stage", stage="kubeadm", state="retrying", message="no route"), None, ONE)
        await node.get_by_text("tries kubeadm again").wait_for()
        desk.report(Report("ready"), None, ONE)
        await node.locator(".badge", has_text="ready").wait_for()

    in_browser(tmp_path, steps)


def test_all_of_it_by_keyboard(tmp_path: Path) -> None:
    async def steps(server: Served, browser: Browser) -> None:
        desk = server.desk
        desk.script(CP1, ONE)
        page, problems = await opened(server, browser)
        confirm = page.get_by_role("button", name="Confirm cp1")
        await confirm.focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog").wait_for()
        await page.keyboard.press("Escape")
        assert desk.state.nodes[CP1].confirmed == "", "Escape is no"
        await page.keyboard.press("Enter")  # the focus is back where it was
        await page.keyboard.press("Enter")  # Cancel has the focus
        assert desk.state.nodes[CP1].confirmed == ""
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await confirm.wait_for(state="hidden")
        assert desk.state.nodes[CP1].confirmed == ONE and desk.script(CP1, ONE).kind == "boot"
        await page.keyboard.press("/")
        await page.keyboard.type(W1)
        assert await page.locator(".node:visible").count() == 1
        await page.keyboard.type("x")
        await page.get_by_text("No node matches.").wait_for()
        await page.get_by_label("Filter").fill("cp1")
        summary = page.locator(".node:visible summary")
        await summary.focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Rearm cp1").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog").get_by_text("counts as its first").wait_for()
        await page.get_by_role("dialog").get_by_role("button", name="Rearm").press("Enter")
        await page.locator(".node:visible", has_text="not seen yet").wait_for()
        assert desk.state.nodes[CP1].state == "new" and problems == []

    in_browser(tmp_path, steps, confirm=True)
