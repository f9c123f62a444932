"""Clips as a runtime leaves them in the blobs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from livereactor.blobs.port import BlobKey, Blobs
from tests.tools.films import Film

DAY_US = 24 * 3600 * 1_000_000


def unix_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Kept:
    """A Clip: its id, its parts' folder, and the query that its playlist is asked for with."""

    id: str
    folder: str
    params: dict[str, Any]


async def promise(blobs: Blobs, *, kind: str = "snap", seconds: float = 4.0, **asked: Any) -> Kept:
    """A Clip that was asked for and is not there yet."""
    clip, recording, now = str(uuid.uuid4()), str(uuid.uuid4()), unix_us()
    document = {
        "session": "ses_1",
        "recording": recording,
        "account": "",
        "kind": kind,
        "start": 0.0,
        "end": seconds,
        "made_us": now,
        "expires_us": now + DAY_US,
        "predicted_ready_us": now,
        **asked,
    }
    await put(blobs, f"clips/{clip}/asked.json", document)
    folder = f"clips/{clip}" if kind == "snap" else f"recordings/{recording}"
    return Kept(clip, folder, {"session_id": clip, "start": "0.000", "end": f"{seconds:.3f}"})


async def keep(blobs: Blobs, film: Film, **asked: Any) -> Kept:
    """A Clip that is whole."""
    kept = await promise(blobs, **{"seconds": float(len(film.parts)), **asked})
    await finish(blobs, kept, film)
    return kept


async def finish(blobs: Blobs, kept: Kept, film: Film, *, lengths: Sequence[float] | None = None) -> None:
    """The parts of a promised Clip, and the document that says so."""
    await blobs.put(BlobKey.parse(f"{kept.folder}/init.mp4"), film.init)
    keys = [f"{kept.folder}/chunk_{number:05}.m4s" for number in range(len(film.parts))]
    for key, part in zip(keys, film.parts, strict=True):
        await blobs.put(BlobKey.parse(key), part)
    if kept.folder.startswith("recordings/"):
        await put(blobs, f"{kept.folder}/recording.json", {})
    parts = list(zip(keys, lengths or [1.0] * len(keys), strict=True))
    await put(blobs, f"clips/{kept.id}/clip.json", {"init": f"{kept.folder}/init.mp4", "parts": parts, "failed": None})


async def put(blobs: Blobs, key: str, document: object) -> None:
    """A document, as JSON."""
    await blobs.put(BlobKey.parse(key), json.dumps(document).encode())
