"""The page at a real runtime: moving video, controls that change it, and every way it may end."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest
from playwright.async_api import Browser, FilePayload, Page, expect

from .conftest import opened, picture
from .runtime_rig import BOARD, Running, live, run_board, runtime_of
from .screen import BAR, LEFT, PATIENCE, RIGHT, Part, field, look, on_screen, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILM = Path(__file__).parents[3] / "examples/pond.webm"
# What a page notices of a device that is pulled out, or of a share that the browser's own bar ends.
GONE = """() => {
  const [track] = window.given.getTracks();
  track.stop();
  track.dispatchEvent(new Event("ended"));
}"""


shared, board = runtime_of()


async def test_the_picture_moves_and_a_slider_changes_it(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, complaints):
        first = await look(page, BAR)
        await seen(page, BAR, f"trace !== {first[3]}")
        assert (await look(page, LEFT))[0] < 40
        await page.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, LEFT, "r > 200")
        await expect(field(page, "Red")).to_have_class(re.compile("accepted"))
        await expect(page.locator('[data-figure="latencyMs"] b')).to_have_text(re.compile(r"^\d+$"))
        await expect(page.locator('[data-figure="fps"] b')).to_have_text(re.compile(r"^(2|3)\d$"))
        assert complaints == []


async def test_a_touch_of_the_picture_is_a_command_with_its_place(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _):
        box = await page.locator("#stage video").bounding_box()
        assert box is not None
        corner: Part = (0.12, 0.08, 0.14, 0.12)
        assert min((await look(page, corner))[:3]) < 40
        height = box["width"] * 9 / 16  # the picture is letterboxed in a taller stage
        top = box["y"] + (box["height"] - height) / 2
        await page.mouse.click(box["x"] + 0.13 * box["width"], top + 0.1 * height)
        await seen(page, corner, "Math.min(r, g, b) > 180")
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log")).to_contain_text('"x":0.13')
        await expect(page.locator("#log .reply")).to_contain_text("marked")


async def test_a_refused_value_says_why_beside_its_field(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _):
        number = field(page, "Red").get_by_role("textbox")
        await number.fill("9")
        await number.press("Enter")
        await expect(field(page, "Red").get_by_role("alert")).to_have_text("must be ≤ 1")
        await page.get_by_role("button", name="Refuse").click()
        await expect(page.locator(".action", has_text="Refuse").get_by_role("alert")).to_have_text(
            "The board is dry; wet it first."
        )
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log")).not_to_contain_text("set_red")
        await page.get_by_label("Command as JSON").fill('{"type": "set_red", "data": {"red": 9}}')
        await page.keyboard.press("Enter")
        await expect(page.locator("#log > .complaint")).to_contain_text("invalid_command: ")
        await picture(page, "refused")


async def test_a_file_goes_to_the_model(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _):
        file = FilePayload(name="a.bin", mimeType="application/octet-stream", buffer=b"x" * 70_000)
        await page.locator("input[type=file]:not([hidden])").set_input_files(file)
        await page.get_by_role("button", name="Weigh").click()
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .reply")).to_contain_text('{"size":70000}')


@pytest.mark.parametrize("source", ["Camera", "Test pattern"])
async def test_what_is_sent_comes_back_on_the_picture(browser: Browser, board: Running, source: str) -> None:
    async with live(browser, board, permissions=["camera"]) as (page, complaints):
        assert max((await look(page, RIGHT))[:3]) < 40
        await page.get_by_role("button", name=source).click()
        await seen(page, RIGHT, "Math.max(r, g, b) > 80")
        await expect(page.locator("video.preview")).to_be_visible()
        await page.get_by_role("button", name="Stop sending").click()
        await expect(page.locator("video.preview")).to_be_hidden()
        assert complaints == []


async def test_a_film_of_ones_own_is_sent(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, complaints):
        await page.locator("[data-track=webcam] input[type=file]").set_input_files(FILM)
        await seen(page, RIGHT, "Math.max(r, g, b) > 80")
        assert complaints == []


async def test_a_shared_screen_is_sent_until_the_browser_ends_it(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, complaints):
        # Chromium without a screen has none to share: the page's own picture stands for it.
        await page.evaluate(
            """() => { navigator.mediaDevices.getDisplayMedia = async () => {
              const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
              const context = canvas.getContext("2d");
              setInterval(() => {
                context.fillStyle = "#fff";
                context.fillRect(0, 0, 640, 360);
              }, 50);
              return (window.given = canvas.captureStream(20));
            }; }"""
        )
        await page.get_by_role("button", name="Screen", exact=True).click()
        await seen(page, RIGHT, "Math.min(r, g, b) > 200")
        await page.evaluate(GONE)
        panel = page.locator("[data-track=webcam]")
        await expect(panel.get_by_role("alert")).to_contain_text("To send it again, press Screen")
        await expect(panel.get_by_role("button", name="Stop sending")).to_be_hidden()
        assert complaints == []


async def test_a_camera_that_is_pulled_out_is_said_and_something_else_is_sent(browser: Browser, board: Running) -> None:
    async with live(browser, board, permissions=["camera"]) as (page, complaints):
        await page.evaluate(
            """() => {
              const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => (window.given = await open(wanted));
            }"""
        )
        panel = page.locator("[data-track=webcam]")
        await panel.get_by_role("button", name="Camera").click()
        await seen(page, RIGHT, "Math.max(r, g, b) > 80")
        await page.evaluate(GONE)
        await expect(panel.get_by_role("alert")).to_contain_text("The camera was disconnected")
        await expect(panel.get_by_role("alert")).to_contain_text("Connect it and press Camera")
        await expect(page.locator("video.preview")).to_be_hidden()
        still = (await look(page, RIGHT))[3]
        await panel.get_by_role("button", name="Test pattern").click()  # moves all over, unlike Chromium's camera
        await expect(page.locator("video.preview")).to_be_visible()
        await seen(page, RIGHT, f"trace !== {still}")
        await expect(panel.locator(".complaint")).to_be_empty()
        assert complaints == []


async def test_a_reload_of_the_page_comes_back_to_its_session(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _):
        await page.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, LEFT, "r > 200")
        await page.reload()
        await on_screen(page)
        await seen(page, LEFT, "r > 200")
        await expect(field(page, "Red").get_by_role("textbox")).to_have_value("1")


async def test_a_hidden_tab_gets_no_pictures_after_ten_seconds(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _):
        await page.clock.install()
        await hide(page, True)
        await page.clock.fast_forward(11_000)
        await page.wait_for_function(STANDS_STILL, timeout=PATIENCE * 1000)
        await hide(page, False)
        trace = (await look(page, BAR))[3]
        await seen(page, BAR, f"trace !== {trace}")


async def hide(page: Page, hidden: bool) -> None:
    """Hide the page as another tab would: headless pages are never hidden by themselves."""
    await page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


# Called once a screen refresh: true after 60 of them without a new picture.
STANDS_STILL = """() => {
  const frames = document.querySelector("#stage video").getVideoPlaybackQuality().totalVideoFrames;
  if (frames !== globalThis.framesBefore) globalThis.still = 0;
  globalThis.framesBefore = frames;
  return ++globalThis.still > 60;
}"""


async def test_a_second_page_steers_the_same_model_and_leaves_without_harm(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, _), live(browser, board) as (other, _):
        await other.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, LEFT, "r > 200")
        await other.get_by_role("button", name="Leave").click()
        await expect(other.get_by_role("button", name="Start")).to_be_visible()
        trace = (await look(page, BAR))[3]
        await seen(page, BAR, f"trace !== {trace}")
        await expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()


async def test_stop_ends_the_session_and_start_begins_a_new_one(browser: Browser, board: Running) -> None:
    async with live(browser, board) as (page, complaints):
        await page.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)
        await seen(page, LEFT, "r < 40")
        await expect(field(page, "Red").get_by_role("textbox")).to_have_value(re.compile(r"^0(\.0)?$"))
        assert complaints == []


@pytest.mark.parametrize(
    ("button", "words"),
    [("Crash", "The model stopped with an error"), ("Finish", "Session ended")],
)
async def test_the_end_of_the_model_is_said_and_start_works_again(
    browser: Browser, board: Running, button: str, words: str
) -> None:
    async with live(browser, board) as (page, _):
        await page.get_by_role("button", name=button).click()
        await expect(page.locator("#stage .card")).to_contain_text(words)
        await picture(page, f"ended-{button.lower()}")
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)


async def test_a_server_that_dies_is_said_and_its_restart_brings_the_picture_back(browser: Browser) -> None:
    first = await run_board()
    port = int(first.url.rstrip("/").rsplit(":", 1)[1])
    async with live(browser, first) as (page, _):
        await first.stop(signal.SIGKILL)
        await expect(page.locator("#stage .card")).to_contain_text("Cannot reach the server", timeout=PATIENCE * 1000)
        await picture(page, "server-gone")
        second = await run_board(port)
        try:
            await on_screen(page)
        finally:
            await second.stop()


async def test_a_runtime_with_a_key_asks_for_it_or_takes_it_from_the_address(browser: Browser) -> None:
    key = "correct horse battery"
    running = await run_board(0, BOARD, "--key", key)
    try:
        async with opened(browser, bypass_csp=True) as (page, _):
            await page.goto(running.url)
            await expect(page.locator("#stage .card")).to_contain_text("This server requires a key")
            await page.get_by_label("Key", exact=True).fill("wrong horse battery")
            await page.keyboard.press("Enter")
            await expect(page.locator(".sign-in-form").get_by_role("alert")).to_contain_text("This is not the key")
            await page.goto(f"{running.url}/#key={key}")
            await page.get_by_role("button", name="Start").click()
            await on_screen(page)
            assert "#" not in page.url
    finally:
        await running.stop()


async def test_saving_the_file_of_a_model_brings_its_new_slider(browser: Browser, tmp_path: Path) -> None:
    model = Path(shutil.copy(BOARD, tmp_path / "board.py"))
    running = await run_board(0, model, "--reload")
    try:
        async with live(browser, running) as (page, _):
            add_parameter(model, "    speed: float = lr.param(1.0, ge=0, le=5)\n")
            await expect(field(page, "Speed")).to_be_visible(timeout=PATIENCE * 1000)
            await on_screen(page)
    finally:
        await running.stop()


def add_parameter(model: Path, line: str) -> None:
    before, marker, after = model.read_text().partition("    mood: ")
    assert marker
    model.write_text(before + line + marker + after)


@pytest.mark.parametrize("width", [360, 1280])
async def test_live_pages_are_kept_to_be_looked_at(browser: Browser, board: Running, width: int, scheme: str) -> None:
    size = {"width": width, "height": 740 if width < 800 else 720}
    async with live(browser, board, viewport=size, color_scheme=scheme) as (page, _):
        await page.get_by_role("button", name="Camera").click()
        await seen(page, RIGHT, "Math.max(r, g, b) > 80")
        await picture(page, f"live-{width}-{scheme}")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await page.locator("#figures").click()
        await expect(page.locator("#details .graph")).to_have_count(6)
        await picture(page, f"details-{width}-{scheme}")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
