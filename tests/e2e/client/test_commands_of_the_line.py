"""`livereactor connect` and `livereactor probe` as processes, against `run` and against `serve`."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
from pathlib import Path

import av
import pytest

from livereactor.cli.views import HALF
from tests.e2e.cli.command import LIVEREACTOR, PATIENCE, ended
from tests.e2e.client.conftest import BOTH_DOORS
from tests.tools.processes import Program
from tests.tools.serving import Coordinator

pytestmark = pytest.mark.asyncio(loop_scope="module")


def to(server: Program) -> list[str]:
    """Options that lead to a server."""
    if isinstance(server, Coordinator):
        return ["--url", server.url, "--key", server.key]
    return ["--local", "--url", server.url]


async def started(*arguments: str, stdout: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        LIVEREACTOR, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=asyncio.subprocess.PIPE
    )


async def said(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        async for line in process.stderr:
            if word in line.decode():
                return
    raise AssertionError(f"no {word!r}")


def sessions(server: Program) -> int:
    """How many are open."""
    if isinstance(server, Coordinator):
        status, body = server.call("GET", "/sessions?state=open")
        assert status == 200
        return len(body["sessions"])
    return int(server.get("/health")[1]["state"] == "serving")


@BOTH_DOORS
async def test_a_smoke_test_sees_steers_and_films_a_model(server: Program, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    what = ["--send", "echo", '{"value": 42}', "--save", str(film), "--seconds", "2", "--json"]
    done = await ended("connect", "conformance", *to(server), *what)
    assert done.code == 0, done.log
    seen = json.loads(done.out)
    assert seen["frames"] >= 10
    assert (seen["width"], seen["height"], seen["track"]) == (640, 360, "main_video")
    assert '"value": 42' in done.log
    with av.open(str(film)) as container:
        frames = list(container.decode(video=0))
    assert 10 <= len(frames) <= seen["frames"]
    assert frames[-1].time == pytest.approx(seen["seconds"], abs=0.5)
    assert sessions(server) == 0


async def test_a_refused_command_is_one_sentence_and_exit_1(server: Program) -> None:
    done = await ended("connect", "conformance", *to(server), "--send", "ecko", "{}", "--seconds", "1")
    assert done.code == 1
    assert "echo" in done.log
    assert "Traceback" not in done.log
    assert sessions(server) == 0


async def test_an_input_cannot_be_watched(server: Program) -> None:
    done = await ended("connect", "conformance", *to(server), "--track", "webcam", "--seconds", "1")
    assert done.code == 2
    assert "webcam" in done.log


async def test_a_film_that_cannot_be_written_is_said(server: Program, tmp_path: Path) -> None:
    where = tmp_path / "nowhere" / "film.mp4"
    done = await ended("connect", "conformance", *to(server), "--save", str(where), "--seconds", "20")
    assert done.code == 2
    assert "cannot save the film: No such file or directory" in done.log


@BOTH_DOORS
async def test_ctrl_c_ends_the_session_and_says_what_was_seen(server: Program, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    process = await started("connect", "conformance", *to(server), "--save", str(film))
    await said(process, "ready")
    async with asyncio.timeout(PATIENCE):
        while not film.exists():  # noqa: ASYNC110  (made with the first frame; no event tells of it)
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, log = await asyncio.wait_for(process.communicate(), 15.0)
    assert process.returncode == 130, log
    assert b"frames of" in out
    assert b"Traceback" not in log
    assert sessions(server) == 0


async def test_in_a_terminal_the_picture_is_drawn_and_the_screen_given_back(
    server: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    ours, theirs = pty.openpty()
    process = await started("connect", "conformance", *to(server), "--seconds", "3", stdout=theirs)
    os.close(theirs)
    loop = asyncio.get_running_loop()
    shown = bytearray()
    reading = loop.run_in_executor(None, _read_all, ours, shown)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    await reading
    os.close(ours)
    text = shown.decode()
    assert text.count(HALF) > 1000
    assert "\x1b[38;2;" in text
    assert "\x1b[?1049h" in text.partition(HALF)[0]
    assert "\x1b[?1049l" in text.rpartition(HALF)[2]
    assert "frames of 640x360" in text.rpartition("\x1b[?1049l")[2]


def _read_all(descriptor: int, into: bytearray) -> None:
    try:
        while part := os.read(descriptor, 65_536):
            into += part
    except OSError:  # the other end is closed
        return


async def test_a_window_is_drawn_with_the_optional_library(server: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    done = await ended("connect", "conformance", *to(server), "--show", "--seconds", "1", "--json")
    assert done.code == 0, done.log


@BOTH_DOORS
async def test_the_whole_way_is_probed(server: Program) -> None:
    key = ["--key", server.key, "--model", server.model] if isinstance(server, Coordinator) else []
    done = await ended("probe", server.url, *key, "--json")
    assert done.code == 0, done.out
    steps = [json.loads(line) for line in done.out.splitlines()]
    way = ["dns", "tcp", "http", "server", "token", "session", "version", "signalling", "ice", "dtls", "channels"]
    assert [step["check"] for step in steps] == [*way, "frame", "end"]
    assert {step["status"] for step in steps} == {"ok"}
    assert sessions(server) == 0


@BOTH_DOORS
async def test_a_probe_that_fails_says_what_to_do_and_exits_1(server: Program) -> None:
    where = [server.url, "--key", "rk_wrong"] if isinstance(server, Coordinator) else ["http://127.0.0.1:1"]
    done = await ended("probe", *where)
    assert done.code == 1
    assert "✗" in done.out
    assert "→" in done.out
    assert "rk_wrong" not in done.out + done.log


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--send", "drop", "{x: 1}"], "is not JSON"),
        (["--send", "drop", "[1]"], "arguments must be a JSON object"),
        (["--send", "drop"], "1 --send but 0 JSON objects"),
        (["--url", "ftp://x"], "is not the address of a server"),
    ],
)
async def test_mistakes_are_told_before_anything_is_connected(arguments: list[str], sentence: str) -> None:
    done = await ended("connect", "pond", "--local", *arguments)
    assert done.code == 2
    assert sentence in done.log


async def test_without_credentials_the_options_are_named_that_give_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEREACTOR_API_KEY", "REACTOR_API_KEY", "LIVEREACTOR_JWT", "REACTOR_JWT"):
        monkeypatch.delenv(name, raising=False)
    done = await ended("connect", "pond")
    assert done.code == 2
    assert "no credentials given" in done.log
    assert done.log.strip().endswith("; add --key or --jwt, or --local for a runtime")


@BOTH_DOORS
async def test_a_server_of_the_other_kind_and_another_model_are_said(server: Program) -> None:
    if isinstance(server, Coordinator):
        done = await ended("connect", "conformance", "--local", "--url", server.url, "--seconds", "1")
        assert done.code != 0
        assert f"{server.url} is not a runtime: it has no /start_session; for a coordinator, omit local" in done.log
        return
    done = await ended("connect", "conformance", "--jwt", "a", "--url", server.url, "--seconds", "1")
    assert done.code != 0
    assert f"{server.url} is not a coordinator: it has no /sessions; for a runtime, pass local" in done.log
    done = await ended("connect", "other", *to(server), "--seconds", "1")
    assert done.code == 0
    assert "this server has the model 'conformance', not 'other'; check the address" in done.log
    assert "\x1b" not in done.log
    done = await ended("probe", server.url, "--model", "other")
    assert done.code == 0
    assert "a runtime with the model conformance, not other" in done.out
    done = await ended("probe", f"{server.url}/elsewhere")
    assert done.code == 1
    assert "the server answers, but lists no models" in done.out


async def test_a_server_that_is_not_there_is_exit_1() -> None:
    done = await ended("connect", "pond", "--local", "--url", "http://127.0.0.1:1", "--seconds", "1")
    assert done.code == 1
    assert "could not reach 127.0.0.1:1" in done.log
