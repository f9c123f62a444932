"""Accounts, keys and models: kept as they were given, replaced whole, found by what they are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from livereactor.base.errors import ConflictError
from livereactor.store.port import Store
from tests.contract.store import records as r


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert (
        await store.read(lambda tx: (tx.account("x"), tx.key("x"), tx.key_by_hash("x"), tx.model("x"))) == (None,) * 4
    )
    assert await store.read(lambda tx: (list(tx.accounts()), list(tx.keys()), list(tx.models()))) == ([], [], [])


async def test_an_account_comes_back_as_it_was_put(store: Store) -> None:
    plain, full = r.account("a"), r.account("b", weight=0.25, max_sessions=0, sessions_per_minute=2**40)
    await store.transact(lambda tx: (tx.put_account(plain), tx.put_account(full)))
    assert await store.read(lambda tx: (tx.account("a"), tx.account("b"))) == (plain, full)
    await store.transact(lambda tx: tx.put_account(r.account("0")))
    assert [each.id for each in await store.read(lambda tx: tx.accounts())] == ["0", "a", "b"]
    renamed = replace(full, name="renamed", weight=None)
    await store.transact(lambda tx: tx.put_account(renamed))
    assert await store.transact(lambda tx: tx.account("b", lock=True)) == renamed
    assert len(await store.read(lambda tx: tx.accounts())) == 3


async def test_a_key_is_found_by_its_hash_and_by_its_id(store: Store) -> None:
    used, fresh = r.key("key_1", used_us=5, revoked_us=6), r.key("key_2", scopes=())
    await store.transact(lambda tx: (tx.put_key(used), tx.put_key(fresh)))
    assert await store.read(lambda tx: (tx.key("key_1"), tx.key_by_hash(fresh.sha256))) == (used, fresh)
    await store.transact(lambda tx: tx.put_key(r.key("key_0", created_us=1)))
    await store.transact(lambda tx: tx.put_key(r.key("key_9", created_us=0)))
    assert [each.id for each in await store.read(lambda tx: tx.keys())] == ["key_9", "key_0", "key_1", "key_2"]
    revoked = replace(fresh, revoked_us=7)
    await store.transact(lambda tx: tx.put_key(revoked))
    assert await store.transact(lambda tx: tx.key("key_2", lock=True)) == revoked
    assert await store.read(lambda tx: tx.key_by_hash(fresh.sha256)) == revoked


async def test_two_keys_never_have_one_hash(store: Store) -> None:
    await store.transact(lambda tx: tx.put_key(r.key("key_1", sha256="same")))
    with pytest.raises(ConflictError):
        await store.transact(lambda tx: tx.put_key(r.key("key_2", sha256="same")))
    assert [each.id for each in await store.read(lambda tx: tx.keys())] == ["key_1"]


async def test_a_model_comes_back_with_whatever_its_author_wrote(store: Store) -> None:
    pond = r.model(min_ready=1, buffer=2, max_workers=3, served_turn=0.1 + 0.2)
    await store.transact(lambda tx: (tx.put_model(pond), tx.put_model(r.model("garden", spec={}))))
    assert await store.read(lambda tx: tx.model(r.MODEL)) == pond
    assert [each.name for each in await store.read(lambda tx: tx.models())] == ["garden", "pond"]
    moved = replace(pond, served_turn=1e9 + 1 / 3, spec={"requeue": True})
    await store.transact(lambda tx: tx.put_model(moved))
    assert await store.transact(lambda tx: tx.model(r.MODEL, lock=True)) == moved
