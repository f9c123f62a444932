"""The life of a client against our servers, as far as it needs no network of its own.

What takes a server that misbehaves is in test_scripted_*.py, what takes a network that does in test_network.py.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livereactor import Reactor
from livereactor.client.errors import InvalidStateError, SessionTerminalError
from tests.e2e.client.conftest import BOTH_DOORS, CONFORMANCE, VISITS, Make
from tests.e2e.client.noting import Noted
from tests.tools.fixtures import Start
from tests.tools.processes import REPOSITORY, Program
from tests.tools.serving import Coordinator
from tests.tools.trying import in_one_of_three

pytestmark = [pytest.mark.asyncio(loop_scope="module"), BOTH_DOORS]
WINDOW = 2.0  # seconds that the sessions of this module outlive their last client
TRACKS = [("main_video", "video", "recvonly"), ("webcam", "video", "sendonly")]


@pytest.fixture(scope="module")
def targets() -> tuple[str, ...]:
    """What is needed here."""
    return CONFORMANCE, VISITS


@pytest.fixture(scope="module")
def start(start: Start) -> Start:
    """As the others, with a short reconnection window."""
    return lambda target: start(target, environment={"LIVEREACTOR_RUNTIME__RECONNECTION_WINDOW": f"{WINDOW:g}"})


async def seen(reactor: Reactor) -> dict[str, Any]:
    reply = await reactor.send_command("seen")
    assert reply is not None
    return reply["data"]


def open_sessions(server: Program) -> int:
    """How many the server has."""
    if isinstance(server, Coordinator):
        return len(server.call("GET", "/sessions?state=open")[1]["sessions"])
    return int(server.get("/session")[1]["state"] in ("waiting", "streaming", "orphaned"))


@in_one_of_three
async def test_a_client_connects_by_the_documented_statuses_fast_twenty_times(make: Make, server: Program) -> None:
    times: list[float] = []
    for _ in range(20):
        reactor = make(server)
        noted = Noted(reactor, "status_changed", "error")
        started = time.monotonic()
        await reactor.connect()
        times.append(time.monotonic() - started)
        assert noted.statuses == ["connecting", "waiting", "ready"]
        assert noted.of("error") == []
        assert reactor.status == "ready"
        assert reactor.capabilities is not None
        assert [(track.name, track.kind, track.direction) for track in reactor.tracks] == TRACKS
        await reactor.disconnect()
    assert float(np.percentile(times, 95)) <= 1.5


async def test_events_of_one_connect_come_in_the_documented_order(make: Make, server: Program) -> None:
    reactor = make(server)
    names = ("status_changed", "session_id_changed", "capabilities_received", "track_received", "schema_received")
    noted = Noted(reactor, *names)
    await reactor.connect()
    await noted.until(lambda: bool(noted.of("schema_received")))
    shown = [
        (name, str(args[0]) if name in ("status_changed", "track_received") else "") for name, args in noted.events
    ]
    assert shown == [
        ("status_changed", "connecting"),
        ("session_id_changed", ""),
        ("status_changed", "waiting"),
        ("capabilities_received", ""),
        ("track_received", "main_video"),
        ("status_changed", "ready"),
        ("schema_received", ""),
    ]
    await reactor.disconnect()
    assert noted.statuses[-1] == "disconnected"
    assert noted.of("session_id_changed") == [noted.of("session_id_changed")[0], None]


@in_one_of_three
async def test_of_two_overlapping_connects_one_succeeds_and_the_other_is_refused(make: Make, server: Program) -> None:
    reactor = make(server)
    started = time.monotonic()
    ended: list[float] = []
    connects = [asyncio.ensure_future(reactor.connect()) for _ in range(2)]
    for connecting in connects:
        connecting.add_done_callback(lambda _: ended.append(time.monotonic() - started))
    outcomes = await asyncio.gather(*connects, return_exceptions=True)
    (refused,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(refused, InvalidStateError)
    assert refused.code == "INVALID_STATE"
    assert ended[0] <= 0.05
    assert reactor.status == "ready"
    with pytest.raises(InvalidStateError):
        await reactor.connect()
    assert reactor.status == "ready"
    assert await reactor.track("main_video").read(timeout=5.0) is not None


async def test_disconnecting_three_times_ends_the_session_once(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    noted = Noted(reactor)
    for _ in range(3):
        await reactor.disconnect()
    assert noted.events == [("status_changed", ("disconnected",))]
    assert (reactor.session_id, reactor.capabilities, reactor.session_info) == (None, None, None)
    assert open_sessions(server) == 0
    await reactor.connect()  # the same object opens a fresh session
    assert reactor.status == "ready"


async def test_a_recoverable_disconnect_keeps_session_and_state(make: Make, start: Start) -> None:
    reactor = make(start(VISITS))
    await reactor.connect()
    session, opened = reactor.session_id, (await seen(reactor))["opened"]
    await reactor.send_command("note", {"number": 7})
    track = reactor.track("main_video")
    await reactor.disconnect(recoverable=True)
    assert (reactor.status, reactor.session_id) == ("disconnected", session)
    await reactor.reconnect()
    assert (reactor.status, reactor.session_id) == ("ready", session)
    assert reactor.track("main_video") is track
    assert await track.read(timeout=5.0) is not None
    told = await seen(reactor)
    assert (told["opened"], told["joined"], told["left"], told["notes"]) == (opened, 2, 1, [7])


async def test_reconnecting_from_ready_cycles_the_transport_and_ends_no_session(make: Make, start: Start) -> None:
    reactor = make(start(VISITS))
    await reactor.connect()
    noted, session = Noted(reactor), reactor.session_id
    await reactor.track("main_video").pause()
    await reactor.reconnect()
    assert noted.statuses == ["connecting", "ready"]
    assert reactor.session_id == session
    assert reactor.track("main_video").paused
    await reactor.track("main_video").resume()
    assert await reactor.track("main_video").read(timeout=5.0) is not None
    assert reactor.connection_timings is not None


async def test_after_the_window_the_session_is_terminal(make: Make, start: Start) -> None:
    server = start(CONFORMANCE)
    reactor = make(server)
    await reactor.connect()
    await reactor.track("main_video").read()  # who leaves before the server has its channels is missed after 10 s only
    await reactor.disconnect(recoverable=True)
    server.wait_until(lambda: open_sessions(server) == 0, timeout=WINDOW + 10.0)
    noted = Noted(reactor, "error", "session_id_changed")
    with pytest.raises(SessionTerminalError) as caught:
        await reactor.reconnect()
    assert (caught.value.code, caught.value.recoverable) == ("SESSION_TERMINAL", False)
    assert (reactor.session_id, reactor.status) == (None, "disconnected")
    assert noted.of("error") == [caught.value]
    assert reactor.last_error is caught.value
    with pytest.raises(InvalidStateError):  # nothing is left to reconnect to
        await reactor.reconnect()


async def test_an_adopters_leaving_disturbs_nobody_and_the_creators_ends_it_for_all(
    make: Make, server: Program
) -> None:
    creator, adopter = make(server), make(server)
    await creator.connect()
    await adopter.connect(session_id=creator.session_id)
    assert await adopter.track("main_video").read(timeout=5.0) is not None
    await adopter.disconnect()
    assert await creator.track("main_video").read(timeout=5.0) is not None
    assert creator.status == "ready"
    other = make(server)
    await other.connect(session_id=creator.session_id)
    noted = Noted(other)
    await creator.disconnect()
    await noted.status("disconnected")
    (ended,) = noted.of("session_ended")
    assert ended["reason"] == "stopped"
    assert other.session_id is None


@in_one_of_three
async def test_a_cancelled_connect_leaves_no_session(make: Make, server: Program) -> None:
    for pause in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08):
        reactor = make(server)
        noted = Noted(reactor)
        connecting = asyncio.ensure_future(reactor.connect())
        await asyncio.sleep(pause)  # wherever it is by then
        connecting.cancel()
        started = time.monotonic()
        done = await asyncio.gather(connecting, return_exceptions=True)
        assert time.monotonic() - started <= 1.0
        if isinstance(done[0], asyncio.CancelledError):
            assert reactor.status == "disconnected"
            assert noted.of("error") == []
        await reactor.disconnect()
        server.wait_until(lambda: open_sessions(server) == 0, timeout=5.0)


QUICK_START = """
import sys, time
import livereactor as lr

