"""A recording's life, and what it says to who asks."""

from __future__ import annotations

from itertools import product

import pytest

from livereactor.base.errors import IllegalTransitionError
from livereactor.runtime.recording.lifecycle import (
    LEGAL,
    Broke,
    ClipRefused,
    ClipSpan,
    FirstPicture,
    RecordingLifecycle,
    RecordingState,
    SessionOver,
)


def recording() -> RecordingLifecycle:
    life = RecordingLifecycle(longest=300)
    life.handle(FirstPicture())
    return life


def test_a_clip_is_the_newest_seconds() -> None:
    assert recording().snap(10, 25.0) == ClipSpan("snap", 15.0, 25.0)


def test_a_clip_longer_than_the_recording_begins_with_it() -> None:
    assert recording().snap(60, 25.0) == ClipSpan("snap", 0.0, 25.0)


@pytest.mark.parametrize("seconds", [300.5, 600, 1e300, float("inf")])
def test_a_clip_over_the_cap_is_shortened_to_it(seconds: float) -> None:
    assert recording().snap(seconds, 400.0) == ClipSpan("snap", 100.0, 400.0)


@pytest.mark.parametrize("seconds", [0, -1, -1e300, float("nan"), float("-inf")])
def test_a_clip_has_to_be_longer_than_nothing(seconds: float) -> None:
    assert recording().snap(seconds, 25.0) == ClipRefused("duration_seconds must be positive")


def test_a_clip_too_short_to_have_a_begin_is_refused() -> None:
    assert recording().snap(1e-17, 25.0) == ClipRefused("duration_seconds must be positive")


def test_the_whole_recording_begins_at_its_first_picture() -> None:
    assert recording().whole(25.0) == ClipSpan("recording", 0.0, 25.0)


def test_before_the_first_picture_there_is_nothing() -> None:
    life = RecordingLifecycle(longest=300)
    assert life.snap(10, 0.0) == life.whole(0.0) == ClipRefused("no media generated yet")
    assert recording().snap(10, 0.0) == ClipRefused("no media generated yet")


def test_what_broke_says_so_in_the_words_of_the_protocol() -> None:
    life = recording()
    life.handle(Broke())
    assert life.snap(10, 25.0) == life.whole(25.0) == ClipRefused("recorder disabled or encoder crashed")


def test_what_broke_stays_broken_when_the_session_ends() -> None:
    life = recording()
    life.handle(Broke())
    life.handle(SessionOver())
    assert life.state is RecordingState.FAILED


def test_after_the_session_nothing_is_asked_for() -> None:
    life = recording()
    life.handle(SessionOver())
    assert isinstance(life.snap(10, 25.0), ClipRefused)


@pytest.mark.parametrize(("state", "event"), list(product(RecordingState, [FirstPicture(), Broke(), SessionOver()])))
def test_what_the_table_lacks_is_illegal_and_changes_nothing(
    state: RecordingState, event: FirstPicture | Broke | SessionOver
) -> None:
    life = RecordingLifecycle(longest=300)
    life.state = state
    if (target := LEGAL[state].get(type(event))) is None:
        with pytest.raises(IllegalTransitionError):
            life.handle(event)
        assert life.state is state
    else:
        life.handle(event)
        assert (life.state,) == (target or (state,))
