"""A model's workers and tickets, read from the store at once; and the retirement of an idle worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from livereactor.coordinator.decisions import drain
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord, SlotRecord, SlotState, WorkerRecord, WorkerState

SERVING: Final = frozenset({WorkerState.STARTING, WorkerState.READY})  # has, or will have, Slots to give
COUNTED: Final = 1_000  # Tickets; more than any pool has Slots for, and counting on would cost at every look


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A Worker as the store knows it.

    Attributes:
        held: Slots promised to a Session.
        is_empty: every Slot is free.
    """

    worker: str
    state: WorkerState
    held: int = 0
    is_empty: bool = True
    used_us: int = 0


@dataclass(frozen=True, slots=True)
class ModelView:
    """The workers wanted of a model, and the workers there are.

    Attributes:
        slots: places for Sessions on each of its Workers.
        queued: Tickets.
        workers: those that have registered and are not long gone, pooled or not.
    """

    min_ready: int
    buffer: int
    max_workers: int
    slots: int = 1
    queued: int = 0
    workers: Sequence[WorkerView] = ()


def observe(models: Collection[str], pooled: Collection[str]) -> Callable[[Tx], Mapping[str, ModelView]]:
    """A read for `store.read`: views of those of `models` that are known.

    Args:
        pooled: Workers whose process lives: how they stand is told even after they have gone or were lost.
    """
    return lambda tx: {record.name: _view(tx, record, pooled) for record in tx.models() if record.name in models}


def retire(tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str) -> bool:
    """Give an idle Worker nothing more; False, and nothing happens, where it has been taken since it was looked at."""
    record = tx.worker(worker, lock=True)
    if record is None or record.state is not WorkerState.READY:
        return False
    if any(slot.state is not SlotState.FREE for slot in tx.slots(worker, lock=True)):
        return False
    drain(tx, now_us, options, worker=worker)  # its effect, telling the Worker, is done by the signal that follows
    return True


def _view(tx: Tx, model: ModelRecord, pooled: Collection[str]) -> ModelView:
    workers = tx.workers(model=model.name, states=SERVING | {WorkerState.DRAINING})
    shown = [_worker(record, tx.slots(record.id)) for record in workers]
    missing = set(pooled) - {each.worker for each in shown}
    for record in map(tx.worker, sorted(missing)):
        if record is not None and record.model == model.name:
            shown.append(_worker(record, ()))
    return ModelView(
        min_ready=model.min_ready,
        buffer=model.buffer,
        max_workers=model.max_workers,
        slots=max([1, int(model.spec.get("max_sessions") or 1), *(record.slots for record in workers)]),
        queued=tx.queue_length(model.name, up_to=COUNTED),
        workers=shown,
    )


def _worker(record: WorkerRecord, slots: Sequence[SlotRecord]) -> WorkerView:
    return WorkerView(
        worker=record.id,
        state=record.state,
        held=sum(slot.state is SlotState.HELD for slot in slots),
        is_empty=all(slot.state is SlotState.FREE for slot in slots),
        used_us=record.used_us,
    )
