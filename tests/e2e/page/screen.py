"""Measure the video on the page, and find its controls."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

PATIENCE = 20.0  # seconds for what takes one on an idle machine
# The mean colour of a part of the picture (its shares of width and height), and a sum that differs when anything does.
LOOK = """([left, top, right, bottom]) => {
  const video = document.querySelector("figure:not([hidden]) video");
  if (!video?.videoWidth) return null;
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const [x, y] = [left * canvas.width, top * canvas.height];
  const { data } = context.getImageData(x, y, (right - left) * canvas.width, (bottom - top) * canvas.height);
  const mean = [0, 0, 0];
  let trace = 0;
  data.forEach((value, at) => { if (at % 4 < 3) mean[at % 4] += value; trace = (trace * 31 + value) | 0; });
  return [...mean.map((sum) => (4 * sum) / data.length), trace];
}"""
LEFT, RIGHT, BAR = (0.05, 0.1, 0.3, 0.4), (0.7, 0.1, 0.95, 0.4), (0.0, 0.92, 1.0, 1.0)
Part = tuple[float, float, float, float]


async def on_screen(page: Page, *, patience: float = PATIENCE) -> None:
    """Wait until the video plays and no card covers it; `patience` in seconds."""
    await expect(page.locator("#stage.playing:not(.covered)")).to_be_visible(timeout=patience * 1000)


async def look(page: Page, part: Part) -> tuple[float, float, float, int]:
    return tuple(await page.evaluate(LOOK, list(part)))


async def seen(page: Page, part: Part, condition: str) -> None:
    """Wait until the mean colour (r, g, b, 0..255) of a part of the video fits a JavaScript expression."""
    script = f"(part) => {{ const [r, g, b, trace] = ({LOOK})(part) ?? []; return {condition}; }}"
    await page.wait_for_function(script, arg=list(part), timeout=PATIENCE * 1000)


def field(page: Page, name: str) -> Locator:
    return page.locator(".field", has=page.locator(f'.name:text-is("{name}")'))
