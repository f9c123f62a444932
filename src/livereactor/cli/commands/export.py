"""`livereactor export`: writes the recording of a session to an MP4."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livereactor.base.errors import NotFoundError, UsageError
from livereactor.cli.options import DataDir
from livereactor.cli.recordings import RecordingSource

if TYPE_CHECKING:
    from livereactor.blobs.export import Exported


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(epilog="Example: livereactor export ses_0197… pond.mp4")(export)


def export(
    session: Annotated[str, typer.Argument(help="Id of the session or of its recording.")],
    film: Annotated[Path, typer.Argument(help="MP4 to write. An existing file is replaced.")],
    data_dir: DataDir = None,
    blobs: Annotated[
        str | None, typer.Option(help="Where the recordings are: a folder or s3://…", show_default="<data>/blobs")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
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