with lr.SyncReactor({model!r}, **{options!r}) as reactor:
    frames, ends = 0, time.monotonic() + 3.0
    print(reactor.send_command("echo", {{"value": 1}})["type"])
    for frame in reactor.track("main_video").frames():
        frames += 1
        if time.monotonic() > ends:
            break
print(frames)
"""


@in_one_of_three
async def test_the_quick_start_sees_sixty_frames_in_a_plain_script(server: Program, tmp_path: Path) -> None:
    options: dict[str, Any] = {"local": server.url}
    if isinstance(server, Coordinator):
        options = {"api_url": server.url, "api_key": server.key}
    script = tmp_path / "quick_start.py"
    script.write_text(QUICK_START.format(model="conformance", options=options))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, frames = done.stdout.split()
    assert said == "echo_reply"
    assert int(frames) >= 60


async def test_a_block_connects_and_always_leaves(make: Make, server: Program) -> None:
    reactor = make(server)

    async def fails() -> None:
        async with reactor:
            assert reactor.status == "ready"
            await reactor.connect()  # as code does that was written for clients that do not connect on entry
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fails()
    assert reactor.status == "disconnected"
    assert open_sessions(server) == 0
    with pytest.raises(InvalidStateError):  # leaving the block closes it
        await reactor.connect()


async def test_leaving_while_connecting_aborts_it(make: Make, server: Program) -> None:
    reactor = make(server)
    connecting = asyncio.ensure_future(reactor.connect())
    await asyncio.sleep(0)
    await reactor.disconnect()
    (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
    assert getattr(outcome, "code", None) == "ABORTED"
    assert reactor.status == "disconnected"
    server.wait_until(lambda: open_sessions(server) == 0, timeout=5.0)
