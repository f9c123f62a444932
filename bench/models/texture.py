"""The conformance model with a picture that is hard to encode: fine texture that moves (P26)."""

from __future__ import annotations

from typing import Any

from conformance import Conformance  # pyright: ignore[reportMissingImports]: examples/ is on the path

from bench.official import picture


class Textured(Conformance):
    """A moving texture under a barcode."""

    name = "conformance"

    def _resize(self, width: int, height: int) -> None:
        if self.pattern.size != (width, height) or not isinstance(self.pattern, picture.Texture):
            self.pattern: Any = picture.Texture(width, height)
