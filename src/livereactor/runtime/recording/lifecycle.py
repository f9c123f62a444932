"""The life of a recording, and what it says to who asks for a Clip. Pure: the media time comes in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from livereactor.base.machine import IGNORED, Table

# Official clients compare the first two byte for byte.
DISABLED: Final = "recorder disabled"
CRASHED: Final = "recorder disabled or encoder crashed"
NOTHING_YET: Final = "no media generated yet"
NOT_POSITIVE: Final = "duration_seconds must be positive"
STEPPED: Final = "a stepped session is not recorded, so it has no clips"
NO_PICTURE: Final = "the model has no video output, so it is not recorded and has no clips"


class RecordingState(Enum):
    """The state of a recording."""

    WAITING = "waiting"  # no picture yet
    RECORDING = "recording"  # pictures are encoded and kept
    FAILED = "failed"  # the encoder or the disk gave up; final
    ENDED = "ended"  # its session has ended; final


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """The recording has begun."""


@dataclass(frozen=True, slots=True)
class Broke:
    """The encoder raised, or nothing can be written any more."""


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The Session has ended."""


RecordingEvent: TypeAlias = FirstPicture | Broke | SessionOver

_S = RecordingState
LEGAL: Final[Table[RecordingState, RecordingEvent]] = Table(
    "Recording",
    {
        _S.WAITING: {FirstPicture: _S.RECORDING, Broke: _S.FAILED, SessionOver: _S.ENDED},
        _S.RECORDING: {Broke: _S.FAILED, SessionOver: _S.ENDED},
        _S.FAILED: {SessionOver: _S.FAILED},
        _S.ENDED: {FirstPicture: IGNORED, Broke: IGNORED},  # its thread had it on the way
    },
)


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """The part of a recording that a Clip shows, in seconds; `end` is the newest."""

    kind: Literal["snap", "recording"]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class ClipRefused:
    """There is no Clip, and why."""

    reason: str


class RecordingLifecycle:
    """State of one recording.

    Args:
        longest: seconds of a Clip; who asks for more gets that.
    """

    def __init__(self, *, longest: float) -> None:
        self.state = RecordingState.WAITING
        self._longest = longest

    def handle(self, event: RecordingEvent) -> None:
        """Move on; an illegal event raises and changes nothing."""
        self.state = LEGAL.after(self.state, event)

    def snap(self, seconds: float, now: float) -> ClipSpan | ClipRefused:
        """The last `seconds`, finite; `now` is the media time."""
        if (refused := self._refused(now)) is not None:
            return refused
        start = max(0.0, now - min(seconds, self._longest))
        # A length that is lost in the rounding of `now` is none either.
        return ClipSpan("snap", start, now) if seconds > 0 and start < now else ClipRefused(NOT_POSITIVE)

    def whole(self, now: float) -> ClipSpan | ClipRefused:
        """All of it until now."""
        return self._refused(now) or ClipSpan("recording", 0.0, now)

    def _refused(self, now: float) -> ClipRefused | None:
        match self.state:
            case RecordingState.FAILED:
                return ClipRefused(CRASHED)
            case RecordingState.ENDED:
                return ClipRefused(DISABLED)
            case RecordingState.WAITING:
                return ClipRefused(NOTHING_YET)
            case RecordingState.RECORDING:
                # The first picture has been shown, and nobody has seen it for a moment yet.
                return ClipRefused(NOTHING_YET) if now <= 0 else None
