"""`Reactor` against scripted servers over the real engine: what becomes of its things when its transport goes."""

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from livereactor import Reactor
from livereactor.client.errors import (
    AbortedError,
    DisconnectedError,
    GpuConnectionError,
    InvalidStateError,
    RequestTimeoutError,
    SessionTerminalError,
    TrackPublishFailedError,
)
from livereactor.client.tracks.tracks import Track
from livereactor.client.transport import track_requests
from livereactor.client.types import Status
from livereactor.protocol import messages as m
from tests.e2e.client.noting import Noted
from tests.e2e.client.scripting import met, ready
from tests.tools.script import HANGS, Fault, refuses
from tests.tools.scripted_peer import ordinary
from tests.tools.scripted_server import ScriptedServer, scripted

PICTURE = np.full((180, 320, 3), 128, np.uint8)


def published(server: ScriptedServer) -> list[str]:
    return [claim.name for claim in server.peer.of(m.PublishTrack)]


async def pictures() -> Any:
    while True:
        yield PICTURE
        await asyncio.sleep(0.03)


async def until(condition: Callable[[], bool]) -> None:
    """What comes by a channel of its own, and is told by no event."""
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def silent_after(count: int) -> Callable[[m.ClientMessage], Any]:
    """Answers pings, as servers of ours do, so many times."""
    left = count

    def reply(message: m.ClientMessage) -> Any:
        nonlocal left
        if not isinstance(message, m.Ping):
            return ordinary(message)
        left -= 1
        return [m.Pong()] if left >= 0 else []

    return reply


async def test_decorators_register_and_give_the_function_back() -> None:
    async with met() as them:
        reactor, got = them.reactor, list[str]()

        @reactor.on_status
        def every(status: Status) -> None:
            got.append(f"every {status}")

        @reactor.on_status("ready")
        async def ready(status: Status) -> None:
            got.append(f"ready {status}")

        @reactor.on_status(["connecting", "waiting"])
        def early(status: Status) -> None:
            got.append(f"early {status}")

        await reactor.connect()
        await asyncio.sleep(0)
        assert got == [
            "every connecting",
            "early connecting",
            "every waiting",
            "early waiting",
            "every ready",
            "ready ready",
        ]
        assert [each.__name__ for each in (every, ready, early)] == ["every", "ready", "early"]


async def test_what_is_fed_from_a_source_is_published_again_after_a_reconnect() -> None:
    async with ready() as them:
        fed = await them.reactor.publish_track("webcam", pictures())
        await them.reactor.reconnect()
        await them.server.until(lambda: published(them.server) == ["webcam"])
        await until(lambda: fed.published)


async def test_what_is_pushed_is_not_and_says_so() -> None:
    async with ready() as them:
        pushed = await them.reactor.publish_track("webcam")
        await them.reactor.disconnect(recoverable=True)
        assert not pushed.published
        await them.reactor.reconnect()
        assert not pushed.published
        await pushed.publish()
        assert pushed.published


async def test_what_the_user_paused_stays_paused_after_a_reconnect() -> None:
    async with ready() as them:
        await them.reactor.track("main_video").pause()
        await them.reactor.reconnect()
        await them.reactor.send_command("echo", {})
        assert them.server.peer.of(m.ResumeTrack) == []
        assert them.reactor.paused_tracks == ["main_video"]


async def test_what_is_resumed_as_its_track_comes_is_received() -> None:
    async with met(options={"auto_resume_tracks": False}) as them:

        @them.reactor.on_track
        async def comes(_: str, track: Track) -> None:
            await track.resume()

        await them.reactor.connect()
        assert (await them.reactor.track("main_video").read()).shape == (180, 320, 3)


async def test_what_is_paused_as_its_track_comes_is_not_sent() -> None:
    async with met() as them:

        @them.reactor.on_track
        async def comes(_: str, track: Track) -> None:
            await track.pause()

        await them.reactor.connect()
        await them.reactor.send_command("echo", {})
        said = [each for each in them.server.peer.heard if isinstance(each, m.PauseTrack | m.ResumeTrack)]
        assert said[-1:] in ([], [m.PauseTrack("main_video")])


async def test_a_reconnect_goes_to_the_same_connection_and_asks_for_nothing_that_it_knows() -> None:
    async with ready() as them:
        before = len(them.server.requests)
        await them.reactor.reconnect()
        asked = [each for each in them.server.requests[before:] if each.step != "W5"]
        assert list(dict.fromkeys(each.step for each in asked)) == ["W3", "W4"]
        assert "/connections/5001/" in asked[0].path
        assert asked[0].method == "PUT"


