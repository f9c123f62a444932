"""What a driven client can be asked: one JSON request a line in, one JSON answer a line out. See `drivers`.

Any client with the surface of the official Python one can be driven: that itself (`python_client`), and ours
(`own_client`). Every operation names a client (`c`); several live side by side. Long because it is one flat
list of operations, each a few lines, looked up by name.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from bench.official.picture import Pattern, Texture
from livereactor.base.tasks import Changes
from livereactor.probes.watching import Barcode, Watch, draw_barcode, read_barcode

CAMERA_SIZE = (640, 360)
CLICK_LEVEL = 15_000  # of 32767: half of a click, five times the tone beside it
CLICKS_APART = 0.2  # seconds; a click is shorter
Make = Callable[..., Any]  # (url, **options) -> a client
MakeRef = Callable[[str], Any]  # (upload_id) -> what this client puts into a command for an upload


class Client:
    """One client and everything that happened to it."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.loop = asyncio.get_running_loop()
        self.changes = Changes()
        self.started = 0.0  # monotonic seconds: when it was last told to connect
        self.statuses: list[str] = []
        self.messages: dict[str, list[dict[str, Any]]] = {}  # by type
        self.runtime_messages: list[Any] = []
        self.errors: list[dict[str, Any]] = []
        self.watches: dict[str, Watch] = {}
        self.cameras: dict[str, asyncio.Task[None]] = {}
        self.sounds: dict[str, list[float]] = {}
        self.refs: dict[str, Any] = {}
        on = self.reactor.on
        on("status_changed", self._noting(self.statuses, lambda status: getattr(status, "value", status)))
        on("message", self._message)
        on("runtime_message", self._noting(self.runtime_messages, lambda message: message))
        on("error", self._noting(self.errors, describe))

    def _noting(self, log: list[Any], shape: Callable[[Any], Any]) -> Callable[[Any], None]:
        def note(value: Any) -> None:
            log.append(shape(value))
            self.changes.notify()

        return note

    def _message(self, message: dict[str, Any]) -> None:
        self.messages.setdefault(message["type"], []).append(message)
        self.changes.notify()

    def watch(self, track: str) -> Watch:
        """Receive and read the frames of `track` from now on."""
        if track not in self.watches:
            watch = self.watches[track] = Watch(lambda: self.loop.call_soon_threadsafe(self.changes.notify))
            self.reactor.track(track).on_frame(lambda frame, number, time_us, user_data: watch.add(frame, user_data))
        return self.watches[track]

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """True once `condition` holds, looked at whenever something happened."""
        await self.changes.until(condition, timeout)
        return condition()


