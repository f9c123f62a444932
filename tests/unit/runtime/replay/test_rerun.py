"""Sessions played on a real model thread and run again: the same pictures, or a sentence that says why not."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livereactor as lr
from livereactor.base.errors import CommandError, UsageError
from livereactor.runtime.execution.loading import load_model
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.interfaces import ClientInfo, ReceivedFile, SessionFailed, StepInput, StreamEnded
from livereactor.runtime.replay.finding import files_in
from livereactor.runtime.replay.journal_format import (
    ClientJoined,
    ClientLeft,
    CommandRan,
    JournalEnd,
    OutputsWanted,
    PictureDigest,
)
from livereactor.runtime.replay.rerun import ReplayError, Rerun
from tests.tools.journals import played, replayed
from tests.unit.runtime.execution.rig import OWNER, PATIENCE, Rig, call

EXAMPLES = Path(__file__).parents[4] / "examples"
VIEWER = ClientInfo(1002, "viewer", 12.5)


class Walk(lr.Model):
    """Every picture depends on all that came before it, and on who asked for what."""

    main_video = lr.VideoOut(width=8, height=8, fps=120)
    pace: int = lr.param(1, ge=0, le=50)
    words: list[str] = lr.param(())  # type: ignore[assignment]

    def load(self, config: Any) -> None:
        self.seed = int(config.get("seed", 3))

    def open(self, session: lr.Session) -> None:
        self.chance = np.random.default_rng(self.seed)
        self.state = int(session.extra_args.get("from", 0))

    def joined(self, client: lr.Client) -> None:
        self.state += client.id + int(client.joined_at * 2)

    def left(self, client: lr.Client) -> None:
        self.state -= 3 * client.id

    @lr.command
    def push(self, by: int, client: lr.Client) -> None:
        if by < 0:
            self.state += 1
            raise CommandError("backwards", "only forwards")
        self.state += by * client.id

    @lr.command
    def look(self, file: lr.File) -> None:
        self.state += sum(file.data)

    def uploaded(self, file: Any) -> None:
        self.state += len(file.data)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            self.state += self.pace + int(self.chance.integers(10)) + len("".join(self.words)) + self.main_video.wanted
            yield np.full((8, 8, 3), self.state % 251, np.uint8)


def frames(rig: Rig, more: int = 5) -> None:
    """Wait for some more pictures."""
    seen = len(rig.emissions)
    rig.until(lambda: len(rig.emissions) >= seen + more)


def busy(thread: ModelThread, rig: Rig) -> None:
    thread.join(OWNER)
    frames(rig)
    thread.call(call("push", by=7), OWNER).result(PATIENCE)
    thread.join(VIEWER)
    frames(rig)
    thread.call(call("set_words", words=["a", "bc"]), OWNER).result(PATIENCE)
    with pytest.raises(CommandError):
        thread.call(call("push", by=-1), VIEWER).result(PATIENCE)
    frames(rig)
    thread.leave(VIEWER)
    thread.call(call("set_pace", pace=9), OWNER).result(PATIENCE)
    frames(rig, 130)  # past a second, for another digest


def test_a_session_with_commands_parameters_and_clients_is_replayed_to_the_same_pictures() -> None:
    journal, then = played(Walk, busy, start={"extra_args": {"from": 40}})
    again, now, same = replayed(Walk, journal)
    assert now == then
    assert len(same) >= 2
    assert all(same)
    assert again.notices == []


def test_the_journal_tells_what_happened_in_its_order() -> None:
    journal, then = played(Walk, busy)
    told = [each.what for each in journal.entries if not isinstance(each.what, PictureDigest | OutputsWanted)]
    assert [type(each) for each in told] == [
        ClientJoined,
        CommandRan,
        ClientJoined,
        CommandRan,
        CommandRan,
        ClientLeft,
        CommandRan,
        JournalEnd,
    ]
    assert [each.command for each in told if isinstance(each, CommandRan)] == ["push", "set_words", "push", "set_pace"]
    assert [each.n for each in journal.entries] == list(range(1, len(journal.entries) + 1))
    assert [each.step for each in journal.entries] == sorted(each.step for each in journal.entries)
    assert journal.steps == len(then)
    assert journal.header.params == {"pace": 1, "words": []}


def test_a_seed_of_the_configuration_is_in_the_header() -> None:
    journal, then = played(Walk, lambda _, rig: frames(rig), seed=11)
    assert journal.header.seed == 11
    assert replayed(Walk, journal, seed=11)[1] == then
    assert replayed(Walk, journal, seed=12)[1] != then


def test_pictures_that_differ_are_told() -> None:
    journal, _ = played(Walk, busy)
    _, _, same = replayed(Walk, journal, seed=4)
    assert not any(same)


def test_a_pause_is_replayed() -> None:
    def pausing(thread: ModelThread, rig: Rig) -> None:
        frames(rig)
        thread.want(frozenset())
        thread.call(call("push", by=2), OWNER).result(PATIENCE)
        thread.want(frozenset({"main_video"}))
        frames(rig)

    journal, then = played(Walk, pausing)
    assert [each.what.tracks for each in journal.entries if isinstance(each.what, OutputsWanted)] == [
        ("main_video",), (), ("main_video",)
    ]  # fmt: skip
    assert replayed(Walk, journal)[1] == then


def test_files_are_found_by_their_content(tmp_path: Path) -> None:
    data = bytes(range(200))
    file = ReceivedFile("up1", "../cat.png", "image/png", data)

    def giving(thread: ModelThread, rig: Rig) -> None:
        thread.uploaded(file)
        thread.call(call("look", file=file), OWNER).result(PATIENCE)
        frames(rig)

    journal, then = played(Walk, giving)
    assert data[:20] not in repr(journal).encode()
    (tmp_path / "a").write_bytes(bytes(200))
    with pytest.raises(UsageError, match=r"before step \d+: .*'../cat.png' \(200 bytes\).*--files"):
        list(_again(journal, tmp_path).steps())
    (tmp_path / "renamed.bin").write_bytes(data)
    again = _again(journal, tmp_path)
    now = [frame.pixels.tobytes() for step in again.steps() for frame in step.emission["main_video"]]  # type: ignore[union-attr]
    assert now == then


def _again(journal: Any, folder: Path) -> Rerun:
    again = Rerun(Walk, journal, config={}, files=files_in(folder))
    again.load()
    return again


def test_a_stepped_session_is_replayed_with_the_calls_of_its_steps() -> None:
    pictures: list[bytes] = []

    def stepping(thread: ModelThread, _: Rig) -> None:
        for number in range(6):
            request = StepInput(state=[("state.pace", call("set_pace", pace=number))])
            if number == 3:
                request = StepInput(commands=[("commands[0]", call("push", by=4))])
            output = thread.step(request).result(PATIENCE)
            pictures.extend(frame.pixels.tobytes() for frame in output.tracks["main_video"])  # type: ignore[union-attr]

    journal, _ = played(Walk, stepping, start={"stepped": True})
    assert journal.header.generation == "stepped"
    assert replayed(Walk, journal)[1] == pictures


class Fails(lr.Model):
    main_video = lr.VideoOut(fps=120)
    last: int = lr.param(4)

    def stream(self) -> Iterator[np.ndarray]:
        for number in range(1000):
            if number == self.last:
                raise ValueError("no more paint")
            yield np.full((4, 4, 3), number % 256, np.uint8)


def test_a_model_that_fails_again_is_told_with_the_step() -> None:
    journal, then = played(Fails, lambda _, rig: rig.until(lambda: rig.of(SessionFailed)))
    assert journal.end == JournalEnd(failed=True)
    assert journal.steps == 5
    assert len(then) == 4
    with pytest.raises(ReplayError, match=r"failed at step 5 of 5, as it did then: .*test_rerun.py:[0-9]+"):
        replayed(Fails, journal)


def test_a_failure_that_is_mended_is_told() -> None:
    journal, _ = played(Fails, lambda _, rig: rig.until(lambda: rig.of(SessionFailed)))
    mended = dataclasses.replace(
        journal, header=journal.header.model_copy(update={"params": {"last": 900}})
    )  # as if its default had been another then
    again, now, _ = replayed(Fails, mended)
    assert len(now) == 5
    assert again.notices == ["then the model failed at step 5; now it did not"]


class Ends(lr.Model):
    main_video = lr.VideoOut(fps=120)

    def stream(self) -> Iterator[np.ndarray]:
        for number in range(3):
            yield np.full((4, 4, 3), number, np.uint8)


def test_a_stream_that_returns_ends_its_journal() -> None:
    journal, then = played(Ends, lambda _, rig: rig.until(lambda: rig.of(StreamEnded)))
    assert journal.end == JournalEnd()
    assert journal.steps == 3
    assert replayed(Ends, journal)[1] == then


class Mirror(lr.Model):
    main_video = lr.VideoOut(fps=120)
    webcam = lr.VideoIn()
    level: int = lr.param(0)

    def stream(self) -> Iterator[np.ndarray]:
        yield np.zeros((4, 4, 3), np.uint8)
        for frame in self.webcam.frames():
            yield np.full((4, 4, 3), self.level, np.uint8) + frame.pixels


def test_a_model_with_inputs_is_replayed_without_them_and_says_so() -> None:
    def feeding(thread: ModelThread, rig: Rig) -> None:
        rig.until(lambda: rig.emissions)
        thread.call(call("set_level", level=5), OWNER).result(PATIENCE)
        for _ in range(2):
            thread.feed("webcam", lr.Frame(np.ones((4, 4, 3), np.uint8)))
            frames(rig, 1)

    journal, then = played(Mirror, feeding)
    assert journal.header.not_kept == ("webcam",)
    again, now, _ = replayed(Mirror, journal)
    assert now == then[:1]
    assert "webcam is not kept" in again.notices[0]
    assert "waits for input" in again.notices[1]


class Chat(lr.Model):
    """Commands are taken while it waits inside its step."""

    main_video = lr.VideoOut(fps=120)
    webcam = lr.VideoIn()

    def open(self, session: lr.Session) -> None:
        self.state = 0

    @lr.command
    def add(self, by: int) -> None:
        self.state += by

    def stream(self) -> Iterator[np.ndarray]:
        yield np.zeros((4, 4, 3), np.uint8)
        while True:
            for _ in self.webcam.frames(timeout=0.2):
                pass
            yield np.full((4, 4, 3), self.state, np.uint8)


def test_a_command_taken_inside_a_step_is_replayed_inside_it() -> None:
    def chatting(thread: ModelThread, rig: Rig) -> None:
        rig.until(lambda: rig.emissions)
        thread.call(call("add", by=9), OWNER).result(PATIENCE)
        frames(rig, 2)

    journal, then = played(Chat, chatting)
    _, now, _ = replayed(Chat, journal)
    assert now == then
    assert then[-1][0] == 9


class Later(lr.Model):
    """All async."""

    main_video = lr.VideoOut(fps=120)

    async def open(self, session: lr.Session) -> None:
        self.state = 0

    @lr.command
    async def add(self, by: int) -> None:
        self.state += by

    async def stream(self) -> AsyncIterator[np.ndarray]:
        while True:
            self.state += 1
            yield np.full((2, 4, 4, 3), self.state % 256, np.uint8)


def test_an_async_model_of_chunks_is_replayed() -> None:
    def adding(thread: ModelThread, rig: Rig) -> None:
        frames(rig)
        thread.call(call("add", by=100), OWNER).result(PATIENCE)
        frames(rig)

    journal, then = played(Later, adding)
    assert replayed(Later, journal)[1] == then
    assert len(then) == 2 * journal.steps


def test_another_model_is_refused() -> None:
    journal, _ = played(Ends, lambda _, rig: rig.until(lambda: rig.emissions))
    with pytest.raises(UsageError, match=r"ran the model 'ends', this is 'walk'; pass the right one with --model"):
        replayed(Walk, journal)


def test_a_command_that_the_model_no_longer_has_is_named_with_its_step() -> None:
    class Shrunk(Walk):
        name = "walk"
        push = None  # type: ignore[assignment]

    journal, _ = played(Walk, busy)
    with pytest.raises(UsageError, match=r"before step \d+: no command named 'push'; .*the model as it was"):
        replayed(Shrunk, journal)


def test_another_contract_is_told_and_another_default_is_set() -> None:
    class Faster(Walk):
        name = "walk"
        pace: int = lr.param(2, ge=0, le=50)

    journal, then = played(Walk, lambda _, rig: frames(rig))
    again, now, _ = replayed(Faster, journal)
    assert now == then
    assert "contract has changed" in again.notices[0]


def test_the_pond_is_replayed_to_the_same_pictures() -> None:
    def raining(thread: ModelThread, rig: Rig) -> None:
        frames(rig)
        thread.call(call("drop", x=0.3, y=0.6, strength=1.0), OWNER).result(PATIENCE)
        frames(rig)
        thread.call(call("set_rain", rain=1.0), OWNER).result(PATIENCE)
        frames(rig, 20)

    pond = load_model(str(EXAMPLES / "pond.py"))
    journal, then = played(pond, raining)
    _, now, same = replayed(pond, journal)
    assert now == then
    assert all(same)
