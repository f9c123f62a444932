"""Figures that `livereactor bench` measures of a server: one function a figure, numbered as in docs/benchmarks.md.

Delays are read from pictures where the model answers a command with one (`flash`, as the conformance model does), and
what was lost from the number in each picture, where it carries one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from livereactor.base.tasks import Changes
from livereactor.client.errors import RateLimitedError, ReactorError
from livereactor.client.reactor import Reactor
from livereactor.client.tracks.track import Track
from livereactor.media.frames import Pixels
from livereactor.probes.results import Result, phases, spread
from livereactor.probes.watching import Watch

PICTURE_TIMEOUT = 20.0  # seconds for a picture
MEASURED_WITH = {"echo", "flash", "set_pacing"}


class ProbeViewer:
    """A connected client and a log of its first video output.

    Attributes:
        began: when the connection was asked for, in monotonic seconds.
        track: the first video output; None if the model has none.
        is_conformance: the model has the commands of examples/conformance.py that the figures use.
    """

    def __init__(self, reactor: Reactor, began: float) -> None:
        self.reactor, self.began = reactor, began
        self._changes, loop = Changes(), asyncio.get_running_loop()
        self.watch = Watch(lambda: loop.call_soon_threadsafe(self._changes.notify))
        pictures = reactor.tracks.with_direction("recvonly").with_kind("video")
        self.track: Track | None = pictures[0] if pictures else None
        declared = reactor.capabilities
        commands = {command.name for command in declared.commands} if declared else set[str]()
        self.is_conformance = commands >= MEASURED_WITH
        if self.track is not None:
            self.track.on_frame(self._see)

    def _see(self, frame: Pixels) -> None:
        self.watch.add(frame)

    async def until(self, condition: Callable[[], bool], timeout: float = PICTURE_TIMEOUT) -> bool:
        """Wait until `condition` holds, checked with each picture; return whether it does."""
        await self._changes.until(condition, timeout)
        return condition()

    async def frames(self, count: int) -> bool:
        """Wait until `count` more frames have come."""
        wanted = self.watch.count + count
        return await self.until(lambda: self.watch.count >= wanted)

    async def frame_after(self, at: float) -> float | None:
        """Return the monotonic time of the first picture that arrived after `at`."""
        await self.until(lambda: bool(self.watch.seen) and self.watch.seen[-1].at > at)
        return next((frame.at for frame in self.watch.seen if frame.at > at), None)


@asynccontextmanager
async def viewing(reactor: Reactor, timeout: float) -> AsyncGenerator[ProbeViewer]:
    """Connect within `timeout` seconds, and clean up at the end.

    If the server has made as many sessions in this minute as it makes for one account, wait until it makes another.
    """
    try:
        began = time.monotonic()
        try:
            await reactor.connect(timeout=timeout)
        except RateLimitedError as error:
            if error.retry_after is None or error.retry_after > timeout:
                raise
            await asyncio.sleep(error.retry_after)
            began = time.monotonic()
            await reactor.connect(timeout=timeout)
        yield ProbeViewer(reactor, began)
    finally:
        await reactor.disconnect()
        reactor.close()


OURS: Final = "own client"
WARM_UP: Final = 2  # first trials of each figure, which do not count
SETTLE: Final = 0.25  # seconds for the server to clean up after the client before
FEW: Final = 5  # trials of figures that take a second each or leave something on the server
HANDED_OVER: Final = 0.015  # seconds in which a frame of the old transport may still arrive
LENGTH: Final = 10.0  # seconds of a clip
FILE: Final = 5_000_000  # bytes of an upload
PATIENCE: Final = 20.0  # seconds for the last part of a clip
BINARY: Final = "application/octet-stream"
COLOURS: Final = ("ff2020", "2020ff")


class Skipped(Exception):  # noqa: N818  (an outcome, not an error)
    """The figure cannot be measured with this server or model; the message says why."""


@dataclass(frozen=True, slots=True)
class MeasurementPlan:
    """The plan of a measurement: what to measure, and how long.

    Attributes:
        server: as it stands in the rows.
        make: a client that is not connected; asked for anew for each connection.
        trials: of each delay.
        seconds: of watching.
        timeout: seconds for a connection, a place in the queue included.
        tick: called after each trial.
    """

    server: str
    make: Callable[[], Reactor]
    trials: int
    seconds: float
    timeout: float
    tick: Callable[[], None]

    def row(self, figure: str, setting: str, values: Sequence[float | None], unit: str = "ms") -> Result:
        """Return a row of delays."""
        return Result(figure, self.server, OURS, setting, spread(values), unit, len(values))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one figure: its rows, or the reason why it has none.

    Attributes:
        failed: it should have been there.
    """

    figure: str
    title: str
    rows: Sequence[Result] = ()
    why: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RemoteFigure:
    """One figure; `steps` returns how often it ticks."""

    name: str
    title: str
    run: Callable[[MeasurementPlan, ProbeViewer], Awaitable[Sequence[Result]]]
    steps: Callable[[MeasurementPlan], int]