class Operations:
    """What can be asked; each public method is one operation."""

    def __init__(self, make: Make, make_ref: MakeRef) -> None:
        self._make, self._make_ref = make, make_ref
        self._clients: dict[str, Client] = {}

    async def new(self, c: str, url: str, **options: Any) -> None:
        self._clients[c] = Client(self._make(url, **options))

    async def connect(self, c: str, watch: str | None = "main_video", session_id: str | None = None) -> dict[str, Any]:
        client = self._clients[c]
        if watch:
            client.watch(watch)
        client.started = time.monotonic()
        await client.reactor.connect(session_id=session_id)
        return {
            "ready_ms": (time.monotonic() - client.started) * 1e3,
            "started": client.started,
            "session": client.reactor.session_id,
        }

    async def reconnect(self, c: str) -> dict[str, Any]:
        started = time.monotonic()
        await self._clients[c].reactor.reconnect()
        return {
            "ready_ms": (time.monotonic() - started) * 1e3,
            "started": started,
            "session": self._clients[c].reactor.session_id,
        }

    async def disconnect(self, c: str) -> None:
        client = self._clients[c]
        for track in list(client.cameras):
            await self.stop_camera(c, track)
        await client.reactor.disconnect()

    async def drop(self, c: str) -> None:
        """Forget the client, ending what it still has."""
        client = self._clients.pop(c)
        for camera in client.cameras.values():
            camera.cancel()
        await client.reactor.disconnect()
        client.reactor.close()

    async def state(self, c: str) -> dict[str, Any]:
        client = self._clients[c]
        tracks = [
            {"name": t.name, "kind": t.kind, "direction": t.direction, "paused": t.paused}
            for t in client.reactor.tracks
        ]
        return {
            "status": client.reactor.status.value,
            "session": client.reactor.session_id,
            "statuses": client.statuses,
            "errors": client.errors,
            "runtime_messages": client.runtime_messages,
            "tracks": tracks,
        }

    # --- commands and messages -----------------------------------------------------------------------------------

    async def command(self, c: str, name: str, data: Any = None, ref: str | None = None) -> dict[str, Any]:
        client = self._clients[c]
        data = {} if data is None else dict(data)
        if ref is not None:
            data["image"] = client.refs[ref]
        started = time.perf_counter()
        reply = await client.reactor.send_command(name, data)
        return {"reply": reply, "ms": (time.perf_counter() - started) * 1e3}

    async def burst(self, c: str, name: str, datas: list[Any]) -> list[Any]:
        """Commands back to back without waiting for answers; what each was answered."""
        send = self._clients[c].reactor.send_command
        answers = await asyncio.gather(*(send(name, data) for data in datas), return_exceptions=True)
        return [describe(answer) if isinstance(answer, BaseException) else answer for answer in answers]

    async def command_bytes(self, c: str, name: str, size: int) -> dict[str, Any]:
        """`echo` of a text of `size` characters; its length as it came back."""
        reply = await self._clients[c].reactor.send_command(name, {"value": "x" * size})
        return {"length": len(reply["data"]["value"]) if reply else None}

    async def echo_times(self, c: str, count: int) -> list[float]:
        times: list[float] = []
        send = self._clients[c].reactor.send_command
        for n in range(count):
            started = time.perf_counter()
            await send("echo", {"value": n})
            times.append((time.perf_counter() - started) * 1e3)
        return times

    async def wait_messages(
        self, c: str, type: str, count: int, timeout: float = 20.0, start: int = 0
    ) -> list[dict[str, Any]]:
        """The messages of a type from the `start`-th on, once `count` are there or `timeout` has passed."""
        client = self._clients[c]
        await client.until(lambda: len(client.messages.get(type, ())) >= start + count, timeout)
        return client.messages.get(type, [])[start:]

    async def wait_status(self, c: str, status: str, timeout: float = 20.0) -> bool:
        client = self._clients[c]
        return await client.until(lambda: client.reactor.status.value == status, timeout)

    async def wait_error(self, c: str, timeout: float = 20.0) -> list[dict[str, Any]]:
        client = self._clients[c]
        await client.until(lambda: bool(client.errors), timeout)
        return client.errors

    async def schema(self, c: str) -> dict[str, Any]:
        return await self._clients[c].reactor.request_schema()

    async def clip(self, c: str, seconds: float) -> Any:
        return fields_of(await self._clients[c].reactor.request_clip(seconds))

    async def keep(self, c: str, path: str, seconds: float | None = None) -> dict[str, Any]:
        """The last seconds, or all of it, as a file: what the clip says of itself, and what took how long."""
        reactor = self._clients[c].reactor
        began = time.monotonic()
        clip = await (reactor.request_recording() if seconds is None else reactor.request_clip(seconds))
        answered = time.monotonic()
        # The official client's `download_clip` asks by itself; ours takes either.
        await (reactor.download if hasattr(reactor, "download") else reactor.download_clip)(clip, path)
        times = {"answer_ms": (answered - began) * 1e3, "file_ms": (time.monotonic() - began) * 1e3}
        return {**fields_of(clip), **times}

    # --- frames --------------------------------------------------------------------------------------------------

    async def wait_frames(
        self, c: str, count: int = 1, timeout: float = 10.0, track: str = "main_video"
    ) -> dict[str, Any]:
        """Until `count` more frames than now have come; what has come since."""
        client = self._clients[c]
        watch = client.watch(track)
        start = watch.count
        await client.until(lambda: watch.count >= start + count, timeout)
        return watch.summary(start)

    async def frames_for(self, c: str, seconds: float, track: str = "main_video") -> dict[str, Any]:
        """What came in the next `seconds`."""
        watch = self._clients[c].watch(track)
        start = watch.count
        await asyncio.sleep(seconds)
        return watch.summary(start)

    async def arrivals(self, c: str, seconds: float) -> list[tuple[float, float | None, int]]:
        """Of each frame that comes in the next `seconds`: when it came, its age in ms then, and its height."""
        watch = self._clients[c].watch("main_video")
        start = watch.count
        await asyncio.sleep(seconds)
        return [(frame.at, frame.age_ms, frame.height) for frame in watch.seen[start:]]

    async def snapshot(self, c: str, path: str, track: str = "main_video", timeout: float = 10.0) -> bool:
        """Save the next frame's pixels as a numpy file."""
        client = self._clients[c]
        watch = client.watch(track)
        watch.picture, watch.wants_picture = None, True
        await client.until(lambda: watch.picture is not None, timeout)
        if watch.picture is not None:
            np.save(path, watch.picture)
        return watch.picture is not None

    async def mark(self, c: str, track: str = "main_video") -> int:
        return self._clients[c].watch(track).count

    async def since(self, c: str, start: int, track: str = "main_video") -> dict[str, Any]:
        return self._clients[c].watch(track).summary(start)

    async def first_frame(self, c: str, timeout: float = 10.0, track: str = "main_video") -> float | None:
        """Monotonic seconds at which the first frame of this client came."""
        client = self._clients[c]
        watch = client.watch(track)
        await client.until(lambda: watch.count > 0, timeout)
        return watch.seen[0].at if watch.seen else None

    async def frame_after(self, c: str, at: float, timeout: float = 30.0, track: str = "main_video") -> float | None:
        """Monotonic seconds at which the first frame came that came after `at`."""
        client = self._clients[c]
        watch = client.watch(track)
        await client.until(lambda: bool(watch.seen) and watch.seen[-1].at > at, timeout)
        return next((frame.at for frame in watch.seen if frame.at > at), None)

    async def wait_color(self, c: str, color: str, timeout: float = 5.0) -> float | None:
        """Milliseconds from now until the middle of the picture has this colour."""
        client = self._clients[c]
        watch = client.watch("main_video")
        started, start = time.monotonic(), watch.count
        await client.until(lambda: watch.first_color(start, color) is not None, timeout)
        at = watch.first_color(start, color)
        return None if at is None else (at - started) * 1e3

    async def flash_times(self, c: str, trials: int, phases: list[float]) -> list[float | None]:
        """Command to first changed pixel, ms; before each trial a wait of its phase, seconds."""
        client = self._clients[c]
        watch = client.watch("main_video")
        times: list[float | None] = []
        for trial in range(trials):
            color = ("ff2020", "2020ff")[trial % 2]
            await asyncio.sleep(phases[trial % len(phases)])
            start, started = watch.count, time.monotonic()
            sending = asyncio.ensure_future(client.reactor.send_command("flash", {"color": color}))
            await client.until(lambda start=start, color=color: watch.first_color(start, color) is not None, 3.0)
            at = watch.first_color(start, color)
            times.append(None if at is None else (at - started) * 1e3)
            await sending
        return times

    async def keep_pictures(self, c: str, count: int, track: str = "main_video") -> None:
        """Keep the pixels of the first `count` frames from now on."""
        self._clients[c].watch(track).keep = count

    async def first_sharp(self, c: str, decibels: float = 35.0, timeout: float = 8.0) -> dict[str, Any]:
        """When the first of the kept frames came that is this close to its source."""
        client = self._clients[c]
        watch = client.watch("main_video")
        await client.until(lambda: not watch.keep, timeout)
        values = [(at, sharpness(pixels)) for at, pixels in watch.kept]
        at = next((at for at, value in values if value is not None and value >= decibels), None)
        return {"at": at, "decibels": [value for _, value in values]}

    async def quality(
        self, c: str, count: int, size: list[int], timeout: float = 20.0
    ) -> list[dict[str, float] | None]:
        """PSNR and SSIM of the next `count` frames of a texture of this size, when each came, and at which height."""
        client = self._clients[c]
        watch = client.watch("main_video")
        watch.kept.clear()
        watch.keep = count
        await client.until(lambda: not watch.keep, timeout)
        watch.keep, kept = 0, list(watch.kept)
        return await asyncio.to_thread(lambda: [likeness(at, pixels, (size[0], size[1])) for at, pixels in kept])

    async def offered_at(self, c: str) -> float | None:
        """Monotonic seconds at which the client could post its offer at the earliest, where it tells."""
        client = self._clients[c]
        timings = getattr(client.reactor, "connection_timings", None)
        return timings and client.started + (timings.session_creation_ms + timings.waiting_ms) / 1e3

    async def frames_between(self, c: str, count: int) -> list[int]:
        """How many frames the model had made, when it answered, beyond the newest that had come here by then."""
        client = self._clients[c]
        watch, between = client.watch("main_video"), list[int]()
        for trial in range(count):
            await asyncio.sleep(0.04 + 0.0331 * trial / count)
            made = (await client.reactor.send_command("get_state", {}))["data"]["counter"]
            between.append(max(0, int(made) - (watch.seen[-1].counter or 0)))
        return between

    async def gaps_over(self, c: str, start: int, limit_ms: float, track: str = "main_video") -> int:
        arrivals = [frame.at for frame in self._clients[c].watch(track).seen[start:]]
        return sum(1 for before, after in pairwise(arrivals) if (after - before) * 1e3 > limit_ms)

    async def leave(self, c: str) -> None:
        """Close this client's connection without ending the session."""
        client = self._clients.pop(c)
        await client.reactor.disconnect(recoverable=True)

    async def pause(self, c: str, track: str) -> None:
        await self._clients[c].reactor.track(track).pause()

    async def resume(self, c: str, track: str) -> None:
        await self._clients[c].reactor.track(track).resume()

    async def listen(self, c: str, track: str) -> None:
        """Keep the arrival, level and pitch of the sound on an audio track."""
        client = self._clients[c]
        client.watches.setdefault(track, Watch(lambda: client.loop.call_soon_threadsafe(client.changes.notify)))
        watch = client.watches[track]
        client.reactor.track(track).on_frame(lambda sound, rate: watch.add_sound(sound, rate))

    async def sound(self, c: str, track: str, seconds: float, timeout: float = 20.0) -> dict[str, Any]:
        client = self._clients[c]
        watch = client.watches[track]
        await client.until(lambda: watch.sound_seconds >= seconds, timeout)
        return watch.sound_summary()

    async def listen_clicks(self, c: str, track: str) -> None:
        """Keep when each loud click on an audio track is due at the ear of a listener without a device's delay."""
        client = self._clients[c]
        clicks = client.sounds.setdefault(track, [])

        def hear(sound: np.ndarray, rate: int) -> None:
            at = time.monotonic()
            loud = np.flatnonzero(np.abs(np.asarray(sound, np.int32).reshape(-1)) > CLICK_LEVEL)
            if loud.size and (not clicks or at - clicks[-1] > CLICKS_APART):
                clicks.append(at + float(loud[0]) / rate)
                client.loop.call_soon_threadsafe(client.changes.notify)

        client.reactor.track(track).on_frame(hear)

    async def beep_times(self, c: str, track: str, phases: list[float]) -> list[dict[str, float | None]]:
        """Milliseconds from `beep` to the first white picture and to the click; before each a wait of its phase."""
        client = self._clients[c]
        watch, clicks = client.watch("main_video"), client.sounds[track]
        times: list[dict[str, float | None]] = []
        for wait in phases:
            await asyncio.sleep(wait)
            start, heard, started = watch.count, len(clicks), time.monotonic()
            sending = asyncio.ensure_future(client.reactor.send_command("beep", {}))
            await client.until(
                lambda start=start, heard=heard: len(clicks) > heard and watch.first_color(start, "ffffff") is not None,
                3.0,
            )
            seen = watch.first_color(start, "ffffff")
            times.append(
                {
                    "at": started,
                    "picture": None if seen is None else (seen - started) * 1e3,
                    "sound": (clicks[heard] - started) * 1e3 if len(clicks) > heard else None,
                }
            )
            await sending
        return times

    # --- camera --------------------------------------------------------------------------------------------------

    async def publish(self, c: str, track: str = "webcam") -> None:
        await self._clients[c].reactor.track(track).publish()

    async def start_camera(
        self, c: str, track: str = "webcam", fps: float = 30.0, size: list[int] | None = None, tags: bool = False
    ) -> None:
        """Push numbered frames of a client until stopped; with `tags`, each carries its number as user data."""
        client = self._clients[c]
        width, height = size or CAMERA_SIZE
        client.cameras[track] = asyncio.create_task(_film(client, track, fps, (width, height), tags))

    async def stop_camera(self, c: str, track: str = "webcam") -> None:
        camera = self._clients[c].cameras.pop(track, None)
        if camera is not None:
            camera.cancel()
            await asyncio.gather(camera, return_exceptions=True)

    async def unpublish(self, c: str, track: str = "webcam") -> None:
        done = self._clients[c].reactor.track(track).unpublish()
        if done is not None:  # 1.13 does it at once
            await done

    async def push_unpublished(self, c: str, track: str = "webcam") -> None:
        self._clients[c].reactor.track(track).push_frame(np.zeros((64, 64, 3), np.uint8))

    # --- the rest ------------------------------------------------------------------------------------------------

    async def upload(self, c: str, ref: str, size: int, name: str, mime_type: str) -> dict[str, Any]:
        """Upload `size` bytes 0, 1, 2, … 250, 0, …; kept under `ref` for `command`."""
        data = (np.arange(size) % 251).astype(np.uint8).tobytes()
        started = time.perf_counter()
        file = await self._clients[c].reactor.upload_file(data, name=name, mime_type=mime_type)
        self._clients[c].refs[ref] = file
        return {"ms": (time.perf_counter() - started) * 1e3, **fields_of(file)}

    async def know_ref(self, c: str, ref: str, upload_id: str = "0" * 32) -> None:
        """A reference to an upload that this session does not have."""
        self._clients[c].refs[ref] = self._make_ref(upload_id)

    async def stats(self, c: str) -> dict[str, Any]:
        reactor = self._clients[c].reactor
        sampled = await (reactor.fetch_stats() if hasattr(reactor, "fetch_stats") else reactor.get_stats())
        return json.loads(json.dumps(sampled, default=fields_of))

    async def step(self, c: str, **request: Any) -> dict[str, Any]:
        media = request.pop("media_counters", None)
        if media is not None:
            request["media"] = {"webcam": [_camera_frame(counter, CAMERA_SIZE) for counter in media]}
        result = await self._clients[c].reactor.step(**request)
        tracks: dict[str, Any] = {}
        for track in result.tracks:
            tracks[track.name] = [_describe_step_frame(frame) for frame in track.frames]
        return {"step": result.step, "error": result.error, "tracks": tracks}

    async def cpu(self) -> float:
        times = os.times()
        return times.user + times.system


