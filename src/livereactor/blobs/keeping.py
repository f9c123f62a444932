"""What stays of Recordings, Clips and Uploads, and what goes: by age, by room, and because nobody owns it. Pure.

Nothing that runs is touched. A Recording is over once its `end.json` is there, or when it has not grown for an hour
and its Session is none that runs: its Worker was killed. Of those that are over, what is older than the retention
goes, then the oldest until all fits; what still does not fit is told, and nothing new is recorded. Clips take a part of
the room at most: past it the oldest of them go, so that however many are made, no Recording goes for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from livereactor.blobs.journals import RECORDED
from livereactor.blobs.port import STAGING, BlobEntry, BlobKey

HOUR: Final = 3_600.0  # seconds
RETENTION: Final = 24 * HOUR
MAX_BYTES: Final = 20 * 10**9
CLIPS_SHARE: Final = 4  # Clips have the fourth part of it
QUIET: Final = HOUR  # a Recording grows every second, unless its model is paused
LEFT_BEHIND: Final = 24 * HOUR  # Uploads go with their Session; what is there so long after was nobody's to erase
AT_ONCE: Final = 200  # folders removed in one round
ENDED: Final = "end.json"


class Root(Enum):
    """What lies below which prefix."""

    RECORDINGS = BlobKey("recordings")
    CLIPS = BlobKey("clips")
    RECORDED = RECORDED  # what leads from a Session to its Recordings
    UPLOADS = BlobKey("sessions")
    STAGING = STAGING  # streams that were being written when their process was killed


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided.

    Attributes:
        retention: seconds that a Recording is kept behind its end, and a Clip.
        max_bytes: of all Recordings and Clips together, of which Clips have a fourth part at most.
    """

    retention: float = RETENTION
    max_bytes: int = MAX_BYTES


@dataclass(slots=True)
class Folder:
    """One Recording, Clip, Session's Uploads, or stream.

    Attributes:
        changed_at: when the newest of its blobs was written, Unix seconds.
        is_ended: it ended in good order.
        leads_to: the Recordings, where it is what leads to some.
    """

    key: BlobKey
    root: Root
    size_bytes: int = 0
    changed_at: float = 0.0
    is_ended: bool = False
    leads_to: set[BlobKey] = field(default_factory=set[BlobKey])


Folders: TypeAlias = Mapping[BlobKey, Folder]


class Survey:
    """Folders, from the entries of a listing in any order. Memory grows with the folders, not with what is in them."""

    def __init__(self) -> None:
        self.folders: dict[BlobKey, Folder] = {}

    def add(self, root: Root, entry: BlobEntry) -> None:
        """One more blob; what lies beside the folders is nobody's."""
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
    """What is to be done.

    Attributes:
        removed: folders that go, in this order.
        is_full: what stays is over its limit: nothing new may be recorded.
        is_partial: more goes in the next round.
    """

    removed: tuple[BlobKey, ...]
    is_full: bool
    is_partial: bool = False


def doubtful(folders: Folders, now: float) -> list[Folder]:
    """Those that may belong to a Session that runs, and would be judged: who asks finds out whether it does."""
    return [
        each
        for each in folders.values()
        if (each.root is Root.RECORDINGS and not each.is_ended and now - each.changed_at > QUIET)
        or (each.root is Root.UPLOADS and now - each.changed_at > LEFT_BEHIND)
    ]


def plan(folders: Folders, running: Collection[BlobKey], rules: Rules, now: float) -> Plan:
    """Decide.

    Args:
        running: of the doubtful folders, those of Sessions that run.
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
    """Let the oldest go until that much has; how much did."""
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
    """None of its Recordings is left, and none is just being begun."""
    return now - folder.changed_at > QUIET and folder.leads_to.isdisjoint(left)


def _is_over(folder: Folder, now: float) -> bool:
    """A Recording to which nothing will be added."""
    return folder.root is Root.RECORDINGS and (folder.is_ended or now - folder.changed_at > QUIET)


def _oldest_first(folders: Iterable[Folder]) -> list[Folder]:
    return sorted(folders, key=lambda folder: folder.changed_at)
