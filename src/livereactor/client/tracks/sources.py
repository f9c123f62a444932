"""What gives a published Track its Frames when the program does not push them: devices, files, iterables, `recv()`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast, runtime_checkable

from livereactor.client.tracks.devices import Camera, MediaFile
from livereactor.client.tracks.feed import Opened
from livereactor.client.types import Kind

INTERVAL: Final = 1 / 30  # seconds between two pictures of an iterable that is faster


@runtime_checkable
class Source(Protocol):
    """A device or file by its own class."""

    def kinds(self) -> tuple[Kind, ...]:
        """What it can give."""
        ...

    def open(self, kind: Kind) -> Opened:
        """Open it; blocks. Raises `DeviceError` where it cannot be had."""
        ...


def source_of(value: object, kind: Kind, *, track: str) -> Source:
    """What `value` is as a source of a Track of this kind; nothing is opened yet.

    Raises:
        TypeError: it is no source.
        ValueError: it gives the other kind.
        FileNotFoundError: a path to nothing.
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
        return None  # one picture in an array is pushed; its rows are no frames
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return _Iterating(cast("Iterable[object]", value), kind)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Iterating:
    """Any iterable. A plain one is asked at 30 Hz, an async one takes its own time."""

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
    """Any object with an async `recv()`, such as a track of aiortc; it takes its own time."""

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
                if type(error).__name__ == "MediaStreamError":  # how a track of aiortc says that it has ended
                    return
                raise
            yield item