async def connects(plan: MeasurementPlan) -> Sequence[Result]:
    """Measure connections one after another, to ready and to the first picture."""
    ready: list[float | None] = []
    first: list[float | None] = []
    for number in range(WARM_UP + few(plan)):
        await asyncio.sleep(SETTLE)
        async with viewing(plan.make(), plan.timeout) as viewer:
            ready_at = time.monotonic()
            await viewer.until(lambda viewer=viewer: viewer.watch.count > 0 or viewer.track is None)
            seen = viewer.watch.seen
        if number >= WARM_UP:
            ready.append((ready_at - viewer.began) * 1e3)
            first.append((seen[0].at - viewer.began) * 1e3 if seen else None)
        plan.tick()
    return [plan.row("P5", "connect() to ready", ready), plan.row("P5", "connect() to first frame", first)]


def few(plan: MeasurementPlan) -> int:
    """Return the number of trials for slow figures."""
    return min(plan.trials, FEW)


def watched(plan: MeasurementPlan) -> int:
    """Return the number of ticks while watching: one per second."""
    return max(1, round(plan.seconds))


async def network(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure the transport's round trip, and the age of pictures by the server's timestamps."""
    stats = await viewer.reactor.fetch_stats()
    rows: list[Result] = []
    if stats.rtt_ms is not None:
        rows.append(Result("network", plan.server, OURS, "round trip", {"rtt": round(stats.rtt_ms, 2)}, "ms", 1))
    if stats.glass_to_glass_ms is not None:
        middle, most = stats.glass_to_glass_ms
        age = {"p50": round(middle, 2), "p95": round(most, 2)}
        rows.append(Result("network", plan.server, OURS, "server's timestamp to delivery", age, "ms", 1))
    plan.tick()
    if not rows:
        raise Skipped("the transport has no figures yet; watch longer with --seconds")
    return rows


async def gaps(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure how evenly pictures come, and which are missing by their numbers."""
    _must_show(viewer)
    start = viewer.watch.count
    for _ in range(watched(plan)):
        await asyncio.sleep(plan.seconds / watched(plan))
        plan.tick()
    found = viewer.watch.summary(start)
    if found["count"] < 2:
        raise Skipped("no picture arrived while watching: this model shows new pictures only after a command")
    values = {name: round(found["gap_ms"][name], 1) for name in ("p50", "p95", "p99", "max")}
    rows = [Result("P15", plan.server, OURS, "gap between frames", values, "ms", found["count"])]
    rate = {"fps": round((found["count"] - 1) / found["seconds"], 2)}
    if found["decoded"]:
        rate["missing"] = float(found["missing"])
    rows.append(Result("P15", plan.server, OURS, "frames", rate, "", found["count"]))
    return rows


async def round_trips(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure round trips of the conformance model's `echo`, else of the schema request, which every server answers."""
    times: list[float | None] = []
    for number in range(WARM_UP + plan.trials):
        began = time.perf_counter()
        if viewer.is_conformance:
            await viewer.reactor.send_command("echo", {"value": number})
        else:
            await viewer.reactor.request_schema()
        times.append((time.perf_counter() - began) * 1e3)
        plan.tick()
    return [plan.row("P7", "echo" if viewer.is_conformance else "request for the schema", times[WARM_UP:])]


async def flashes(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure from `flash` to the first picture with its colour, at random phases of the model's frame clock."""
    _must_show(viewer)
    if not viewer.is_conformance:
        raise Skipped("this model has no command `flash`; use examples/conformance.py")
    times: list[float | None] = []
    for number, wait in enumerate(phases(WARM_UP + plan.trials)):
        color = COLOURS[number % 2]
        await asyncio.sleep(wait)
        start, began = viewer.watch.count, time.monotonic()
        sending = asyncio.ensure_future(viewer.reactor.send_command("flash", {"color": color}))

        def seen(start: int = start, color: str = color) -> float | None:
            return viewer.watch.first_color(start, color)

        await viewer.until(lambda seen=seen: seen() is not None, 3.0)
        at = seen()
        times.append(None if at is None else (at - began) * 1e3)
        await sending
        plan.tick()
    await viewer.reactor.send_command("flash", {"color": ""})
    return [plan.row("P1", "flash to first changed pixel", times[WARM_UP:])]


async def reconnects(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure `reconnect()`, to ready and to a picture."""
    ready: list[float | None] = []
    shown: list[float | None] = []
    for _ in range(WARM_UP + few(plan)):
        began = time.monotonic()
        await viewer.reactor.reconnect()
        ready.append((time.monotonic() - began) * 1e3)
        at = None if viewer.track is None else await viewer.frame_after(began + HANDED_OVER)
        shown.append(None if at is None else (at - began) * 1e3)
        plan.tick()
    rows = [plan.row("P11", "reconnect() to ready", ready[WARM_UP:])]
    return rows if viewer.track is None else [*rows, plan.row("P11", "reconnect() to a frame", shown[WARM_UP:])]


async def clips(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure a clip of the last seconds, from the request to the last byte."""
    times: list[float | None] = []
    length = min(LENGTH, plan.seconds)
    for _ in range(few(plan)):
        began = time.monotonic()
        try:
            await viewer.reactor.download_clip(length, ready_timeout=PATIENCE)
        except ReactorError as error:
            raise Skipped(f"no clip: {error.message}") from error
        times.append((time.monotonic() - began) * 1e3)
        plan.tick()
    return [plan.row("P8", f"clip of {length:g} s, request to last byte", times)]


async def uploads(plan: MeasurementPlan, viewer: ProbeViewer) -> Sequence[Result]:
    """Measure an upload of 5 MB, from the call to its handle."""
    times: list[float | None] = []
    data = bytes(FILE)
    for number in range(few(plan)):
        began = time.perf_counter()
        try:
            await viewer.reactor.upload_file(data, name=f"livereactor-bench-{number}.bin", mime_type=BINARY)
        except ReactorError as error:
            raise Skipped(f"no upload: {error.message}") from error
        times.append((time.perf_counter() - began) * 1e3)
        plan.tick()
    return [plan.row("P21", "upload of 5 MB", times)]


FIGURES: Final = (
    RemoteFigure("P15", "gap between frames", gaps, watched),
    RemoteFigure("network", "the network", network, lambda _: 1),
    RemoteFigure("P7", "command round trip while frames stream", round_trips, lambda plan: WARM_UP + plan.trials),
    RemoteFigure("P1", "command to first changed pixel", flashes, lambda plan: WARM_UP + plan.trials),
    RemoteFigure("P8", "clip, from request to last byte", clips, few),
    RemoteFigure("P21", "upload", uploads, few),
    RemoteFigure("P11", "from a lost transport to the next frame", reconnects, lambda plan: WARM_UP + few(plan)),
)
CONNECTING: Final = "connect() to ready and to first frame"


async def measured(plan: MeasurementPlan, begins: Callable[[str, str, int], None]) -> AsyncIterator[Outcome]:
    """Every figure in turn; one that fails does not spoil the rest, while the server can be reached.

    Args:
        begins: called with the number and title of a figure, and its number of ticks.

    Raises:
        ReactorError: the client cannot connect.
    """
    begins("P5", CONNECTING, WARM_UP + few(plan))
    yield Outcome("P5", CONNECTING, await connects(plan))
    async with viewing(plan.make(), plan.timeout) as viewer:
        if viewer.is_conformance:  # paced by the runtime, as in the docs' figures
            await viewer.reactor.send_command("set_pacing", {"pacing": "backpressure"})
        if viewer.track is not None:
            await viewer.frames(1)
        for figure in FIGURES:
            begins(figure.name, figure.title, figure.steps(plan))
            try:
                yield Outcome(figure.name, figure.title, await figure.run(plan, viewer))
            except Skipped as skipped:
                yield Outcome(figure.name, figure.title, why=str(skipped))
            except ReactorError as error:
                yield Outcome(figure.name, figure.title, why=error.message, failed=True)


def _must_show(viewer: ProbeViewer) -> None:
    if viewer.track is None:
        raise Skipped("the model has no video output")
