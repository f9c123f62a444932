"""What was promised (design, section 8), held against the database's history and against what clients saw.

Not judged here are bad bytes, floods and tokens: tests/fault/test_hostile.py and the fuzzers do that.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urljoin

import httpx2

from bench.chaos.ledger import Ledger, Seen

# Seconds. What the file's settings give, and what a machine full of processes adds to it.
LEASE, BUSY = 15.0, 15.0
WINDOW: Final = 30.0  # that a session outlives its last client
TOLD: Final = 12.0  # for what takes one on an idle machine, and less than a lease, which would tell in the end, too
STILL: Final = 10.0  # without a frame, at four a second
_LET_GO: Final = ("session.ended", "session.requeued")
_BESIDE: Final = ("s3", "coturn")  # what no decision about sessions needs
_PART: Final = re.compile(r'^#EXT-X-MAP:URI="([^"]+)"|^([^#\s].*)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the history; `at` is Unix seconds."""

    kind: str
    at: float
    session: str | None
    data: Mapping[str, Any]


def history(events: Sequence[Event]) -> list[str]:
    """What no history may show, whatever was killed when: decisions that stand in each other's way."""
    wrong: list[str] = []
    lives = defaultdict[str, list[Event]](list)
    for event in events:
        if event.session is not None:
            lives[event.session].append(event)
    for session, life in lives.items():
        wrong += [f"{session}: {what}" for what in _life(life)]
    return [*wrong, *_slots(events)]


def _life(life: Sequence[Event]) -> Iterable[str]:
    kinds = [event.kind for event in life]
    if kinds.count("session.created") != 1 or kinds[0] != "session.created":
        yield f"made {kinds.count('session.created')} times"
    if kinds.count("session.ended") > 1:
        yield f"ended {kinds.count('session.ended')} times"
    if "session.ended" in kinds and kinds[-1] != "session.ended":
        yield f"goes on after its end: {kinds[-1]}"
    if sum(e.kind == "session.requeued" and e.data.get("reason") == "worker_lost" for e in life) > 1:
        yield "was queued again twice for lost workers"
    moves = [kind for kind in kinds if kind in ("session.assigned", "session.requeued")]
    if any(before == after for before, after in pairwise(["session.requeued", *moves])):
        yield f"is promised two slots at once: {moves}"


def _slots(events: Sequence[Event]) -> Iterable[str]:
    """No slot is anybody's while it is somebody's; no fence is given twice."""
    fences: dict[tuple[str, int], int] = {}
    holders: dict[tuple[str, int], str] = {}
    held: dict[str, tuple[str, int]] = {}
    for event in events:
        if event.session is None:
            continue
        if event.kind == "session.assigned":
            place, fence = (str(event.data["worker"]), int(event.data["slot"])), int(event.data["fence"])
            if fence <= fences.get(place, 0):
                yield f"{event.session}: fence {fence} of {place} was given before"
            if place in holders:
                yield f"{event.session}: {place} is {holders[place]}'s"
            fences[place], holders[place], held[event.session] = fence, event.session, place
        elif event.kind in ("session.ended", "session.requeued") and event.session in held:
            holders.pop(held.pop(event.session), None)


def asked_to_end(log: str) -> frozenset[str]:
    """Sessions that their clients ended themselves: by the proxy's log, they asked for it."""
    return frozenset(re.findall(r'"DELETE /sessions/(\w+)" ', log))


def ends(events: Sequence[Event], ledger: Ledger, asked: Collection[str]) -> list[str]:
    """Whoever stayed was let go for a reason that was done to its worker, and everybody has an end.

    Args:
        asked: sessions that their clients ended; one that gives up `connect()` does it too.
    """
    wrong: list[str] = []
    made = {event.session for event in events if event.kind == "session.created"}
    wrong += [f"{session}: was promised and is not in the database" for session in ledger.sessions.keys() - made]
    workers: dict[str, str] = {}
    for event in events:
        if event.session is None:
            continue
        if event.kind == "session.assigned":
            workers[event.session] = str(event.data["worker"])
        elif event.kind == "session.ended":
            seen, reason = ledger.sessions.get(event.session), str(event.data["reason"])
            ledger.tally[f"ended: {reason}"] += 1
            if reason == "stopped" and event.session in asked:
                continue
            if not _may_end(event, reason, seen, workers.get(event.session), ledger):
                detail = event.data.get("detail", "")
                wrong.append(f"{event.session}: ended {reason!r} {detail}, and nobody did anything to it")
    ended = {event.session for event in events if event.kind == "session.ended"}
    return wrong + [f"{session}: never ended" for session in made - ended]


def _may_end(event: Event, reason: str, seen: Seen | None, worker: str | None, ledger: Ledger) -> bool:
    if seen is None or (seen.ends is not None and event.at >= seen.ends - 1.0):
        return True  # its client never heard of it, or was about to leave
    if reason == "worker_lost" and worker is not None:
        return any(each.touches(event.at, event.at, slack=LEASE + BUSY) for each in ledger.faults_of(worker))
    return False


