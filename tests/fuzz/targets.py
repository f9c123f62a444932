"""All targets, and the module of each: a run imports one of them only, since what it imports is instrumented."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from tests.fuzz.promises import Target

CORPUS: Final = Path(__file__).parent / "corpus"
MODULES: Final = {
    "descriptions": ("description", "answer"),
    "messages": ("v0_client", "v0_server", "v1_client", "v1_server", "chunks", "frame_tag"),
    "bodies": ("json", "body", "schema", "arguments", "link", "playlist"),
    "requests": ("token", "worker_credential", "signed_url", "headers"),
    "files": ("picture", "recording", "h264", "journal", "settings"),
    "offers": ("offer_libwebrtc", "offer_aiortc"),
}
NAMES: Final = tuple(name for names in MODULES.values() for name in names)


def target(name: str) -> Target:
    """Return the target of this name; imports its module."""
    module = next(module for module, names in MODULES.items() if name in names)
    found: dict[str, Target] = import_module(f"tests.fuzz.readers.{module}").TARGETS
    return found[name]


def kept(name: str) -> list[Path]:
    """Return the inputs of a target's corpus."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
