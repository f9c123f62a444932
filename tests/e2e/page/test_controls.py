"""Every control that a schema can define: values arrive, errors are explained, accepted values are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from .axe import stumbles
from .conftest import picture
from .runtime_rig import MODELS, Running, live, runtime_of
from .screen import field

pytestmark = pytest.mark.asyncio(loop_scope="module")


shared, every = runtime_of(MODELS / "every.py")


async def told(page: Page, name: str, value: Any) -> None:
    """Ask the model until it reports this value."""
    lines = page.locator("#log .reply", has_text="told").locator(".content")
    if await page.locator("#log").is_hidden():
        await page.get_by_role("button", name="Log").click()
    before = await lines.count()
    await page.get_by_role("button", name="Tell").click()
    await expect(lines).to_have_count(before + 1)
    assert json.loads(await lines.last.inner_text())["values"][name] == value


def accepted(page: Page, name: str) -> Locator:
    return page.locator(".field.accepted", has=page.locator(f'.name:text-is("{name}")'))


async def test_a_slider_and_its_number_say_the_same(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, complaints):
        bright = field(page, "Bright")
        await bright.get_by_role("slider").fill("1.5")
        await expect(bright.get_by_role("textbox")).to_have_value("1.5")
        await expect(accepted(page, "Bright")).to_be_visible()
        await told(page, "bright", 1.5)
        await bright.get_by_role("textbox").fill("0,25")
        await bright.get_by_role("textbox").press("Enter")
        await expect(bright.get_by_role("slider")).to_have_value("0.25")
        await told(page, "bright", 0.25)
        await bright.get_by_role("textbox").press("ArrowUp")
        await told(page, "bright", 0.26)
        assert complaints == []


async def test_what_the_model_sets_itself_is_shown_on_every_page(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _), live(browser, every) as (other, _):
        await page.get_by_role("button", name="Dawn").click()
        for each in (page, other):
            await expect(field(each, "Bright").get_by_role("textbox")).to_have_value("2")
            await expect(field(each, "Bright").get_by_role("slider")).to_have_value("2")
        await other.reload()
        await expect(field(other, "Bright").get_by_role("textbox")).to_have_value("2")


async def test_what_a_person_is_typing_is_not_overwritten_by_the_model(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        await page.get_by_role("button", name="Log").click()
        number = field(page, "Bright").get_by_role("textbox")
        await number.fill("1.7")
        await page.get_by_role("button", name="Dawn").evaluate("(button) => button.click()")  # leaves the focus
        await expect(page.locator("#log .in", has_text="bright_set")).to_be_visible()
        await expect(number).to_have_value("1.7")
        await number.press("Enter")
        await told(page, "bright", 1.7)


@pytest.mark.parametrize(
    ("name", "entered", "words"),
    [
        ("Bright", "9", "must be ≤ 2"),
        ("Bright", "much", "must be a number"),
        ("Steps", "2.5", "must be a whole number"),
        ("Steps", "0", "must be ≥ 1"),
        ("Grid", "12", "must be a multiple of 8"),
        ("Prompt", "x" * 41, "must have at most 40 characters, has 41"),
        ("Tags", "[1", "must be valid JSON"),
    ],
)
async def test_what_cannot_be_is_not_sent_and_says_why(
    browser: Browser, every: Running, name: str, entered: str, words: str
) -> None:
    async with live(browser, every) as (page, _):
        box = field(page, name).get_by_role("textbox")
        await box.fill(entered)
        await box.press("Enter")
        await box.blur()
        await expect(field(page, name).get_by_role("alert")).to_have_text(words)
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .out")).to_have_count(0)


async def test_what_the_model_refuses_says_why_beside_its_field(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        box = field(page, "Tags").get_by_role("textbox")
        await box.fill('["a", 3]')
        await box.blur()
        await expect(field(page, "Tags").get_by_role("alert")).to_have_text("Tags[1]: expected str, got 3.0.")
        await picture(page, "refused-json")
        await box.fill('["a"]')
        await box.blur()
        await expect(field(page, "Tags").locator(".complaint")).to_be_empty()
        await told(page, "tags", ["a"])


async def test_what_the_model_made_of_a_value_is_shown(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        box = field(page, "Volume").get_by_role("textbox")
        await box.fill("8")
        await box.press("Enter")
        await expect(box).to_have_value("5")


async def test_choices_switches_and_colours(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        await page.get_by_role("switch", name="Loud").click()
        await told(page, "loud", True)
        await field(page, "Mood").get_by_text("wild").click()
        await told(page, "mood", "wild")
        await field(page, "Day").get_by_role("combobox").select_option("sun")
        await told(page, "day", "sun")
        await page.get_by_role("textbox", name="Ink").fill("#00ff00")
        await told(page, "ink", "#00ff00")
        await field(page, "Sure").get_by_text("false").click()
        await told(page, "sure", False)
        await field(page, "Sure").get_by_text("none").click()
        await told(page, "sure", None)


async def test_a_prompt_goes_on_enter_and_is_remembered_over_sessions(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        box = field(page, "Prompt").get_by_role("textbox")
        for prompt in ("a red fox", "a blue owl"):
            await box.fill(prompt)
            await box.press("Enter")
            await told(page, "prompt", prompt)
        await box.press("ArrowUp")
        await box.press("ArrowUp")
        await expect(box).to_have_value("a red fox")
        await box.press("ArrowDown")
        await expect(box).to_have_value("a blue owl")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Start").click()
        await expect(box).to_have_value("")
        await expect(box).to_be_enabled()
        await box.press("ArrowUp")
        await expect(box).to_have_value("a blue owl")


async def test_optional_values_lists_and_anything(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        limit = field(page, "Limit").get_by_role("textbox")
        await limit.fill("3")
        await limit.press("Enter")
        await told(page, "limit", 3.0)
        await limit.fill("")
        await limit.press("Enter")
        await told(page, "limit", None)
        anything = field(page, "Anything").get_by_role("textbox")
        await anything.fill('{"deep": [1, null]}')
        await anything.blur()
        await told(page, "anything", {"deep": [1, None]})


async def test_a_form_is_sent_by_enter_in_its_text_and_by_its_button(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        form = page.locator("form", has=page.get_by_role("button", name="Say"))
        await form.get_by_role("textbox", name="Text").fill("ho")
        await form.get_by_role("textbox", name="Text").press("Enter")
        await told(page, "said", "ho")
        await form.get_by_role("textbox", name="Times").fill("3")
        await page.get_by_role("button", name="Say").click()
        await told(page, "said", "hohoho")


async def test_a_nested_structure_shows_what_is_wanted_and_its_fault(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        brush = page.get_by_role("textbox", name="Brush")
        await expect(brush).to_have_attribute("placeholder", '{"size":1,"soft":false}')
        await page.get_by_role("button", name="Paint").click()
        alert = field(page, "Brush").get_by_role("alert")
        await expect(alert).to_have_text("is required")
        await brush.fill('{"size": "big"}')
        await page.get_by_role("button", name="Paint").click()
        await expect(alert).to_have_text("Brush.size: expected int, got str.")
        await brush.fill('{"size": 3}')
        await page.get_by_role("button", name="Paint").click()
        await told(page, "brush", {"size": 3, "soft": False})


async def test_a_file_is_dropped(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        await page.locator(".drop").evaluate(
            """(drop) => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File(["x"], "cat.png", { type: "image/png" }));
              drop.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
            }"""
        )
        await page.get_by_role("button", name="Show").click()
        await told(page, "picture", "cat.png")


async def test_a_command_as_json_is_sent_and_kept(browser: Browser, every: Running) -> None:
    async with live(browser, every) as (page, _):
        await page.get_by_role("button", name="Log").click()
        raw = page.get_by_label("Command as JSON")
        for command in ('{"type": "say", "data": {"text": "one"}}', '{"type": "say", "data": {"text": "two"}}'):
            await raw.fill(command)
            await raw.press("Enter")
            await expect(raw).to_have_value("")
        await told(page, "said", "two")
        await raw.press("ArrowUp")
        await raw.press("ArrowUp")
        await raw.press("Enter")
        await told(page, "said", "one")
        await raw.fill("say hello")
        await raw.press("Enter")
        await expect(page.locator("#log > .complaint")).to_contain_text("Not valid JSON")


@pytest.mark.parametrize("width", [360, 1280, 2560])
async def test_nobody_stumbles_over_a_control(browser: Browser, every: Running, width: int, scheme: str) -> None:
    size = {"width": width, "height": 740 if width < 800 else width * 9 // 16}
    async with live(browser, every, viewport=size, color_scheme=scheme) as (page, _):
        await field(page, "Bright").get_by_role("textbox").fill("9")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Paint").click()
        await expect(field(page, "Brush").get_by_role("alert")).to_be_visible()
        assert await stumbles(page) == []
        await picture(page, f"controls-{width}-{scheme}")
