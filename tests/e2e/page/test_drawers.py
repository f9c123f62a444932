"""The drawers above the bar: statistics with the parts of the latency, and the log with exported programs."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from .axe import stumbles
from .conftest import picture
from .runtime_rig import MODELS, Running, live, runtime_of
from .screen import PATIENCE, field

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
ROOT = Path(__file__).parents[3]


shared, walk = runtime_of(MODELS / "walk.py")


async def test_the_latency_is_the_sum_of_its_parts(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, complaints):
        await page.locator("#figures").click()
        await expect(page.locator("#details")).to_contain_text("Send a command to measure its latency.")
        await page.get_by_role("button", name="Jump").click()
        parts = page.locator("#details [data-way=command] .parts li")
        await expect(parts).to_have_count(6)
        await expect(parts).to_contain_text(["To the server", "Wait", "Frame", "To the browser", "Decode", "Display"])
        await expect(page.locator("#details")).to_contain_text("by frame timestamps: the last command")
        told = [float(await part.locator("b").inner_text()) for part in await parts.all()]
        shown = float(await page.locator('#figures [data-figure="latencyMs"] b').inner_text())
        assert sum(told) == pytest.approx(shown, abs=0.8)  # rounded: the figure to 1, each part to 0.1
        await expect(page.locator("#details .graph")).to_have_count(6)
        await picture(page, "figures")
        assert complaints == []


async def test_the_way_of_a_picture_has_every_stage_up_to_the_screen(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, complaints):
        await page.locator("#figures").click()
        way = page.locator("#details [data-way=picture]")
        stages = ["Step", "Queue", "Convert", "Encode", "Send", "Network", "Jitter buffer", "Decode"]
        await expect(way.locator(".parts li")).to_contain_text(stages, timeout=PATIENCE * 1000)
        await expect(way.locator(".parts li")).to_have_count(len(stages))
        await expect(way).to_contain_text("by the server and by this page")
        told = {name: float(await way.locator("li", has_text=name).locator("b").inner_text()) for name in stages}
        assert all(ms >= 0 for ms in told.values())
        assert told["Encode"] > 0
        await picture(page, "stages")
        assert complaints == []


async def test_figures_of_another_session_are_gone(browser: Browser, walk: Running) -> None:
    async with live(browser, walk) as (page, _):
        await page.locator("#figures").click()
        await page.get_by_role("button", name="Jump").click()
        await expect(page.locator("#details [data-way=command] .parts")).to_be_visible()
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.locator("#details .parts")).to_have_count(0)


async def copied(page: Page, how: str) -> str:
    await page.get_by_role("button", name=f"Copy as {how}").click()
    await expect(page.locator(f"#copy-{how}")).to_have_text("Copied")
    return await page.evaluate("navigator.clipboard.readText()")


async def play(page: Page) -> None:
    """Send an accepted command, a refused one, and a typed one."""
    await page.get_by_role("button", name="Log").click()
    await page.get_by_role("button", name="Jump").click()
    await page.get_by_role("button", name="Leave").click()
    box = field(page, "Said").get_by_role("textbox")
    await box.fill("it's “fine”\nreally")
    await box.press("Enter")
    await expect(page.locator("#log .reply")).to_have_count(3)


async def test_the_copied_python_program_runs_and_does_the_same(browser: Browser, walk: Running) -> None:
    async with live(browser, walk, **CLIPBOARD) as (page, _):
        await play(page)
        code = await copied(page, "Python")
    assert "leave" not in code  # it was refused
    await walk.end_session()
    # What the program shows is looked at where a new session's first jump is drawn.
    looking = code.replace("frame.shape)", "frame.shape, int(frame[174, 16, 0]) > 150, int(frame[174, 48, 0]) > 150)")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", looking, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(program.communicate(), PATIENCE)
    assert program.returncode == 0, err.decode()
    assert "(180, 320, 3) True False\n" in out.decode()


async def test_the_copied_javascript_program_is_one(browser: Browser, walk: Running, tmp_path: Path) -> None:
    async with live(browser, walk, **CLIPBOARD) as (page, _):
        await play(page)
        code = await copied(page, "JavaScript")
    assert 'await reactor.sendCommand("jump", {});' in code
    node = shutil.which("node")
    assert node is not None, "no node on this machine; `make setup-test` installs it"
    (tmp_path / "program.mjs").write_text(code)
    # Resolved with the official client beside it; a browser is what it needs to run.
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    esbuild = ROOT / "node_modules/.bin/esbuild"
    bundle = await asyncio.create_subprocess_exec(
        esbuild, "program.mjs", "--bundle", "--format=esm", "--log-level=error", "--outfile=out.mjs", cwd=tmp_path
    )
    assert await bundle.wait() == 0


async def test_the_log_is_filtered_and_copied_as_it_is_filtered(browser: Browser, walk: Running) -> None:
    async with live(browser, walk, **CLIPBOARD) as (page, _):
        await play(page)
        await page.get_by_label("Filter the log").fill("jump")
        await expect(page.locator("#log .line")).to_have_count(2)
        text = await copied(page, "Text")
        assert [line.split(" ", 1)[1] for line in text.splitlines()] == ["→ jump {}", "↩ jump"]
        code = await copied(page, "Python")
        assert "set_said" not in code
        await page.get_by_label("Filter the log").fill("nowhere to be found")
        await expect(page.locator("#log")).to_contain_text("No entries match this filter.")
        await picture(page, "log-filtered")


@pytest.mark.parametrize("width", [360, 1280, 2560])
async def test_nobody_stumbles_while_it_runs(browser: Browser, walk: Running, width: int, scheme: str) -> None:
    height = 740 if width < 800 else width * 9 // 16
    touch = {"has_touch": True, "is_mobile": True} if width < 800 else {}
    async with live(browser, walk, viewport={"width": width, "height": height}, color_scheme=scheme, **touch) as (
        page,
        _,
    ):
        await page.get_by_role("button", name="Jump").click()
        await page.get_by_role("button", name="Leave").click()
        if width >= 800:
            await page.keyboard.press("?")
            await page.keyboard.down("w")
            await expect(page.locator("#legend kbd.held")).to_be_visible()
        assert await stumbles(page) == []
        for button in ("#figures", "#log-toggle"):
            await page.locator(button).click()
            assert await stumbles(page) == []
            await picture(page, f"drawer-{button[1:]}-{width}-{scheme}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
