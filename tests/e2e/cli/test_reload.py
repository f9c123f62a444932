"""`dev`: a save is on the page within two seconds, weights stay, and a broken save harms nothing."""

import signal
import time
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.page.conftest import opened

from .command import Serving, serving, written
from .test_run import PLAYING

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOAD = "    def load(self):\n        print('loading weights', flush=True)\n        self.weights = 7\n"
SLIDER = "    speed: float = lr.param(1.0, ge=0, le=5)\n"


async def started(server: Serving, page: Page) -> None:
    await page.goto(server.url)
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator(PLAYING)).to_be_visible(timeout=20_000)


async def test_a_save_shows_its_new_slider_within_two_seconds_and_keeps_the_weights(
    browser: Browser, tmp_path: Path
) -> None:
    written(tmp_path, LOAD)
    async with serving("dev", tmp_path, "--port", "0") as server, opened(browser) as (page, _):
        await started(server, page)
        began = time.monotonic()
        written(tmp_path, SLIDER + LOAD)
        await expect(page.get_by_text("Speed")).to_be_visible(timeout=10_000)
        took = time.monotonic() - began
        await expect(page.locator(PLAYING)).to_be_visible(timeout=10_000)
        assert "weights=kept" in await server.said("reloading")
        assert await server.ends(signal.SIGINT) == 0
        assert server.process.stdout is not None
        assert (await server.process.stdout.read()).count(b"loading weights") == 1
    assert took < 2.0  # 0.9 s on two cores with five busy processes beside it


async def test_a_changed_load_loads_anew(tmp_path: Path) -> None:
    written(tmp_path, LOAD)
    async with serving("run", tmp_path, "--reload", "--port", "0") as server:
        await server.said("model loaded")
        written(tmp_path, LOAD.replace("7", "8"))
        assert "weights='loaded anew'" in await server.said("reloading")


async def test_a_broken_save_is_one_line_and_the_version_before_runs_on(browser: Browser, tmp_path: Path) -> None:
    written(tmp_path, LOAD)
    async with serving("run", tmp_path, "--reload", "--port", "0") as server, opened(browser) as (page, _):
        await started(server, page)
        written(tmp_path, "    def oops(self:\n" + LOAD)
        line = await server.said("not reloaded")
        assert "model.py:8" in line
        await expect(page.locator(PLAYING)).to_be_visible()
        written(tmp_path, SLIDER + LOAD)
        await expect(page.get_by_text("Speed")).to_be_visible(timeout=20_000)


async def test_a_module_beside_the_model_is_reloaded_with_it(tmp_path: Path) -> None:
    (tmp_path / "paint.py").write_text("SHADE = 40\n")
    written(tmp_path, "    import paint\n    print('shade', paint.SHADE, flush=True)\n")
    async with serving("run", tmp_path, "--reload", "--port", "0") as server:
        assert server.process.stdout is not None
        await server.said("model loaded")
        (tmp_path / "paint.py").write_text("SHADE = 90\n")
        assert await server.process.stdout.readline() == b"shade 90\n"


async def test_a_newer_load_that_raises_is_told_and_the_next_save_mends_it(browser: Browser, tmp_path: Path) -> None:
    written(tmp_path, LOAD)
    async with serving("run", tmp_path, "--reload", "--port", "0") as server, opened(browser) as (page, _):
        await started(server, page)
        written(tmp_path, LOAD + "        open('nothing.bin')\n")
        assert "nothing.bin" in await server.said("not reloaded")
        written(tmp_path, SLIDER + LOAD)
        await expect(page.get_by_text("Speed")).to_be_visible(timeout=20_000)
        await expect(page.locator(PLAYING)).to_be_visible(timeout=20_000)
