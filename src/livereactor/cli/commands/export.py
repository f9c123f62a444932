"""`livereactor export`: what was recorded of a session as one MP4, long after it."""

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
    session: Annotated[str, typer.Argument(help="Its id, or its recording's.")],
    film: Annotated[Path, typer.Argument(help="The MP4 to write; one of this name is replaced.")],
    data_dir: DataDir = None,
    blobs: Annotated[
        str | None, typer.Option(help="Where recordings are: a folder or s3://…", show_default="<data>/blobs")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Write what was recorded of a session to an MP4.

    Also of one whose worker was killed, up to its last whole moment. Of one that runs, what is stored so far.
    """
    if film.is_dir() or not film.parent.is_dir():
        raise UsageError(f"{film} is a folder, or in none; name a file in a folder that is there")
    try:
        made = asyncio.run(_exported(RecordingSource(data_dir, blobs), session, film))
    except OSError as error:
        raise UsageError(f"cannot write {film}: {error.strerror or error}; choose another place") from error
    if json_lines:
        typer.echo(
            json.dumps({"seconds": round(made.seconds, 3), "segments": made.segments, "left_out": made.left_out})
        )
        return
    left = f"; {made.left_out} segments behind one that is torn or missing are left out" if made.left_out else ""
    typer.echo(f"{made.seconds:.1f} s in {film}{left}")


async def _exported(source: RecordingSource, session: str, film: Path) -> Exported:
    from livereactor.blobs.export import export as write
    from livereactor.blobs.journals import recorded

    blobs, where = source.opened(session)
    found = await recorded(blobs, session)
    if found is None:
        raise NotFoundError(
            f"no session {session[:64]!r} among the recordings in {where}: it was not recorded, or its time is over; "
            "name another place by --data-dir or --blobs"
        )
    return await write(blobs, found.recording, film)
