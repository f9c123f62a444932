"""axe-core finds nothing, at every width and in both schemes: gallery, start, waiting, and the element elsewhere."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from .axe import stumbles
from .conftest import opened
from .fake_servers import ADDRESS, MODELS, FakeCoordinator

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDTHS = [360, 1280, 2560]
CHOICE = [{"queue_length": 0, "tags": ["camera", "sound", "keys"], **each} for each in MODELS]
FAILED = {"name": "zoo", "description": "It is closed.", "state": "failed", "text": "it crashed", "queue_length": 0}
EMBEDDING = """<!doctype html><html lang="en"><meta charset="utf-8" /><title>Elsewhere</title>
<script type="module" src="view.js"></script>
<main><h1>Elsewhere</h1><livereactor-view model="pond" controls></livereactor-view></main>"""


def size(width: int) -> dict[str, int]:
    return {"width": width, "height": 740 if width < 800 else width * 9 // 16}


async def visit(page: Page) -> None:
    coordinator = FakeCoordinator({"GET models": (200, {"models": [*CHOICE, FAILED]})})
    await coordinator.attach(page.context)


@pytest.mark.parametrize("width", WIDTHS)
async def test_nobody_stumbles_before_a_session(browser: Browser, width: int, scheme: str) -> None:
    async with opened(browser, viewport=size(width), color_scheme=scheme) as (page, _):
        await visit(page)
        await page.goto(ADDRESS)
        await expect(page.locator(".gallery .model")).to_have_count(len(CHOICE) + 1)
        assert await stumbles(page) == []
        await page.get_by_role("button", name="pond", exact=True).click()
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        assert await stumbles(page) == []
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("button", name="Leave the queue")).to_be_visible()
        await page.get_by_role("button", name="Log").click()
        assert await stumbles(page) == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_nobody_stumbles_over_the_element(browser: Browser, width: int, scheme: str) -> None:
    async with opened(browser, viewport=size(width), color_scheme=scheme) as (page, _):
        await visit(page)
        await page.route(f"{ADDRESS}elsewhere", lambda route: route.fulfill(body=EMBEDDING, content_type="text/html"))
        await page.goto(f"{ADDRESS}elsewhere")
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        await expect(page.locator("livereactor-view .field").first).to_be_visible()
        assert await stumbles(page) == []


async def test_a_page_with_a_mistake_is_found_out(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await page.set_content("<!doctype html><html lang='en'><title>A page</title><main><h1>It</h1><button></button>")
        (found,) = await stumbles(page)
        assert found.startswith("button-name at button")
