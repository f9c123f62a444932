"""The demo models as somebody meets them. M1: pictures a second, cores, and from a control to the picture. M2: from
*Start* to a moving picture in a fresh `livereactor demo`, and what that costs while nobody watches.

The page gives M1's last figures (src/livereactor/playground/js/media/latency.js), from the time stamps of pictures:
it can do so for models that draw something else each time. P1 measures pixels, on a model made for that. In both, a
picture counts when the browser calls back for it. The time at which the browser says that the screen will show it is
another figure: without a screen it is a guess, one or two refreshes later.
"""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from playwright.async_api import Page, async_playwright

from bench.frame import Figure
from bench.stand import OURS, Stand
from livereactor.cli.commands.serve import MODELS
from livereactor.probes.results import Result, phases, spread
from tests.e2e.page.screen import on_screen
from tests.tools.browser import FLAGS, chromium
from tests.tools.processes import LIVEREACTOR, REPOSITORY, free_port, livereactor_run, running

CONTROLS = 18  # touches or strokes a model; the page shows the middle of nine
WARM_UP = 3.0  # seconds
# A line of the statistics' bar of a command's time.
PART = re.compile(r"(Way there|Taken|Made|Way back|Decoded|Screen)\s+([\d.]+) ms")
VIEW = "figure:not([hidden]) video"
STARTING = 60.0  # seconds for a worker that starts now
LOOKING = 8.0  # seconds that somebody looks at one model before the next
COUNT_TWO = """(selector) => new Promise((resolve) => {
  const video = document.querySelector(selector);
  video.requestVideoFrameCallback(() => video.requestVideoFrameCallback(resolve));
})"""
# Pictures in so many seconds, as the browser gives them to the screen.
COUNT = """([selector, seconds]) => new Promise((resolve) => {
  const video = document.querySelector(selector);
  let pictures = 0;
  const count = () => { pictures++; video.requestVideoFrameCallback(count); };
  video.requestVideoFrameCallback(count);
  setTimeout(() => resolve(pictures / seconds), 1000 * seconds);
})"""


async def m1(stand: Stand) -> Sequence[Result]:
    """Model after model, each in a process and on a page of its own."""
    results: list[Result] = []
    for target in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            path = REPOSITORY / "examples" / target
            with livereactor_run(path, log_path=Path(folder) / "log") as server:
                async with _page(server.url) as page:
                    values, latencies = await _watch(stand, page, psutil.Process(server.pid))
        results.append(Result("M1", OURS, "the page", path.stem, values, "", round(stand.seconds)))
        for until, each in zip(("picture", "screen"), zip(*latencies, strict=True), strict=True):
            what = f"{path.stem}, control to {until}"
            results.append(Result("M1", OURS, "the page", what, spread(each), "ms", CONTROLS))
    return results


async def _watch(
    stand: Stand, page: Page, process: psutil.Process
) -> tuple[dict[str, float], list[tuple[float | None, float | None]]]:
    await page.wait_for_timeout(1e3 * WARM_UP)
    before = _cpu([process])
    rate = await page.evaluate(COUNT, [VIEW, stand.seconds])
    cores = (_cpu([process]) - before) / stand.seconds
    await page.locator("#figures").click()
    readings = [await _latency(page, wait) for wait in phases(CONTROLS, seed=1)]
    return {"fps": round(rate, 1), "cores": round(cores, 2)}, readings


async def _latency(page: Page, wait: float) -> tuple[float | None, float | None]:
    """After one more stroke, in ms: what the page says of the last nine, until the picture and until the screen."""
    await page.wait_for_timeout(1e3 * wait)
    await _stroke(page)
    await page.wait_for_timeout(1100)  # the line is written once a second
    parts = {name: float(ms) for name, ms in PART.findall(await page.locator("#details").inner_text())}
    if "Screen" not in parts:
        return None, None
    return round(sum(parts.values()) - parts["Screen"], 1), round(sum(parts.values()), 1)


async def _stroke(page: Page) -> None:
    """A touch of the picture where the model takes one, else another value for its first slider."""
    if await page.locator("#legend .about").count():
        box = await page.locator(VIEW).bounding_box()
        assert box is not None
        x, y = random.uniform(0.2, 0.8), random.uniform(0.3, 0.7)
        await page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        return
    slider = page.locator("#controls input[type=range]").first
    middle = float(await slider.get_attribute("max") or 1) / 2
    await slider.press("ArrowLeft" if float(await slider.input_value()) > middle else "ArrowRight")


async def m2(stand: Stand) -> Sequence[Result]:
    """Each model's worker starts at its *Start*, a while after the last one's; then all stand idle."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [*LIVEREACTOR, "demo", "--port", str(port)]
        with running(command, port=port, log_path=Path(folder) / "log") as server:
            for target in MODELS:
                name = Path(target).stem
                await asyncio.sleep(LOOKING)
                async with _browser() as page:
                    seconds = await _to_a_moving_picture(page, f"{server.url}/?model={name}")
                    await page.locator("#stop").click()
                    await page.get_by_role("button", name="Start", exact=True).wait_for()
                shown = {"ms": round(1e3 * seconds, 0)}
                results.append(Result("M2", OURS, "the page", f"Start to moving picture, {name}", shown, "", 1))
            await asyncio.sleep(LOOKING)  # the next spare has done its imports
            tree = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
            before = _cpu(tree)
            await asyncio.sleep(stand.seconds)
            cores = {"cores": round((_cpu(tree) - before) / stand.seconds, 3)}
            idle = f"nobody watches, {len(tree)} processes"
            results.append(Result("M2", OURS, "none", idle, cores, "", round(stand.seconds)))
    return results


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


async def _to_a_moving_picture(page: Page, url: str) -> float:
    """Seconds from pressing *Start* until a second picture is on the screen."""
    await page.goto(url)
    start = page.get_by_role("button", name="Start", exact=True)
    await start.wait_for()
    began = time.perf_counter()
    await start.click()
    await on_screen(page, patience=STARTING)
    await page.evaluate(COUNT_TWO, VIEW)
    return time.perf_counter() - began


@asynccontextmanager
async def _page(url: str) -> AsyncIterator[Page]:
    """With the model's picture on it; a camera is Chromium's own."""
    async with _browser() as page:
        await _to_a_moving_picture(page, url)
        camera = page.get_by_role("button", name="Camera", exact=True)
        if await camera.count():
            await camera.first.click()
        yield page


@asynccontextmanager
async def _browser() -> AsyncIterator[Page]:
    """A fresh one."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield await browser.new_page(viewport={"width": 1280, "height": 720})
        await browser.close()


FIGURES = (
    Figure("M1", "the demo models on the page, 640×360", "30 fps on one core, control to picture 40 ms", m1, long=True),
    Figure("M2", "`livereactor demo`: from Start to a moving picture, and idle", "3,000 ms; 0.02 cores", m2, long=True),
)