def streams(events: Sequence[Event], ledger: Ledger) -> list[str]:
    """Frames come for as long as a session has a worker that nothing was done to, and never an older one."""
    wrong: list[str] = []
    for seen in ledger.sessions.values():
        # All it ever had: one that goes on elsewhere counts its frames anew.
        workers = [str(e.data["worker"]) for e in events if e.kind == "session.assigned" and e.session == seen.session]
        names = " and ".join(workers) or "any worker"
        faults = ledger.faults_of(*(workers or ["worker-"]))
        for (before, number), (at, next_number) in pairwise(seen.frames):
            if any(each.touches(before, at, slack=BUSY) for each in faults):
                continue
            if next_number < number:
                wrong.append(f"{seen.session}: frame {next_number} came after {number}")
            if at - before > STILL:
                wrong.append(f"{seen.session}: no frame for {at - before:.1f} s, and nothing was done to {names}")
    return wrong


def windows(events: Sequence[Event], ledger: Ledger) -> list[str]:
    """Who vanishes without a word may come back: the session lives for its window, and ends then."""
    wrong: list[str] = []
    workers = {e.session: str(e.data["worker"]) for e in events if e.kind == "session.assigned"}
    for event in events:
        seen = ledger.sessions.get(event.session or "")
        if event.kind != "session.ended" or event.data["reason"] != "timed_out" or seen is None or seen.ends is None:
            continue
        kept = event.at - seen.ends
        faults = ledger.faults_of(workers.get(event.session, "worker-"))
        if any(each.touches(seen.began, event.at, slack=BUSY) for each in faults):
            continue  # its client may have lost it long before it was killed
        if seen.vanished and kept < WINDOW - 1.0:
            wrong.append(f"{seen.session}: ended {kept:.1f} s after its client had vanished, not {WINDOW:.0f}")
    return wrong


def told(events: Sequence[Event], ledger: Ledger) -> list[str]:
    """That a worker died is known at once, by its keeper: its session ends, or waits for another worker."""
    wrong: list[str] = []
    for fault in ledger.faults:
        if fault.what != "kill" or not fault.part.startswith("worker-"):
            continue
        others = [each for each in ledger.faults if each is not fault and each.part not in _BESIDE]
        if any(each.touches(fault.at, fault.at + TOLD, slack=0.0) for each in others):
            continue  # who would tell, or decide, or this very worker, was away itself
        for session in _held(events, fault.part, fault.at):
            later = (e.at for e in events if e.session == session and e.at >= fault.at and e.kind in _LET_GO)
            known = next(later, float("inf")) - fault.at
            if known > TOLD:
                wrong.append(f"{session}: that {fault.part} died was known after {known:.1f} s")
    return wrong


def _held(events: Sequence[Event], worker: str, at: float) -> set[str]:
    """Sessions that the worker had at that time."""
    held: set[str] = set()
    for event in events:
        if event.session is None or event.at >= at:
            continue
        if event.kind == "session.assigned" and event.data["worker"] == worker:
            held.add(event.session)
        elif event.kind in _LET_GO:
            held.discard(event.session)
    return held


async def clip_bytes(http: httpx2.AsyncClient, playlist_url: str) -> str:
    """A digest of a clip's playlist and of all its parts; raises where one of them is not there."""
    answer = (await http.get(playlist_url)).raise_for_status()
    digest = hashlib.sha256()
    for found in _PART.finditer(answer.text):
        part = urljoin(playlist_url, found[1] or found[2])
        digest.update((await http.get(part)).raise_for_status().content)
    return digest.hexdigest()


async def clips(ledger: Ledger, key: str) -> list[str]:
    """Every clip that somebody had is there, and the same."""
    wrong: list[str] = []
    async with httpx2.AsyncClient(timeout=30.0, headers={"Authorization": f"Bearer {key}"}) as http:
        for seen in ledger.sessions.values():
            for url, digest in seen.clips.items():
                try:
                    now = await clip_bytes(http, url)
                except httpx2.HTTPError as error:
                    wrong.append(f"{seen.session}: its clip is gone: {error}")
                    continue
                if now != digest:
                    wrong.append(f"{seen.session}: its clip has changed")
    return wrong


def answers(log: str) -> list[str]:
    """What the proxy passed on: an error of a server of ours has a code of its own (503), and no other."""
    statuses = re.findall(r'"(\w+) (\S+)" (\d{3}) ', log)
    return sorted(
        {
            f"{method} {path.split('?')[0]} was answered {status}"
            for method, path, status in statuses
            if status.startswith("5") and status not in ("502", "503", "504")
        }
    )


def logs(name: str, text: str) -> list[str]:
    """A program of ours that hits what it did not think of says so in its log."""
    return [f"{name}: {line[:300]}" for line in text.splitlines() if "Traceback" in line or '"exception"' in line]
