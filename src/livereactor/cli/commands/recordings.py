"""`livereactor export` and `livereactor replay`: write a recorded session to an MP4, or run it again from its journal.

A recording comes from a file, from the storage of this machine, or from a coordinator.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from livereactor.base.errors import NotFoundError, UnavailableError, UsageError
from livereactor.cli.admin import TIMEOUT, refusal
from livereactor.cli.commands.run import assignments
from livereactor.cli.options import DataDir, JsonObject, Jwt, Key
from livereactor.settings import Resolved, resolve

if TYPE_CHECKING:
    from livereactor.blobs.export import Exported
    from livereactor.blobs.port import Blobs
    from livereactor.runtime.replay.rerun import Rerun, StepAgain

TELL_EVERY: Final = 2.0  # seconds between two lines of progress
DIFFERENCES: Final = 20  # steps that are named when pictures differ
_Blobs = Annotated[
    str | None, typer.Option(help="Location of the recordings: a folder or s3://…", show_default="<data>/blobs")
]


def export(
    session: Annotated[str, typer.Argument(help="Id of the session or of its recording.")],
    film: Annotated[Path, typer.Argument(help="MP4 to write. An existing file is replaced.")],
    data_dir: DataDir = None,
    blobs: _Blobs = None,
    json_lines: JsonObject = False,
) -> None:
    """Write the recording of a session to an MP4.

    If the worker was killed, exports up to the last complete segment. If the session is still running, exports what is
    stored so far.
    """
    if film.is_dir() or not film.parent.is_dir():
        raise UsageError(f"{film} is a folder, or is not in one; name a file in an existing folder")
    try:
        made = asyncio.run(_exported(RecordingSource(data_dir, blobs), session, film))
    except OSError as error:
        raise UsageError(f"cannot write {film}: {error.strerror or error}; choose another path") from error
    if json_lines:
        typer.echo(
            json.dumps({"seconds": round(made.seconds, 3), "segments": made.segments, "left_out": made.left_out})
        )
        return
    left = f"; {made.left_out} segments after a torn or missing one are left out" if made.left_out else ""
    typer.echo(f"{made.seconds:.1f} s in {film}{left}")


async def _exported(source: RecordingSource, session: str, film: Path) -> Exported:
    from livereactor.blobs.export import export as write
    from livereactor.blobs.journals import recorded

    blobs, where = source.opened(session)
    found = await recorded(blobs, session)
    if found is None:
        raise NotFoundError(
            f"no session {session[:64]!r} among the recordings in {where}: it was not recorded, or has expired; "
            "look in another place with --data-dir or --blobs"
        )
    return await write(blobs, found.recording, film)


@dataclass(frozen=True, slots=True)
class RecordingSource:
    """The place to look for recordings, from the options of the same names."""

    data_dir: Path | None = None
    blobs: str | None = None
    coordinator: str | None = None
    key: str | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)

    def journal(self, session: str) -> bytes:
        """Read the journal of a session or recording id, or the journal in a file or folder of that name.

        Raises:
            UsageError: no such journal.
            UnavailableError: the coordinator or the store cannot be reached.
            RemoteError: the coordinator answered with an error.
        """
        from livereactor.runtime.replay.finding import journal_in, kept_journal

        if self.coordinator is not None:
            return _fetched(self.coordinator.rstrip("/"), session, self._credentials())
        if Path(session).exists():
            return journal_in(Path(session))
        blobs, where = self.opened(session)
        return asyncio.run(kept_journal(blobs, session, where))

    def opened(self, session: str) -> tuple[Blobs, str]:
        """Open the blobs that contain recordings; return them and their name for messages."""
        from livereactor.wiring.options import blobs_url, open_blobs

        given = {"coordinator.data_dir": self.data_dir, "blobs.url": self.blobs}
        settings = resolve(
            Path(), command_line={name: value for name, value in given.items() if value is not None}
        ).settings
        where = blobs_url(settings, settings.coordinator.data_dir.absolute() / "blobs")
        if "://" not in where and not Path(where).is_dir():
            raise UsageError(
                f"no file {session[:64]!r} and no recordings in {where}; pass a journal file, or use --data-dir, "
                "--blobs or --coordinator to say where the recordings are"
            )
        return open_blobs(where), where

    def _credentials(self) -> dict[str, str]:
        if jwt := self.jwt or (None if self.key else os.environ.get("LIVEREACTOR_JWT")):
            return {"Authorization": f"Bearer {jwt}"}
        key = self.key or os.environ.get("LIVEREACTOR_API_KEY")
        return {"Reactor-API-Key": key} if key else {}


def _fetched(url: str, session: str, credentials: dict[str, str]) -> bytes:
    import httpx2

    from livereactor.blobs.journals import NoJournalError
    from livereactor.runtime.replay.journal_writer import JOURNAL_BYTES

    data, most = bytearray(), JOURNAL_BYTES * 2  # the last line may exceed the limit
    try:
        with httpx2.stream(
            "GET", f"{url}/sessions/{quote(session, safe='')}/journal", headers=credentials, timeout=TIMEOUT
        ) as answer:
            if not answer.is_success:
                answer.read()
                hint = "; pass a key with --key or LIVEREACTOR_API_KEY, or a token with --jwt or LIVEREACTOR_JWT"
                error = refusal(answer, url, "" if credentials else hint)
                raise NoJournalError(error.message) if error.code == NoJournalError.code else error
            for block in answer.iter_bytes():
                data += block
                if len(data) > most:
                    raise UsageError(
                        f"{url} answered with more than a journal can hold; check that it is a livereactor coordinator"
                    )
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise UsageError(f"{url!r} is not a URL; write https://host:port") from error
    except httpx2.TransportError as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError(
            f"could not read the journal from {url} ({reason}); check that the coordinator is running"
        ) from error
    return bytes(data)


def replay(
    session: Annotated[str, typer.Argument(help="Id of the session, or a file or folder with its journal.")],
    model: Annotated[str, typer.Option(help="Model to run: a file, file.py:Class, or a folder.")] = "model.py",
    film: Annotated[Path | None, typer.Option(help="Write the pictures to this MP4.")] = None,
    from_: Annotated[float, typer.Option("--from", min=0, help="Start the film at this second.")] = 0.0,
    to: Annotated[float | None, typer.Option(min=0, help="Stop at this second.", show_default="the end")] = None,
    files: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder with the files that clients uploaded.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for Model.load(config). Repeatable.")
    ] = None,
    data_dir: DataDir = None,
    blobs: _Blobs = None,
    coordinator: Annotated[str | None, typer.Option(help="URL of the coordinator that has the recording.")] = None,
    key: Key = None,
    jwt: Jwt = None,
    json_lines: JsonObject = False,
) -> None:
    """Run a recorded session again.

    Repeats its commands and parameters as fast as the model can, without a network. Exits with 1 if a picture differs
    from the recording.
    """
    from livereactor.runtime.execution.loading import load_model
    from livereactor.runtime.execution.schema_file import own_stdout
    from livereactor.runtime.replay.finding import files_in
    from livereactor.runtime.replay.journal_format import read_journal
    from livereactor.runtime.replay.rerun import Rerun
    from livereactor.wiring.process import configure_logging

    if to is not None and to <= from_:
        raise UsageError(f"--to {to:g} is not after --from {from_:g}; choose a later --to")
    if film is not None and film.suffix.lower() != ".mp4":
        raise UsageError(f"--film {film} is not an MP4; choose a name that ends in .mp4")
    answer = own_stdout()
    journal = read_journal(RecordingSource(data_dir, blobs, coordinator, key, jwt).journal(session))
    resolved = _beside(model, set_ or [], journal.header.seed)
    configure_logging(resolved.settings.runtime.log_format)
    again = Rerun(load_model(model), journal, config=resolved.settings.model, path=resolved.path, files=files_in(files))
    told = 0
    for notice in again.notices:
        _say(notice)
        told += 1
    seen = _Seen(journal.steps, film, from_)
    try:
        again.load()
        _run(again, seen, to)
    except OSError as error:
        raise UsageError(f"cannot save the film: {error.strerror or error}; choose another --film") from error
    finally:
        seen.close()
        for notice in again.notices[told:]:
            _say(notice)
    result = seen.result(again.notices)
    typer.echo(json.dumps(result) if json_lines else seen.sentence(), file=answer)
    if seen.differ:
        raise typer.Exit(1)


def _beside(model: str, given: Sequence[str], seed: float | str | None) -> Resolved:
    """Return the settings next to the model, with the seed of the session unless `given` has another."""
    path = Path(model.partition(":")[0])
    then = {} if seed is None else {"model.seed": seed}
    return resolve(path if path.is_dir() else path.parent, command_line=then | assignments(given))


def _run(again: Rerun, seen: _Seen, to: float | None) -> None:
    began = told = time.monotonic()
    for step in again.steps():
        seen.add(step)
        if to is not None and step.until >= to:
            return
        if (now := time.monotonic()) - told >= TELL_EVERY:
            told = now
            _say(
                f"step {step.number} of {seen.steps}, {step.at:.1f} s, {step.number / (now - began):.0f} steps a second"
            )


class _Seen:
    """Result of the replay so far."""

    def __init__(self, steps: int, film: Path | None, begin: float) -> None:
        from livereactor.integrations.film import Film

        self.steps, self._path, self._begin = steps, film, begin
        self._film = None if film is None else Film(film)
        self._made = self._pictures = self._compared = 0
        self._until = 0.0
        self.differ: list[tuple[int, float]] = []

    def add(self, step: StepAgain) -> None:
        from livereactor.media.frames import Sound

        self._made, self._until = step.number, step.until
        if step.same is not None:
            self._compared += 1
            if not step.same:
                self.differ.append((step.number, step.at))
        frames = next((each for each in step.emission.values() if not isinstance(each, Sound)), ())
        self._pictures += len(frames)
        for index, frame in enumerate(frames):
            at = step.at + (step.until - step.at) * index / len(frames)
            if self._film is not None and at >= self._begin:
                self._film.add(frame.pixels, at=at)

    def close(self) -> None:
        if self._film is not None:
            self._film.close()

    def result(self, notices: Sequence[str]) -> dict[str, Any]:
        """Return the result for scripts."""
        return {
            "steps": self._made,
            "pictures": self._pictures,
            "seconds": round(self._until, 3),
            "compared": self._compared,
            "differ": [{"step": step, "at": round(at, 3)} for step, at in self.differ],
            "film": str(self._path) if self._film is not None and self._film.frames else None,
            "notices": list(notices),
        }

    def sentence(self) -> str:
        """Return the result as a sentence."""
        film = "" if self._film is None or not self._film.frames else f", {self._film.frames} in {self._path}"
        text = f"{self._made} steps, {self._pictures} pictures{film}"
        if not self._compared:
            return f"{text}; nothing to compare with"
        if not self.differ:
            return f"{text}; {self._compared} compared with the recording, all the same"
        steps = ", ".join(f"{step} ({at:.2f} s)" for step, at in self.differ[:DIFFERENCES])
        more = ", …" if len(self.differ) > DIFFERENCES else ""
        return f"{text}; {self._compared} compared with the recording, {len(self.differ)} differ: at step {steps}{more}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
