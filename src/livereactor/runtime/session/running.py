"""The running Session: the state that belongs to one Session and is dropped with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from livereactor.base.errors import LivereactorError
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import TaskSet
from livereactor.runtime.interfaces import ClientInfo, ModelControl, OutputsControl, SessionObserver, SessionStart
from livereactor.runtime.session.lifecycle import SessionRequested
from livereactor.runtime.session.timings import SessionTimes


class RunningSession:
    """The state that belongs to one Session; each Session gets a new one.

    Args:
        number: of this Session in its process; 0 = no Session runs.
        id: in every line of `log`.

    Attributes:
        clients: the clients that the model knows, by connection.
        times: where the Session's time goes.
        opening: completes when the model has opened the Session.
    """

    def __init__(self, number: int, log: SparseLog, id: str | None = None) -> None:
        self.number, self.id = number, id
        self.log = log if id is None else log.bind(session=id)
        self.clients: dict[int, ClientInfo] = {}
        self.times = SessionTimes(id or "")
        self.opening: Future[None] | None = None
        self._tasks = TaskSet()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background while the Session lasts."""
        self._tasks.start(work)

    def cancel(self) -> None:
        """Cancel the background work."""
        self._tasks.cancel()

    def start(self, request: SessionRequested, observer: SessionObserver) -> SessionStart:
        """Return what the model's thread opens the Session with."""
        return SessionStart(
            request.id,
            request.extra_args,
            request.stepped,
            request.starting,
            request.steps,
            number=self.number,
            observer=observer,
            timings=self.times.timings,
        )

    async def close_model(
        self, model: ModelControl, outputs: OutputsControl, reason: str, patience: float
    ) -> str | None:
        """Close the Session in the model, wait for it, and drop the Session's pictures.

        Args:
            patience: seconds that a step may take to end.

        Returns:
            The reason for which the model cannot serve any more; None = it can.
        """
        try:
            await asyncio.wait_for(asyncio.wrap_future(model.close(reason)), patience)
            outputs.reset()
        except TimeoutError:
            return f"the model did not end its step within {patience:g} s"
        except LivereactorError as error:  # the model's thread has stopped: the process ends anyway
            self.log.info("model thread already stopped", reason=error.message)
        except Exception:  # whatever it is, the next client must not find what is left of this one
            self.log.exception("session not closed")
            return "the model could not close a session; its log has the traceback"
        return None
