"""The timeline at a real recorder: kept clips, replay, and what can go wrong.

Every picture of the model has its number on it, so a film is judged by what it shows.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import av
import httpx2 as httpx
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.tools.films import boxes
from tests.tools.serving import livereactor_serve

from .axe import stumbles
from .conftest import opened, picture
from .coordinator_rig import ENVIRONMENT, open_sessions
from .runtime_rig import MODELS, Running, live, run_board, runtime_of
from .screen import PATIENCE, on_screen

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTER = MODELS / "counter.py"
FPS = 30
WIDTHS = [360, 1280, 2560]
PATIENCE_MS = PATIENCE * 1000
# The number on a video's picture: sixteen cells across, the lowest bit first; null before there is a picture.
NUMBER = """(which) => {
  const video = document.querySelector(which);
  if (!video || video.readyState < 2) return null;
  const canvas = new OffscreenCanvas(320, 180);
  canvas.getContext("2d").drawImage(video, 0, 0, 320, 180);
  const { data } = canvas.getContext("2d").getImageData(0, 30, 320, 1);
  let number = 0;
  for (let bit = 0; bit < 16; bit++) if (data[4 * (20 * bit + 10)] > 128) number |= 1 << bit;
  return number;
}"""
LIVE, FILM = "figure:not(.film):not([hidden]) video", ".film video"

shared, counter = runtime_of(COUNTER)


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, counter: Running) -> AsyncIterator[Page]:
    """Open a live page of the counter; any complaint of its console fails the test."""
    async with live(browser, counter, accept_downloads=True) as (page, complaints):
        yield page
        assert complaints == []


async def test_the_last_seconds_are_kept_as_one_ordinary_film(page: Page, tmp_path: Path) -> None:
    await counted(page, 3 * FPS)
    await page.get_by_role("button", name="Keep the last 5 s").click()
    shown = await number(page, LIVE)
    assert shown is not None
    film = await saved(page, tmp_path)
    assert [kind for kind, _ in boxes(film)] == ["ftyp", "moov", "mdat"]
    times, numbers = pictures(film)
    assert times[0] == 0
    assert numbers[0] == 1
    assert are_in_order(numbers)
    assert abs(numbers[-1] - shown) <= 10, "it ends where the button was pressed"


async def test_a_film_is_as_long_as_was_asked_for(page: Page, tmp_path: Path) -> None:
    await counted(page, 7 * FPS)
    await page.get_by_role("button", name="Keep the last 5 s").click()
    times, numbers = pictures(await saved(page, tmp_path))
    assert are_in_order(numbers)
    assert 4 * FPS <= numbers[-1] + 1 - numbers[0] <= 5 * FPS + 3  # a busy machine leaves pictures out
    assert 4.9 < times[-1] + 1 / FPS < 5.1


async def test_all_of_the_session_is_kept(page: Page, tmp_path: Path) -> None:
    await counted(page, 3 * FPS)
    await page.get_by_role("button", name="Keep all of the session").click()
    _, numbers = pictures(await saved(page, tmp_path))
    assert numbers[0] == 1
    assert numbers[-1] >= 3 * FPS
    assert are_in_order(numbers)


async def test_a_clip_is_looked_at_on_the_stage_and_removed(page: Page) -> None:
    await counted(page, 2 * FPS)
    await page.get_by_role("button", name="Keep the last 10 s").click()
    await page.get_by_role("button", name="Watch: Last 10 s").click()
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) > 5", timeout=PATIENCE_MS)
    assert await page.locator(FILM).evaluate("(video) => video.error") is None
    await page.get_by_role("button", name="Remove: Last 10 s").click()
    await expect(page.locator(FILM)).to_have_count(0)
    await expect(page.locator(".clip-list li")).to_have_count(0)


async def test_what_is_recorded_is_what_the_page_was_sent(page: Page, counter: Running) -> None:
    await counted(page, FPS)
    before = await recorded(counter)
    await counted(page, 3 * FPS)
    after = await recorded(counter)
    assert after["shared"] - before["shared"] >= FPS
    assert after["encoded"] == before["encoded"]


async def test_one_looks_back_while_the_session_goes_on(page: Page) -> None:
    await counted(page, 6 * FPS)
    slider = page.get_by_role("slider", name="Look back")
    await slider.focus()
    for _ in range(4):
        await slider.press("ArrowLeft")
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) !== null", timeout=PATIENCE_MS)
    # Where the part of that moment has just begun, its first picture is the nearest there is (NEAR in replay.js).
    await expect(page.locator(".place")).to_have_text(re.compile("^[345] s ago$"))
    then, now = await number(page, FILM), await number(page, LIVE)
    assert then is not None
    assert now is not None
    assert 3 * FPS <= now - then <= 6 * FPS
    beyond = now + FPS  # what was recorded when it was asked for ends before
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) > {beyond}", timeout=PATIENCE_MS)
    await counted(page, now + 3 * FPS)
    await page.keyboard.press("Escape")
    await expect(page.locator(FILM)).to_have_count(0)
    await expect(page.locator(".place")).to_have_text("Live")


async def test_it_stands_still_when_told_and_asks_for_nothing_then(page: Page) -> None:
    await counted(page, 6 * FPS)
    await page.get_by_role("slider", name="Look back").fill("-5")
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) !== null", timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Pause", exact=True).click()
    still = await number(page, FILM)
    await expect(page.locator(".place")).to_have_text("8 s ago", timeout=PATIENCE_MS)
    assert await number(page, FILM) == still
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) > {still}", timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Back to live").click()
    await expect(page.locator(FILM)).to_have_count(0)


async def test_it_is_dragged_to_look_back_and_let_go_to_play(page: Page) -> None:
    await counted(page, 5 * FPS)
    box = await page.get_by_role("slider", name="Look back").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    second = (box["width"] - 16) / 300  # the middle of the thumb goes from 8 to 8 pixels before the ends
    await page.mouse.move(box["x"] + box["width"] - 8, middle)
    await page.mouse.down()
    for ago in (1, 2, 3):
        await page.mouse.move(box["x"] + box["width"] - 8 - ago * second, middle)
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) !== null", timeout=PATIENCE_MS)
    assert await page.locator(FILM).evaluate("(video) => video.paused")
    held = await number(page, FILM)
    await page.mouse.up()
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) > {held}", timeout=PATIENCE_MS)


async def test_what_was_kept_outlives_its_session(page: Page, tmp_path: Path) -> None:
    await counted(page, FPS)
    await page.get_by_role("button", name="Keep the last 5 s").click()
    await expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("button", name="Keep the last 5 s")).to_be_disabled()
    await page.get_by_role("button", name="Watch: Last 5 s").click()
    await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) !== null", timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("button", name="Start")).to_be_visible()
    assert pictures(await saved(page, tmp_path))[1][0] == 1
    await page.get_by_role("button", name="Remove").click()
    await expect(page.locator("#timeline")).to_be_hidden()


async def test_a_coordinators_sessions_have_it_too(browser: Browser, tmp_path: Path) -> None:
    with livereactor_serve([COUNTER], log_path=tmp_path / "log", environment=ENVIRONMENT) as coordinator:
        coordinator.wait_for_worker()
        async with opened(browser) as (page, complaints):
            await page.goto(f"{coordinator.url}/#token={coordinator.token()}")
            await page.get_by_role("button", name="Start").click()
            await on_screen(page)
            await counted(page, 4 * FPS)
            await page.get_by_role("button", name="Keep the last 5 s").click()
            _, numbers = pictures(await saved(page, tmp_path))
            assert numbers[0] == 1
            assert are_in_order(numbers)
            await page.get_by_role("slider", name="Look back").fill("-2")
            await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) !== null", timeout=PATIENCE_MS)
            assert complaints == []
            (session,) = open_sessions(coordinator)
            for scopes in (["view", "record"], ["view"]):
                _, share = coordinator.call("POST", f"/sessions/{session}/share", {"scope": scopes})
                async with opened(browser) as (watching, complaints):
                    await watching.goto(share["url"])
                    await on_screen(watching)
                    if "record" in scopes:
                        await watching.get_by_role("button", name="Keep the last 5 s").click()
                        assert pictures(await saved(watching, tmp_path))[0][0] == 0
                    await expect(watching.locator("#timeline")).to_be_visible(visible="record" in scopes)
                    assert complaints == []


async def test_a_lost_connection_does_not_take_it_away(browser: Browser, counter: Running) -> None:
    async with opened(browser) as (page, _):
        await page.add_init_script(
            """const make = RTCPeerConnection.prototype.createDataChannel;
            RTCPeerConnection.prototype.createDataChannel = function (...how) {
              return (window.channel = make.apply(this, how));
            };"""
        )
        await page.goto(counter.url)
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)
        keep = page.get_by_role("button", name="Keep the last 5 s")
        await expect(keep).to_be_enabled()
        await page.route("**/transport/**", lambda route: route.abort("connectionrefused"))
        await page.evaluate("() => channel.dispatchEvent(new Event('close'))")
        await expect(keep).to_be_disabled()
        await expect(keep).to_be_visible()
        await page.unroute_all()
        await expect(keep).to_be_enabled(timeout=PATIENCE_MS)


async def test_a_key_keeps_a_clip_unless_somebody_is_writing(page: Page) -> None:
    await counted(page, FPS)
    await page.keyboard.press("5")
    await expect(page.get_by_role("link", name="Download: Last 5 s")).to_be_visible(timeout=PATIENCE_MS)
    await page.locator(".field", has_text="Word").get_by_role("textbox").press("5")
    await page.get_by_role("button", name="Log").click()
    await expect(page.locator(".clip-list li")).to_have_count(1)


async def test_commands_leave_marks_where_they_were_given(browser: Browser, counter: Running) -> None:
    async with opened(browser) as (page, complaints):  # with the page's own policy, which forbids styles in attributes
        await page.goto(counter.url)
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)
        await expect(page.locator(".ribbon i")).to_have_count(0)
        await page.locator(".field", has_text="Shade").get_by_role("slider").fill("1")
        mark, ribbon = page.locator(".ribbon i"), page.locator(".ribbon")
        await expect(mark).to_have_count(1)
        from_end = "([mark, ribbon]) => ribbon.getBoundingClientRect().right - mark.getBoundingClientRect().right"
        handles = [await mark.element_handle(), await ribbon.element_handle()]
        assert 0 <= await page.evaluate(from_end, handles) < 20
        await page.get_by_role("button", name="Keep the last 5 s").click()
        await page.get_by_role("button", name="Watch: Last 5 s").click(timeout=PATIENCE_MS)
        # A quick machine keeps a clip of a tenth of a second: the session is that old.
        await page.wait_for_function("() => document.querySelector('.film video')?.currentTime > 0")
        assert complaints == []


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (410, "", "The server no longer has this clip. Keep a new one."),
        (500, "", "Try again."),
        (200, "<p>hello", "This page cannot read the clip's playlist. Download the clip with the Python client."),
    ],
)
async def test_a_fault_is_told_with_what_to_do_next(
    browser: Browser, counter: Running, status: int, body: str, words: str
) -> None:
    async with live(browser, counter) as (page, _):
        await counted(page, FPS)
        await page.route(re.compile(r"/clips\?"), lambda route: route.fulfill(status=status, body=body))
        await page.get_by_role("button", name="Keep the last 5 s").click()
        await expect(page.locator("#timeline > .complaint")).to_contain_text(words)
        await expect(page.locator(".clip-list li")).to_have_count(0)
        await page.unroute_all()
        await page.get_by_role("button", name="Keep the last 5 s").click()
        await expect(page.locator("#timeline > .complaint")).to_be_empty()
        await expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=PATIENCE_MS)


async def test_a_server_that_is_away_is_told_and_looking_back_ends(browser: Browser, counter: Running) -> None:
    async with live(browser, counter) as (page, _):
        await counted(page, FPS)
        await page.route(re.compile("/clips/chunks/"), lambda route: route.abort("connectionrefused"))
        await page.get_by_role("slider", name="Look back").fill("-1")
        told = page.locator("#timeline > .complaint")
        await expect(told).to_have_text(
            "The server is not responding. Check your network and try again.", timeout=PATIENCE_MS
        )
        await expect(page.locator(".place")).to_have_text("Live")


async def test_a_clip_on_its_way_is_called_off(page: Page) -> None:
    await counted(page, FPS)
    asked = 0

    async def never(route: Route) -> None:
        nonlocal asked
        asked += 1
        await route.fulfill(status=202, headers={"Retry-After": "0.2"})

    await page.route(re.compile(r"/clips\?"), never)
    await page.get_by_role("button", name="Keep the last 30 s").click()
    await expect(page.get_by_role("progressbar", name="Last 30 s")).to_be_visible()
    async with asyncio.timeout(PATIENCE):
        while asked < 2:  # noqa: ASYNC110  counted by the browser's requests
            await asyncio.sleep(0.05)
    await page.get_by_role("button", name="Cancel: Last 30 s").click()
    await expect(page.locator(".clip-list li")).to_have_count(0)
    before = asked
    await counted(page, (await number(page, LIVE) or 0) + FPS)
    assert asked <= before + 1
    await expect(page.locator("#timeline > .complaint")).to_be_empty()


async def test_where_nothing_is_recorded_there_is_no_timeline(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEREACTOR_RECORDER__ENABLED", "false")
    running = await run_board(model=COUNTER)
    try:
        async with live(browser, running) as (page, complaints):
            await expect(page.locator("#timeline")).to_be_hidden()
            await expect(page.get_by_role("button", name="Clips")).to_be_hidden()
            assert complaints == []
        async with opened(browser) as (page, _):
            await page.route("**/session", pretend_to_record)
            await page.route("**/start_session", pretend_to_record)
            await page.goto(running.url)
            await page.get_by_role("button", name="Start").click()
            await on_screen(page)
            await page.get_by_role("button", name="Keep the last 10 s").click()
            await expect(page.locator("#timeline > .complaint")).to_contain_text("This server is not recording")
    finally:
        await running.stop()


async def pretend_to_record(route: Route) -> None:
    answer = await route.fetch()
    await route.fulfill(response=answer, json={**await answer.json(), "recording": {"enabled": True}})


async def test_while_it_is_closed_it_has_no_timer_and_asks_for_nothing(browser: Browser, counter: Running) -> None:
    async with opened(browser) as (page, _):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.add_init_script(
            """window.beats = new Set();
            const [begin, end] = [setInterval, clearInterval];
            setInterval = (run, ms) => { const id = begin(run, ms); if (ms === 1000) beats.add(id); return id; };
            clearInterval = (id) => { beats.delete(id); end(id); };"""
        )
        await page.goto(counter.url)
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)
        beats = await page.evaluate("() => beats.size")
        await page.get_by_role("button", name="Clips").click()
        await expect(page.locator("#timeline")).to_be_hidden()
        assert await page.evaluate("() => beats.size") == beats - 1
        assert [url for url in asked if "/clips" in url and not url.endswith((".js", ".css"))] == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_nobody_stumbles_over_it(browser: Browser, counter: Running, width: int, scheme: str) -> None:
    size = {"width": width, "height": 740 if width < 800 else width * 9 // 16}
    async with live(browser, counter, viewport=size, color_scheme=scheme) as (page, complaints):
        if width < 761:
            await expect(page.locator("#timeline")).to_be_hidden()
            await page.get_by_role("button", name="Clips").click()
        await page.locator(".field", has_text="Shade").get_by_role("slider").fill("1")
        await counted(page, 3 * FPS)
        assert await stumbles(page) == []
        await picture(page, f"timeline-{width}-{scheme}")
        await page.get_by_role("button", name="Keep the last 5 s").click()
        await expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_role("slider", name="Look back").fill("-2")
        await page.wait_for_function(f"() => ({NUMBER})({FILM!r}) !== null", timeout=PATIENCE_MS)
        assert await stumbles(page) == []
        await picture(page, f"timeline-back-{width}-{scheme}")
        assert complaints == []


# --- reading ---------------------------------------------------------------------------------------------------------


async def number(page: Page, which: str) -> int | None:
    """Read the number on a video; None before the first frame."""
    return await page.evaluate(NUMBER, which)


async def counted(page: Page, least: int) -> None:
    """Wait until the live video shows that number or a later one."""
    await page.wait_for_function(f"() => ({NUMBER})({LIVE!r}) >= {least}", timeout=PATIENCE_MS)


async def saved(page: Page, folder: Path) -> bytes:
    """Download the newest clip once it is ready."""
    link = page.get_by_role("link", name="Download").last
    async with page.expect_download(timeout=PATIENCE_MS) as download:
        await link.click(timeout=PATIENCE_MS)
    film = folder / "film.mp4"
    await (await download.value).save_as(film)
    return film.read_bytes()


def are_in_order(numbers: list[int]) -> bool:
    """Assert that no number comes twice, and none is missing except those that viewers did not get either."""
    steps = [later - sooner for sooner, later in pairwise(numbers)]
    return min(steps) == 1 and sum(step - 1 for step in steps) <= len(numbers) // 4


def pictures(film: bytes) -> tuple[list[float], list[int]]:
    """Return the time of each frame with the number on it."""
    times, numbers = list[float](), list[int]()
    with av.open(io.BytesIO(film), "r") as container:
        for each in container.decode(video=0):
            cells = each.to_ndarray(format="gray")[30, 10::20]
            times.append(float(each.time or 0))
            numbers.append(int(np.sum((cells > 128).astype(int) << np.arange(16))))
    return times, numbers


async def recorded(running: Running) -> dict[str, float]:
    """Read from the metrics how many frames were encoded for the recording, and how many viewers got."""
    async with httpx.AsyncClient() as client:
        told = (await client.get(f"{running.url}/metrics", timeout=PATIENCE)).text
    found = re.findall(r"(?m)^livereactor_recorder_pictures_(encoded|shared)_total (\S+)$", told)
    return {name: float(value) for name, value in found}
