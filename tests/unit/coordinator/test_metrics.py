"""What a coordinator counts, as a scraper reads it."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client.parser import text_string_to_metric_families

from livereactor.coordinator.http.app import RequestCounter
from livereactor.coordinator.metrics import CONTENT_TYPE
from tests.unit.coordinator.service_rig import ALICE, Rig

# The figures that a coordinator knows; what a runtime counts is at its own /metrics.
PROMISED = {
    "livereactor_new_sessions": "counter",
    "livereactor_sessions": "counter",
    "livereactor_session_seconds": "histogram",
    "livereactor_queue_wait_seconds": "histogram",
    "livereactor_first_client_seconds": "histogram",
    "livereactor_first_frame_seconds": "histogram",
    "livereactor_queue_length": "gauge",
    "livereactor_running_sessions": "gauge",
    "livereactor_workers": "gauge",
    "livereactor_workers_lost": "counter",
    "livereactor_worker_load_seconds": "gauge",
    "livereactor_relay_seconds": "histogram",
    "livereactor_requests": "counter",
    "livereactor_upload_bytes": "counter",
    "livereactor_held_polls": "gauge",
    "livereactor_store_errors": "gauge",
    "livereactor_store_up": "gauge",
}


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def scraped(rig: Rig) -> tuple[dict[str, str], dict[tuple[str, str], float]]:
    """Types by name, and values by name and labels as `a=b,c=d`; fails on what no scraper can read."""
    await rig.service.metrics.count_ended()
    families = list(text_string_to_metric_families((await rig.service.metrics.render()).decode()))
    samples = {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    return {family.name: family.type for family in families}, samples


async def test_a_scraper_reads_all_that_is_promised(rig: Rig) -> None:
    await rig.ready()
    types, _ = await scraped(rig)
    assert {name: kind for name, kind in types.items() if not name.endswith("_created")} == PROMISED
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


async def test_a_session_is_followed_from_its_making_to_its_end(rig: Rig) -> None:
    await rig.model()
    session = (await rig.create()).session_id
    rig.advance(3)
    await rig.worker()
    await rig.accept()
    rig.advance(0.5)
    await rig.report(session, "streaming")
    rig.advance(0.25)
    await rig.report(session, "streaming", first_frame=True)
    await rig.report(session, "streaming", first_frame=True)
    _, running = await scraped(rig)
    assert running["livereactor_running_sessions", "model=pond,state=active"] == 1
    assert ("livereactor_sessions_total", "reason=idle") not in running
    rig.advance(10)
    await rig.report(session, "closed", reason="idle")
    _, found = await scraped(rig)
    assert found["livereactor_new_sessions_total", "model=pond"] == 1
    assert found["livereactor_sessions_total", "reason=idle"] == 1
    assert found["livereactor_queue_wait_seconds_sum", ""] == pytest.approx(3)
    assert found["livereactor_first_client_seconds_sum", ""] == pytest.approx(0.5)
    assert found["livereactor_first_frame_seconds_sum", ""] == pytest.approx(0.75)
    assert found["livereactor_first_frame_seconds_count", ""] == 1
    assert found["livereactor_session_seconds_sum", ""] == pytest.approx(10.75)
    assert ("livereactor_running_sessions", "model=pond,state=active") not in found


async def test_workers_and_queues_are_as_the_store_has_them(rig: Rig) -> None:
    await rig.ready()
    for _ in range(2):
        await rig.create()
    _, found = await scraped(rig)
    assert found["livereactor_workers", "model=pond,state=ready"] == 1
    assert found["livereactor_queue_length", "model=pond"] == 2
    assert found["livereactor_worker_load_seconds", "model=pond"] == 0
    rig.store.away = True
    _, away = await scraped(rig)
    assert away["livereactor_store_up", ""] == 0
    assert away["livereactor_store_errors", ""] >= 1
    assert not [name for name, _ in away if name in ("livereactor_workers", "livereactor_queue_length")]


async def test_no_label_names_a_session_an_account_or_a_worker(rig: Rig) -> None:
    session = await rig.ready()
    rig.service.metrics.uploaded(1000)
    await rig.service.end(ALICE, session, reason=f"because of {session}")
    _, found = await scraped(rig)
    assert found["livereactor_upload_bytes_total", ""] == 1000
    assert found["livereactor_sessions_total", "reason=other"] == 1
    labels = {label for _, labels in found for label in labels.split(",") if label}
    assert not [label for label in labels if any(name in label for name in (session, "alice", "w1"))]


async def test_requests_are_counted_by_the_pattern_of_their_route() -> None:
    api, routes = FastAPI(), APIRouter(prefix="/sessions")

    @routes.get("/{sid}")
    async def one(sid: str) -> dict[str, str]:
        return {"sid": sid}

    api.include_router(routes)
    told: list[tuple[str, str, int]] = []
    app = RequestCounter(api, lambda *each: told.append(each))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
        await http.get("/sessions/ses_1")
        await http.post("/sessions/ses_1")
        await http.request("BREW", "/js/main.js")
    assert told == [("GET", "/sessions/{sid}", 200), ("POST", "/sessions/{sid}", 405), ("other", "page", 404)]
