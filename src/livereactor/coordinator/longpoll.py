"""Held polls: who waits for which Session, and what wakes them.

Loop only. A poll is registered before it looks at the store and says `rearm` before every further look, so a change
between look and wait is never lost. Changes of this replica come as effects. Those of others (the command line on the
data folder, another replica) are found by `cluster/notices.py`.

Telling a whole queue that it moved costs a look and an answer each, so moves of one model come together the more, the
more wait: the first is told at once, the next a millisecond per waiting client later.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from livereactor.base.tasks import set_within

MOST: Final = 20_000  # held at once; a poll costs some 10 KiB with its socket
MOST_OF_SESSION: Final = 64  # a page and its viewers, each once
APART: Final = 0.05  # seconds between two moves of a short queue
APART_EACH: Final = 0.001  # and for everyone who waits in it: about what a look and its answer cost
_ANY: Final = ""  # where a poll waits before it knows whether it is in a queue: every move is for it


class HeldPoll:
    """One poll that waits; a context manager, and registered inside only.

    Attributes:
        is_held: False where there was no room, or all are being answered: say what there is, do not wait.
    """

    def __init__(self, polls: HeldPolls, session: str) -> None:
        self._polls, self._session = polls, session
        self._woken = asyncio.Event()
        self._model: str | None = None
        self.is_held = False

    def __enter__(self) -> Self:
        self.is_held = self._polls.add(self._session, self)
        self.queued_at(_ANY)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._polls.remove(self._session, self)
        self.queued_at(None)

    def rearm(self) -> None:
        """Begin to count changes, before every read of the store."""
        self._woken.clear()

    def queued_at(self, model: str | None) -> None:
        """It waits in this model's queue, whose moves wake it; None = in none."""
        if model != self._model:
            self._polls.requeue(self, self._model, model)
            self._model = model

    def wake(self) -> None:
        """Let it look again."""
        self._woken.set()

    def release(self) -> None:
        """Let it answer now."""
        self.is_held = False
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a change since `rearm`, at most `seconds`."""
        if seconds <= 0:
            return
        await set_within(self._woken, seconds)


class HeldPolls:
    """All held polls of this replica."""

    def __init__(self) -> None:
        self._by_session: dict[str, set[HeldPoll]] = {}
        self._by_model: dict[str, set[HeldPoll]] = {}
        self._count = 0
        self._paused: dict[str, bool] = {}  # models told of lately: True = they moved again since
        self._closed = False

    @property
    def held(self) -> int:
        """Polls held now."""
        return self._count

    def hold(self, session: str) -> HeldPoll:
        """A poll of that Session, to be entered."""
        return HeldPoll(self, session)

    def session_changed(self, session: str) -> None:
        """Wake the polls that wait for this session."""
        for poll in self._by_session.get(session, ()):
            poll.wake()

    def queue_changed(self, model: str) -> None:
        """Wake the polls that wait in this model's queue, soon."""
        for poll in self._by_model.get(_ANY, ()):
            poll.wake()
        if not (waiting := self._by_model.get(model)):
            return
        if model in self._paused:
            self._paused[model] = True
            return
        for poll in waiting:
            poll.wake()
        self._paused[model] = False
        apart = APART + APART_EACH * len(waiting)
        asyncio.get_running_loop().call_later(apart, self._resume, model)

    def everything_changed(self) -> None:
        """All look again: nobody knows what was missed."""
        for polls in self._by_session.values():
            for poll in polls:
                poll.wake()

    def close(self) -> None:
        """Answer them all, and hold none from now on."""
        self._closed = True
        for polls in self._by_session.values():
            for poll in polls:
                poll.release()

    def add(self, session: str, poll: HeldPoll) -> bool:
        """Register; False where there is no room."""
        polls = self._by_session.get(session, ())
        if self._closed or self._count >= MOST or len(polls) >= MOST_OF_SESSION:
            return False
        self._by_session.setdefault(session, set()).add(poll)
        self._count += 1
        return True

    def remove(self, session: str, poll: HeldPoll) -> None:
        """Forget a poll."""
        if poll in self._by_session.get(session, ()):
            _discard(self._by_session, session, poll)
            self._count -= 1

    def requeue(self, poll: HeldPoll, before: str | None, after: str | None) -> None:
        """It left one model's queue for another's."""
        if before is not None:
            _discard(self._by_model, before, poll)
        if after is not None and poll.is_held:
            self._by_model.setdefault(after, set()).add(poll)

    def _resume(self, model: str) -> None:
        if self._paused.pop(model, False):
            self.queue_changed(model)


def _discard(polls: dict[str, set[HeldPoll]], key: str, poll: HeldPoll) -> None:
    if (waiting := polls.get(key)) is not None:
        waiting.discard(poll)
        if not waiting:
            del polls[key]
