"""What every reader of outside bytes promises, whatever the bytes are.

Only the documented errors leave it, with a short sentence; what it makes is bounded by what it got; and so is what it
does, counted in calls of Python functions, which no load of the machine changes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from livereactor.base.errors import PeerError

GROWTH: Final = 64  # characters of `repr` for each byte: an empty message of two bytes is an object with five fields
ALLOWANCE: Final = 16_384  # characters, of an empty input
_VALUES: Final = re.compile(r"""b?'(?:[^'\\]|\\.)*'?|b?"(?:[^"\\]|\\.)*"?|[\d.\-+]+""")
_SHOWN: Final = 2_000  # characters of `repr` that make up the outcome
_SHAPE: Final = 200  # and what counts of it
CALLS: Final = 100  # Python calls for each byte
FIRST_CALLS: Final = 20_000  # of an empty input: lazy imports and caches are filled by it too


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    Attributes:
        name: also of its folder in the corpus.
        read: returns what the bytes are, after checks of its own: round trips, bounds.
        refusals: the documented errors.
        longest: bytes of an input.
        sentence: characters of an error at most.
        counts: calls are counted; not where other threads or a loop work.
    """

    name: str
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (PeerError,)
    longest: int = 4_096
    sentence: int = 1_000
    counts: bool = True


def hold(target: Target, data: bytes, outcome: Callable[[str], None] = lambda _: None) -> bool:
    """Read one input; returns whether it was taken.

    Args:
        outcome: gets what was read or why it was refused, without names and numbers: what compiled code did with it.

    Raises:
        AssertionError: a promise is broken.
        Exception: what the parser let out.
    """
    found, refusal = None, None
    try:
        with counted(FIRST_CALLS + CALLS * len(data), active=target.counts):
            found = target.read(data)
    except target.refusals as error:
        refusal = str(error)
    if refusal is not None:
        assert len(refusal) <= target.sentence, f"a sentence of {len(refusal)} characters: {refusal[:200]}"
        outcome(_VALUES.sub("", refusal))
        return False
    text = repr(found)
    assert len(text) <= GROWTH * len(data) + ALLOWANCE, f"{len(data)} bytes became {len(text)} characters"
    outcome(_VALUES.sub("", text[:_SHOWN])[:_SHAPE])
    return True


@contextmanager
def counted(most: int, *, active: bool = True) -> Iterator[None]:
    """Raise AssertionError where the body makes more calls of Python functions."""
    left = most

    def called(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if event == "call":
            left -= 1
            assert left > 0, f"more than {most} calls, the last of them {frame.f_code.co_qualname}"

    previous = sys.getprofile()
    if active:
        sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(previous)
