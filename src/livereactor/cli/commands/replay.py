"""`livereactor replay`: runs a session again from its journal, compares its pictures and saves a film."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.commands.run import assignments
from livereactor.cli.options import DataDir, Jwt, Key
from livereactor.cli.recordings import RecordingSource
from livereactor.settings import Resolved, resolve

if TYPE_CHECKING:
    from livereactor.runtime.replay.rerun import Rerun, StepAgain

TELL_EVERY: Final = 2.0  # seconds between two lines of progress
DIFFERENCES: Final = 20  # steps that are named when pictures differ


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(epilog="Example: livereactor replay ses_0197… --model pond.py --film pond.mp4")(replay)


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
    blobs: Annotated[
        str | None, typer.Option(help="Where the recordings are: a folder or s3://…", show_default="<data>/blobs")
    ] = None,
    coordinator: Annotated[str | None, typer.Option(help="URL of the coordinator that has the recording.")] = None,
    key: Key = None,
    jwt: Jwt = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
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
    """Return the settings beside the model, with the seed of the session unless `given` has another."""
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
            "film": str(self._path)
            if self._path is not None and self._film is not None and self._film.frames
            else None,
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