async def test_two_reconnects_at_once_are_one() -> None:
    async with ready() as them:
        await asyncio.gather(them.reactor.reconnect(), them.reactor.reconnect())
        assert len([each for each in them.server.of("W3") if each.method == "PUT"]) == 1
        assert them.noted.statuses == ["connecting", "waiting", "ready", "connecting", "ready"]


async def test_a_cancelled_reconnect_keeps_the_session() -> None:
    async with ready() as them:
        reconnecting = asyncio.ensure_future(them.reactor.reconnect())
        await asyncio.sleep(0)
        reconnecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reconnecting
        assert them.reactor.status == "disconnected"
        assert them.reactor.session_id is not None
        await them.reactor.reconnect()
        assert them.reactor.status == "ready"


async def test_a_claim_without_an_answer_fails_as_a_publish_and_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_requests, "REPLY", 0.2)
    async with ready(reply=lambda said: [] if isinstance(said, m.PublishTrack) else ordinary(said)) as them:
        with pytest.raises(TrackPublishFailedError) as caught:
            await them.reactor.publish_track("webcam")
        assert (caught.value.reason, caught.value.recoverable) == ("REQUEST_TIMEOUT", True)
        await them.server.until(lambda: them.server.peer.of(m.UnpublishTrack) == [m.UnpublishTrack("webcam")])
        claiming = asyncio.ensure_future(them.reactor.publish_track("webcam"))
        await them.server.until(lambda: len(published(them.server)) == 2)
        claiming.cancel()
        await them.server.until(lambda: len(them.server.peer.of(m.UnpublishTrack)) == 2)


async def test_silence_where_pings_are_answered_is_mended_without_a_change_of_status() -> None:
    async with ready(reply=silent_after(1)) as them:
        await them.reactor.track("main_video").pause()
        first = them.server.peer
        await them.server.until(lambda: them.server.peer is not first and bool(them.server.peer.of(m.Ping)))
        assert await them.reactor.send_command("echo", {"x": 1}) is not None
        assert them.noted.statuses == ["connecting", "waiting", "ready"]
        assert them.noted.of("error") == []


async def test_what_is_published_and_uploaded_while_a_transport_is_silent_goes_over_the_next() -> None:
    late = Fault(delay=0.5, skip=1)  # its answer: the transport in use is silent for so long
    async with ready(reply=silent_after(1), faults={"W4": late}) as them:
        await them.reactor.track("main_video").pause()
        first = them.server.peer
        await them.server.until(lambda: them.server.peer is not first)
        track, _ = await asyncio.gather(
            them.reactor.publish_track("webcam"), them.reactor.upload_file(b"abc", name="a.bin")
        )
        assert track.published
        await them.server.until(lambda: bool(them.server.peer.of(m.FileUploaded)))
        assert (published(them.server), them.server.peer is first) == (["webcam"], False)


async def test_a_server_that_answers_no_pings_may_be_silent() -> None:
    async with ready() as them:
        await them.reactor.track("main_video").pause()
        await asyncio.sleep(1.5)  # half a second more than silence takes to mean something
        assert len(them.server.of("W3")) == 1


async def test_commands_that_wait_end_with_the_connection() -> None:
    async with ready(reply=lambda message: []) as them:
        waiting = asyncio.ensure_future(them.reactor.send_command("echo", {}))
        await them.server.until(lambda: bool(them.server.peer.of(m.Command)))
        await them.reactor.disconnect()
        with pytest.raises(DisconnectedError):
            await waiting


async def test_a_command_that_waits_for_another_transport_waits_no_longer_than_it_was_given() -> None:
    offer = Fault(hangs=True, skip=1)  # of the transport that is to replace the silent one
    async with ready(reply=silent_after(1), faults={"W3": offer}) as them:
        await them.reactor.track("main_video").pause()
        await them.server.until(lambda: len(them.server.of("W3")) == 2)
        with pytest.raises(RequestTimeoutError, match="the connection is silent"):
            await them.reactor.send_command("echo", {}, timeout=0.1)
        waiting = [asyncio.ensure_future(them.reactor.send_command("echo", {}, wait=wait)) for wait in (True, False)]
        await asyncio.sleep(0)
        await them.reactor.disconnect()
        for each in waiting:
            with pytest.raises(DisconnectedError):
                await each
        assert them.noted.of("error") == []


async def test_uploads_end_with_the_connection_and_leave_the_client_usable() -> None:
    async with ready(faults={"U2": HANGS}) as them:
        uploading = asyncio.ensure_future(them.reactor.upload_file(b"abc", name="a.bin"))
        await them.server.until(lambda: bool(them.server.of("U2")))
        await them.reactor.disconnect()
        with pytest.raises(DisconnectedError) as caught:
            await uploading
        assert caught.value.operation == "upload_file"
        await them.reactor.connect()


