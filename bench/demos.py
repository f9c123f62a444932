"""M1: each demo model on the page: pictures a second, the process's cores, and from a control to the picture.

The last figure is the page's own (src/livereactor/playground/js/latency.js): by the time stamps of pictures, so that it
can be told for models that draw something else each time. P1 measures the same way with pixels, on a model made for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from playwright.async_api import Page, async_playwright

from bench.frame import Figure, Result, phases, spread
from bench.stand import OURS, Stand
from livereactor.cli.demo import MODELS
from tests.tools.browser import FLAGS, chromium
from tests.tools.processes import REPOSITORY, livereactor_run

CONTROLS = 27  # touches or strokes a model; the page shows the middle of nine
WARM_UP = 3.0  # seconds
VIEW = "figure:not([hidden]) video"
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
        results.append(Result("M1", OURS, "the page", f"{path.stem}, control to picture", latencies, "ms", CONTROLS))
    return results


async def _watch(stand: Stand, page: Page, process: psutil.Process) -> tuple[dict[str, float], dict[str, float]]:
    await page.wait_for_timeout(1e3 * WARM_UP)
    before = sum(process.cpu_times()[:2])
    rate = await page.evaluate(COUNT, [VIEW, stand.seconds])
    cores = (sum(process.cpu_times()[:2]) - before) / stand.seconds
    readings = [await _latency(page, wait) for wait in phases(CONTROLS, seed=1)]
    return {"fps": round(rate, 1), "cores": round(cores, 2)}, spread(readings)


async def _latency(page: Page, wait: float) -> float | None:
    """After one more stroke, in ms: what the page says of the last nine."""
    await page.wait_for_timeout(1e3 * wait)
    await _stroke(page)
    await page.wait_for_timeout(1100)  # the line is written once a second
    shown = await page.locator('#figures [data-figure="latencyMs"] b').inner_text()
    return float(shown) if shown.replace(".", "").isdigit() else None


async def _stroke(page: Page) -> None:
    """Another value for the first slider or choice, as a hand gives it."""
    slider = page.locator("#controls input[type=range]").first
    await slider.focus()
    await slider.press(
        "ArrowLeft"
        if float(await slider.input_value()) > 0.5 * float(await slider.get_attribute("max") or 1)
        else "ArrowRight"
    )


@asynccontextmanager
async def _page(url: str) -> AsyncIterator[Page]:
    """With the model's picture on it; a camera is Chromium's own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1280, "height": 720})
        await page.goto(url)
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.locator("#stage.playing:not(.covered)").wait_for(timeout=60_000)
        camera = page.get_by_role("button", name="Camera", exact=True)
        if await camera.count():
            await camera.first.click()
        yield page
        await browser.close()


FIGURES = (Figure("M1", "the demo models on the page, 640×360", "30 fps on one core, control to picture 40 ms", m1),)
