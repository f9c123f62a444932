"""`Track`: one object per name for the life of the client, whatever connections come and go.

Any thread may use it, except for what is awaited. It loads no numpy, no codec and no engine by itself. Above 400 lines
because it is one class: everything that a program does with a Track, with the words that document it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import structlog

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.options import bounded
from livereactor.client.tracks.frame_streams import Frames, Policy, array_of, is_picture
from livereactor.client.tracks.port import Bitrate, TrackPort, TrackStats, TrackTransport
from livereactor.client.tracks.receiving import Receiver
from livereactor.client.types import Direction, Kind, TrackCapability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from livereactor.client.tracks.publishing import Output, Publication
    from livereactor.engine.port import ReceivedTrack
    from livereactor.media.frames import Pixels

log = structlog.get_logger(__name__)

READ_TIMEOUT: Final = 10.0  # seconds
_H = TypeVar("_H", bound=Callable[..., object])


class Track:
    """A named Track of the Session, from `reactor.track(name)` or `reactor.tracks`.

    Attributes:
        name: the name that the model declares.
    """

    def __init__(self, name: str, port: TrackPort) -> None:
        self.name = name
        self._port = port
        self._declared: TrackCapability | None = None
        self._outputs: TrackTransport | None = None  # of the present connection
        self._wish: bool | None = None  # the program's: True = receive, False = pause, None = not set
        self._resumes = True  # the default
        self._receiver = Receiver(name)
        self._publication: Publication | None = None
        self._publishing = asyncio.Lock()
        self._bitrate = Bitrate()

    def __repr__(self) -> str:
        return f"<Track {self.name!r} {self.kind or 'undeclared'} {self.direction or ''}>".replace(" >", ">")

    # --- what it is ---

    @property
    def kind(self) -> Kind | None:
        """`video` or `audio`; None until a Session has declared it."""
        return self._declared.kind if self._declared else None

    @property
    def direction(self) -> Direction | None:
        """`recvonly` (the model's output) or `sendonly` (its input); None until a Session has declared it."""
        return self._declared.direction if self._declared else None

    @property
    def paused(self) -> bool:
        """True if this client does not receive the Track."""
        return not (self._resumes if self._wish is None else self._wish)

    @property
    def published(self) -> bool:
        """True while pushed Frames are sent."""
        return (publication := self._publication) is not None and publication.is_claimed

    @property
    def stats(self) -> TrackStats:
        """The counters of the Track."""
        if (publication := self._publication) is not None:
            return TrackStats(**publication.counters())
        return TrackStats(self._receiver.received, *self._receiver.counts())

    @property
    def heard_at(self) -> float | None:
        """The time at which the newest Frame arrived, monotonic seconds; None before the first."""
        return self._receiver.heard_at

    # --- receiving ---

    def on_frame(self, handler: _H) -> _H:
        """Call `handler` with each Frame that it has time for. You can use it as a decorator.

        The handler gets as many of these arguments as it accepts: video `(frame, frame_id, timestamp_us, user_data)`,
        the frame uint8 of shape (height, width, 3), RGB, the id counting from 1, the time by the sender's clock (0 =
        unknown); audio `(samples, sample_rate, channels)`, int16 of shape (samples, channels). Do not write into the
        array: other handlers see it, too.

        A plain handler runs on a thread of its own, an `async` one on the client's loop, one call after the other.
        While it runs, only the newest video Frame is kept for it; sound is kept for five seconds.

        Raises:
            TypeError: `handler` cannot be called with positional arguments.
            ValueError: the Track is an input of the model.
        """
        return self._add(handler, raw=False)

    def on_raw_frame(self, handler: _H) -> _H:
        """Call `handler` like `on_frame`, but with bytes, for programs without numpy.

        Video `(bgra, width, height, frame_id, timestamp_us, user_data)`; audio `(pcm, samples, sample_rate, channels)`,
        interleaved int16, little endian.
        """
        return self._add(handler, raw=True)

    def off_frame(self, handler: Callable[..., object]) -> None:
        """Stop calling `handler`; do nothing if it was never registered."""
        self._receiver.remove_handler(handler)

    def frames(self, maxsize: int | None = None, policy: Policy | None = None) -> Frames:
        """Iterate over the Frames from now on, as arrays, until the client is disconnected.

        Args:
            maxsize: Frames kept while the loop is busy; None = 2 pictures with `latest`, else 32; 512 blocks of sound.
            policy: the rule when that many wait. `latest` (video) and `fifo` (audio) drop the oldest; `block` keeps
                the waiting Frames and drops new ones.

        Raises:
            ValueError: `maxsize` is under 1, the policy is unknown, or the Track is an input of the model.
        """
        self._must_receive("frames")
        if maxsize is not None and maxsize < 1:
            raise ValueError(f"maxsize is at least 1, got {maxsize}")
        if policy not in ("latest", "fifo", "block", None):
            raise ValueError(f"policy is latest, fifo or block, got {policy!r}")
        return self._receiver.stream(maxsize, policy)

    async def read(self, timeout: float = READ_TIMEOUT) -> NDArray[Any]:
        """Return the next Frame that has not been read: the newest picture, or sound block by block.

        Raises:
            ReactorError: `REQUEST_TIMEOUT`: no Frame arrived in `timeout` seconds; `DISCONNECTED`: none will.
        """
        self._must_receive("read")
        try:
            async with asyncio.timeout(bounded("timeout", timeout)):
                return array_of(await self._receiver.unread(self.kind))
        except TimeoutError as error:
            why = "it is paused" if self.paused else "is the model running?"
            raise error_of("REQUEST_TIMEOUT", f"no frame of `{self.name}` in {timeout:g} s; {why}") from error

    def snapshot(self) -> NDArray[np.uint8] | None:
        """Return the newest picture, uint8 of shape (height, width, 3), RGB; None before the first.

        Raises:
            ValueError: the Track carries audio.
        """
        self._must_be_video("snapshot")
        newest = self._receiver.newest
        return newest.pixels if newest is not None and is_picture(newest) else None

    async def save_frame(self, path: str | Path) -> Path:
        """Write the newest picture, or the first to arrive, in the format of the file name's ending.

        Raises:
            ValueError: the Track carries audio, or the format has no encoder.
            ReactorError: as in `read`.
        """
        self._must_be_video("save_frame")
        target = _image_path(Path(path))
        picture = newest if (newest := self.snapshot()) is not None else await self.read()
        return await asyncio.to_thread(_write_image, picture, target)

    async def pause(self) -> None:
        """Stop receiving the Track, on this Connection only; without a Connection, on the next one.

        Raises:
            ValueError: the Track is an input of the model.
        """
        await self._want("pause", False)

    async def resume(self) -> None:
        """Receive the Track again, beginning with a key frame."""
        await self._want("resume", True)

    # --- sending ---

    async def publish(self, source: object = None) -> Track:
        """Claim this input, and send the pushed Frames, or those of `source`.

        Args:
            source: None = `push_frame`, or the present source; a camera's index or path, a file's path, an iterable of
                frames (a plain one is read at 30 Hz, an async one at its own pace), an object with an async `recv()`,
                or a device. It replaces the source before, and `unpublish` releases it.

        Raises:
            TypeError, ValueError, FileNotFoundError: not a source, or not one for this Track; nothing was claimed.
            ReactorError: `NOT_READY`, `TRACK_PUBLISH_FAILED` (another Connection has it), `DEVICE_ERROR`.
        """
        self._must_send("publish")
        async with self._publishing:
            publication = self._publication or self._made()
            try:
                await publication.begin(source)
            except BaseException:
                if not (publication.is_claimed or publication.has_source):  # a source waits for the next transport
                    self._publication = None
                    publication.stop()
                raise
            self._publication = publication
        return self

    async def unpublish(self) -> None:
        """Stop sending and give the input back; do nothing if it is not published. The server's errors are logged."""
        async with self._publishing:
            publication, self._publication = self._publication, None
            if publication is None:
                return
            await publication.end()
            try:
                await self._port.unpublish(self.name)
            except ReactorError as error:
                log.warning("TRACK_UNPUBLISH_FAILED", track=self.name, cause=error.code)

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
        """Send one picture or piece of sound, from any thread, without waiting. You may reuse `frame` at once.

        Args:
            frame: video: uint8 of shape (height, width, 3) in RGB or (height, width, 4) in BGRA, or bytes of either;
                an odd last row or column is cropped. Of pictures pushed too fast, only the newest is sent.
                Audio: int16 of shape (samples,) or (samples, channels), or bytes of it; a rest under 10 ms waits for
                the next push, and sound pushed ahead of time is sent in real time.
            user_data: at most 1 KiB that go to the model with this picture, if the server takes tags.
            capture_time_us: monotonic microseconds (`time.monotonic_ns() // 1000`); the same on several Tracks marks
                one moment for the model. None = now.
            width, height: in pixels, needed for bytes.
            sample_rate: 8, 16, 24, 32, 44.1 or 48 kHz.
            num_channels: 1 or 2, for bytes and flat arrays.

        Raises:
            TypeError, ValueError: the frame is not valid, or an argument is for the other kind.
            ReactorError: `INVALID_STATE`: the Track is not published.
        """
        publication = self._publication
        if publication is None:
            raise error_of("INVALID_STATE", f"`{self.name}` is not published; call publish()", operation="push_frame")
        if publication.kind == "video":
            if (sample_rate, num_channels) != (48_000, None):
                raise TypeError(f"{self.name}: pictures have no sample_rate and no num_channels; push sound on its own")
            publication.push_picture(frame, user_data, capture_time_us, width, height)
        elif any(each is not None for each in (user_data, capture_time_us, width, height)):
            raise TypeError(f"{self.name}: sound has no tag, no time of its own and no size; push them with a picture")
        else:
            publication.push_sound(frame, sample_rate, num_channels)

    async def set_bitrate(
        self, *, min_bps: int | None = None, start_bps: int | None = None, max_bps: int | None = None
    ) -> None:
        """Bound the rate of this Track's encoder, bits a second. It lasts, and may be set before connecting.

        Without a bound the size of the picture decides: 5 Mbit/s at 1280x720, up to 6.5 if the network allows.

        Raises:
            ValueError: a bound is not above 0, or the minimum is above the maximum.
        """
        self._bitrate = Bitrate(min_bps, start_bps, max_bps)
        if self._publication is not None:
            self._publication.set_bitrate(self._bitrate)

    # --- called by the client, on its loop ---

    def declare(self, capability: TrackCapability, *, resumes: bool) -> None:
        """Take the Session's declaration; `resumes`: receive the Track unless the program has said otherwise."""
        self._declared, self._resumes = capability, resumes
        self._receiver.is_open = not self.paused

    def attach(self, outputs: TrackTransport) -> None:
        """Send on a transport that is up."""
        self._outputs = outputs

    def arrived(self, source: ReceivedTrack) -> None:
        """Receive from a track of the engine."""
        self._receiver.bind(source)

    def key_frame_wanted(self) -> None:
        """Send a key frame, which the model needs to go on."""
        if self._publication is not None:
            self._publication.key_frame_wanted()

    def rate_changed(self, bps: int) -> None:
        """Follow the rate that congestion control allows, bits a second."""
        if self._publication is not None:
            self._publication.rate_changed(bps)

    def detach(self, *, quiet: bool) -> None:
        """Drop a transport that is gone; `quiet`: another follows at once, and a pushed Track stays published."""
        self._outputs = None
        self._receiver.unbind()
        if self._publication is not None:
            self._publication.interrupt()
            if not quiet and not self._publication.has_source:
                self.close()

    async def restore(self) -> None:
        """Claim the Track again on a new transport; if that raises `ReactorError`, a pushed Track is unpublished."""
        async with self._publishing:
            publication = self._publication
            if publication is None:
                return
            try:
                await publication.renew()
            except ReactorError:
                if not publication.has_source:
                    self.close()
                raise

    def disconnected(self, *, for_good: bool = False) -> None:
        """End iterators and threads, as the client is disconnected; `for_good`: it is closed."""
        self._receiver.end(for_good=for_good)

    async def release(self) -> None:
        """Stop sending and forget the newest Frame, as the Session is over."""
        self._receiver.forget()
        publication, self._publication = self._publication, None
        if publication is not None:
            await publication.end()

    def close(self) -> None:
        """Stop sending and release a source, without waiting."""
        if self._publication is not None:
            self._publication.stop()
            self._publication = None

    # --- inside ---

    def _add(self, handler: _H, *, raw: bool) -> _H:
        self._must_receive("on_raw_frame" if raw else "on_frame")
        self._receiver.add_handler(handler, raw=raw)
        return handler

    async def _want(self, verb: str, receive: bool) -> None:
        self._must_receive(verb)
        self._wish = self._receiver.is_open = receive
        if self._outputs is not None:
            await (self._port.resume if receive else self._port.pause)(self.name)

    def _output(self) -> Output | None:
        return None if self._outputs is None else self._outputs.outputs.get(self.name)

    def _made(self) -> Publication:
        from livereactor.client.tracks.publishing import Publication

        port, kind = self._port, self.kind or "video"
        made = Publication(self.name, kind, lambda: port.publish(self.name), self._output, port.report)
        made.set_bitrate(self._bitrate)
        return made

    def _must_send(self, verb: str) -> None:
        if self._declared is None:
            raise error_of("NOT_READY", f"`{self.name}` is not declared yet; connect first", operation=verb)
        if self.direction != "sendonly":
            raise ValueError(f"{verb}: `{self.name}` is an output of the model: receive it with on_frame()")

    def _must_receive(self, verb: str) -> None:
        if self.direction == "sendonly":
            raise ValueError(f"{verb}: `{self.name}` is an input of the model: send on it with publish()")

    def _must_be_video(self, verb: str) -> None:
        self._must_receive(verb)
        if self.kind == "audio":
            raise ValueError(f"{verb}: `{self.name}` carries audio, which has no pictures")


def _image_path(path: Path) -> Path:
    import cv2  # only a program that saves pictures pays for it

    if not path.suffix or not cv2.haveImageWriter(path.name):
        raise ValueError(f"no encoder for {path.name!r}; end it with .png, .jpg or .webp")
    return path


def _write_image(picture: Pixels, path: Path) -> Path:
    import cv2

    _, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    path.write_bytes(data.tobytes())
    return path
