"""The thread of one recording: takes from the tap, keeps the pictures, and gives up where that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from livereactor.base.clock import Clock
from livereactor.base.errors import UnavailableError
from livereactor.runtime.outputs.tap import Item, PlayedSound, ShownPicture, Tap
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.muxer import Muxer

JOIN_TIMEOUT: Final = 2.0

T = TypeVar("T")


class RecordingThread:
    """Runs a Muxer; every method but those marked may be called from any thread and returns at once.

    Args:
        broken: called on the thread with the reason why nothing is recorded any more.
    """

    def __init__(
        self, tap: Tap, muxer: Muxer, media: MediaClock, clock: Clock, *, broken: Callable[[Exception], None]
    ) -> None:
        self._tap, self._muxer, self._media, self._clock, self._broken = tap, muxer, media, clock, broken
        self._is_broken = self._is_over = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def run(self, running: bool) -> None:
        """Steps may run from now on, or not: the recording's clock goes, or stands."""
        self._media.run(running, self._clock.now())
        self._tap.do(lambda: None)  # so that it looks at the clock again

    def media_now(self) -> float:
        """Seconds of the recording; 0 before its first picture."""
        return self._media.at(self._clock.now())

    def ask(self, question: Callable[[Muxer, float], T]) -> Future[T]:
        """Ask the Muxer, with the present moment, behind all that was shown before; fails once it is broken."""
        future: Future[T] = Future()

        def answer() -> None:
            if not future.set_running_or_notify_cancel():
                return
            if self._is_broken:
                future.set_exception(UnavailableError("the recorder stopped; start another session"))
                return
            try:
                future.set_result(question(self._muxer, self._clock.now()))
            except Exception as error:
                future.set_exception(error)
                raise

        self._tap.do(answer)
        return future

    def finish(self) -> Future[float]:
        """Close the recording; its seconds. Nothing is taken after it."""
        self._tap.close()
        done = self.ask(Muxer.finish)
        self._tap.do(self._end)
        return done

    def join(self) -> bool:
        """Wait for the thread's end, after `finish`; blocks. Whether it came: an encoder or a disk may hang."""
        self._thread.join(JOIN_TIMEOUT)
        return not self._thread.is_alive()

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over:
            item = self._tap.get(self._patience())
            # The boundary of this thread: a codec or a disk that fails costs the recording, and the stream goes on.
            try:
                self._handle(item)
            except Exception as error:
                if not self._is_broken:
                    self._is_broken = True
                    self._tap.close()
                    self._broken(error)

    def _patience(self) -> float | None:
        return None if self._is_broken else self._muxer.hold_in(self._clock.now())

    def _handle(self, item: Item | None) -> None:
        match item:
            case ShownPicture() if not self._is_broken:
                self._muxer.show(item)
            case PlayedSound() if not self._is_broken:
                self._muxer.play(item)
            case None:
                self._muxer.hold(self._clock.now())
            case ShownPicture() | PlayedSound():
                pass
            case job:
                job()
        self._tap.wants_key = not self._is_broken and self._muxer.wants_key

    def _end(self) -> None:
        self._is_over = True
