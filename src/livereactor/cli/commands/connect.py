"""`livereactor connect`: shows a model in the terminal, sends commands, saves a film; a smoke test for servers."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from livereactor.base.errors import UsageError
from livereactor.base.tasks import set_within
from livereactor.cli.options import Jwt, Key, from_environment

if TYPE_CHECKING:
    from livereactor.cli.views import View
    from livereactor.client.errors import ReactorError
    from livereactor.client.reactor import Reactor
    from livereactor.media.frames import Pixels

TURN: Final = 1 / 60  # seconds between two updates of a window
PLACE: Final = 0.2  # seconds between two checks of the place in the queue


def connect(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    # Typer has no option with two values: the JSON after each --send arrives as a separate argument.
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[JSON]...", help="JSON object with the arguments of each --send.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="URL of a coordinator, or with --local of a runtime.", show_default="LIVEREACTOR_API_URL"),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Connect to `livereactor run` on port 8080 of this machine, or at --url.")
    ] = False,
    key: Key = None,
    jwt: Jwt = None,
    send: Annotated[
        list[str] | None, typer.Option(metavar="CMD JSON", help="Command to send, with its arguments. Repeatable.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Save the picture as an MP4.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the picture in a window.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many seconds.", show_default="until Ctrl-C")
    ] = None,
    track: Annotated[str | None, typer.Option(help="Output to show.", show_default="the first video output")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")] = False,
) -> None:
    """Show a model, send commands, and save a film.

    Draws the picture in the terminal. As a smoke test for servers, exits with 0 only if a picture arrived and the
    connection held.
    """
    from livereactor.client.errors import AuthError

    commands = _commands(send or [], arguments or [])
    seeing = _Seeing(track, save)
    view = _view(model, show=show, quiet=json_lines)
    interrupted = False
    try:
        asyncio.run(_connected(_reactor(model, url, local, key, jwt), seeing, view, commands, seconds))
    except KeyboardInterrupt:
        interrupted = True
    except AuthError as error:
        if key or jwt or from_environment("API_KEY") or from_environment("JWT"):
            raise
        raise UsageError(f"{error.message}; add --key or --jwt, or --local for a runtime") from error
    except (TypeError, ValueError) as error:  # no such track, or invalid JSON
        raise UsageError(str(error)) from error
    finally:
        seeing.close()
    if seeing.trouble is not None:
        raise UsageError(f"cannot save the film: {seeing.trouble.strerror or seeing.trouble}; choose another --save")
    typer.echo(json.dumps(seeing.summary()) if json_lines else seeing.sentence())
    if interrupted:
        raise typer.Exit(130)
    if seeing.lost is not None:
        raise seeing.lost
    if seeing.frames == 0:
        print("livereactor: no picture arrived; run `livereactor probe` to find the step that fails", file=sys.stderr)
        raise typer.Exit(1)


class _Seeing:
    """Result so far. Frames arrive on a thread of the track."""

    def __init__(self, track: str | None, save: Path | None) -> None:
        from livereactor.integrations.film import Film

        self.track, self.frames, self.session_id = track, 0, ""
        self._film = None if save is None else Film(save)
        self._save = save
        self._began = self._ended = 0.0
        self._size = (0, 0)
        self._timings: dict[str, float] = {}
        self.trouble: OSError | None = None
        self.lost: ReactorError | None = None  # the connection failed while the session was still open

    def add(self, pixels: Pixels) -> None:
        """Count and save one more frame."""
        self._ended = time.monotonic()
        self._began = self._began or self._ended
        self.frames += 1
        self._size = pixels.shape[1::-1]
        try:
            if self._film is not None:
                self._film.add(pixels, at=self._ended)
        except OSError as error:  # no such folder, or a full disk: the main thread reports it once
            self._film, self.trouble = None, error

    def connected(self, reactor: Reactor) -> None:
        """Note the session and the timings of the connection."""
        self.session_id = reactor.session_id or ""
        if reactor.connection_timings is not None:
            self._timings = dataclasses.asdict(reactor.connection_timings)

    def close(self) -> None:
        """Finish the film."""
        try:
            if self._film is not None:
                self._film.close()
        except OSError as error:
            self.trouble = error

    def summary(self) -> dict[str, Any]:
        """Return the result for scripts; `fps` is null below two frames."""
        seconds = self._ended - self._began
        return {
            "frames": self.frames,
            "seconds": round(seconds, 3),
            "fps": round((self.frames - 1) / seconds, 2) if seconds > 0 else None,
            "width": self._size[0],
            "height": self._size[1],
            "track": self.track,
            "session_id": self.session_id,
            "film": None if self._save is None or not self.frames else str(self._save),
            "timings": {name: round(value, 1) for name, value in self._timings.items()},
        }

    def sentence(self) -> str:
        """Return the result as a sentence."""
        told = self.summary()
        if self.frames == 0:
            return "no frames"
        rate = "" if told["fps"] is None else f", {told['fps']:g} fps"
        film = f", saved to {told['film']}" if told["film"] else ""
        return f"{self.frames} frames of {told['width']}x{told['height']} in {told['seconds']:.1f} s{rate}{film}"


async def _connected(
    reactor: Reactor, seeing: _Seeing, view: View, commands: list[tuple[str, Mapping[str, Any]]], seconds: float | None
) -> None:
    over = asyncio.Event()

    @reactor.on_status
    def changed(status: str) -> None:
        _say(str(status))
        if status == "disconnected":
            over.set()

    @reactor.on_error
    def failed(error: ReactorError) -> None:
        if error.code == "GPU_CONNECTION_ERROR":
            seeing.lost = error

    @reactor.on_message
    def said(message: dict[str, Any]) -> None:
        _say(f"{message['type']} {json.dumps(message['data'])}")

    def ended(why: dict[str, str]) -> None:
        _say(f"session ended: {why['reason']}")
        over.set()

    reactor.on("session_ended", ended)
    placing = asyncio.create_task(_places(reactor), name="places")
    async with reactor:
        placing.cancel()
        seeing.connected(reactor)
        outputs = reactor.tracks.with_direction("recvonly").with_kind("video")
        seeing.track = seeing.track or (outputs[0].name if outputs else None)
        if seeing.track is not None:
            reactor.track(seeing.track).on_frame(seeing.add)
            reactor.track(seeing.track).on_frame(view.add)
        for name, data in commands:
            await reactor.send_command(name, data)
        with view:
            async with asyncio.TaskGroup() as group:
                drawing = group.create_task(_turn(seeing, view, over))
                await set_within(over, seconds)
                drawing.cancel()


async def _places(reactor: Reactor) -> None:
    told = None
    while True:
        await asyncio.sleep(PLACE)
        if (place := reactor.queue_position) is not None and place != told:
            _say(f"place {place} in the queue")
            told = place


async def _turn(seeing: _Seeing, view: View, over: asyncio.Event) -> None:
    while seeing.trouble is None and view.turn():  # noqa: ASYNC110  (a window has no asyncio event)
        await asyncio.sleep(TURN)
    over.set()


def _reactor(model: str, url: str | None, local: bool, key: str | None, jwt: str | None) -> Reactor:
    from livereactor.client.reactor import Reactor

    try:
        if local:
            return Reactor(model, local=url or True)
        return Reactor(model, key, jwt=jwt, api_url=url)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _view(model: str, *, show: bool, quiet: bool) -> View:
    from rich.console import Console

    from livereactor.cli.views import TerminalView, View, WindowView

    if show:
        return WindowView(model)
    console = Console()
    return TerminalView(console) if console.is_terminal and console.color_system and not quiet else View()


def _commands(names: list[str], texts: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    if len(names) != len(texts):
        raise UsageError(
            f"{len(names)} --send but {len(texts)} JSON objects; write each as --send drop '{{\"x\": 0.5}}', or '{{}}'"
        )
    return [(name, _arguments(name, text)) for name, text in zip(names, texts, strict=True)]


def _arguments(name: str, text: str) -> Mapping[str, Any]:
    try:
        data: object = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--send {name}: {text!r} is not JSON ({error}); write it like '{{\"x\": 0.5}}'") from error
    if not isinstance(data, dict):
        raise UsageError(f"--send {name}: arguments must be a JSON object like '{{\"x\": 0.5}}', not {text}")
    return cast("dict[str, Any]", data)


def _say(text: str) -> None:
    if not sys.stderr.isatty() or not sys.stdout.isatty():  # otherwise the picture is there
        print(text, file=sys.stderr, flush=True)
