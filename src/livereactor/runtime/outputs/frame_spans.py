"""One Frame a second of a track, told to a tracer with its stages. On the track's thread."""

from __future__ import annotations

from typing import Final

from livereactor.base import spans
from livereactor.base.spans import unix_ns
from livereactor.runtime.interfaces import NOT_TRACED, SESSION_ATTRIBUTE, SessionOrigin

EVERY: Final = 1.0  # seconds; what is common to Frames is in their histograms, a trace shows how one went


class FrameSpans:
    """The frame spans of one track in one Session.

    Args:
        origin: of the Session.
    """

    def __init__(self, track: str, origin: SessionOrigin = NOT_TRACED) -> None:
        self._found = {SESSION_ATTRIBUTE: origin.session, "livereactor.track": track}
        self._links = spans.links(origin.trace)
        self._next_at = float("-inf")

    def sent(
        self,
        *,
        made: tuple[float, float],
        taken: float,
        convert: float,
        encode: float,
        now: float,
    ) -> None:
        """A Frame has been handed to the engine.

        Args:
            made: when the step that gave it began, and when it ended.
            taken: when the track's thread took it.
            convert, encode: seconds, of all its codecs and sizes together.
            now: monotonic seconds, as all the others.
        """
        tracer = spans.tracer()
        if tracer is None or now < self._next_at:
            return
        self._next_at = now + EVERY
        began, given = made
        whole = tracer.start_span(
            "frame", spans.ROOT, attributes=self._found, links=self._links, start_time=unix_ns(began)
        )
        inside = spans.inside(whole)
        encoded = taken + convert + encode
        for name, start, end in (
            ("step", began, given),
            ("queue", given, taken),
            ("convert", taken, taken + convert),
            ("encode", taken + convert, encoded),
            ("send", encoded, max(now, encoded)),
        ):
            tracer.start_span(name, inside, start_time=unix_ns(start)).end(unix_ns(end))
        whole.end(unix_ns(now))
