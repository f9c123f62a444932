"""What was answered survives: the store's end, and the death of its process at any moment."""

from __future__ import annotations

import subprocess
import sys

from livereactor.store.records import SessionState
from tests.contract.store import records as r
from tests.contract.store.conftest import Place
from tests.tools.processes import REPOSITORY

# Says each number once the store has kept it, two transactions at a time, until it is killed.
WRITER = """
import asyncio, sys
from livereactor.store.sql.store import open_sql_store
from tests.contract.store import records as r

async def main() -> None:
    store = open_sql_store(sys.argv[1])

    async def write(n: int) -> None:
        await store.transact(lambda tx: (tx.add_session(r.session(f"ses_{n}")), tx.add_event(r.event(str(n)))))
        print(n, flush=True)

    for n in range(0, 1_000_000, 2):
        await asyncio.gather(write(n), write(n + 1))

asyncio.run(main())
"""


async def test_a_store_that_is_opened_again_has_what_was_kept(database: Place) -> None:
    first = database.open()
    session = await first.transact(lambda tx: tx.add_session(r.running("ses_1", start=r.TRICKY)))
    await first.transact(lambda tx: (tx.add_event(r.event()), tx.put_slot(r.slot(fence=7)), tx.put_key(r.key())))
    await first.aclose()
    second = database.open()
    assert await second.read(lambda tx: (tx.session("ses_1"), tx.slot("wrk_1", 0))) == (session, r.slot(fence=7))
    assert await second.read(lambda tx: (tx.key("key_1"), len(tx.events()))) == (r.key(), 1)
    added = await second.transact(lambda tx: tx.add_session(r.session("ses_2")))
    assert added.seq > session.seq
    await second.aclose()


async def test_two_stores_of_one_database_see_each_others_records_at_once(database: Place) -> None:
    one, other = database.open(), database.open()
    for n in range(10):
        await one.transact(lambda tx, n=n: tx.add_session(r.session(f"ses_{n}")))
        seen = await other.read(lambda tx: tx.sessions(states=[SessionState.QUEUED]))
        assert len(seen) == n + 1
        one, other = other, one
    await one.aclose()
    await other.aclose()


def answered_before_its_death(url: str) -> list[int]:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    answered = [int(next(writer.stdout)) for _ in range(25)]
    writer.kill()
    answered += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait(20.0)
    return answered


async def test_a_process_killed_while_it_writes_has_kept_all_that_it_answered(database: Place) -> None:
    answered = answered_before_its_death(database.url)
    store = database.open()
    sessions = {each.id for each in await store.read(lambda tx: tx.sessions(limit=10_000))}
    events = {f"ses_{each.kind}" for each in await store.read(lambda tx: tx.events(limit=10_000))}
    await store.aclose()
    assert {f"ses_{n}" for n in answered} <= sessions
    assert sessions == events, "half of a transaction was kept"
    assert len(sessions) <= len(answered) + 2
