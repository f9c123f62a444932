"""What a person does first on the page of a coordinator: looks at the gallery, chooses, starts."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from .fake_runtime import ADDRESS, MODELS, FakeCoordinator

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
    """The button of its card in the gallery."""
    return page.locator(".gallery").get_by_role("button", name=name, exact=True)


def shown(page: Page, name: str) -> Locator:
    """Its card."""
    return page.locator(".gallery .model", has=page.get_by_role("button", name=name, exact=True))
