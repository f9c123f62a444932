"""Random histories of a Session, played and replayed: picture for picture the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

import livereactor as lr
from livereactor.base.errors import LivereactorError
from livereactor.protocol.schema import validate_arguments
from livereactor.runtime.authoring.inputs import InputQueue
from livereactor.runtime.execution.runner import ModelRunner, StepMade
from livereactor.runtime.interfaces import Call, ClientInfo, ModelEvent, ReceivedFile, SessionStart
from livereactor.runtime.replay.journal_writer import JournalObserver
from tests.tools.journals import Kept, replayed


class Dice(lr.Model):
    """A state that every event moves, in its order; refusals and failures move it as well."""

    main_video = lr.VideoOut(width=4, height=4)
    side = lr.VideoOut(width=4, height=4)
    level: int = lr.param(3, ge=0, le=9)
    mood: Literal["calm", "wild"] = lr.param("calm")
    notes: dict[str, float] | None = lr.param(None)

    def open(self, session: lr.Session) -> None:
        self.session, self.chance, self.state = session, np.random.default_rng(5), 1

    def move(self, *values: object) -> None:
        self.state = (self.state * 31 + sum(repr(values).encode()) + int(self.chance.integers(100))) % 1_000_003

    def joined(self, client: Any) -> None:
        self.move("joined", client.id, client.role, client.joined_at, len(self.session.clients))

    def left(self, client: Any) -> None:
        self.move("left", client.id, client.joined_at, len(self.session.clients))

    def uploaded(self, file: Any) -> None:
        self.move("uploaded", file.name)

    @lr.command
    def roll(self, times: int, words: list[str], client: Any) -> None:
        self.move(times, words, client.id, client.role)
        if times == 3:
            raise lr.CommandError("three")
        if times == 4:
            raise ZeroDivisionError

    def stream(self) -> Iterator[Any]:
        while True:
            self.move(self.level, self.mood, self.notes, self.main_video.wanted, self.side.wanted)
            picture = np.frombuffer(self.state.to_bytes(4, "little") * 12, np.uint8).reshape(4, 4, 3)
            yield {"main_video": picture} if self.state % 7 else None


WORDS = st.lists(st.text(max_size=3), max_size=2)
CLIENTS = st.sampled_from(
    [ClientInfo(1001, "owner", 1.5), ClientInfo(1002, "viewer", 2.25), ClientInfo(0, "owner", 0.0)]
)
CALLS = st.one_of(
    st.builds(lambda times, words: ("roll", {"times": times, "words": words}), st.integers(0, 5), WORDS),
    st.builds(lambda level: ("set_level", {"level": level}), st.integers(0, 9)),
    st.builds(lambda mood: ("set_mood", {"mood": mood}), st.sampled_from(["calm", "wild"])),
    st.builds(
        lambda notes: ("set_notes", {"notes": notes}),
        st.dictionaries(st.text(max_size=2), st.floats(-1e300, 1e300), max_size=2),
    ),
)
EVENTS = st.lists(
    st.one_of(
        st.just(("step",)),
        st.tuples(st.just("call"), CALLS, CLIENTS),
        st.tuples(st.just("join"), CLIENTS),
        st.tuples(st.just("leave"), CLIENTS),
        st.tuples(st.just("want"), st.sets(st.sampled_from(["main_video", "side"]))),
    ),
    max_size=40,
)


class Player:
    """Drives a ModelRunner by hand; fits its `RunnerHost`."""

    def __init__(self, kept: Kept) -> None:
        self.wants: frozenset[str] = frozenset()
        self.runner = ModelRunner(Dice, self, config={})
        self.runner.load()
        self.runner.open(SessionStart("ses_1", observer=JournalObserver(self.runner.definition, {}, kept)))
        self.pictures: list[bytes] = []

    def play(self, events: list[tuple[Any, ...]]) -> None:
        for event in events:
            self.do(event)
        self.runner.shut()

    def do(self, event: tuple[Any, ...]) -> None:
        match event:
            case ("call", (name, arguments), client):
                checked = validate_arguments(self.runner.definition.schema.command(name), arguments)
                with suppress(LivereactorError):
                    self.runner.call(Call(name, checked), client, lambda _: None)
            case ("join", client):
                self.runner.join(client)
            case ("leave", client):
                self.runner.leave(client)
            case ("want", tracks):
                self.wants = frozenset(tracks)
                self.runner.observer.outputs_wanted(self.wants)
            case _:
                self._keep(self.runner.step())

    def _keep(self, made: StepMade) -> None:
        self.pictures += [frame.pixels.tobytes() for frame in made.emission.get("main_video", ())]  # type: ignore[union-attr]

    def publish(self, event: ModelEvent) -> None: ...
    def wanted(self, track: str) -> bool:
        return track in self.wants

    def retuned(self, track: str) -> None: ...
    def flush(self, track: str) -> None: ...
    def wait_input(self, queue: InputQueue, timeout: float | None) -> bool:
        raise AssertionError


@given(EVENTS)
@settings(max_examples=60)
def test_any_history_is_replayed_to_the_same_pictures(events: list[tuple[Any, ...]]) -> None:
    kept = Kept()
    player = Player(kept)
    with capture_logs():
        player.play(events)
        journal = kept.read()
        _, pictures, same = replayed(Dice, journal)
    assert journal.steps == events.count(("step",))
    assert pictures == player.pictures
    assert all(same)


@given(EVENTS, st.data())
@settings(max_examples=30)
def test_what_a_killed_worker_left_is_replayed_as_far_as_it_goes(events: list[tuple[Any, ...]], data: Any) -> None:
    kept = Kept()
    player = Player(kept)
    with capture_logs():
        player.play(events)
    lines = kept.data().splitlines(keepends=True)
    left = Kept()
    left.put("journal-00000.jsonl", b"".join(lines[: data.draw(st.integers(1, len(lines)))]))
    with capture_logs():
        _, pictures, same = replayed(Dice, left.read())
    assert pictures == player.pictures[: len(pictures)]
    assert all(same)


def test_a_file_is_kept_by_its_digest_only() -> None:
    kept = Kept()
    player = Player(kept)
    player.runner.uploaded(ReceivedFile("up1", "a.txt", "text/plain", b"a secret of mine"))
    player.do(("step",))
    player.runner.shut()
    assert b"a secret" not in kept.data()
    assert b'"size":16' in kept.data()
