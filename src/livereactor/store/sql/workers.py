"""Workers and their Slots in one transaction. Whoever needs both locks the Worker first, then its Slots."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, exists, select, text

from livereactor.store.port import LostRaceError
from livereactor.store.records import SlotRecord, SlotState, WorkerRecord, WorkerState
from livereactor.store.sql import schema
from livereactor.store.sql.rows import Rows
from livereactor.store.sql.statements import KeyedTable, Statements, first, listing, one_of, param

_W: Final = schema.WORKERS.c
_S: Final = schema.SLOTS.c

_WORKER: Final = Rows(WorkerRecord, schema.WORKERS)
_WORKERS: Final = KeyedTable(_WORKER, "id")
_ALL_WORKERS: Final = select(*_WORKER.columns).order_by(_W.started_us, _W.id)
_EXPIRED: Final = (
    select(*_WORKER.columns)
    .where(_W.lease_until_us < param("before"), text(schema.LIVE_WORKER))
    .order_by(_W.lease_until_us, _W.id)
)

_SLOT: Final = Rows(SlotRecord, schema.SLOTS)
_SLOTS: Final = KeyedTable(_SLOT, "worker", "n")
_OF_WORKER: Final = select(*_SLOT.columns).where(_S.worker == param("worker")).order_by(_S.n)
_LOCKED_OF_WORKER: Final = _OF_WORKER.with_for_update()
_FREE: Final = _OF_WORKER.where(_S.state == SlotState.FREE.value).limit(1)
_LOCKED_FREE: Final = _FREE.with_for_update(skip_locked=True)
_WITH_FREE_SLOT: Final = (
    select(_W.id)
    .where(
        _W.model == param("model"),
        text("workers.state = 'ready'"),
        text("workers." + schema.LIVE_WORKER),  # follows from the line above; names the partial index
        exists().where(_S.worker == _W.id, _S.state == SlotState.FREE.value),
    )
    .order_by(_W.used_us, _W.id)
    .limit(1)
)
_UNHELD_WITH_FREE_SLOT: Final = _WITH_FREE_SLOT.with_for_update(skip_locked=True)


@lru_cache
def _listed(of_model: bool, states: frozenset[WorkerState] | None) -> Select[Any]:
    """Oldest first, of one model or of all, in these states."""
    statement = _ALL_WORKERS.where(_W.model == param("model")) if of_model else _ALL_WORKERS
    if states is None:
        return statement
    return statement.where(one_of(_W.state, sorted(state.value for state in states)))


class WorkerStatements(Statements):
    """Workers and Slots of one transaction."""

    def worker(self, worker: str, *, lock: bool = False) -> WorkerRecord | None:
        """The Worker with this id."""
        return _WORKERS.get(self, worker, lock=lock)

    def workers(
        self, *, model: str | None = None, states: Collection[WorkerState] | None = None
    ) -> Sequence[WorkerRecord]:
        """Oldest first."""
        statement = _listed(model is not None, None if states is None else frozenset(states))
        return listing(self, _WORKER, statement, **({} if model is None else {"model": model}))

    def put_worker(self, worker: WorkerRecord) -> None:
        """Insert or replace it."""
        _WORKERS.put(self, worker)

    def slot(self, worker: str, n: int, *, lock: bool = False) -> SlotRecord | None:
        """The n-th Slot of a Worker."""
        return _SLOTS.get(self, worker, n, lock=lock)

    def slots(self, worker: str, *, lock: bool = False) -> Sequence[SlotRecord]:
        """All Slots of a Worker, by number."""
        locked = lock and self.locking
        return listing(self, _SLOT, _LOCKED_OF_WORKER if locked else _OF_WORKER, worker=worker)

    def put_slot(self, slot: SlotRecord) -> None:
        """Insert or replace it."""
        _SLOTS.put(self, slot)

    def free_slot(self, model: str) -> SlotRecord | None:
        """A free Slot of a READY Worker of the model, the least recently used Worker's; both are locked."""
        passing = self.locking and self.postgres
        worker = self.scalar(_UNHELD_WITH_FREE_SLOT if passing else _WITH_FREE_SLOT, {"model": model})
        if worker is not None and (slot := self._free_of(worker)) is not None:
            return slot
        # One that beats just now must not look full; nor may we wait for it here: it may wait for a lock of ours.
        if self.may_begin_anew and self.scalar(_WITH_FREE_SLOT, {"model": model}) is not None:
            raise LostRaceError
        return None

    def _free_of(self, worker: str) -> SlotRecord | None:
        return first(self, _SLOT, _LOCKED_FREE if self.locking else _FREE, worker=worker)

    def expired_workers(self, before_us: int) -> Sequence[WorkerRecord]:
        """STARTING, READY or DRAINING Workers whose lease ended before that, the longest first."""
        return listing(self, _WORKER, _EXPIRED, before=before_us)
