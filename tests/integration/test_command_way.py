"""The modules that a command passes, from the callback of its channel to its handler, are few and known."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import livereactor as lr
from livereactor.protocol import v1
from tests.integration.rig import serving

SRC = Path(lr.__file__).parent
WAY = [
    "runtime/session/data_channels.py",  # received
    "protocol/v1.py",  # decoded
    "runtime/session/service.py",  # who gave it
    "runtime/session/membership.py",  # whether that client may
    "runtime/session/calls.py",  # accepted
    "protocol/schema.py",  # checked, and converted for the handler
    "runtime/execution/model_thread.py",  # handed to the model's thread
    "runtime/execution/command_queue.py",  # waits there for the step to end
    "runtime/execution/runner.py",  # calls the handler
]
# Called by one of those for a part of its work; none of them hands the command on.
HELPERS = {
    "engine/memory/wire.py",  # tells how large a message may be
    "protocol/structs.py",  # v1's
    "protocol/types.py",  # schema's
    "protocol/validation.py",
    "protocol/values.py",
    "runtime/interfaces.py",  # the observer of a model thread without a journal does nothing
    "runtime/session/lifecycle.py",  # membership's: starts the idle time anew
}
# Called once for a small part before the command reaches them: their first call does not tell their place on the way.
EARLY = {
    "runtime/session/membership.py",  # notes that the connection is not silent, before the frame is decoded
    "runtime/execution/command_queue.py",  # tells `calls.py` the size of the arguments
}


class Way:
    """The modules of src that a command passes while `is_open`, in the order of their first call.

    Other threads and tasks run meanwhile. So only calls beneath the receiving channel count, and what stands on the
    stack of the handler.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.modules: list[str] = []

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        if not self.is_open or event != "call":
            return
        stack = [name for each in frames(frame) if (name := module_of(each)) is not None]
        if frame.f_code.co_filename == __file__ and frame.f_code.co_name == "press":
            self.is_open = False
        elif WAY[0] not in stack:
            return
        self.modules += [name for name in dict.fromkeys(reversed(stack)) if name not in self.modules]


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and its callers, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def module_of(frame: FrameType) -> str | None:
    """Return the path of a frame's module below src, or None for a module of somebody else."""
    path = Path(frame.f_code.co_filename)
    return str(path.relative_to(SRC)) if path.is_relative_to(SRC) else None


@contextmanager
def followed() -> Generator[Way]:
    """Follow this thread and every thread that starts meanwhile."""
    way = Way()
    threading.setprofile(way.profile)
    sys.setprofile(way.profile)
    try:
        yield way
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


class Pressed(lr.Model):
    """Has one command."""

    out = lr.VideoOut(width=2, height=2)

    @lr.command
    def press(self, strength: float, name: str) -> None:
        """Do nothing."""

    def stream(self) -> Any:
        yield None


async def test_a_command_passes_nine_modules_from_its_channel_to_its_handler() -> None:
    with followed() as way:
        async with serving(Pressed) as served:
            caller = await served.client(await served.start_session(), v1)
            await caller.command("press", strength=0.5, name="warm up")
            way.is_open = True
            await caller.command("press", strength=0.5, name="counted")
    passed = [each for each in way.modules if each not in HELPERS]
    assert set(passed) == set(WAY), passed
    assert [each for each in passed if each not in EARLY] == [each for each in WAY if each not in EARLY]
    assert len(WAY) <= 9
