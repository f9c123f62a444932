"""API keys: made once, found quickly, revoked for good."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from livereactor.base.errors import NotFoundError, QuotaError, UnauthorizedError
from livereactor.coordinator.auth.keys import KEY, Keys, key_hash, new_key
from livereactor.protocol.tokens import KeyRequest
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.web.rates import ALLOWED

SECOND = 1_000_000


class Rig:
    """Keys over a store that counts, with a clock turned by hand."""

    def __init__(self) -> None:
        self.now_us = 1_900_000_000 * SECOND
        self.store = CountedStore()
        self.keys = Keys(self.store, unix_us=lambda: self.now_us)

    async def find(self, key: str, peer: str = "192.0.2.1"):
        return await self.keys.find(key, peer=peer)


class CountedStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = 0
        self.is_away = False
        self.before_write: Callable[[Tx], None] | None = None  # a write that another coordinator does just before

    async def read(self, work: Any) -> Any:
        self.reads += 1
        self._must_be_there()
        return await super().read(work)

    async def transact(self, work: Any) -> Any:
        self.writes += 1
        self._must_be_there()
        between, self.before_write = self.before_write, None
        if between is not None:
            await super().transact(between)
        return await super().transact(work)

    def _must_be_there(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("the database is away; retry later")


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_key_is_rk_and_33_characters_of_base_62() -> None:
    assert all(KEY.fullmatch(new_key()) for _ in range(200))


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key() for _ in range(1000)}) == 1000


async def test_of_a_key_only_hash_and_first_characters_are_kept(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest(name="web"))
    kept = (await rig.store.read(lambda tx: tx.keys()))[0]
    assert kept.sha256 == key_hash(made.key)
    assert made.key not in repr(kept)
    assert made.key not in repr(made)
    assert made.key.startswith(kept.prefix)
    assert len(kept.prefix) == 11


async def test_a_key_makes_its_account_and_says_what_it_may_use(rig: Rig) -> None:
    await rig.keys.create(KeyRequest(account="acme", weight=2.0, max_sessions=0, sessions_per_minute=7))
    account = await rig.store.read(lambda tx: tx.account("acme"))
    assert account is not None
    assert (account.weight, account.max_sessions, account.sessions_per_minute) == (2.0, 0, 7)


async def test_a_second_key_leaves_what_it_does_not_say_of_the_account(rig: Rig) -> None:
    await rig.keys.create(KeyRequest(account="acme", weight=2.0))
    await rig.keys.create(KeyRequest(account="acme", max_sessions=9))
    account = await rig.store.read(lambda tx: tx.account("acme"))
    assert account is not None
    assert (account.weight, account.max_sessions) == (2.0, 9)


async def test_a_key_is_found_by_what_a_client_shows(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest(account="acme", scopes=["view", "admin"]))
    found = await rig.find(made.key)
    assert (found.account, found.scopes) == ("acme", ("admin", "view"))


@pytest.mark.parametrize("wrong", ["rk_", "rk_" + "A" * 33, "nonsense", "rk_é" + "A" * 32, "A" * 100_000])
async def test_an_unknown_key_is_refused_and_not_told(rig: Rig, wrong: str) -> None:
    with pytest.raises(UnauthorizedError, match="the API key was refused") as refused:
        await rig.find(wrong)
    assert wrong not in refused.value.message


async def test_a_key_that_was_found_costs_no_query_for_half_a_minute(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    await rig.find(made.key)
    before = (rig.store.reads, rig.store.writes)
    rig.now_us += 29 * SECOND
    for _ in range(100):
        await rig.find(made.key)
    assert (rig.store.reads, rig.store.writes) == before


async def test_a_revocation_elsewhere_is_in_force_within_a_minute(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    await rig.find(made.key)
    elsewhere = Keys(rig.store, unix_us=lambda: rig.now_us)
    await elsewhere.revoke(made.id)
    rig.now_us += 59 * SECOND
    with pytest.raises(UnauthorizedError):
        await rig.find(made.key)


async def test_a_revocation_here_is_in_force_at_once(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    await rig.find(made.key)
    await rig.keys.revoke(made.prefix)
    with pytest.raises(UnauthorizedError):
        await rig.find(made.key)


async def test_revoking_twice_keeps_the_first_time(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    first = await rig.keys.revoke(made.id)
    rig.now_us += SECOND
    assert await rig.keys.revoke(made.id) == first


async def test_a_key_that_is_not_there_cannot_be_revoked(rig: Rig) -> None:
    with pytest.raises(NotFoundError, match="no key 'key_1'"):
        await rig.keys.revoke("key_1")


async def test_the_last_use_is_written_once_a_minute(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    before = rig.store.writes
    for _ in range(180):
        await rig.find(made.key)
        rig.now_us += SECOND
    assert rig.store.writes - before == 3
    used = (await rig.keys.list())[0].used_at
    assert used is not None
    assert rig.now_us / 1e6 - used <= 61


async def test_writing_the_last_use_undoes_no_revocation(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    await rig.find(made.key)
    rig.now_us += 100 * SECOND
    rig.store.before_write = lambda tx: tx.put_key(replace(tx.keys()[0], revoked_us=1))
    await rig.find(made.key)
    (kept,) = await rig.keys.list()
    assert (kept.used_at, kept.revoked_at is not None) == (rig.now_us / 1e6, True)


async def test_a_known_key_outlives_a_short_absence_of_the_store_but_not_a_minute(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    await rig.find(made.key)
    rig.store.is_away = True
    rig.now_us += 59 * SECOND
    assert (await rig.find(made.key)).id == made.id
    rig.now_us += 2 * SECOND
    with pytest.raises(StoreUnavailableError):
        await rig.find(made.key)


async def test_guessing_is_bounded_for_each_address(rig: Rig) -> None:
    made = await rig.keys.create(KeyRequest())
    await rig.find(made.key)
    for _ in range(ALLOWED):
        with pytest.raises(UnauthorizedError):
            await rig.find(new_key())
    reads = rig.store.reads
    with pytest.raises(QuotaError) as refused:
        await rig.find(new_key())
    assert (refused.value.limit, refused.value.retry_after) == (ALLOWED, 60)
    assert rig.store.reads == reads
    rig.now_us += 31 * SECOND
    assert (await rig.find(made.key)).id == made.id, "a key that is in use goes on"
    with pytest.raises(UnauthorizedError):
        await rig.find(new_key(), peer="192.0.2.2")


async def test_lists_are_newest_first_and_hold_no_hash(rig: Rig) -> None:
    first = await rig.keys.create(KeyRequest(name="first"))
    rig.now_us += SECOND
    second = await rig.keys.create(KeyRequest(name="second"))
    listed = await rig.keys.list()
    assert [each.id for each in listed] == [second.id, first.id]
    assert re.search(r"[0-9a-f]{64}", str([each.to_body() for each in listed])) is None
