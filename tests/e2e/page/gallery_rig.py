"""First steps on the page of a coordinator: open the gallery, choose a model, start it."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from .fake_servers import ADDRESS, MODELS, FakeCoordinator

CHOICE = [{"queue_length": 0, **each} for each in MODELS]


async def visit(page: Page, coordinator: FakeCoordinator, fragment: str = "") -> None:
    await coordinator.attach(page.context)
    await page.goto(ADDRESS + fragment)


async def said(page: Page, *texts: str) -> None:
    for text in texts:
        await expect(page.locator("#stage .card")).to_contain_text(text)


async def choose(page: Page, model: str) -> None:
    await page.get_by_role("button", name=model, exact=True).click()


async def begin(page: Page, model: str = "pond") -> None:
    await choose(page, model)
    await page.get_by_role("button", name="Start").click()


def model(page: Page, name: str) -> Locator:
    """Return the button of a model's card in the gallery."""
    return page.locator(".gallery").get_by_role("button", name=name, exact=True)


def shown(page: Page, name: str) -> Locator:
    """Return a model's card."""
    return page.locator(".gallery .model", has=page.get_by_role("button", name=name, exact=True))
