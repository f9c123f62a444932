"""Takes the pictures of the page that README and docs show: `.venv/bin/python -m scripts.page_pictures`."""

from __future__ import annotations

import asyncio
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.async_api import Page, async_playwright

from livereactor.cli.commands.serve import MODELS
from tests.e2e.page.screen import on_screen
from tests.tools.browser import FLAGS, chromium
from tests.tools.processes import REPOSITORY, livereactor_run
from tests.tools.serving import livereactor_serve

EXAMPLES, IMAGES = REPOSITORY / "examples", REPOSITORY / "docs/images"
TOUCHES = ((0.3, 0.35), (0.55, 0.6), (0.75, 0.3))  # shares of the picture's width and height


async def main() -> None:
    """All of them."""
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        models = [EXAMPLES / name for name in MODELS]
        arguments = ("--min-ready", "0")
        served = stack.enter_context(livereactor_serve(models, log_path=log, arguments=arguments))
        pond = stack.enter_context(livereactor_run(EXAMPLES / "pond.py", log_path=log))
        world = stack.enter_context(livereactor_run(EXAMPLES / "world", log_path=log))
        tutorial = (REPOSITORY / "docs/first-model.md").read_text(encoding="utf-8")
        lamp = log.with_name("lamp.py")
        lamp.write_text(re.findall(r'```python title="lamp.py"\n(.*?)```', tutorial, re.S)[-1], encoding="utf-8")
        first = stack.enter_context(livereactor_run(lamp, log_path=log))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
            look = {"viewport": {"width": 1120, "height": 630}, "color_scheme": "dark"}
            wide = {**look, "viewport": {"width": 1280, "height": 720}}  # all six cards
            await _gallery(await browser.new_page(**wide), f"{served.url}/#token={served.token()}")
            await _pond(await browser.new_page(**look), pond.url)
            await _timeline(await browser.new_page(**look), pond.url)
            await _world(await browser.new_page(**look), world.url)
            await _lamp(await browser.new_page(**{**look, "color_scheme": "light"}), first.url)
            await browser.close()


async def _gallery(page: Page, url: str) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="pond").wait_for()
    await page.wait_for_timeout(2500)  # the films have begun
    await page.screenshot(path=IMAGES / "gallery.png")


async def _pond(page: Page, url: str) -> None:
    await _start(page, url)
    box = await page.locator("figure:not([hidden]) video").bounding_box()
    assert box is not None
    for x, y in TOUCHES:
        await page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        await page.wait_for_timeout(250)
    await page.wait_for_timeout(600)  # the rings have grown
    await page.screenshot(path=IMAGES / "page.png")


async def _timeline(page: Page, url: str) -> None:
    await _start(page, url)
    for x, y in TOUCHES:
        await page.locator("figure:not([hidden]) video").click(position={"x": 800 * x, "y": 500 * y})
        await page.wait_for_timeout(15_000)  # a mark each, well apart
    await page.get_by_role("button", name="Keep the last 10 s").click()
    await page.get_by_role("link", name="Download").wait_for()
    await page.get_by_role("slider", name="Look back").fill("-20")
    await page.locator(".film video").wait_for()
    await page.wait_for_timeout(1000)
    await page.screenshot(path=IMAGES / "timeline.png")


async def _world(page: Page, url: str) -> None:
    await _start(page, url)
    await page.keyboard.down("w")
    await page.wait_for_timeout(1500)
    await page.screenshot(path=IMAGES / "keys.png")
    await page.keyboard.up("w")


async def _lamp(page: Page, url: str) -> None:
    await _start(page, url)
    await page.screenshot(path=IMAGES / "lamp.png")


async def _start(page: Page, url: str) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="Start", exact=True).click()
    await on_screen(page)
    await page.wait_for_timeout(3000)  # figures stand in the bar


if __name__ == "__main__":
    asyncio.run(main())
