"""The conformance model with a command that decodes the picture it is given."""

from __future__ import annotations

from conformance import Conformance  # pyright: ignore[reportMissingImports]: examples/ is on the path

import livereactor as lr


class Seen(lr.Message):
    """The size of a picture that was decoded."""

    width: int
    height: int


class Looking(Conformance):
    """A moving pattern, and `look`, which tells the size of a picture."""

    name = "conformance"

    @lr.command
    def look(self, image: lr.File) -> Seen:
        """Decode a picture."""
        width, height = image.image().size
        return Seen(width=width, height=height)
