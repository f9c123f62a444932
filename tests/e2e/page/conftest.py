"""Fixtures: a browser for a module's tests, and pages with what their console complained of."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
HERE = Path(__file__).parent
ARTIFACTS = HERE.parent / "artifacts"
MIDDLE = 1280  # pixels: the width at which both schemes are looked at


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium is not None, "no Chromium on this machine; `make setup-test` installs it"
    async with async_playwright() as playwright:
        instance = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield instance
        await instance.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as instance:
        yield instance


@asynccontextmanager
async def opened(browser: Browser, **settings: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page in a context of its own; yield it with the complaints of its console."""
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **settings})
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page, complaints
    finally:
        await context.close()


async def picture(page: Page, name: str) -> None:
    """Keep a screenshot for people to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    await page.screenshot(path=ARTIFACTS / f"page-{name}.png")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the dark scheme at one width only; `make test-all` runs it at all."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if item.path.parent == HERE and given.get("scheme") == "dark" and given.get("width", MIDDLE) != MIDDLE:
            item.add_marker(pytest.mark.long)


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param
