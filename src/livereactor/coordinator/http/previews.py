"""Short films of models' pictures, which a gallery shows of them. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from livereactor.base.limits import MIB

LOOP_BYTES: Final = MIB  # ours have a fifth of that; a page with twenty of them must not load for minutes
LOOP_TYPE: Final = "video/webm"
_EBML: Final = b"\x1a\x45\xdf\xa3"  # what Matroska and WebM files begin with


@dataclass(frozen=True)
class Loop:
    """A WebM file of a few seconds, whole."""

    content: bytes

    @cached_property
    def tag(self) -> str:
        """Another for another film."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    def fault(self) -> str | None:
        """Return why the film cannot be shown; None = its size and its first bytes are right."""
        if len(self.content) > LOOP_BYTES:
            return f"it is larger than {LOOP_BYTES} bytes"
        return None if self.content.startswith(_EBML) else "it is no WebM file"
