"""Several coordinators: what their settings must have alike, and what only one of them does."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from livereactor.base.errors import ConfigError
from livereactor.coordinator.cluster.notices import effect_of, notice_of
from livereactor.coordinator.cluster.role import Role
from livereactor.coordinator.decisions.effects import (
    FleetChanged,
    NotifyDrain,
    QueueChanged,
    SessionChanged,
    WorkerDeclaredLost,
)
from livereactor.coordinator.fleet.model import (
    Adopted,
    KillWorker,
    ModelFleet,
    ModelView,
    Observed,
    RetireWorker,
    StartWorker,
    WorkerView,
)
from livereactor.settings import Settings
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import WorkerState
from livereactor.wiring.coordinator import coordinator_options, dialled_url

WHOLE: dict[str, Any] = {
    "coordinator": {
        "peer_url": "http://10.0.0.5:8080/",
        "secret": "s" * 40,
        "public_url": "https://live.example",
    },
    "store": {"url": "postgresql://db/live"},
    "blobs": {"url": "s3://bucket/live"},
}


def settings(**left_out: str) -> Settings:
    return Settings.model_validate(
        {section: {k: v for k, v in given.items() if left_out.get(section) != k} for section, given in WHOLE.items()}
    )


def test_a_coordinator_of_several_is_known_by_its_url_and_its_workers_dial_the_public_one() -> None:
    assert coordinator_options(settings()).peer_url == "http://10.0.0.5:8080"
    assert dialled_url(settings()) == "https://live.example"
    assert dialled_url(Settings.model_validate({"coordinator": {"public_url": "https://live.example"}})) is None


@pytest.mark.parametrize(
    ("left_out", "says"),
    [
        ({"store": "url"}, "which all of them share"),
        ({"coordinator": "secret"}, "the same for all"),
        ({"blobs": "url"}, "that all of them can reach"),
        ({"coordinator": "public_url"}, "worker_url, that of the load balancer"),
    ],
)
def test_what_several_coordinators_must_share_is_asked_for_at_the_start(left_out: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        coordinator_options(settings(**left_out))


@pytest.mark.parametrize("url", ["10.0.0.5:8080", "http://10.0.0.5:8080/path", "ftp://host"])
def test_an_address_that_nobody_can_ask_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not an address that others can reach"):
        Settings.model_validate({"coordinator": {"peer_url": url}})


def test_who_does_not_lead_starts_and_retires_nobody_and_kills_what_is_lost() -> None:
    numbers = count()
    fleet = ModelFleet(lambda: f"w{next(numbers)}", idle_stop=1.0)
    fleet.handle(Adopted("lost"), 0.0)
    fleet.handle(Adopted("idle"), 0.0)
    ready = WorkerView("idle", WorkerState.READY)
    wished = ModelView(min_ready=3, buffer=0, max_workers=4, workers=[ready])
    assert fleet.handle(Observed(wished, leads=False), 0.0) == []
    idle = replace(wished, min_ready=0, workers=[ready, WorkerView("lost", WorkerState.LOST)])
    assert fleet.handle(Observed(idle, leads=False), 10.0) == [KillWorker("lost")]
    assert fleet.handle(Observed(idle, leads=True), 10.0) == [RetireWorker("idle")]
    assert fleet.handle(Observed(wished, leads=True), 10.0) == [StartWorker("w0"), StartWorker("w1")]


async def test_a_role_is_one_coordinators_until_it_gives_it_back_or_says_nothing_for_a_term() -> None:
    store, now_us = MemoryStore(), [1_000_000]
    first, second = (Role("sweeper", lasts=5.0, unix_us=lambda: now_us[0]) for _ in range(2))
    assert await store.transact(first.is_held)
    assert not await store.transact(second.is_held)
    await second.release(store)
    assert await store.transact(first.is_held)
    await first.release(store)
    assert await store.transact(second.is_held)
    now_us[0] += 5_000_000
    assert await store.transact(first.is_held)
    assert not await store.transact(second.is_held)


def test_a_hint_asks_for_what_happened_and_others_are_passed_over() -> None:
    for effect in (SessionChanged("ses_1"), QueueChanged("pond of mine"), FleetChanged("pond")):
        hint = notice_of(effect)
        assert hint is not None
        assert effect_of(hint) == effect
    assert notice_of(WorkerDeclaredLost("w1", "pond")) is None
    assert notice_of(NotifyDrain("w1", 1.0)) is None
    assert effect_of("weather fine") is None
