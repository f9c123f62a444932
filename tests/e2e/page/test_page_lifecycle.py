"""Pages that are closed, and pages that sleep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from playwright.async_api import Browser, expect

from .conftest import launched
from .runtime_rig import Running, live, run_board, runtime_of
from .screen import LEFT, PATIENCE, field, on_screen, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = 5.0  # seconds; ICE alone gives a silent peer up after fifteen
SILENCE = 12.0  # seconds; the least that a runtime can be told
ASLEEP = SILENCE + PATIENCE

shared, board = runtime_of()


@pytest.mark.parametrize("whole", [False, True], ids=["its tab", "its window"])
async def test_a_page_that_is_closed_has_left_at_once(browser: Browser, board: Running, whole: bool) -> None:
    async with live(browser, board) as (page, _):
        await (page.context if whole else page).close()
        await board.until("orphaned", patience=AT_ONCE)


async def test_who_closes_one_of_two_pages_leaves_the_session_to_the_other(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _), live(browser, board) as (other, _):
        await other.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await page.close()
        await seen(other, LEFT, "r > 200")
        assert await board.session_state() == "streaming"


async def test_a_phone_that_slept_comes_back_to_its_session_or_says_that_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIVEREACTOR_RUNTIME__CLIENT_SILENCE", str(SILENCE))
    async with (
        patient(30) as kept,
        patient(1) as given_up,
        launched() as phone,
        live(phone, kept) as (early, _),
        live(phone, given_up) as (late, _),
    ):
        await early.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(early, LEFT, "r > 200")
        async with asleep(phone):
            await kept.until("orphaned", patience=ASLEEP)
            await given_up.until("ready", patience=ASLEEP)
        await kept.until("streaming", patience=ASLEEP)
        await on_screen(early)
        await seen(early, LEFT, "r > 200")
        await expect(field(early, "Red").get_by_role("textbox")).to_have_value("1")
        over = late.locator("#stage .card")
        await expect(over).to_contain_text("Session ended", timeout=PATIENCE * 1000)
        await late.get_by_role("button", name="Start").click()
        await on_screen(late)


@asynccontextmanager
async def patient(seconds: int) -> AsyncIterator[Running]:
    """Run a runtime that keeps the session of a silent client for the given seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVEREACTOR_RUNTIME__RECONNECTION_WINDOW", str(seconds))
        running = await run_board()
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def asleep(browser: Browser) -> AsyncIterator[None]:
    """Pause all processes of the browser."""
    session = await browser.new_browser_cdp_session()
    told = await session.send("SystemInfo.getProcessInfo")
    (main,) = [psutil.Process(each["id"]) for each in told["processInfo"] if each["type"] == "browser"]
    processes = [main, *main.children(recursive=True)]
    for each in processes:
        with suppress(psutil.NoSuchProcess):  # a spare one that was not needed
            each.suspend()
    try:
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()
