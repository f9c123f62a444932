"""A published Track: the claim on it, the sender, and the source it is fed from. On the loop, but for pushes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, runtime_checkable

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.tracks.devices import Camera, MediaFile
from livereactor.client.tracks.feed import Feed, Opened
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.pushed import SoundReader, picture_of, sound_of
from livereactor.client.tracks.sending import AudioSender, VideoSender
from livereactor.client.types import Kind

if TYPE_CHECKING:
    import av

    from livereactor.engine.port import AudioOutput, VideoOutput

Output: TypeAlias = "VideoOutput | AudioOutput"


class Publication:
    """One Track from `publish` to `unpublish`.

    Args:
        name, kind: the Track's.
        claim: asks the server for the Track; raises `ReactorError`.
        output: returns the engine's output on the present connection; None if the answer has no place for the Track.
        failed: called with the error of a source that stopped.

    Attributes:
        is_claimed: True while the server grants the Track, on the present connection.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        claim: Callable[[], Awaitable[None]],
        output: Callable[[], Output | None],
        failed: Callable[[ReactorError], None],
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.is_claimed = False
        self._claim, self._output, self._failed = claim, output, failed
        self._sender = VideoSender(name) if kind == "video" else AudioSender(name)
        self._reader = SoundReader()
        self._feed: Feed | None = None

    # --- on the loop ---

    async def begin(self, source: object) -> None:
        """Open the source if one is given, claim the Track if it is not claimed, and send."""
        opened = None if source is None else await _opened(source, self.kind, self.name)
        try:
            await self.renew()
        except BaseException:
            _let_go(opened)
            raise
        if opened is not None:
            await self._stop_feed()
            self._feed = Feed(self.name, opened, self._take, self._source_failed)

    async def renew(self) -> None:
        """Claim the Track on the present connection, and send on it."""
        if self.is_claimed:
            return
        await self._claim()
        output = self._output()
        if output is None:
            text = f"could not start sending `{self.name}`; the server's answer has no place for it"
            raise error_of("TRACK_PUBLISH_FAILED", text, reason="TRANSPORT_ERROR", operation="publish_track")
        self.is_claimed = True
        self._sender.attach(cast(Any, output))

    @property
    def has_source(self) -> bool:
        """True if a source feeds the Track; else the program pushes."""
        return self._feed is not None

    def interrupt(self) -> None:
        """Stop sending, as the transport is gone, until `renew`."""
        self.is_claimed = False
        self._sender.detach()

    def stop(self) -> None:
        """Stop sending, and release the source soon."""
        self.is_claimed = False
        self._sender.close()
        if self._feed is not None:
            self._feed.stop()

    async def end(self) -> None:
        """Stop, and wait until the source is released."""
        self.stop()
        await self._stop_feed()

    def key_frame_wanted(self) -> None:
        """Send a key frame, which the model needs to go on."""
        if isinstance(self._sender, VideoSender):
            self._sender.key_wanted()

    def rate_changed(self, bps: int) -> None:
        """Follow the rate that congestion control allows."""
        if isinstance(self._sender, VideoSender):
            self._sender.rate_changed(bps)

    def set_bitrate(self, wanted: Bitrate) -> None:
        """Keep within these bounds."""
        if isinstance(self._sender, VideoSender):
            self._sender.set_bitrate(wanted)

    def counters(self) -> dict[str, int]:
        """Return the counters since `publish`."""
        return dict(self._sender.counters())

    # --- any thread ---

    def push_picture(
        self,
        frame: object,
        user_data: bytes | None = None,
        captured_us: int | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        """Send a picture next."""
        picture = picture_of(
            frame, where=self.name, width=width, height=height, user_data=user_data, captured_us=captured_us
        )
        cast(VideoSender, self._sender).show(picture)

    def push_sound(self, samples: object, rate: int, channels: int | None) -> None:
        """Send sound after the sound that waits."""
        cast(AudioSender, self._sender).play(sound_of(samples, where=self.name, rate=rate, channels=channels))

    # --- the source ---

    def _take(self, item: object) -> float:
        """Push an item of the source; return the seconds of sound that wait."""
        if isinstance(self._sender, VideoSender):
            self.push_picture(item)
            return 0.0
        if type(item).__module__.startswith("av."):
            self._sender.play(self._reader.read(cast("av.AudioFrame", item)))
        else:
            self._sender.play(sound_of(item, where=self.name))
        return self._sender.seconds

    def _source_failed(self, error: Exception) -> None:
        if not isinstance(error, ReactorError):
            cause, error = error, error_of("TRACK_PUBLISH_FAILED", f"the source of `{self.name}` stopped: {error!r}")
            error.__cause__ = cause
        self._failed(error)

    async def _stop_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()
            await feed.stopped()


async def _opened(value: object, kind: Kind, track: str) -> Opened:
    source = source_of(value, kind, track=track)
    opening = asyncio.ensure_future(asyncio.to_thread(source.open, kind))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread cannot be stopped: its source is closed as soon as it is open.
        opening.add_done_callback(lambda done: None if done.exception() else _let_go(done.result()))
        raise


def _let_go(opened: Opened | None) -> None:
    close = getattr(opened.items, "close", None) if opened is not None else None
    if close is not None:
        with suppress(Exception):
            close()


INTERVAL: Final = 1 / 30  # seconds between two pictures of an iterable


@runtime_checkable
class Source(Protocol):
    """A source of Frames or sound, such as a device or a file."""

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of media that the source can give."""
        ...

    def open(self, kind: Kind) -> Opened:
        """Open the source; blocks. Raises `DeviceError` if it is not available."""
        ...


def source_of(value: object, kind: Kind, *, track: str) -> Source:
    """Return a value as a source for a Track of this kind; nothing is opened yet.

    Raises:
        TypeError: the value is not a source.
        ValueError: the source gives the other kind.
        FileNotFoundError: no file has this path.
    """
    source = _recognised(value, kind)
    if source is None:
        raise TypeError(
            f"{track}: {type(value).__name__} is no source; give a camera's index, a path, an iterable of frames, "
            f"something with an async recv(), or a device of livereactor.devices"
        )
    if kind not in source.kinds():
        raise ValueError(f"{track} carries {kind}, and this source gives {' and '.join(source.kinds())}")
    return source


def _recognised(value: object, kind: Kind) -> Source | None:
    if isinstance(value, Source):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Camera(value)
    if isinstance(value, str | Path):
        return Camera(str(value)) if Path(value).is_char_device() else MediaFile(value)
    if inspect.iscoroutinefunction(getattr(value, "recv", None)):
        return _Receiving(value, kind)
    if isinstance(value, AsyncIterable):
        return _Iterating(cast("AsyncIterable[object]", value), kind)
    if kind == "video" and getattr(value, "ndim", 4) != 4:
        return None  # an array of one picture is not a source: its rows are not frames
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return _Iterating(cast("Iterable[object]", value), kind)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Iterating:
    """Any iterable. A plain one is read at 30 Hz, an async one at its own pace."""

    items: Iterable[object] | AsyncIterable[object]
    kind: Kind

    def kinds(self) -> tuple[Kind, ...]:
        return (self.kind,)

    def open(self, kind: Kind) -> Opened:
        if isinstance(self.items, AsyncIterable):
            return Opened(aiter(self.items))
        return Opened(iter(self.items), INTERVAL if kind == "video" else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Receiving:
    """Any object with an async `recv()`, such as a track of aiortc; it sets the pace."""

    track: Any
    kind: Kind

    def kinds(self) -> tuple[Kind, ...]:
        return (getattr(self.track, "kind", self.kind),)

    def open(self, kind: Kind) -> Opened:
        return Opened(self._received())

    async def _received(self) -> AsyncIterator[object]:
        while True:
            try:
                item = await self.track.recv()
            except Exception as error:
                if type(error).__name__ == "MediaStreamError":  # raised by a track of aiortc at its end
                    return
                raise
            yield item
