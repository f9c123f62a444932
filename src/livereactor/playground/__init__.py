"""The playground: the web page at `/` of a runtime. Static files only; nothing of ours is imported."""

from __future__ import annotations

from pathlib import Path

__all__ = ["page_directory"]


def page_directory() -> Path:
    """Return the folder that holds `index.html`, `css/` and `js/`, to be served as it is at the site's root."""
    return Path(__file__).parent