def sharpness(pixels: np.ndarray) -> float | None:
    """PSNR in dB of a pattern frame below its barcode against its source, None where the barcode is unreadable."""
    code = read_barcode(pixels)
    if code is None:
        return None
    height, width = pixels.shape[:2]
    source = pattern_of(width, height).frame(code.counter, None, code.clock_us)
    below = -(-height // 6)
    error = np.mean((pixels[below:].astype(np.float32) - source[below:].astype(np.float32)) ** 2)
    return float(10 * np.log10(255.0**2 / max(float(error), 1e-6)))


def likeness(at: float, pixels: np.ndarray, size: tuple[int, int]) -> dict[str, float] | None:
    """PSNR and SSIM below the barcode against the texture's source, as a viewer of that size sees it."""
    import cv2  # not in the environment of the 0.8 client

    from tests.tools.picture_quality import psnr, ssim

    code = read_barcode(pixels)
    if code is None:
        return None
    width, height = size
    source = texture_of(width, height).frame(code.counter, None, code.clock_us)
    shown = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)  # as it is where it fits
    below = -(-height // 6)
    return {
        "at": at,
        "psnr": psnr(shown[below:], source[below:]),
        "ssim": ssim(shown[below:], source[below:]),
        "height": pixels.shape[0],
    }


@cache
def texture_of(width: int, height: int) -> Texture:
    return Texture(width, height)


@cache
def pattern_of(width: int, height: int) -> Pattern:
    return Pattern(width, height)


def _describe_step_frame(frame: Any) -> dict[str, Any]:
    code = read_barcode(frame.array)
    return {
        "shape": list(frame.array.shape),
        "dtype": frame.dtype,
        "counter": None if code is None else code.counter,
        "client": bool(code and code.client),
    }


def _camera_frame(counter: int, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    across = (np.arange(width) + 3 * counter) % 256
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[...] = (across // 2 + 60)[None, :, None]
    draw_barcode(pixels, Barcode(counter=counter, clock_us=time.monotonic_ns() // 1000, client=True))
    return pixels


async def _film(client: Client, track: str, fps: float, size: tuple[int, int], tags: bool) -> None:
    target = client.reactor.track(track)
    due = time.monotonic()
    counter = 0
    while True:
        counter += 1
        target.push_frame(_camera_frame(counter, size), user_data=counter.to_bytes(4, "big") if tags else None)
        due = max(due + 1 / fps, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a plain object."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(vars(value))


def describe(error: Any) -> dict[str, Any]:
    """An error as plain data."""
    names = (
        "code", "recoverable", "status", "operation", "entry", "command_code", "retry_after_ms",
        "reason", "component", "retry_after",
    )  # fmt: skip
    message = getattr(error, "message", None) or str(error)
    return {"error": type(error).__name__, "message": message, **{name: getattr(error, name, None) for name in names}}


async def serve(make: Make, make_ref: MakeRef) -> None:
    """Carry out requests from stdin until it ends."""
    # Whatever the native library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    operations = Operations(make, make_ref)
    running: set[asyncio.Task[None]] = set()

    async def answer(line: bytes) -> None:
        request = json.loads(line)
        try:
            result = await getattr(operations, request["op"])(**request["args"])
            reply = {"id": request["id"], "result": result}
        except Exception as error:
            reply = {"id": request["id"], "failed": describe(error)}
        answers.write(json.dumps(reply, default=str) + "\n")

    while line := await reader.readline():
        task = asyncio.create_task(answer(line))
        running.add(task)
        task.add_done_callback(running.discard)
