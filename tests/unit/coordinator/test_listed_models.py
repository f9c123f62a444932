"""What a start of the coordinator writes down of the models it serves, over what an earlier one knew."""

from __future__ import annotations

from livereactor.settings import Settings
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import ModelRecord
from livereactor.wiring.catalogue import ListedModel
from livereactor.wiring.coordinator import list_models

LISTED = ListedModel("pond", "v2", "pond.py", {"capabilities": {"tracks": []}, "description": "new"})


async def listed(store: MemoryStore, *models: ListedModel) -> ModelRecord:
    await store.transact(lambda tx: list_models(tx, models, Settings()))
    found = await store.read(lambda tx: tx.model("pond"))
    assert found is not None
    return found


async def test_what_only_workers_tell_of_a_model_is_still_known_after_a_restart() -> None:
    """Its worker may be lost before it comes back: whether its sessions go on must not depend on that."""
    store = MemoryStore()
    told = {"capabilities": {}, "description": "old", "requeue": True, "max_sessions": 2}
    await store.transact(lambda tx: tx.put_model(ModelRecord("pond", "v1", told, served_turn=7.0)))
    model = await listed(store, LISTED)
    assert model.spec == {**LISTED.spec, "requeue": True, "max_sessions": 2}
    assert (model.version, model.served_turn, model.max_workers) == ("v2", 7.0, 1)


async def test_a_model_that_is_served_no_more_gets_no_workers() -> None:
    store = MemoryStore()
    await listed(store, LISTED)
    model = await listed(store)
    assert (model.min_ready, model.buffer, model.max_workers) == (0, 0, 0)
