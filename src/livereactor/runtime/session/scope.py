"""What belongs to one Session and goes with it: made when it opens, closed when it ends, never used for the next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from livereactor.base.errors import LivereactorError
from livereactor.base.sparse_log import SparseLog
from livereactor.runtime.interfaces import ClientInfo, JournalSink, ModelControl, OutputsControl, SessionStart
from livereactor.runtime.session.lifecycle import SessionRequested
from livereactor.runtime.session.timings import SessionTimes


def start_of(asked: SessionRequested, scope: SessionScope, journal: JournalSink | None) -> SessionStart:
    """What the Stage opens a Session with."""
    return SessionStart(
        asked.id,
        asked.extra_args,
        asked.stepped,
        asked.starting,
        asked.steps,
        number=scope.number,
        journal=journal,
        timings=scope.times.timings,
    )


class SessionScope:
    """One Session's own. Loop only, but for `publishers`.

    Args:
        number: of this Session in its process; 0 = there is none.
        session: its id, in every line of `log`.

    Attributes:
        clients: whom the model knows, by connection.
        publishers: which connection feeds an input track; read by threads of the engine.
        times: where its time goes.
    """

    def __init__(self, number: int, log: SparseLog, session: str | None = None) -> None:
        self.number, self.id = number, session
        self.log = log if session is None else log.bind(session=session)
        self.clients: dict[int, ClientInfo] = {}
        self.publishers: dict[str, int] = {}
        self.times = SessionTimes(session or "")
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the background, while the Session lasts."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Nothing of it happens any more."""
        for task in self._tasks:
            task.cancel()

    async def tidied(self, stage: ModelControl, outputs: OutputsControl, reason: str, patience: float) -> str | None:
        """The model closes the Session and nothing of its pictures stays.

        Args:
            patience: seconds that a step may take to end.

        Returns:
            why the model can serve nobody any more; None = it can.
        """
        try:
            await asyncio.wait_for(asyncio.wrap_future(stage.close(reason)), patience)
            outputs.reset()
        except TimeoutError:
            return f"the model did not end its step within {patience:g} s"
        except LivereactorError as error:  # the Stage has stopped: the process ends anyway
            self.log.info("stage already stopped", reason=error.message)
        except Exception:  # whatever it is, the next user must not find what is left of this one
            self.log.exception("session not tidied up")
            return "the model could not be tidied up after a session; its log has the traceback"
        return None