async def test_a_lost_transport_is_brought_up_again_by_auto_reconnect() -> None:
    async with ready(options={"auto_reconnect": True}) as them:
        session = them.reactor.session_id
        await them.server.peer.aclose()
        await them.noted.until(lambda: them.noted.statuses.count("ready") == 2)
        assert them.reactor.session_id == session
        assert them.noted.statuses[3:] == ["disconnected", "connecting", "ready"]
        (error,) = them.noted.of("error")
        assert isinstance(error, GpuConnectionError)
        assert them.reactor.last_error is None


async def test_leaving_between_two_attempts_ends_them() -> None:
    async with ready(options={"auto_reconnect": True}) as them:
        await them.server.peer.aclose()
        await them.noted.until(lambda: them.noted.statuses[-1] == "connecting")
        await them.reactor.disconnect()
        assert them.reactor.status == "disconnected"
        assert them.server.open_sessions == []
        assert them.noted.statuses[-1] == "disconnected"


async def test_disconnect_in_a_handler_of_connecting_aborts_the_connect() -> None:
    async with met() as them:

        async def leave(_: object) -> None:
            await them.reactor.disconnect()

        them.reactor.on_status("waiting")(leave)
        with pytest.raises(AbortedError):
            await them.reactor.connect()
        assert them.reactor.status == "disconnected"
        assert them.server.open_sessions == []
        assert them.noted.of("error") == []


async def test_a_client_can_be_connected_again_and_keeps_its_handlers_and_tracks() -> None:
    async with met() as them:
        track, sessions = them.reactor.track("main_video"), list[str | None]()
        for _ in range(2):
            await them.reactor.connect()
            sessions.append(them.reactor.session_id)
            assert (await track.read()).shape == (180, 320, 3)
            await them.reactor.disconnect()
        assert sessions[0] != sessions[1]
        assert them.noted.statuses == ["connecting", "waiting", "ready", "disconnected"] * 2
        assert them.reactor.track("main_video") is track


async def test_iterators_of_messages_end_with_the_session() -> None:
    async with ready() as them:
        messages = them.reactor.messages()
        await them.reactor.send_command("echo", {"x": 1})
        await them.reactor.disconnect()
        assert [message["type"] async for message in messages] == ["echo_reply"]


async def test_what_is_there_is_replayed_to_who_comes_late() -> None:
    async with ready() as them:
        await them.noted.until(lambda: True)
        got: list[tuple[Any, ...]] = []
        for event in ("status_changed", "capabilities_received", "track_received"):
            them.reactor.on(event, lambda *args, event=event: got.append((event, *args)), replay=True)
        track = them.reactor.track("main_video")
        assert got == [
            ("status_changed", "ready"),
            ("capabilities_received", them.reactor.capabilities),
            ("track_received", "main_video", track),
        ]


async def test_a_connect_that_is_refused_leaves_the_token_of_the_live_connection() -> None:
    async with ready() as them:
        with pytest.raises(InvalidStateError):
            await them.reactor.connect("another token")
        await them.reactor.upload_file(b"abc", name="a.bin")
        assert them.server.of("U1")[-1].headers["authorization"] == "Bearer a token"


async def test_the_number_of_a_connection_counts_after_a_session_that_was_kept_too() -> None:
    async with ready() as them, Reactor("m", api_url=them.server.url, jwt="a token") as other:
        await them.reactor.disconnect(recoverable=True)
        await them.reactor.connect(session_id=other.session_id, connection_id=4321)
        assert "/connections/4321/" in them.server.of("W3")[-1].path


async def test_an_argument_free_connect_in_the_block_joins_what_the_client_does_by_itself() -> None:
    async with (
        scripted() as server,
        Reactor("m", api_url=server.url, jwt="a token", auto_reconnect=True) as reactor,
    ):
        connecting = asyncio.Event()
        reactor.on_status("connecting")(lambda _: connecting.set())
        await server.peer.aclose()
        async with asyncio.timeout(15.0):
            await connecting.wait()
        await reactor.connect()
        assert reactor.status == "ready"


async def test_giving_up_on_what_the_client_does_by_itself_does_not_end_it() -> None:
    async with ready(options={"auto_reconnect": True}) as them:
        await them.server.peer.aclose()
        await them.noted.until(lambda: them.noted.statuses[-1] == "connecting")
        joining = asyncio.ensure_future(them.reactor.reconnect())
        await asyncio.sleep(0)
        joining.cancel()
        await them.noted.until(lambda: them.noted.statuses.count("ready") == 2)


