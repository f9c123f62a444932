"""Tracks as `SyncReactor` hands them out: those of the client behind it, without `await`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from livereactor.client.sync.loop import LOOP
from livereactor.client.tracks.frame_streams import Policy
from livereactor.client.tracks.port import TrackStats
from livereactor.client.tracks.track import READ_TIMEOUT, Track
from livereactor.client.tracks.tracks import TrackList
from livereactor.client.types import Direction, Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_T = TypeVar("_T")
_H = TypeVar("_H", bound=Callable[..., object])
_END: Final[Any] = object()


class SyncStream(Iterator[_T], Generic[_T]):
    """A plain iterator over an async one of the client's; each step waits on the client's loop."""

    def __init__(self, source: AsyncIterator[_T]) -> None:
        self._source: Any = source

    def __next__(self) -> _T:
        item = LOOP.run(_next(self._source))
        if item is _END:
            raise StopIteration
        return item

    @property
    def dropped(self) -> int:
        """How many were lost because they were not taken in time."""
        return self._source.dropped

    def close(self) -> None:
        """Stop, and forget what is there."""
        LOOP.run(self._source.aclose())


class SyncEvents(SyncStream[_T]):
    """One whose items are handed out as something else."""

    def __init__(self, source: AsyncIterator[_T], translated: Callable[[_T], _T]) -> None:
        super().__init__(source)
        self._translated = translated

    def __next__(self) -> _T:
        return self._translated(super().__next__())


async def _next(source: AsyncIterator[_T]) -> _T:
    return await anext(source, _END)


async def made(make: Callable[[], _T]) -> _T:
    """What `make` gives; for what has to be made on the client's loop."""
    return make()


class SyncTrack:
    """One named Track of the Session. Had by `reactor.track(name)` or out of `reactor.tracks`; for any thread."""

    def __init__(self, track: Track) -> None:
        self._track = track

    def __repr__(self) -> str:
        return repr(self._track).replace("<Track", "<SyncTrack", 1)

    # --- what it is ---

    @property
    def name(self) -> str:
        """As the model declares it."""
        return self._track.name

    @property
    def kind(self) -> Kind | None:
        """`video` or `audio`; None until a Session has declared it."""
        return self._track.kind

    @property
    def direction(self) -> Direction | None:
        """`recvonly` (the model's output) or `sendonly` (its input); None until a Session has declared it."""
        return self._track.direction

    @property
    def paused(self) -> bool:
        """Whether this client does not receive it."""
        return self._track.paused

    @property
    def published(self) -> bool:
        """Whether what is pushed goes out."""
        return self._track.published

    @property
    def stats(self) -> TrackStats:
        """Counts so far."""
        return self._track.stats

    @property
    def heard_at(self) -> float | None:
        """When the newest Frame came, monotonic seconds."""
        return self._track.heard_at

    # --- receiving ---

    def on_frame(self, handler: _H) -> _H:
        """Call `handler` with each Frame it has time for, on a thread of its own; see `Track.on_frame`."""
        return self._track.on_frame(handler)

    def on_raw_frame(self, handler: _H) -> _H:
        """As `on_frame`, with bytes, for programs without numpy; see `Track.on_raw_frame`."""
        return self._track.on_raw_frame(handler)

    def off_frame(self, handler: Callable[..., object]) -> None:
        """Call `handler` no more; silent where it was never registered."""
        self._track.off_frame(handler)

    def frames(self, maxsize: int | None = None, policy: Policy | None = None) -> SyncStream[Any]:
        """An iterator over Frames from now on, as arrays; it ends when the client is disconnected.

        Video uint8 of shape (height, width, 3), RGB; audio int16 of shape (samples, channels). Arguments and errors are
        those of `Track.frames`.
        """
        return SyncStream(self._track.frames(maxsize, policy))

    def read(self, timeout: float = READ_TIMEOUT) -> NDArray[Any]:
        """The next Frame that has not been read; see `Track.read`."""
        return LOOP.run(self._track.read(timeout))

    def snapshot(self) -> NDArray[np.uint8] | None:
        """The newest picture, uint8 of shape (height, width, 3), RGB; None before the first."""
        return self._track.snapshot()

    def save_frame(self, path: str | Path) -> Path:
        """Write the newest picture, or the first one to come, in the format that the name ends with."""
        return LOOP.run(self._track.save_frame(path))

    def pause(self) -> None:
        """Receive it no more, on this Connection only; remembered where there is none."""
        LOOP.run(self._track.pause())

    def resume(self) -> None:
        """Receive it again, beginning with a key frame."""
        LOOP.run(self._track.resume())

    # --- sending ---

    def publish(self, source: object = None) -> SyncTrack:
        """Claim this input and send what is pushed, or what `source` gives; see `Track.publish`."""
        LOOP.run(self._track.publish(source))
        return self

    def unpublish(self) -> None:
        """Stop sending and give the input back; nothing where it is not published."""
        LOOP.run(self._track.unpublish())

    @overload
    def push_frame(
        self,
        frame: object,
        *,
        user_data: bytes | None = None,
        capture_time_us: int | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None: ...
    @overload
    def push_frame(self, frame: object, *, sample_rate: int = 48_000, num_channels: int | None = None) -> None: ...
    def push_frame(
        self,
        frame: object,
        *,
        user_data: bytes | None = None,
        capture_time_us: int | None = None,
        width: int | None = None,
        height: int | None = None,
        sample_rate: int = 48_000,
        num_channels: int | None = None,
    ) -> None:
        """Send one picture or piece of sound, without waiting; see `Track.push_frame`."""
        push: Any = self._track.push_frame  # of one kind's arguments the other's are the defaults
        push(
            frame,
            user_data=user_data,
            capture_time_us=capture_time_us,
            width=width,
            height=height,
            sample_rate=sample_rate,
            num_channels=num_channels,
        )

    def set_bitrate(
        self, *, min_bps: int | None = None, start_bps: int | None = None, max_bps: int | None = None
    ) -> None:
        """Bound what this Track's encoder spends, bits a second; before connecting too, and for good."""
        LOOP.run(self._track.set_bitrate(min_bps=min_bps, start_bps=start_bps, max_bps=max_bps))


class SyncTrackList(list[SyncTrack]):
    """Tracks in the order of their declaration; a list with filters that can be chained."""

    def __init__(self, tracks: TrackList, held: SyncTracks) -> None:
        super().__init__(held.of(track) for track in tracks)
        self._tracks, self._held = tracks, held

    def with_kind(self, kind: Kind) -> SyncTrackList:
        """Those that carry `video` or `audio`."""
        return SyncTrackList(self._tracks.with_kind(kind), self._held)

    def with_direction(self, direction: Direction) -> SyncTrackList:
        """The model's outputs (`recvonly`) or inputs (`sendonly`)."""
        return SyncTrackList(self._tracks.with_direction(direction), self._held)

    def one(self) -> SyncTrack:
        """The only one; ValueError where there is none, or there are several."""
        return self._held.of(self._tracks.one())


class SyncTracks:
    """The one `SyncTrack` of each Track of a client."""

    def __init__(self) -> None:
        self._known: dict[str, SyncTrack] = {}

    def of(self, track: Track) -> SyncTrack:
        """The same object each time; from any thread."""
        return self._known.get(track.name) or self._known.setdefault(track.name, SyncTrack(track))
