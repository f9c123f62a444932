"""`make demo`, as a person on a machine with this checkout types it."""

import signal

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.page.conftest import opened
from tests.tools.processes import REPOSITORY, free_port

from .command import serving
from .test_run import PLAYING, TRACE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_make_demo_shows_moving_pictures_that_answer_a_command(browser: Browser) -> None:
    make = ("make", "--no-print-directory", "demo", f"PORT={free_port()}")
    async with serving(command=make, folder=REPOSITORY) as demo, opened(browser, bypass_csp=True) as (page, complaints):
        await page.goto(demo.url)
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator(PLAYING)).to_be_visible(timeout=20_000)
        first = await page.evaluate(TRACE)
        await page.wait_for_function(f"({TRACE})() !== {first}", timeout=10_000)
        await page.locator("#stage video").click(position={"x": 200, "y": 100})
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .reply")).to_contain_text("dropped")
        assert complaints == []
        await demo.ends(signal.SIGTERM)
