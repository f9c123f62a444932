"""libwebrtc's tracks and transceivers, kept until nobody else has them and then let go of where that can do no harm.

To free one waits for libwebrtc's signalling thread. Python frees what hangs together in a circle on whichever thread
its collector happens to run: in a callback, on a thread that the signalling thread may be waiting for. Then both wait
for ever, and the process with them (once in some thousand loads of a page, on a busy machine).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")


def _references(natives: Sequence[object]) -> list[int]:
    return [sys.getrefcount(native) for native in natives]


ALONE: Final = _references([object()])[0]  # as it is counted here where nobody else has one


class Held:
    """The native objects of the process, which has one signalling thread."""

    def __init__(self) -> None:
        self._natives: list[object] = []
        self._lock = threading.Lock()

    def keep(self, native: _T) -> _T:
        """Keep a native object until `sweep` frees it; may be called from any thread."""
        with self._lock:
            self._natives.append(native)
        return native

    def sweep(self) -> None:
        """Free what nobody else has. Waits for libwebrtc, so never on one of its threads."""
        with self._lock:
            counted = list(zip(_references(self._natives), self._natives, strict=True))
            self._natives = [native for count, native in counted if count > ALONE]
        counted.clear()  # behind the lock, which callbacks take

    def __len__(self) -> int:
        return len(self._natives)
