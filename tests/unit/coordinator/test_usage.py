"""What accounts used, from the events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livereactor.base.errors import PeerError
from livereactor.coordinator import usage as module
from livereactor.coordinator.usage import UsageRow, as_csv, as_json_lines, moment_us, usage
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import EventRecord
from tests.unit.coordinator.service_rig import ALICE, Rig

DAY_US = 86_400_000_000


async def store_with(*events: EventRecord) -> MemoryStore:
    store = MemoryStore()
    await store.transact(lambda tx: [tx.add_event(each) for each in events])
    return store


def ended(account: str, model: str, seconds: float, *, day: float = 0.5, kind: str = "session.ended") -> EventRecord:
    return EventRecord(kind, round(day * DAY_US), "ses", account, {"model": model, "seconds": seconds})


async def rows(store: MemoryStore, **asked: Any) -> list[UsageRow]:
    asked = {"since_us": 0, "until_us": DAY_US, **asked}
    return await store.read(lambda tx: usage(tx, **asked))


async def test_sessions_and_seconds_are_summed_by_account_and_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    store = await store_with(
        ended("b", "pond", 1.0), ended("a", "pond", 2.0), ended("a", "garden", 4.0), ended("a", "pond", 8.5)
    )
    assert await rows(store) == [
        UsageRow("a", "garden", 1, 4.0),
        UsageRow("a", "pond", 2, 10.5),
        UsageRow("b", "pond", 1, 1.0),
    ]
    assert await rows(store, account="b") == [UsageRow("b", "pond", 1, 1.0)]


async def test_a_session_counts_on_the_day_it_ends() -> None:
    store = await store_with(ended("a", "m", 1, day=0.0), ended("a", "m", 2, day=1.0), ended("a", "m", 4, day=-0.1))
    assert await rows(store) == [UsageRow("a", "m", 1, 1.0)]
    assert await rows(store, since_us=DAY_US, until_us=2 * DAY_US) == [UsageRow("a", "m", 1, 2.0)]


async def test_the_time_on_a_worker_that_was_lost_counts_and_the_session_once() -> None:
    store = await store_with(ended("a", "m", 3.0, kind="session.requeued"), ended("a", "m", 5.0))
    assert await rows(store) == [UsageRow("a", "m", 1, 8.0)]


async def test_a_session_that_ran_is_in_the_export() -> None:
    rig = Rig()
    session = await rig.ready()
    rig.advance(12.5)
    await rig.service.end(ALICE, session)
    until_us = rig.now_us + 1
    found = await rig.store.read(lambda tx: usage(tx, since_us=0, until_us=until_us))
    assert found == [UsageRow("alice", "pond", 1, 12.5)]


def test_the_export_is_json_lines_or_csv_that_no_spreadsheet_runs() -> None:
    used = [UsageRow("acme", "pond", 2, 10.5), UsageRow("=cmd()", "m", 1, 1.0)]
    assert [json.loads(line) for line in as_json_lines(used).splitlines()] == [
        {"account": "acme", "model": "pond", "sessions": 2, "seconds": 10.5},
        {"account": "=cmd()", "model": "m", "sessions": 1, "seconds": 1.0},
    ]
    assert as_csv(used).splitlines() == ["account,model,sessions,seconds", "acme,pond,2,10.5", "'=cmd(),m,1,1.0"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-02T00:00:01", 86_401.0),
        ("1970-01-02T01:00:00+01:00", 86_400.0),
        ("1970-01-02T00:00:00Z", 86_400.0),
        (" 86400.5 ", 86_400.5),
        ("19700102", 86_400.0),
        ("0", 0.0),
        ("1900000000", 1_900_000_000.0),
    ],
)
def test_a_moment_is_read_as_people_and_programs_write_it(text: str, seconds: float) -> None:
    assert moment_us(text) == round(seconds * 1e6)


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "nan", "1e9", "9" * 39, "2026-13-01", "١٩٧٠-٠١-٠٢"])
def test_what_is_no_moment_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(PeerError, match="write 2026-11-26"):
        moment_us(text)
