"""The loop that removes Recordings, Clips and Uploads as `retention.py` decides, every five minutes. Loop only.

Several processes may do so at once on one store: a process does not find what another has removed. A full store is
marked by a blob in the store itself, so every recorder can see it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from livereactor.base.errors import UnavailableError
from livereactor.blobs.port import BlobExistsError, BlobKey, BlobMissingError, Blobs, BlobsUnavailableError
from livereactor.blobs.retention import Folder, Folders, Root, Rules, Survey, doubtful, plan

EVERY: Final = (
    300.0  # seconds; a Session records about 100 MB in that time, and S3 charges a cent for listing a full store
)
SOON: Final = 1.0  # seconds to the next round where one was not enough
_KEEPING: Final = BlobKey("keeping")
_FULL: Final = BlobKey("keeping/full")

log = structlog.get_logger("livereactor.recordings")


async def may_record(blobs: Blobs) -> bool:
    """Return False while the store is over its limit; True where the store is away, as nobody knows then."""
    try:
        await blobs.size(_FULL)
    except (BlobMissingError, BlobsUnavailableError):
        return True
    return False


class RetentionLoop:
    """The retention of one store.

    Args:
        is_open: returns whether a Session runs, by its id.
        leads: returns whether this process does the rounds; one of several is enough.
        now: Unix seconds.
    """

    def __init__(
        self,
        blobs: Blobs,
        rules: Rules,
        *,
        is_open: Callable[[str], Awaitable[bool]],
        leads: Callable[[], Awaitable[bool]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._blobs, self._rules, self._now = blobs, rules, now
        self._is_open, self.leads = is_open, leads

    async def run(self) -> None:
        """Do rounds until cancelled; errors are logged."""
        while True:
            pause = EVERY
            try:
                if await self.leads() and await self.round():
                    pause = SOON
            except UnavailableError as error:
                log.warning("recordings not looked through", reason=error.message)
            except Exception:
                log.exception("recordings not looked through")
            await asyncio.sleep(pause)

    async def round(self) -> bool:
        """List the store and remove what has to go; return True where another round is due at once.

        Raises:
            UnavailableError: the store is away; folders removed before stay removed.
        """
        folders = await self._survey()
        now = self._now()
        running = [each.key for each in doubtful(folders, now) if await self._runs(each)]
        decided = plan(folders, running, self._rules, now)
        for key in decided.removed:
            await self._blobs.delete_prefix(key)
        if decided.removed:
            size = sum(folders[key].size_bytes for key in decided.removed)
            log.info("recordings removed", folders=len(decided.removed), size_bytes=size)
        await self._mark(is_full=decided.is_full)
        return decided.is_partial

    async def _survey(self) -> Folders:
        survey = Survey()
        for root in Root:
            async for entry in self._blobs.list(root.value):
                survey.add(root, entry)
        return survey.folders

    async def _runs(self, folder: Folder) -> bool:
        session = await self._session_of(folder)
        return session is not None and await self._is_open(session)

    async def _session_of(self, folder: Folder) -> str | None:
        if folder.root is Root.UPLOADS:
            return folder.key.path.rpartition("/")[2]
        # A Recording without its head belongs to no Session.
        with suppress(BlobMissingError, ValueError, KeyError, TypeError):
            return str(json.loads(await self._blobs.get(BlobKey(f"{folder.key.path}/recording.json")))["session"])
        return None

    async def _mark(self, *, is_full: bool) -> None:
        if not is_full:
            await self._blobs.delete_prefix(_KEEPING)
            return
        log.warning("no room for recordings", max_bytes=self._rules.max_bytes)
        with suppress(BlobExistsError):
            await self._blobs.put(_FULL, b"")


async def always() -> bool:
    """Return True: the `leads` of the only process."""
    return True