async def test_an_argument_free_connect_inside_the_block_joins_the_connection() -> None:
    async with scripted() as server, Reactor("m", api_url=server.url, jwt="a token") as reactor:
        await reactor.connect()
        with pytest.raises(InvalidStateError):
            await reactor.connect(session_id="ses_other")
        assert reactor.status == "ready"
        assert len(server.of("S1")) == 1


async def test_leaving_the_block_by_an_error_ends_the_session_and_closes_the_client() -> None:
    async with scripted() as server:
        reactor = Reactor("m", api_url=server.url, jwt="a token")
        with pytest.raises(KeyError):
            async with reactor:
                raise KeyError("the user's own")
        assert server.open_sessions == []
        with pytest.raises(InvalidStateError):
            await reactor.connect()


async def test_a_local_session_that_is_not_ours_any_more_is_not_stopped() -> None:
    async with ready(style="local") as them:
        await them.reactor.disconnect(recoverable=True)
        them.server.close_sessions()
        async with Reactor("m", local=them.server.url) as other:
            await them.reactor.disconnect()
            assert them.server.of("L3") == []
            assert other.status == "ready"


async def test_a_reconnect_after_the_server_closed_the_session_is_terminal_once() -> None:
    async with ready() as them:
        await them.reactor.disconnect(recoverable=True)
        them.server.close_sessions()
        with pytest.raises(SessionTerminalError):
            await them.reactor.reconnect()
        assert them.reactor.session_id is None
        with pytest.raises(InvalidStateError):
            await them.reactor.reconnect()


async def test_a_client_that_is_dropped_frees_what_it_had_and_says_so() -> None:
    async with scripted() as server:
        reactor = Reactor("m", api_url=server.url, jwt="a token")
        await reactor.connect()
        with capture_logs() as said:
            del reactor
            gc.collect()
        await server.until(lambda: not server.open_sessions)
    assert [each["event"] for each in said] == ["a client was dropped without being closed"]


async def test_cycles_leave_no_task_and_no_thread() -> None:
    def ours() -> list[str]:
        return [
            name
            for task in asyncio.all_tasks()
            if "livereactor" in (name := task.get_name()) or name.startswith("transport-")
        ]

    async with scripted() as server:
        threads = 0
        for cycle in range(6):
            async with Reactor("m", api_url=server.url, jwt="a token") as reactor:
                await reactor.track("main_video").read()
            if cycle == 2:  # the engine and the executor have their threads by now
                threads = threading.active_count()
        assert ours() == []
        assert threading.active_count() <= threads + 2


async def test_a_script_that_forgets_to_leave_exits_with_0_and_its_session_is_ended() -> None:
    program = """
        import asyncio, sys
        from livereactor import Reactor

        async def main():
            reactor = Reactor("m", api_url=sys.argv[1], jwt="a token")
            await reactor.connect()
            keep.append(reactor)

        keep = []
        asyncio.run(main())
    """
    async with scripted() as server:
        command = [sys.executable, "-c", textwrap.dedent(program), server.url]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "")
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert server.open_sessions == []


async def test_a_client_is_closed_from_another_thread() -> None:
    async with ready() as them:
        await asyncio.to_thread(them.reactor.close)
        await them.noted.until(lambda: them.noted.statuses[-1] == "disconnected")
        await them.server.until(lambda: not them.server.open_sessions)


async def test_one_client_is_used_on_one_loop_after_the_other() -> None:
    async with scripted(style="local") as server:
        reactor = Reactor("m", local=server.url)

        async def used() -> None:
            await reactor.connect()
            await reactor.track("main_video").read()
            await reactor.disconnect()

        for _ in range(2):
            await asyncio.to_thread(asyncio.run, used())
        assert len(server.of("L3")) == 2


async def test_a_stepped_client_does_not_use_a_streamed_session() -> None:
    async with met(options={"generation": "stepped"}) as them:
        error = await them.refused()
        assert error.code == "GENERATION_MODE_MISMATCH"


async def test_a_refused_candidate_or_schema_costs_nothing() -> None:
    async with ready(faults={"W5": refuses(500)}, reply=lambda message: []) as them:
        assert them.reactor.status == "ready"
        assert them.reactor.schema is None


async def test_events_of_a_lost_session_come_in_their_order() -> None:
    async with ready() as them:
        noted = Noted(them.reactor, "session_ended", "status_changed", "session_id_changed", "error")
        them.server.peer.say(m.SessionEnded("max_duration"))
        await noted.until(lambda: bool(noted.of("error")))
        assert [name for name, _ in noted.events] == [
            "session_ended",
            "status_changed",
            "session_id_changed",
            "error",
        ]
