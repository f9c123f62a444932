"""Long polls that are held: the sessions that they wait for, and the changes that wake them.

Loop only. A poll is registered before it reads the store and calls `rearm` before every further read, so a change
between read and wait is never lost. Changes of this replica come as effects. Those of others (the command line on the
data folder, another replica) are found by `cluster/notices.py`.

Waking a whole queue costs a read and an answer for each client, so moves of one model are merged, the more of them
the longer its queue: the first wakes at once, the next a millisecond per waiting client later.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from livereactor.base.tasks import set_within

MOST: Final = 20_000  # held at once; a poll costs some 10 KiB with its socket
MOST_OF_SESSION: Final = 64  # a page and its viewers, each once
APART: Final = 0.05  # seconds between two wakes of a short queue
APART_EACH: Final = 0.001  # and for each client in it: the approximate cost of a read and its answer
_ANY: Final = ""  # where a poll waits before it knows whether it is in a queue: every move is for it


class HeldPoll:
    """A poll that waits: a context manager, registered only inside its `with`.

    Attributes:
        is_held: False if there was no room, or all polls are being answered: answer at once, do not wait.
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
        """Set the model whose queue the session waits in, and whose moves wake the poll; None = no queue."""
        if model != self._model:
            self._polls.requeue(self, self._model, model)
            self._model = model

    def wake(self) -> None:
        """Make the poll read again."""
        self._woken.set()

    def release(self) -> None:
        """Make the poll answer now."""
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
        self._paused: dict[str, bool] = {}  # models woken lately: True = they moved again since
        self._closed = False

    @property
    def held(self) -> int:
        """The number of polls held now."""
        return self._count

    def hold(self, session: str) -> HeldPoll:
        """Return a poll of a session, to be entered."""
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
        """Wake all polls, since notices may have been missed."""
        for polls in self._by_session.values():
            for poll in polls:
                poll.wake()

    def close(self) -> None:
        """Answer all polls, and hold none from now on."""
        self._closed = True
        for polls in self._by_session.values():
            for poll in polls:
                poll.release()

    def add(self, session: str, poll: HeldPoll) -> bool:
        """Register a poll; False if there is no room."""
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
        """Move a poll from one model's queue to another's."""
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
