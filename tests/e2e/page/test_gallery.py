"""The gallery of a fake coordinator: cards, previews, choosing a model and going back."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.tools.processes import REPOSITORY

from .conftest import opened
from .fake_servers import FakeCoordinator
from .gallery_rig import CHOICE, begin, choose, model, said, shown, visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILM = REPOSITORY / "examples/pond.webm"


async def test_a_model_is_chosen_and_started_and_gone_back_from_by_keys_alone(browser: Browser) -> None:
    async with opened(browser) as (page, complaints):
        coordinator = FakeCoordinator()
        await visit(page, coordinator)
        await said(page, "Choose a model", "Rain on a pond. Touch the water.", "starting, 40%", "starts on first use")
        await page.keyboard.press("Tab")
        await expect(model(page, "garden")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await said(page, "world", "A walk over an endless land", "Starts on first use.")
        await expect(page.get_by_role("button", name="Start")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(model(page, "world")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await said(page, "You are number 2 of 5", "About 2 minutes, give or take 30 seconds")
        assert complaints == []
        assert coordinator.foreign == []


async def test_the_browsers_own_back_leads_to_the_gallery_and_an_address_to_one_model(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator())
        await begin(page, "world")
        await said(page, "You are number 2 of 5")
        address = page.url
        async with page.expect_request(lambda asked: asked.method == "DELETE"):
            await page.go_back()
        await said(page, "Choose a model")
        await page.go_forward()
        await said(page, "world", "Starts on first use.")
        await page.goto("about:blank")
        await page.goto(address)
        await said(page, "world", "Starts on first use.")
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_card_says_what_its_model_takes_and_gives(browser: Browser) -> None:
    one = {"description": "", "state": "ready", "queue_length": 0}
    models = [{**one, "name": "mirror", "tags": ["camera", "microphone"]}, {**one, "name": "pond", "tags": []}]
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({"GET models": (200, {"models": models})}))
        await expect(shown(page, "mirror").locator(".tag")).to_have_text(["Camera", "Microphone"])
        await expect(shown(page, "pond").locator(".tag")).to_have_count(0)
        await choose(page, "mirror")
        await expect(page.locator("#stage .tag")).to_have_text(["Camera", "Microphone"])


async def test_a_card_keeps_its_focus_while_its_model_changes(browser: Browser) -> None:
    coordinator = FakeCoordinator()
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await model(page, "garden").focus()
        later = [{"name": "garden", "description": "", "state": "ready", "queue_length": 0}, *CHOICE[1:]]
        coordinator.answers["GET models"] = (200, {"models": later})
        await expect(shown(page, "garden")).to_contain_text("ready")
        await expect(model(page, "garden")).to_be_focused()
        coordinator.answers["GET models"] = (200, {"models": later[1:]})
        # Nothing starts any more: it is asked again after five seconds.
        await expect(page.locator(".gallery .model")).to_have_count(len(later) - 1, timeout=15_000)


def filmed() -> FakeCoordinator:
    """Three models: the first has a preview, the second one that cannot be played."""
    garden, pond, world = CHOICE
    models = [{**garden, "loop": "models/garden/loop?v=1"}, {**pond, "loop": "models/pond/loop?v=1"}, world]
    answers = {"GET models": (200, {"models": models}), "GET models/garden/loop": (200, FILM.read_bytes())}
    return FakeCoordinator({**answers, "GET models/pond/loop": (200, b"no film")})


async def test_a_film_plays_once_when_it_is_seen_and_on_while_it_is_pointed_at_or_focused(browser: Browser) -> None:
    async with opened(browser) as (page, complaints):
        await visit(page, filmed())
        film = shown(page, "garden").locator("video")
        await expect(film).to_have_js_property("loop", False)
        await expect(film).to_have_js_property("ended", True, timeout=15_000)
        await shown(page, "garden").hover()
        await expect(film).to_have_js_property("loop", True)
        await expect(film).to_have_js_property("paused", False)
        await page.mouse.move(0, 0)
        await expect(film).to_have_js_property("loop", False)
        await model(page, "garden").focus()
        await expect(film).to_have_js_property("paused", False)
        assert complaints == []


async def test_without_a_film_or_with_a_broken_one_hills_stand_in(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, filmed())
        await expect(shown(page, "garden").locator("video")).to_have_count(1)
        for name in ("pond", "world"):
            await expect(shown(page, name).locator("video")).to_have_count(0)
            await expect(shown(page, name).locator("svg")).to_be_visible()
        await choose(page, "garden")
        await expect(page.locator("#stage .model-preview.shown video")).to_be_visible()


async def test_who_wants_less_motion_gets_a_still_picture(browser: Browser) -> None:
    async with opened(browser, reduced_motion="reduce") as (page, _):
        await visit(page, filmed())
        film = shown(page, "garden").locator("video")
        await expect(shown(page, "garden").locator(".model-preview.shown")).to_be_visible()
        await shown(page, "garden").hover()
        await expect(film).to_have_js_property("loop", True)
        await page.evaluate("() => new Promise(requestAnimationFrame)")
        assert await film.evaluate("({paused, currentTime}) => [paused, currentTime]") == [True, 0]


async def test_a_model_whose_every_slot_is_taken_is_in_use(browser: Browser) -> None:
    ready = {"description": "", "state": "ready", "queue_length": 0}
    models = [{**ready, "name": "board", "in_use": True}, {**ready, "name": "pond", "in_use": False}]
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({"GET models": (200, {"models": models})}))
        await expect(shown(page, "board")).to_contain_text("in use")
        await expect(shown(page, "pond")).to_contain_text("ready")
        await choose(page, "board")
        await said(page, "In use.")
