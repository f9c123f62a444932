"""`SyncReactor`: scripts, threads, programs whose loop runs already; and what is left when they end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livereactor as lr
from livereactor.client._sync.generated.reactor import SyncTrack
from livereactor.client._sync.loop import CLEAN_UP
from livereactor.client.errors import CommandRejected
from tests.e2e.client.conftest import BOTH_DOORS
from tests.tools.processes import REPOSITORY, Program, free_port
from tests.tools.script import HANGS
from tests.tools.scripted_server import scripted
from tests.tools.serving import Coordinator

PATIENCE = 30.0


def where(server: Program) -> dict[str, Any]:
    """Arguments that lead to a server."""
    if isinstance(server, Coordinator):
        return {"api_url": server.url, "api_key": server.key}
    return {"local": server.url}


def sessions(server: Program) -> int:
    """How many are open."""
    if isinstance(server, Coordinator):
        status, body = server.call("GET", "/sessions?state=open")
        assert status == 200
        return len(body["sessions"])
    return int(server.get("/health")[1]["state"] == "serving")


@pytest.fixture
def reactor(server: Program) -> Iterator[lr.SyncReactor]:
    made = lr.SyncReactor("conformance", **where(server))
    yield made
    made.disconnect()
    made.close()


@pytest.fixture
def ready(reactor: lr.SyncReactor) -> lr.SyncReactor:
    reactor.connect()
    return reactor


@BOTH_DOORS
def test_every_handler_of_ready_has_been_called_when_connect_returns(reactor: lr.SyncReactor) -> None:
    told: list[str] = []

    @reactor.on_status
    def changed(status: str) -> None:
        time.sleep(0.01)
        told.append(str(status))

    @reactor.on_track
    def received(name: str, track: object) -> None:
        assert track is reactor.track(name)
        assert isinstance(track, SyncTrack)
        told.append(name)

    reactor.connect()
    assert told == ["connecting", "waiting", "main_video", "ready"]
    reactor.disconnect()
    assert told[-1] == "disconnected"


def test_a_handler_may_send_a_command_and_wait_for_its_reply(ready: lr.SyncReactor) -> None:
    replies: list[Any] = []
    answered = threading.Event()

    @ready.on_message("prompt_changed")
    def changed(message: dict[str, Any]) -> None:
        replies.append(ready.send_command("echo", {"value": message["data"]["prompt"]}))
        answered.set()

    ready.send_command("set_prompt", {"prompt": "rain"})
    assert answered.wait(PATIENCE)
    assert replies[0]["data"]["value"] == "rain"


def test_commands_are_methods_and_refusals_are_the_same_errors(ready: lr.SyncReactor) -> None:
    reply = ready.commands.echo(value=[1, 2])
    assert reply is not None
    assert reply["data"]["value"] == [1, 2]
    with pytest.raises(CommandRejected, match="set_size") as caught:
        ready.send_command("set_size", {"width": 1, "height": 1})
    assert caught.value.code == "invalid_command"


def test_frames_messages_and_events_are_plain_iterators(ready: lr.SyncReactor) -> None:
    messages, events = ready.messages("tick"), ready.events()
    ready.send_command("send_ticks", {"count": 5})
    assert [next(messages)["data"]["n"] for _ in range(5)] == list(range(5))
    assert next(event.args[0]["type"] for event in events if event.name == "message") == "tick"
    frames = ready.track("main_video").frames()
    shapes = {next(frames).shape for _ in range(5)}
    assert shapes == {(360, 640, 3)}
    frames.close()
    assert list(frames) == []
    ready.disconnect()
    assert list(messages) == []


def test_frame_handlers_pause_resume_read_and_snapshot(ready: lr.SyncReactor, tmp_path: Path) -> None:
    track = ready.track("main_video")
    seen = threading.Event()

    @track.on_frame
    def frame(pixels: np.ndarray, number: int) -> None:
        if number > 3:
            seen.set()

    assert seen.wait(PATIENCE)
    track.off_frame(frame)
    track.pause()
    assert ready.paused_tracks == ["main_video"]
    track.resume()
    assert track.read(timeout=PATIENCE).shape == (360, 640, 3)
    assert track.snapshot() is not None
    assert track.save_frame(tmp_path / "frame.png").stat().st_size > 1000


def test_what_is_pushed_reaches_the_model(ready: lr.SyncReactor) -> None:
    track = ready.publish_track("webcam")
    assert track is ready.track("webcam")
    assert track.published
    picture = np.full((180, 320, 3), 90, np.uint8)
    deadline = time.monotonic() + PATIENCE
    frames = 0
    while not frames and time.monotonic() < deadline:
        track.push_frame(picture)
        reply = ready.send_command("webcam_stats")
        assert reply is not None
        frames = reply["data"]["frames"]
    assert frames > 0
    track.unpublish()
    assert not track.published


def test_a_session_is_kept_over_a_recoverable_disconnect(ready: lr.SyncReactor) -> None:
    session_id = ready.session_id
    ready.send_command("set_prompt", {"prompt": "kept"})
    ready.disconnect(recoverable=True)
    assert ready.status == "disconnected"
    ready.reconnect()
    assert ready.session_id == session_id
    reply = ready.send_command("get_state")
    assert reply is not None
    assert reply["data"]["prompt"] == "kept"


def test_an_upload_is_an_argument(ready: lr.SyncReactor) -> None:
    progress: list[tuple[int, int]] = []
    ref = ready.upload_file(
        b"x" * 100_000, name="x.bin", on_progress=lambda sent, total: progress.append((sent, total))
    )
    reply = ready.send_command("set_image", {"image": ref})
    assert reply is not None
    assert reply["data"]["size"] == 100_000
    assert progress[-1] == (100_000, 100_000)


def test_many_threads_use_one_client_at_once(ready: lr.SyncReactor) -> None:
    answers: list[int] = []

    def ask(number: int) -> None:
        reply = ready.send_command("echo", {"value": number})
        assert reply is not None
        answers.append(reply["data"]["value"])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(answers) == list(range(16))


async def test_it_works_where_a_loop_runs_already(server: Program) -> None:
    assert asyncio.get_running_loop().is_running()
    with lr.SyncReactor("conformance", **where(server)) as reactor:
        assert next(reactor.track("main_video").frames()).shape == (360, 640, 3)


def test_cycles_leave_no_thread_behind(server: Program) -> None:
    with lr.SyncReactor("conformance", **where(server)) as reactor:
        reactor.send_command("echo", {"value": 1})
    before = threading.active_count()
    for _ in range(5):
        with lr.SyncReactor("conformance", **where(server)) as reactor:
            next(reactor.track("main_video").frames())
    assert threading.active_count() <= before + 2
    assert sessions(server) == 0


def test_a_client_that_is_dropped_ends_its_session(server: Program) -> None:
    dropped = lr.SyncReactor("conformance", **where(server))
    dropped.on("message", print)
    dropped.connect()
    next(dropped.track("main_video").frames())
    del dropped
    server.wait_until(lambda: sessions(server) == 0, timeout=10.0)


def script(tmp_path: Path, body: str, **values: Any) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text("import threading, time\nimport livereactor as lr\n" + body.format(**values))
    return [sys.executable, str(path)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}

FORGETFUL = """
reactor = lr.SyncReactor("conformance", **{where!r})
reactor.connect()
next(reactor.track("main_video").frames())
print(reactor.session_id)
"""


@BOTH_DOORS
def test_a_script_that_forgets_to_leave_exits_0_and_its_session_is_ended(server: Program, tmp_path: Path) -> None:
    done = subprocess.run(
        script(tmp_path, FORGETFUL, where=where(server)),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert sessions(server) == 0


UNREACHABLE = """
lr.SyncReactor("conformance", local={url!r}).connect()
"""

UNREACHABLE_ASYNC = """
import asyncio
asyncio.run(lr.Reactor("conformance", local={url!r}).connect())
"""


@pytest.mark.parametrize("body", [UNREACHABLE, UNREACHABLE_ASYNC], ids=["sync", "async"])
def test_a_script_whose_server_is_not_there_ends_with_the_error_and_no_crash(body: str, tmp_path: Path) -> None:
    # The engine is still connecting to itself then: it is let finish.
    command = script(tmp_path, body, url=f"http://localhost:{free_port()}")
    for _ in range(2):
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("ConnectionFailedError: connect: [CONNECTION_FAILED] could not reach localhost") == 1
        assert done.stderr.rstrip().splitlines()[-1].startswith("livereactor.client.errors.ConnectionFailedError")
        assert "httpx2" not in done.stderr


IN_A_THREAD = """
def watch():
    with lr.SyncReactor("conformance", **{where!r}) as reactor:
        print(next(reactor.track("main_video").frames()).shape)

