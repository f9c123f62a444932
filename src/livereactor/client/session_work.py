"""What a client asks of a Session over HTTP, and what the machine is told of the answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from livereactor.client.error import ReactorError
from livereactor.client.http.api import Api, Opened
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.known import end_of, seen_of
from livereactor.client.lifecycle import messages as w
from livereactor.client.options import Options

CANCELLED: Final = 0.9  # seconds that a cancelled connect() may take to leave nothing behind (behaviour 2.13)
HOLD: Final = 20.0  # seconds that our coordinator is asked to hold an answer until something changes
NOW: Final = 0.0  # asked to hold it that long; unasked, it holds it until the Session is ready (protocol 1.4)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: what it means, and all of it where the server described the Session."""

    event: w.MachineEvent
    descriptor: ReceivedDescriptor | None = None


class SessionWork:
    """Of one client."""

    def __init__(self, api: Api, options: Options) -> None:
        self._api, self._options = api, options

    async def create(self) -> Told:
        """Have a Session made; cancelled, it is ended if it was made after all.

        Raises:
            ReactorError: it was not made.
        """
        options = self._options
        creating = asyncio.ensure_future(
            self._api.create_session(
                options.model,
                session_args=options.session_args,
                max_session_duration=options.max_session_duration,
                generation=options.generation,
            )
        )
        try:
            opened = await asyncio.shield(creating)
        except asyncio.CancelledError:
            await self._end_unborn(creating)
            raise
        found = opened.descriptor
        # A runtime has one model, and takes whoever comes: what is meant for another goes wrong much later.
        if options.local and (asked := _bare(options.model)) != _bare(found.model.name):
            log.warning(f"this server has the model {found.model.name[:64]!r}, not {asked!r}; check the address")
        return Told(w.Obtained(found.session_id, seen_of(found), owned=opened.is_ours), found)

    async def adopt(self, session_id: str) -> Told:
        """Find a Session that somebody else made.

        Raises:
            ReactorError: there is none for this account.
        """
        found = await self._api.session(session_id, wait=NOW)
        over = end_of(found)
        return Told(w.Obtained(session_id, seen_of(found), owned=False) if over is None else w.Over(over), found)

    async def look(self, session_id: str, version: str | None) -> Told:
        """How the Session is; with a `version`, which our coordinator gave, once there is another."""
        try:
            found = await self._api.session(session_id, wait=NOW if version is None else HOLD, version=version)
        except ReactorError as error:
            return Told(w.Unseen(error))
        over = end_of(found)
        return Told(seen_of(found) if over is None else w.Over(over), found)

    async def end(self, session_id: str, *, is_sure: bool = True) -> None:
        """End the Session; a server that cannot be told ends it by itself.

        Args:
            is_sure: this client was connected to it just now. Otherwise a runtime may have closed it, and run another,
                which it would stop in its place: it is not asked to stop one of a certain id.
        """
        try:
            if self._options.local and not is_sure:
                await self._api.session(session_id)
            await self._api.end_session(session_id)
        except ReactorError as error:
            log.warning("the session could not be ended, its server will", session=session_id, reason=error.message)

    async def _end_unborn(self, creating: asyncio.Future[Opened]) -> None:
        # Half of the time is for its name to come, half for the server to be told.
        await asyncio.wait((creating,), timeout=CANCELLED / 2)
        if creating.cancel() or creating.cancelled() or creating.exception() is not None:
            return
        opened = creating.result()
        if opened.is_ours:
            await self.end(opened.descriptor.session_id)


def _bare(model: str) -> str:
    """A model's name without its owner and version."""
    return model.partition("@")[0].rpartition("/")[2]
