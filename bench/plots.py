"""The rows of a figure as a plot: bars of ours and of the official stack, as SVG.

One file serves light and dark pages: what is drawn in the placeholder colours becomes CSS variables, which follow
`prefers-color-scheme`; in an image that is the scheme of the page around it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import ScalarFormatter

INK, FAINT, OURS, THEIRS = "#010203", "#040506", "#070809", "#0a0b0c"  # placeholders: nothing else is drawn so
SCHEMES: Final = """<style>
svg { --ink: #24292f; --faint: #d0d7de; --ours: #1f6feb; --theirs: #8c959f; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --faint: #3d444d; --ours: #58a6ff; --theirs: #6e7681; }
}
</style>
"""
VARIABLES: Final = {INK: "var(--ink)", FAINT: "var(--faint)", OURS: "var(--ours)", THEIRS: "var(--theirs)"}
WIDE: Final = 30.0  # times between the longest bar and the shortest, above which the scale is logarithmic
LINE: Final = 0.30  # inches a bar


def draw(rows: Sequence[dict[str, Any]], path: Path) -> bool:
    """Plot the rows that have a value in common; False, and no file, where those are fewer than two."""
    name = _shown(rows)
    bars = [row for row in rows if name in row["values"]] if name else []
    if name is None or len(bars) < 2:
        path.unlink(missing_ok=True)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # Texts stay texts, and the same rows give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "livereactor", "font.family": "sans-serif"}):
        text = _svg(_canvas(bars, name))
    head, tag, rest = text.partition("<defs>")
    text = head + SCHEMES + tag + rest
    for placeholder, variable in VARIABLES.items():
        text = text.replace(placeholder, variable)
    path.write_text(text)
    return True


def _shown(rows: Sequence[dict[str, Any]]) -> str | None:
    """The value that is drawn: the median where there is one, else the first that the rows share."""
    counts: dict[str, int] = {}
    for row in rows:
        for name in row["values"]:
            counts[name] = counts.get(name, 0) + 1
    if counts.get("p50", 0) >= 2:
        return "p50"
    return next((name for name, count in counts.items() if count >= 2), None)


def _canvas(bars: Sequence[dict[str, Any]], name: str) -> Canvas:
    canvas = Canvas(figsize=(8.0, 0.7 + LINE * len(bars)), layout="constrained")
    axes = canvas.add_subplot()
    values = [float(row["values"][name]) for row in bars]
    tails = [
        float(row["values"].get("p95", value)) if name == "p50" else value
        for row, value in zip(bars, values, strict=True)
    ]
    places = range(len(bars))
    colours = [OURS if row["server"] == "livereactor" else THEIRS for row in bars]
    axes.barh(places, values, height=0.62, color=colours)
    axes.hlines(places, values, tails, colors=colours, linewidth=1.6)
    for place, value, tail in zip(places, values, tails, strict=True):
        axes.annotate(f"{value:g}", (max(value, tail), place), (4, 0), textcoords="offset points", va="center",
                      fontsize=8, color=INK)  # fmt: skip
    axes.set_yticks(places, [_label(row) for row in bars], fontsize=8, color=INK)
    axes.invert_yaxis()
    above = [value for value in values if value > 0]
    if above and max(tails) / min(above) > WIDE and min(values) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
    unit = bars[0]["unit"]
    axes.set_xlabel(
        " ".join(filter(None, ("median" if name == "p50" else name, f"({unit})" if unit else ""))), color=INK
    )
    axes.margins(x=0.12, y=0.02)
    axes.tick_params(which="both", colors=INK, labelsize=8, length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    return canvas


def _label(row: dict[str, Any]) -> str:
    what = ", ".join(filter(None, (row["client"], row["setting"])))
    return f"{row['server']}: {what if len(what) <= 62 else what[:61] + '…'}"


def _svg(canvas: Canvas) -> str:
    written = io.StringIO()
    canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
