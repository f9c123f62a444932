"""What a model says on its way out: nothing without a Session, and after the reply where a handler is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from livereactor.runtime.seam import MessageOut, Said


class Voice:
    """Speaks from any thread; `begin`, `end`, `hold` and `release` on the model's.

    Args:
        tell: takes what is said, in order.
    """

    def __init__(self, tell: Callable[[Said], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._heard = False  # a Session is open
        self._held: list[Said] | None = None

    def begin(self) -> None:
        self._heard = True

    def end(self) -> None:
        with self._lock:
            self._heard = False

    def say(self, message: MessageOut, client: int | None) -> None:
        said = Said(message, client)
        with self._lock:
            if not self._heard:
                return
            if self._held is not None:
                self._held.append(said)
                return
        self._tell(said)

    def hold(self) -> None:
        """Keep what is said until `release`: a command's reply goes first (behaviour 7.14)."""
        with self._lock:
            self._held = []

    def release(self) -> None:
        with self._lock:
            held, self._held = self._held or [], None
            # Told under the lock, so that nothing said from another thread overtakes what was held.
            for said in held:
                self._tell(said)
