"""Texts of the page in every state, at a fake runtime."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from .conftest import opened, picture
from .fake_servers import ADDRESS, DESCRIPTOR, SCHEMA, FakeRuntime

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDTHS = [360, 768, 1280, 3840]


async def visit(page: Page, runtime: FakeRuntime) -> None:
    await runtime.attach(page.context)
    await page.goto(ADDRESS)


async def said(page: Page, *texts: str) -> None:
    for text in texts:
        await expect(page.locator("#stage .card")).to_contain_text(text)


async def test_the_first_screen_names_the_model_and_asks_nobody_else(browser: Browser) -> None:
    runtime = FakeRuntime()
    async with opened(browser) as (page, complaints):
        await visit(page, runtime)
        await said(page, "pond", "Rain on a pond. Touch the water to make waves.")
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        await expect(page).to_have_title("pond · livereactor")
        assert complaints == []
        assert runtime.foreign == []


async def test_a_page_that_came_in_part_loads_again_by_itself(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await FakeRuntime().attach(page.context)
        await page.context.route("**/js/client/connection-machine.js", lambda route: route.abort("failed"), times=1)
        await page.goto(ADDRESS)
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_page_that_comes_in_part_again_says_so(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await FakeRuntime().attach(page.context)
        await page.context.route("**/js/client/connection-machine.js", lambda route: route.abort("failed"), times=2)
        await page.goto(ADDRESS)
        await expect(page.locator("#alerts")).to_contain_text("Part of this page failed to load")
        await picture(page, "in-part")
        await page.get_by_role("button", name="Reload").click()
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_loading_model_shows_how_far_it_is_and_then_its_button(browser: Browser) -> None:
    runtime = FakeRuntime()
    runtime.answers["GET health"] = (
        503,
        {"status": "unhealthy", "state": "loading", "detail": "text encoder", "progress": 0.4},
    )
    async with opened(browser) as (page, _):
        await visit(page, runtime)
        await said(page, "Loading the model, 40%: text encoder")
        await picture(page, "loading")
        runtime.answers["GET health"] = (200, {"status": "healthy", "state": "available"})
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_refused_start_gives_the_servers_sentence_and_another_try(browser: Browser) -> None:
    runtime = FakeRuntime()
    runtime.answers["POST start_session"] = (429, {"error": "4 of 4 connections in use; close another page first"})
    async with opened(browser) as (page, _):
        await visit(page, runtime)
        await page.get_by_role("button", name="Start").click()
        await said(page, "The server refused the request", "4 of 4 connections in use; close another page first.")
        runtime.answers["POST start_session"] = (200, DESCRIPTOR)
        await page.get_by_role("button", name="Try again").click()
        await said(page, "Connecting")


async def test_a_server_that_is_gone_is_named_with_what_to_do(browser: Browser) -> None:
    runtime = FakeRuntime()
    async with opened(browser) as (page, _):
        await visit(page, runtime)
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        runtime.answers["POST start_session"] = (0, None)
        await page.get_by_role("button", name="Start").click()
        await said(page, "Cannot reach the server", "No response from localhost:8099", "livereactor run")
        await picture(page, "gone")


async def test_a_page_opened_before_its_server_goes_on_by_itself(browser: Browser) -> None:
    runtime = FakeRuntime()
    answer = runtime.answers["GET health"]
    runtime.answers["GET health"] = (0, None)
    async with opened(browser) as (page, _):
        await visit(page, runtime)
        await said(page, "No response from localhost:8099")
        runtime.answers["GET health"] = answer
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_browser_without_webrtc_is_told_so(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await page.add_init_script("delete globalThis.RTCPeerConnection")
        await visit(page, FakeRuntime())
        await page.get_by_role("button", name="Start").click()
        await said(page, "This browser cannot show the model", "Allow WebRTC for this page")


@pytest.mark.parametrize(
    ("error", "title", "next_step"),
    [
        ("NotAllowedError", "The browser blocked the camera", "allow the camera for this page"),
        ("NotFoundError", "No camera found", "send the test pattern or a file instead"),
        ("NotReadableError", "The camera is in use", "Close that program, or choose another camera"),
    ],
)
async def test_a_camera_that_cannot_be_used_says_why(browser: Browser, error: str, title: str, next_step: str) -> None:
    async with opened(browser) as (page, _):
        raising = f"() => Promise.reject(new DOMException('no', '{error}'))"
        await page.add_init_script(f"navigator.mediaDevices.getUserMedia = {raising}")
        await visit(page, FakeRuntime())
        await page.get_by_role("button", name="Start").click()
        panel = page.locator("[data-track=webcam]")
        await panel.get_by_role("button", name="Camera").click()
        await expect(panel.get_by_role("alert")).to_contain_text(title)
        await expect(panel.get_by_role("alert")).to_contain_text(next_step)


async def test_a_models_text_is_text(browser: Browser) -> None:
    runtime = FakeRuntime()
    evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    runtime.answers["GET schema"] = (200, {**SCHEMA, "info": {"title": evil, "description": evil}})
    async with opened(browser) as (page, complaints):
        await visit(page, runtime)
        await said(page, evil)
        assert await page.locator("#panel img").count() == 0
        assert complaints == []


async def test_a_mistake_of_the_page_itself_is_shown(browser: Browser) -> None:
    async with opened(browser, bypass_csp=True) as (page, _):
        await visit(page, FakeRuntime())
        await page.evaluate("() => void setTimeout(() => { throw new Error('a part fell off') })")
        await expect(page.locator("#alerts")).to_contain_text("a part fell off")
        await page.evaluate("() => void Promise.reject(new Error('and another'))")
        await expect(page.locator("#alerts")).to_contain_text("and another")
        await page.get_by_role("button", name="Dismiss").click()
        await expect(page.locator("#alerts")).to_be_empty()


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_fits_and_every_control_has_a_name(browser: Browser, width: int, scheme: str) -> None:
    size = {"width": width, "height": 740 if width < 800 else width * 9 // 16}
    async with opened(browser, viewport=size, color_scheme=scheme, bypass_csp=True) as (page, _):
        await visit(page, FakeRuntime())
        await expect(page.get_by_label("Rain")).to_have_count(2)  # the slider and its number
        await picture(page, f"start-{width}-{scheme}")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await page.get_by_role("button", name="Start").click()
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("[data-track=webcam]")).to_be_visible()
        await picture(page, f"connecting-{width}-{scheme}")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate("() => panel.scrollWidth <= panel.clientWidth")
        assert await page.evaluate(NAMELESS) == []


NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea")]
  .filter((e) => e.checkVisibility())
  .filter((e) => !(e.textContent || e.ariaLabel || e.labels?.length || e.getAttribute("aria-labelledby")))
  .map((e) => e.outerHTML)"""


async def test_the_page_is_worked_by_the_keyboard_alone(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, FakeRuntime())
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Start")).to_be_focused()
        await page.keyboard.press("Enter")
        await said(page, "Connecting")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Camera")).to_be_focused()