threading.Thread(target=watch).start()
"""


def test_a_thread_that_outlives_the_main_one_goes_on(server: Program, tmp_path: Path) -> None:
    done = subprocess.run(
        script(tmp_path, IN_A_THREAD, where=where(server)),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(360, 640, 3)"


WATCHING = """
with lr.SyncReactor("conformance", **{where!r}) as reactor:
    for frame in reactor.track("main_video").frames():
        print("frame", flush=True)
"""


@BOTH_DOORS
def test_ctrl_c_while_frames_are_waited_for_ends_the_session(server: Program, tmp_path: Path) -> None:
    command = script(tmp_path, WATCHING, where=where(server))
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "frame\n"
        watching.send_signal(signal.SIGINT)
        _, log = watching.communicate(timeout=15)
    assert watching.returncode in (-signal.SIGINT, 130)
    assert log.rstrip().endswith("KeyboardInterrupt")
    assert sessions(server) == 0


CONNECTING = """
lr.SyncReactor("conformance", local={url!r}).connect()
"""


async def test_ctrl_c_while_connecting_leaves_no_session(tmp_path: Path) -> None:
    async with scripted(style="local", faults={"W2": HANGS}) as server:
        command = script(tmp_path, CONNECTING, url=server.url)
        process = await asyncio.create_subprocess_exec(*command, env=ENVIRONMENT, stderr=asyncio.subprocess.PIPE)
        await server.until(lambda: bool(server.of("W2")), PATIENCE)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, log = await asyncio.wait_for(process.communicate(), 10.0)
        assert process.returncode in (-signal.SIGINT, 130)
        assert log.decode().rstrip().endswith("KeyboardInterrupt")
        assert server.open_sessions == []
        assert time.monotonic() - began < CLEAN_UP, "what was interrupted told nobody that it had cleared up"


ELSEWHERE = """
import signal
other = threading.Thread(target=time.sleep, args=(60,), daemon=True)  # takes signals, as libwebrtc's threads do
other.start()
threading.Timer(1.0, lambda: signal.pthread_kill(other.ident, signal.SIGINT)).start()
lr.SyncReactor("conformance", local={url!r}).connect()
"""


async def test_ctrl_c_that_the_system_hands_to_another_thread_is_heard(tmp_path: Path) -> None:
    async with scripted(style="local", faults={"W2": HANGS}) as server:
        command = script(tmp_path, ELSEWHERE, url=server.url)
        process = await asyncio.create_subprocess_exec(*command, env=ENVIRONMENT, stderr=asyncio.subprocess.PIPE)
        _, log = await asyncio.wait_for(process.communicate(), 10.0)
        assert log.decode().rstrip().endswith("KeyboardInterrupt")
        assert server.open_sessions == []
