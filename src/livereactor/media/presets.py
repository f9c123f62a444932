"""The x264 presets whose pictures may stand in one track. Pure, and imported by settings: nothing heavy in here."""

from __future__ import annotations

from typing import Literal, TypeAlias

# They make the parameter sets that "ultrafast" does (tests/unit/media); from "faster" on, these have more reference
# frames in them.
Preset: TypeAlias = Literal["ultrafast", "superfast", "veryfast"]
