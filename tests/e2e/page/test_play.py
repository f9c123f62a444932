"""Input to a model on the page: keys, a gamepad, touch controls, and the pointer on the video."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, FloatRect, Locator, Page, expect

from .conftest import picture
from .runtime_rig import MODELS, Running, live, runtime_of
from .screen import Part, field, look, on_screen, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEFT, RIGHT, BAR = (0.05, 0.1, 0.3, 0.4), (0.7, 0.1, 0.95, 0.4), (0.0, 0.95, 1.0, 1.0)
FORWARD, RESTING, BACK = "r > 230", "r > 100 && r < 155", "r < 25"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


shared, walk = runtime_of(MODELS / "walk.py")


async def test_held_keys_push_and_let_go_they_rest(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, complaints):
        await seen(page, LEFT, RESTING)
        await page.keyboard.down("w")
        await seen(page, LEFT, FORWARD)
        await expect(page.get_by_role("textbox", name="Forward")).to_have_value("1")
        await page.keyboard.down("d")
        await seen(page, RIGHT, "g > 230")
        await page.keyboard.down("s")
        await seen(page, LEFT, RESTING)
        await page.keyboard.up("w")
        await seen(page, LEFT, BACK)
        await page.keyboard.up("s")
        await page.keyboard.up("d")
        await seen(page, LEFT, RESTING)
        await seen(page, RIGHT, "g > 100 && g < 155")
        assert complaints == []


async def test_shift_is_held_with_a_letter_whose_name_it_changes(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        await page.keyboard.down("w")
        await page.keyboard.down("Shift")
        await seen(page, LEFT, f"b > 200 && {FORWARD}")
        await page.keyboard.up("W")
        await seen(page, LEFT, f"b > 200 && {RESTING}")
        await page.keyboard.up("Shift")
        await seen(page, LEFT, "b < 40")


async def test_a_held_button_is_one_command_however_long(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        await page.keyboard.down("Space")
        await page.keyboard.down("Space")  # what a keyboard repeats while held
        await page.keyboard.up("Space")
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .out", has_text="jump")).to_have_count(1)
        await seen(page, (0.0, 0.95, 0.09, 1.0), "r > 200")


@pytest.mark.parametrize("what", ["blur", "hidden", "session", "reload"])
async def test_nothing_stays_held_that_nobody_can_see(browser: Browser, walk: Running, what: str) -> None:
    async with live(browser, walk) as (page, _):
        await page.keyboard.down("w")
        await seen(page, LEFT, FORWARD)
        if what == "blur":
            await page.evaluate("window.dispatchEvent(new Event('blur'))")
        elif what == "hidden":
            await page.evaluate(
                """Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
                document.dispatchEvent(new Event("visibilitychange"))"""
            )
        elif what == "reload":
            await page.reload()
            await on_screen(page)
        else:
            await page.get_by_role("button", name="Stop", exact=True).click()
            await page.get_by_role("button", name="Start").click()
            await on_screen(page)
        await seen(page, LEFT, RESTING)
        await expect(page.locator("#legend kbd.held")).to_have_count(0)


async def test_who_types_does_not_play(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        box = field(page, "Said").get_by_role("textbox")
        await box.click()
        await page.keyboard.press("Control+a")
        await page.keyboard.type("swan day")
        await page.keyboard.press("Enter")
        await expect(box).to_have_value("swan day")
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .out")).to_have_count(1)
        await expect(page.locator("#log .out")).to_contain_text('{"said":"swan day"}')
        await page.locator("#stage video").click(position={"x": 40, "y": 5})
        await page.keyboard.down("w")
        await seen(page, LEFT, FORWARD)
        await page.keyboard.up("w")
        await box.click()
        await page.keyboard.press("Escape")
        await page.keyboard.down("s")
        await seen(page, LEFT, BACK)
        await expect(box).to_have_value("swan day")


async def test_who_chose_from_a_list_with_the_mouse_plays_on(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        sky = page.get_by_label("Sky")
        # Nothing is opened here: playwright cannot reach into the list that a browser draws.
        await sky.evaluate("list => list.addEventListener('mousedown', (event) => event.preventDefault())")
        await sky.click()
        await sky.focus()
        await sky.select_option("snow")
        await page.keyboard.down("d")
        await seen(page, RIGHT, "g > 230")
        await expect(sky).to_have_value("snow")


async def test_keys_that_a_control_needs_are_its_own(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        await page.get_by_role("switch").focus()
        await page.keyboard.press("Space")
        await seen(page, LEFT, "b > 200")
        assert max((await look(page, (0.0, 0.95, 0.09, 1.0)))[:3]) < 40
        await page.keyboard.press("Control+w")
        await expect(page.locator("#legend kbd.held")).to_have_count(0)


async def test_what_is_refused_is_said_on_the_picture(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        remark = page.locator(".toast")
        await page.keyboard.press("Enter")
        await expect(remark).to_have_text("The door is locked; find the key.")
        box = await shown(page)
        await page.mouse.click(box["x"] + 0.97 * box["width"], box["y"] + 0.5 * box["height"])
        await expect(remark).to_have_text("There is a wall; look elsewhere.")
        await picture(page, "refused-touch")


async def test_a_drag_gives_the_command_again_and_again_and_ends_where_the_finger_did(
    browser: Browser, walk: Running
) -> None:
    async with live(browser, walk) as (page, _):
        box = await shown(page)
        left, top, width, height = box["x"], box["y"], box["width"], box["height"]
        await page.mouse.move(left + 0.2 * width, top + 0.2 * height)
        await page.mouse.down()
        await page.mouse.move(left + 0.8 * width, top + 0.6 * height, steps=12)
        await page.mouse.move(left - 20, top + 0.5 * height)
        await page.mouse.up()
        edge: Part = (0.0, 0.47, 0.015, 0.53)
        await seen(page, edge, "Math.min(r, g, b) > 180")
        await page.get_by_role("button", name="Log").click()
        assert await page.locator("#log .out", has_text="look").count() >= 3


async def test_a_gamepad_plays_and_its_dead_zone_is_still(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, complaints):
        await plug_in(page)
        await lean(page, axes=[0.0, -0.14])
        await lean(page, axes=[0.0, -1.0])
        await seen(page, LEFT, FORWARD)
        await lean(page, axes=[0.575, 0.0])
        await seen(page, LEFT, RESTING)
        await seen(page, RIGHT, "g > 175 && g < 210")
        await lean(page, axes=[0.0, 0.0], pressed=[0, 6])
        await seen(page, LEFT, f"b > 200 && {RESTING}")
        await seen(page, (0.0, 0.95, 0.09, 1.0), "r > 200")
        await expect(page.locator("#legend kbd.held", has_text="LT")).to_be_visible()
        await page.evaluate("pads = []; window.dispatchEvent(new Event('gamepaddisconnected'))")
        await seen(page, LEFT, "b < 40")
        await page.get_by_role("button", name="Log").click()
        sent = await page.locator("#log .out", has_text="set_forward").all_inner_texts()
        assert [re.findall(r"-?[\d.]+}", line) for line in sent] == [["1}"], ["0}"]]
        assert complaints == []


async def test_a_gamepad_is_looked_at_only_while_it_can_do_something(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        await expect(page.locator("#legend")).to_be_visible()
        await page.evaluate("() => { looks = 0; navigator.getGamepads = () => (looks++, []); }")
        await two_refreshes(page)
        assert await page.evaluate("looks") == 0
        await plug_in(page)
        await page.wait_for_function("looks > 5")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        before = await page.evaluate("looks")
        await two_refreshes(page)
        assert await page.evaluate("looks") == before


async def test_a_stick_is_sent_at_most_sixty_times_a_second(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        await page.evaluate(
            """() => {
              const send = RTCDataChannel.prototype.send;
              sent = 0;
              RTCDataChannel.prototype.send = function (frame) {
                if (this.label === "data") sent++;
                return send.call(this, frame);
              };
            }"""
        )
        await plug_in(page)
        # Read far more often than a screen refreshes: as on a fast one.
        seconds = await page.evaluate(
            """() => new Promise((done) => {
              const start = performance.now();
              let turns = 0;
              const timer = setInterval(() => {
                pads = [{ ...pads[0], axes: [Math.sin(++turns / 9), 0, 0, 0] }];
                window.dispatchEvent(new Event("gamepadconnected"));
                if (turns < 250) return;
                clearInterval(timer);
                done((performance.now() - start) / 1000);
              }, 4);
            })"""
        )
        assert 10 < await page.evaluate("sent") <= 61 * seconds + 1


async def test_the_keys_are_drawn_first_then_kept_under_a_question_mark(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        legend, button = page.locator("#legend"), page.get_by_role("button", name="Keyboard and touch controls")
        await expect(legend).to_be_visible()
        await expect(legend).to_contain_text("Forward")
        await expect(legend).to_contain_text("Touch Look")
        await picture(page, "keys-first")
        await expect(legend).to_be_hidden(timeout=10_000)
        await page.keyboard.down("w")
        await expect(legend.locator("li:visible")).to_have_text(["WS Forward"])
        await expect(legend.locator("kbd.held")).to_have_text("W")
        await picture(page, "keys-held")
        await page.keyboard.up("w")
        await expect(legend).to_be_hidden()
        await button.click()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await expect(legend.locator("li")).to_have_count(6)
        await expect(legend.locator("li").first).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(legend).to_be_hidden()
        await page.keyboard.press("?")
        await expect(legend).to_be_visible()


async def test_a_phone_plays_with_a_stick_and_buttons_on_the_glass(browser: Browser, walk: Running) -> None:
    async with live(browser, walk, **PHONE) as (page, complaints):
        well, run = page.locator(".well"), page.locator(".pad", has_text="Run")
        await expect(well).to_be_visible()
        finger = await press(page, well, across=0.5, up=0.98)
        await seen(page, LEFT, FORWARD)
        await press(page, run, finger=2)
        await seen(page, RIGHT, "b > 200")
        await picture(page, "stick-held")
        await lift(page, run, finger=2)
        await seen(page, RIGHT, "b < 40")
        await lift(page, well, finger=finger)
        await seen(page, LEFT, RESTING)
        await press(page, page.locator(".pad", has_text="Jump"))
        await seen(page, (0.0, 0.95, 0.09, 1.0), "r > 200")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert complaints == []


async def test_the_glass_is_for_the_picture_once_there_are_keys(browser: Browser, walk: Running) -> None:
    async with live(browser, walk, **PHONE) as (page, _):
        await expect(page.locator(".touchpad")).to_be_visible()
        await page.keyboard.press("w")
        await expect(page.locator(".touchpad")).to_be_hidden()
    async with live(browser, walk) as (page, _):
        await expect(page.locator(".touchpad")).to_be_hidden()


async def shown(page: Page) -> FloatRect:
    """Return the box of the video, letterboxed in its stage."""
    box = await page.locator("#stage video").bounding_box()
    assert box is not None
    height = min(box["height"], box["width"] * 9 / 16)
    width = height * 16 / 9
    left, top = box["x"] + (box["width"] - width) / 2, box["y"] + (box["height"] - height) / 2
    return {"x": left, "y": top, "width": width, "height": height}


async def plug_in(page: Page) -> None:
    """Give the page a gamepad as browsers report it."""
    await page.evaluate(
        """() => {
          const buttons = Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 }));
          pads = [{ id: "pad", index: 0, connected: true, mapping: "standard", axes: [0, 0, 0, 0], buttons }];
          looks = 0;
          navigator.getGamepads = () => (looks++, pads);
          window.dispatchEvent(new Event("gamepadconnected"));
        }"""
    )


async def lean(page: Page, axes: list[float], pressed: list[int] | None = None) -> None:
    """Move the gamepad, and wait until the page has read it."""
    await page.evaluate(
        """([axes, pressed]) => {
          const buttons = pads[0].buttons.map((_, at) => {
            const down = pressed.includes(at);
            return { pressed: down, touched: down, value: Number(down) };
          });
          pads = [{ ...pads[0], axes: [...axes, 0, 0], buttons }];
          looks = 0;
        }""",
        [axes, pressed or []],
    )
    await page.wait_for_function("looks > 1")


async def two_refreshes(page: Page) -> None:
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def press(page: Page, target: Locator, *, across: float = 0.5, up: float = 0.5, finger: int = 1) -> int:
    """Touch an element, at shares of its width from the left and of its height from below."""
    await target.evaluate(
        """(target, [across, up, pointerId]) => {
          const { left, bottom, width, height } = target.getBoundingClientRect();
          target.setPointerCapture = target.releasePointerCapture = () => {};
          const place = { clientX: left + across * width, clientY: bottom - up * height };
          target.dispatchEvent(new PointerEvent("pointerdown", { pointerId, pointerType: "touch", ...place }));
        }""",
        [across, up, finger],
    )
    return finger


async def lift(page: Page, target: Locator, *, finger: int) -> None:
    """Send the last event of a touch."""
    await target.evaluate(
        "(target, pointerId) => target.dispatchEvent(new PointerEvent('lostpointercapture', { pointerId }))", finger
    )
