"""Retention of Recordings, Clips and Uploads: what is removed, by age, by size, and because nobody owns it.

`plan` decides, and is pure; `RetentionLoop` does as it says, every five minutes.

Running Sessions are not touched. A Recording has ended once its `end.json` is there, or when it has not grown for an
hour and its Session does not run: its Worker was killed. Of the Recordings that have ended, those older than the
retention are removed, then the oldest until all fit; while the rest still does not fit, nothing new is recorded. Clips
may take a quarter of the space: beyond it the oldest Clips are removed, so no Recording is removed for a Clip.

Several processes may do so at once on one store: a process does not find what another has removed. A full store is
marked by a blob in the store itself, so every recorder can see it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

import structlog

from livereactor.base.errors import UnavailableError
from livereactor.blobs.journals import RECORDED
from livereactor.blobs.port import (
    STAGING,
    BlobEntry,
    BlobExistsError,
    BlobKey,
    BlobMissingError,
    Blobs,
    BlobsUnavailableError,
)

HOUR: Final = 3_600.0  # seconds
RETENTION: Final = 24 * HOUR
MAX_BYTES: Final = 20 * 10**9
CLIPS_SHARE: Final = 4  # a quarter of `max_bytes`
QUIET: Final = HOUR  # a Recording grows every second, unless its model is paused
LEFT_BEHIND: Final = 24 * HOUR  # Uploads are removed with their Session; older ones were left behind
AT_ONCE: Final = 200  # folders removed in one round
ENDED: Final = "end.json"


class Root(Enum):
    """The prefixes, each with one kind of content."""

    RECORDINGS = BlobKey("recordings")
    CLIPS = BlobKey("clips")
    RECORDED = RECORDED  # leads from a Session to its Recordings
    UPLOADS = BlobKey("sessions")
    STAGING = STAGING  # streams whose process was killed while it wrote them


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules.

    Attributes:
        retention: seconds that a Recording is kept after its end, and a Clip.
        max_bytes: of all Recordings and Clips together; Clips may have a quarter of it.
    """

    retention: float = RETENTION
    max_bytes: int = MAX_BYTES


@dataclass(slots=True)
class Folder:
    """One Recording, Clip, Session's Uploads, or stream.

    Attributes:
        changed_at: when the newest of its blobs was written, Unix seconds.
        is_ended: it ended in good order.
        leads_to: the Recordings of a Session, below `recorded`.
    """

    key: BlobKey
    root: Root
    size_bytes: int = 0
    changed_at: float = 0.0
    is_ended: bool = False
    leads_to: set[BlobKey] = field(default_factory=set[BlobKey])


Folders: TypeAlias = Mapping[BlobKey, Folder]


class Survey:
    """Folders, collected from the entries of a listing in any order. Its memory grows with the number of folders."""

    def __init__(self) -> None:
        self.folders: dict[BlobKey, Folder] = {}

    def add(self, root: Root, entry: BlobEntry) -> None:
        """Add a blob; a blob outside of any folder is ignored."""
        name, _, rest = entry.key.path.removeprefix(f"{root.value.path}/").partition("/")
        if not rest:
            return
        key = BlobKey(f"{root.value.path}/{name}")
        folder = self.folders.setdefault(key, Folder(key, root))
        folder.size_bytes += entry.size_bytes
        folder.changed_at = max(folder.changed_at, entry.modified_at)
        folder.is_ended |= rest == ENDED
        if root is Root.RECORDED:
            folder.leads_to.add(BlobKey(f"{Root.RECORDINGS.value.path}/{rest}"))


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of `plan`.

    Attributes:
        removed: folders to remove, in this order.
        is_full: what remains is over its limit, so nothing new may be recorded.
        is_partial: the next round removes more.
    """

    removed: tuple[BlobKey, ...]
    is_full: bool
    is_partial: bool = False


def doubtful(folders: Folders, now: float) -> list[Folder]:
    """Return the folders that would be removed, or counted as ended, unless their Session runs."""
    return [
        each
        for each in folders.values()
        if (each.root is Root.RECORDINGS and not each.is_ended and now - each.changed_at > QUIET)
        or (each.root is Root.UPLOADS and now - each.changed_at > LEFT_BEHIND)
    ]


def plan(folders: Folders, running: Collection[BlobKey], rules: Rules, now: float) -> Plan:
    """Decide which folders to remove.

    Args:
        running: the doubtful folders whose Sessions run.
        now: Unix seconds.
    """
    gone = [each for each in folders.values() if each.key not in running and _is_old(each, rules, now)]
    old = {each.key for each in gone}
    young = [each for each in folders.values() if each.key not in old]
    clips, recordings = ([each for each in young if each.root is root] for root in (Root.CLIPS, Root.RECORDINGS))
    over = [each for each in recordings if each.key not in running and _is_over(each, now)]
    total = _size(recordings) + _size(clips)
    total -= _take(gone, clips, _size(clips) - rules.max_bytes // CLIPS_SHARE)
    total -= _take(gone, over, total - rules.max_bytes)
    left = folders.keys() - {each.key for each in gone}
    gone += [each for each in folders.values() if each.root is Root.RECORDED and _leads_nowhere(each, left, now)]
    return Plan(tuple(each.key for each in gone[:AT_ONCE]), total > rules.max_bytes, len(gone) > AT_ONCE)


def _take(gone: list[Folder], folders: Iterable[Folder], size_bytes: int) -> int:
    """Add the oldest folders to `gone` until they have that size together; return their size."""
    taken = 0
    for each in _oldest_first(folders):
        if taken >= size_bytes:
            break
        gone.append(each)
        taken += each.size_bytes
    return taken


def _size(folders: Iterable[Folder]) -> int:
    return sum(each.size_bytes for each in folders)


def _is_old(folder: Folder, rules: Rules, now: float) -> bool:
    age = now - folder.changed_at
    match folder.root:
        case Root.RECORDINGS:
            return _is_over(folder, now) and age > rules.retention
        case Root.CLIPS:
            return age > rules.retention
        case Root.UPLOADS | Root.STAGING:
            return age > LEFT_BEHIND
        case Root.RECORDED:
            return False


def _leads_nowhere(folder: Folder, left: Collection[BlobKey], now: float) -> bool:
    """Return whether no Recording of the Session is left, or just being started."""
    return now - folder.changed_at > QUIET and folder.leads_to.isdisjoint(left)


def _is_over(folder: Folder, now: float) -> bool:
    """Return whether nothing will be added to the Recording."""
    return folder.root is Root.RECORDINGS and (folder.is_ended or now - folder.changed_at > QUIET)


def _oldest_first(folders: Iterable[Folder]) -> list[Folder]:
    return sorted(folders, key=lambda folder: folder.changed_at)


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
                log.warning("recordings not checked", reason=error.message)
            except Exception:
                log.exception("recordings not checked")
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
        log.warning("no space for recordings", max_bytes=self._rules.max_bytes)
        with suppress(BlobExistsError):
            await self._blobs.put(_FULL, b"")


async def always() -> bool:
    """Return True: the `leads` of the only process."""
    return True
