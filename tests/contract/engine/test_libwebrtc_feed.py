"""What one viewer is served: nothing undecodable, nothing twice, nothing stale, and an end to every wish."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.engine.libwebrtc.feed import MAX_LAG, WATCH_AFTER_GAP, WISH_INTERVAL, Feed
from livereactor.media.frames import EncodedFrame, VideoCodec


def frame(number: int, *, key: bool = False, width: int = 320) -> EncodedFrame:
    return EncodedFrame(VideoCodec.VP8, bytes([number % 256]), key, number, width, 180, number * 33_000)


@dataclass
class Run:
    """A Feed with its output's encoder, its network and its viewer's decoder."""

    feed: Feed = field(default_factory=Feed)
    now: float = 0.0
    number: int = 0
    newest: int = 0
    shown: list[EncodedFrame] = field(default_factory=list[EncodedFrame])
    wishes: int = 0
    key_next: bool = True

    def offer(self, *, key: bool = False, skip: int = 0) -> None:
        self.number += 1 + skip
        key = key or self.key_next
        place = self.feed.offer(frame(self.number, key=key), self.now)
        self.key_next = False
        if place is not None:
            assert place == self.newest + 1
            self.newest = place
        self.wish()
        self.now += 1 / 30

    def request(self, *, key_wanted: bool = False, late: int = 0) -> None:
        served = self.feed.serve(max(1, self.newest - late), key_wanted=key_wanted, now=self.now)
        self.wish()
        if served is not None:
            self.shown.append(served)

    def wish(self) -> None:
        if self.feed.take_key_request(self.now):
            self.wishes += 1


STEPS = st.one_of(
    st.tuples(st.just("offer"), st.booleans()),
    st.tuples(st.just("skip"), st.integers(1, 5)),
    st.tuples(st.just("request"), st.integers(0, 3)),
    st.tuples(st.just("key"), st.just(0)),
    st.tuples(st.just("pli"), st.just(0)),
    st.tuples(st.just("wait"), st.floats(0.0, 1.5)),
)


def carry_out(run: Run, steps: list[tuple[str, float]]) -> None:
    for what, value in steps:
        match what:
            case "offer":
                run.offer(key=bool(value))
            case "skip":
                run.offer(skip=int(value))
            case "request":
                run.request(late=int(value))
            case "key":
                run.request(key_wanted=True)
            case "pli":
                run.feed.want_key()
            case _:
                run.now += value


def check_decodable(shown: list[EncodedFrame]) -> None:
    for before, after in zip([None, *shown], shown, strict=False):
        assert after.key or (before is not None and after.number == before.number + 1)


def check_histories(steps: list[tuple[str, float]]) -> None:
    run = Run()
    carry_out(run, steps)
    check_decodable(run.shown)
    numbers = [served.number for served in run.shown]
    assert numbers == sorted(set(numbers))
    # Whatever happened, one key frame and one request bring the viewer to the newest picture.
    run.offer(key=True)
    run.request()
    assert run.shown[-1].number == run.number


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=80))
def test_only_decodable_frames_are_served_once_and_in_order(steps: list[tuple[str, float]]) -> None:
    check_histories(steps)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=100_000, deadline=None)
@given(st.lists(STEPS, max_size=200))
def test_only_decodable_frames_are_served_in_a_hundred_thousand_histories(steps: list[tuple[str, float]]) -> None:
    check_histories(steps)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=80))
def test_wishes_are_no_more_than_one_a_second(steps: list[tuple[str, float]]) -> None:
    run = Run()
    carry_out(run, steps)
    assert run.wishes <= 1 + run.now / WISH_INTERVAL


def test_in_the_good_case_every_request_serves_its_frame() -> None:
    run = Run()
    for _ in range(100):
        run.offer()
        run.request()
    assert [served.number for served in run.shown] == list(range(1, 101))
    assert run.wishes == 0
    assert not run.feed.is_watched(run.now)


def test_a_viewer_that_comes_gets_nothing_before_a_key_frame_and_wishes_for_one_once() -> None:
    feed = Feed()
    feed.want_key()
    assert feed.take_key_request(0.0)
    assert not feed.take_key_request(0.5)
    assert feed.offer(frame(5), 0.5) is None
    assert feed.offer(frame(6, key=True), 0.6) == 1
    served = feed.serve(1, key_wanted=True, now=0.6)
    assert served is not None
    assert served.number == 6
    assert not feed.take_key_request(5.0)


def test_when_every_second_request_is_lost_an_extra_one_serves_the_key_frame_however_late() -> None:
    run = Run()
    run.offer()
    run.request()
    run.offer(key=True)  # its request is lost
    run.offer()
    assert run.feed.is_watched(run.now)
    run.request()
    assert run.shown[-1].key
    assert run.feed.next_frame is not None
    run.request()  # the extra one
    assert run.shown[-1].number == run.number
    assert run.feed.next_frame is None


def test_watching_ends_a_second_after_the_gap() -> None:
    run = Run()
    run.offer()
    run.offer()
    assert run.feed.is_watched(run.now)
    assert not run.feed.is_watched(run.now + WATCH_AFTER_GAP)


def test_a_viewer_far_behind_gives_up_and_wishes_for_a_key_frame() -> None:
    run = Run()
    run.offer()
    run.request()
    for _ in range(MAX_LAG + 3):
        run.offer()
    assert run.wishes == 1
    run.request()
    assert len(run.shown) == 1
    run.offer(key=True)
    run.request()
    assert run.shown[-1].number == run.number


def test_after_a_wish_of_the_receiver_deltas_are_held_back() -> None:
    run = Run()
    run.offer()
    run.request()
    run.offer()
    run.request(key_wanted=True)
    assert run.wishes == 1
    run.offer()
    run.request()
    assert len(run.shown) == 1
    run.offer(key=True)
    run.request()
    assert run.shown[-1].key


def test_a_delta_of_another_size_is_not_taken_for_the_next_frame() -> None:
    feed = Feed()
    assert feed.offer(frame(1, key=True), 0.0) == 1
    assert feed.offer(frame(2, width=160), 0.0) is None
    assert feed.offer(frame(3, width=160, key=True), 0.0) == 2
