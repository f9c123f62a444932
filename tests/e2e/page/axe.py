"""Run axe-core on a page to find problems of accessibility."""

from __future__ import annotations

from playwright.async_api import Page

from tests.tools.processes import REPOSITORY

_AXE = REPOSITORY / "node_modules/axe-core/axe.min.js"
_SETTLED = """() => Promise.all(document.getAnimations()
  .filter(({ effect }) => effect.getComputedTiming().endTime < Infinity)
  .map(({ finished }) => finished.catch(() => {})))"""
_RUN = """async (within) => {
  const { violations } = await axe.run(within ?? document, { resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} at ${target.flat().join(" ")}: ${failureSummary}`));
}"""


async def stumbles(page: Page, within: str | None = None) -> list[str]:
    """Return every violation of every rule, shadow roots included.

    Args:
        within: a selector; None = the whole page.

    Returns:
        Sentences with rule, place and reason; empty where all is well.
    """
    if not await page.evaluate("() => 'axe' in globalThis"):
        await page.evaluate(_AXE.read_text())
    # What is on its way in or out is neither readable nor unreadable yet.
    await page.evaluate(_SETTLED)
    return await page.evaluate(_RUN, within)
