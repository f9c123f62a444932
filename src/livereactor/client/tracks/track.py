"""A Track as a program holds it: one object per name for the life of the client, whatever connections come and go.

It may be used from any thread, but for what is awaited. It loads no numpy, no codec and no engine by itself.
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
from livereactor.client.tracks.port import Bitrate, Outputs, TrackPort, TrackStats
from livereactor.client.tracks.receiving import Receiver
from livereactor.client.types import Direction, Kind, TrackCapability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from livereactor.client.tracks.publishing import Output, Publication
    from livereactor.engine.port import InputTrack
    from livereactor.media.frames import Pixels

log = structlog.get_logger(__name__)

READ_TIMEOUT: Final = 10.0  # seconds
_H = TypeVar("_H", bound=Callable[..., object])


class Track:
    """One named Track of the Session. Had by `reactor.track(name)` or out of `reactor.tracks`.

    Attributes:
        name: as the model declares it.
    """

    def __init__(self, name: str, port: TrackPort) -> None:
        self.name = name
        self._port = port
        self._declared: TrackCapability | None = None
        self._outputs: Outputs | None = None  # of the connection there is
        self._wish: bool | None = None  # the user's: True = receive, False = pause, None = never said
        self._resumes = True  # without a wish
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
        """Whether this client does not receive it."""
        return not (self._resumes if self._wish is None else self._wish)

    @property
    def published(self) -> bool:
        """Whether what is pushed goes out."""
        return (publication := self._publication) is not None and publication.is_claimed

    @property
    def stats(self) -> TrackStats:
        """Counts so far."""
        if (publication := self._publication) is not None:
            return TrackStats(**publication.counters())
        return TrackStats(self._receiver.received, *self._receiver.counts())

    @property
    def heard_at(self) -> float | None:
        """When the newest Frame came, monotonic seconds."""
        return self._receiver.heard_at

    # --- receiving ---

    def on_frame(self, handler: _H) -> _H:
        """Call `handler` with each Frame it has time for; usable as a decorator.

        It gets as many as it accepts of: video `(frame, frame_id, timestamp_us, user_data)`, the frame uint8 of shape
        (height, width, 3), RGB, the id counting from 1, the time the sender's clock (0 = not said); audio `(samples,
        sample_rate, channels)`, int16 of shape (samples, channels). Do not write into the array: others see it too.

        A plain handler runs on a thread of its own, an `async` one on the client's loop, each call after the one
        before. While it runs only the newest video Frame is kept for it; sound is kept for five seconds.

        Raises:
            TypeError: it cannot be called so.
            ValueError: the Track is one to send on.
        """
        return self._add(handler, raw=False)

    def on_raw_frame(self, handler: _H) -> _H:
        """As `on_frame`, with bytes, for programs without numpy.

        Video `(bgra, width, height, frame_id, timestamp_us, user_data)`; audio `(pcm, samples, sample_rate, channels)`,
        interleaved int16, little endian.
        """
        return self._add(handler, raw=True)

    def off_frame(self, handler: Callable[..., object]) -> None:
        """Call `handler` no more; silent where it was never registered."""
        self._receiver.remove_handler(handler)

    def frames(self, maxsize: int | None = None, policy: Policy | None = None) -> Frames:
        """An async iterator over Frames from now on, as arrays; it ends when the client is disconnected.

        Args:
            maxsize: Frames kept while the loop is busy; None = 2 pictures with `latest`, else 32; 512 blocks of sound.
            policy: what happens when that many wait. `latest` (video) and `fifo` (audio) drop the oldest; `block`
                keeps what is there, and what comes meanwhile is lost.

        Raises:
            ValueError: `maxsize` under 1, another policy, or a Track to send on.
        """
        self._must_receive("frames")
        if maxsize is not None and maxsize < 1:
            raise ValueError(f"maxsize is at least 1, got {maxsize}")
        if policy not in ("latest", "fifo", "block", None):
            raise ValueError(f"policy is latest, fifo or block, got {policy!r}")
        return self._receiver.stream(maxsize, policy)

    async def read(self, timeout: float = READ_TIMEOUT) -> NDArray[Any]:
        """The next Frame that has not been read: of video the newest, of audio block by block.

        Raises:
            ReactorError: `REQUEST_TIMEOUT`: none came in `timeout` seconds; `DISCONNECTED`: none will.
        """
        self._must_receive("read")
        try:
            async with asyncio.timeout(bounded("timeout", timeout)):
                return array_of(await self._receiver.unread(self.kind))
        except TimeoutError as error:
            why = "it is paused" if self.paused else "is the model running?"
            raise error_of("REQUEST_TIMEOUT", f"no frame of `{self.name}` in {timeout:g} s; {why}") from error

    def snapshot(self) -> NDArray[np.uint8] | None:
        """The newest picture, uint8 of shape (height, width, 3), RGB; None before the first.

        Raises:
            ValueError: an audio Track.
        """
        self._must_be_video("snapshot")
        newest = self._receiver.newest
        return newest.pixels if newest is not None and is_picture(newest) else None

    async def save_frame(self, path: str | Path) -> Path:
        """Write the newest picture, or the first one to come, in the format that the name ends with.

        Raises:
            ValueError: an audio Track, or a format that there is no encoder for.
            ReactorError: as `read`.
        """
        self._must_be_video("save_frame")
        target = _image_path(Path(path))
        picture = newest if (newest := self.snapshot()) is not None else await self.read()
        return await asyncio.to_thread(_write_image, picture, target)

    async def pause(self) -> None:
        """Receive it no more, on this Connection only; remembered where there is none.

        Raises:
            ValueError: the Track is one to send on.
        """
        await self._want("pause", False)

    async def resume(self) -> None:
        """Receive it again, beginning with a key frame."""
        await self._want("resume", True)

    # --- sending ---

    async def publish(self, source: object = None) -> Track:
        """Claim this input and send what is pushed, or what `source` gives.

        Args:
            source: None = `push_frame`, or the source it has; a camera's index or path, a file's path, an iterable of
                frames (a plain one is asked at 30 Hz, an async one takes its own time), an object with an async
                `recv()`, or a device. It takes the place of the source before, and `unpublish` releases it.

        Raises:
            TypeError, ValueError, FileNotFoundError: no source, or none for this Track; nothing was asked for.
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
        """Stop sending and give the input back; nothing where it is not published. Raises nothing of the server's."""
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
        """Send one picture or piece of sound; from any thread, without waiting. `frame` may be used again at once.

        Args:
            frame: video: uint8 of shape (height, width, 3) in RGB or (height, width, 4) in BGRA, or bytes of either;
                an odd last row or column is cropped. Pushed faster than it can be encoded, only the newest is sent.
                Audio: int16 of shape (samples,) or (samples, channels), or bytes of it; what does not fill 10 ms waits
                for the next push, what is pushed ahead of time leaves in real time.
            user_data: at most 1 KiB that go to the model with this picture, where the server takes tags.
            capture_time_us: monotonic microseconds (`time.monotonic_ns() // 1000`); the same on several Tracks makes
                them one moment to the model. None = now.
            width, height: of bytes, in pixels.
            sample_rate: 8, 16, 24, 32, 44.1 or 48 kHz.
            num_channels: 1 or 2, of bytes and flat arrays.

        Raises:
            TypeError, ValueError: no such frame, or an argument of the other kind.
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
        """Bound what this Track's encoder spends, bits a second; before connecting too, and for good.

        Without a bound a picture gets what its size deserves: 5 Mbit/s at 1280x720, up to 6.5 where the network has
        them.

        Raises:
            ValueError: a bound that is not above 0, or a minimum above a maximum.
        """
        self._bitrate = Bitrate(min_bps, start_bps, max_bps)
        if self._publication is not None:
            self._publication.set_bitrate(self._bitrate)

    # --- what the client tells it, on its loop ---

    def declare(self, capability: TrackCapability, *, resumes: bool) -> None:
        """A Session has this Track; `resumes`: receive it unless the user has said otherwise."""
        self._declared, self._resumes = capability, resumes
        self._receiver.is_open = not self.paused

    def attach(self, outputs: Outputs) -> None:
        """A transport is up."""
        self._outputs = outputs

    def arrived(self, source: InputTrack) -> None:
        """The server may send on it."""
        self._receiver.bind(source)

    def key_frame_wanted(self) -> None:
        """The model cannot go on without a key frame."""
        if self._publication is not None:
            self._publication.key_frame_wanted()

    def rate_changed(self, bps: int) -> None:
        """Congestion control allows so many bits a second."""
        if self._publication is not None:
            self._publication.rate_changed(bps)

    def detach(self, *, quiet: bool) -> None:
        """The transport is gone; `quiet`: another follows at once, and what is pushed stays published."""
        self._outputs = None
        self._receiver.unbind()
        if self._publication is not None:
            self._publication.interrupt()
            if not quiet and not self._publication.has_source:
                self.close()

    async def restore(self) -> None:
        """Claim it again on a new transport; raises `ReactorError`, and what is pushed is published no more then."""
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
        """The client is disconnected; `for_good`: it is closed."""
        self._receiver.end(for_good=for_good)

    async def release(self) -> None:
        """The Session is over."""
        self._receiver.forget()
        publication, self._publication = self._publication, None
        if publication is not None:
            await publication.end()

    def close(self) -> None:
        """Stop sending, and let go of a source, without waiting."""
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
            raise ValueError(f"{verb}: `{self.name}` carries audio, and there is no picture of it")


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
