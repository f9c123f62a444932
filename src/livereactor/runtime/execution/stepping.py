"""One step on request: state, commands, media, then one `yield`. On the model's thread, no waiting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from livereactor.base.errors import LivereactorError
from livereactor.base.timing import StageName, Timings
from livereactor.media.frames import Frame, Sound
from livereactor.runtime.authoring.emission import Emission
from livereactor.runtime.execution.runner import ModelRunner, StreamError
from livereactor.runtime.interfaces import (
    Call,
    ClientInfo,
    ModelEvent,
    SessionFailed,
    StepInput,
    StepOutput,
    StreamEnded,
)

STEPPER: Final = ClientInfo(id=0, role="owner", joined_at=0.0)


def run_step(runner: ModelRunner, request: StepInput, number: int) -> tuple[StepOutput, list[ModelEvent]]:
    """Do what `request` says.

    Args:
        number: what the step is called if it runs.

    Returns:
        its result, and what has to be told beside it. A refused call leaves the earlier ones applied and runs no step.
    """
    began = time.monotonic()

    def output(emission: Emission | None = None, error: str | None = None) -> StepOutput:
        return StepOutput(number, _tracks(emission or {}), time.monotonic() - began, error)

    if runner.session is None:
        return output(error="no session is open; start one first"), []
    if (refused := apply_calls(runner, (*request.state, *request.commands), number)) is not None:
        return refused, []
    for track, items in request.media.items():
        for item in items:
            runner.feed(track, item)
    try:
        made = runner.step()
    except StreamError as error:
        return output(error="the model failed in this step"), [SessionFailed(str(error), reusable=True)]
    if made.ended:
        return output(error="the model's stream has ended; start another session"), [StreamEnded()]
    return output(made.emission), []


def apply_calls(runner: ModelRunner, calls: Sequence[tuple[str, Call]], number: int) -> StepOutput | None:
    """Run the calls in order. Return the refusal of the first that fails, else None."""
    began = time.monotonic()
    for entry, call in calls:
        try:
            runner.call(call, STEPPER, lambda _: None)
        except LivereactorError as error:
            return StepOutput(number, {}, time.monotonic() - began, error.message, error.code, entry)
    return None


def _tracks(emission: Emission) -> dict[str, Sequence[Frame | Sound]]:
    return {name: [item] if isinstance(item, Sound) else list(item) for name, item in emission.items()}


class StepClock:
    """The durations of one Session's steps and waits, added to its `timings`.

    A wait is not part of a step, whether the model blocks in `frames()` or yields `wait_for`. Neither are the commands
    that run while `frames()` blocks.
    """

    def __init__(self, timings: Timings) -> None:
        self._steps, self._waits = timings.of(StageName.STEP), timings.of(StageName.INPUT_WAIT)
        self._began = self._within = 0.0
        self._waiting_since: float | None = None

    def begin(self, now: float) -> None:
        """Note that a turn of `stream` begins."""
        if self._waiting_since is not None:
            self._waits.add(now - self._waiting_since)
            self._waiting_since = None
        self._began, self._within = now, 0.0

    def waited(self, seconds: float) -> None:
        """Note that the model waited for input for `seconds` of this turn."""
        self._waits.add(seconds)
        self._within += seconds

    def end(self, now: float, *, waits: bool) -> None:
        """Note that the turn is over; `waits`: it made nothing and asked to wait for input."""
        if waits:
            self._waiting_since = now
        else:
            self._steps.add(now - self._began - self._within)
