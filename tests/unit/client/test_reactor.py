"""What a `Reactor` is before it is connected; what it does then is in tests/integration/client and tests/e2e/client."""

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
import time
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

import livereactor as lr
from livereactor import Reactor
from livereactor.client.errors import AuthError, InvalidStateError, NotReadyError
from livereactor.client.types import ReactorState, Status

HEAVY = ("httpx2", "numpy", "pydantic", "structlog", "asyncio", "google.protobuf", "livereactor.client.reactor")


def loaded_by(code: str) -> tuple[float, set[str]]:
    """Seconds of CPU that `code` takes in a fresh interpreter, and the modules that are loaded then."""
    program = (
        f"import sys, time; begun = time.process_time(); {code}\n"
        "print(time.process_time() - begun); print(*sys.modules, sep=',')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    seconds, modules = done.stdout.splitlines()
    return float(seconds), set(modules.split(","))


def test_importing_livereactor_takes_no_time_and_loads_nothing() -> None:
    seconds, modules = min(loaded_by("import livereactor") for _ in range(3))
    assert seconds < 0.150
    assert not modules & set(HEAVY)


def test_making_a_client_loads_no_engine_and_no_http() -> None:
    _, modules = loaded_by("from livereactor import Reactor; Reactor('pond', local=True)")
    assert not [name for name in modules if name.split(".")[0] in ("reactor_webrtc", "aiortc", "httpx2", "cv2", "av")]


def test_a_thousand_clients_are_made_and_dropped_in_a_second_without_a_thread() -> None:
    threads, begun = threading.active_count(), time.process_time()
    for _ in range(1000):
        Reactor("pond", local=True)
    assert time.process_time() - begun < 1.0
    assert threading.active_count() == threads


def test_all_public_names_are_there() -> None:
    for name in lr.__all__:
        assert getattr(lr, name) is not None


def test_repr_names_model_host_and_status_and_no_secret() -> None:
    reactor = Reactor("lake/pond", "rk_secret", jwt="token", api_url="https://key:rk_secret@example.org:8443/base")
    assert repr(reactor) == "<Reactor 'lake/pond' at example.org:8443 disconnected session=None>"


def test_everything_readable_is_none_before_there_is_something() -> None:
    reactor = Reactor("pond", local=True)
    names = (
        "session_id", "last_error", "capabilities", "session_info", "stats", "schema", "session_expiration",
        "connection_timings", "waiting_info", "queue_position", "queue_length", "estimated_wait",
    )  # fmt: skip
    assert {name: getattr(reactor, name) for name in names} == dict.fromkeys(names)
    assert (reactor.status, reactor.tracks, reactor.paused_tracks) == ("disconnected", [], [])
    assert reactor.state == ReactorState(Status.DISCONNECTED, None)


@pytest.mark.parametrize(
    "name",
    ["status", "state", "last_error", "session_id", "session_info", "capabilities", "schema", "stats",
     "connection_timings"],
)  # fmt: skip
def test_every_getter_is_a_property_and_a_method(name: str) -> None:
    reactor = Reactor("pond", local=True)
    assert getattr(reactor, f"get_{name}")() == getattr(reactor, name)


def test_every_public_method_says_what_it_is_for() -> None:
    public = [(name, member) for name, member in inspect.getmembers(Reactor) if not name.startswith("_")]
    assert not [name for name, member in public if not inspect.getdoc(member)]


def test_a_track_may_be_had_before_connecting_and_is_the_same_each_time() -> None:
    reactor = Reactor("pond", local=True)
    assert reactor.track("main_video") is reactor.track("main_video")


async def test_a_command_before_ready_is_refused_told_and_not_queued() -> None:
    reactor, errors = Reactor("pond", local=True), list[object]()
    reactor.on("error", errors.append)
    with pytest.raises(NotReadyError) as caught:
        await reactor.send_command("drop", {"x": 0.5})
    assert errors == [caught.value]
    assert reactor.last_error is caught.value
    assert (caught.value.code, caught.value.reason, caught.value.recoverable) == ("NOT_READY", "INVALID_STATE", True)
    assert "cannot send `drop` while disconnected" in caught.value.message


@pytest.mark.parametrize(
    ("data", "error"), [(3, TypeError), ({"x": float("nan")}, ValueError), ({"x": object()}, TypeError)]
)
async def test_mistakes_in_arguments_are_no_reactor_errors(data: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        await Reactor("pond", local=True).send_command("drop", data)  # pyright: ignore[reportArgumentType]


async def test_no_command_and_no_step_is_waited_for_without_an_end() -> None:
    reactor, no_end = Reactor("pond", local=True), cast(Any, None)
    for call in (reactor.send_command("drop", timeout=no_end), reactor.step(timeout=no_end)):
        with pytest.raises(TypeError, match="every wait needs a limit"):
            await call


async def test_reconnect_without_a_session_is_refused() -> None:
    with pytest.raises(InvalidStateError, match="nothing to reconnect to"):
        await Reactor("pond", local=True).reconnect()


async def test_without_credentials_connect_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("API_KEY", "JWT", "LOCAL", "API_URL"):
        monkeypatch.delenv(f"REACTOR_{name}", raising=False)
        monkeypatch.delenv(f"LIVEREACTOR_{name}", raising=False)
    reactor, statuses = Reactor("pond"), list[Status]()
    reactor.on("status_changed", statuses.append)
    with pytest.raises(AuthError, match="pass api_key or jwt, api_url of a server of yours, or local=True"):
        await reactor.connect()
    assert statuses == []


async def test_disconnect_of_what_was_never_connected_does_nothing() -> None:
    reactor, events = Reactor("pond", local=True), list[object]()
    reactor.on("status_changed", events.append)
    for _ in range(3):
        await reactor.disconnect()
    assert events == []


async def test_a_closed_client_refuses_further_calls() -> None:
    reactor = Reactor("pond", local=True)
    reactor.close()
    reactor.close()
    with pytest.raises(InvalidStateError, match="closed"):
        await reactor.connect()
    with pytest.raises(InvalidStateError, match="closed") as caught:
        await reactor.send_command("drop")
    assert caught.value.code == "INVALID_STATE"
    async with asyncio.timeout(1.0):
        assert [message async for message in reactor.messages()] == []


def test_a_client_that_was_never_connected_is_dropped_in_silence() -> None:
    with capture_logs() as said:
        Reactor("pond", local=True)
        gc.collect()
    assert said == []


async def test_a_handler_registered_late_can_ask_for_the_status() -> None:
    reactor, got = Reactor("pond", local=True), list[Status]()
    reactor.on("statusChanged", got.append, replay=True)
    assert got == [Status.DISCONNECTED]


def test_a_platform_request_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no platform request"):
        asyncio.run(Reactor("pond", local=True).send_command("reboot", scope="runtime"))


def test_a_level_of_the_log_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no log level"):
        Reactor("pond", local=True, log_level="loud")
