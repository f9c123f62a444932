"""Clips and recordings: a playlist is fetched with a token, its parts by signed addresses without one.

A journal is fetched with a token, too, which needs the scopes `record` and `control`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from livereactor.blobs.clips import FILE, ID
from livereactor.blobs.journals import NoJournalError, journal_pieces, recorded
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.http.dependencies import BlobsPart, StorePart, app_part, needs
from livereactor.store.port import Store
from livereactor.web.blob_answers import RANGE_HEADER
from livereactor.web.clips import CHUNK_TYPE, CHUNKS, INIT_TYPE, PLAYLIST_TYPE, ClipGoneError, ClipShelf, Seconds
from livereactor.web.documents import asked_by, problems, signed

# Described, not validated: a text that cannot be an id gets the answer for an unknown clip.
ClipId: TypeAlias = Annotated[
    str, Query(description="Id from `playlist_url`.", json_schema_extra={"pattern": f"^{ID}$"})
]
Name: TypeAlias = Annotated[str, Path(json_schema_extra={"pattern": f"^{ID}$"})]
File: TypeAlias = Annotated[str, Path(json_schema_extra={"pattern": f"^{FILE}$"})]
JOURNAL_TYPE: Final = "application/jsonl"
_OCTETS: Final = {"schema": {"type": "string", "format": "binary"}}
_PART: Final[dict[str, Any]] = {**asked_by(), "parameters": [*signed("the playlist"), RANGE_HEADER]}


ShelfPart = Annotated[ClipShelf, app_part("shelf")]

routes = APIRouter(tags=["clips"], responses=problems(403))


@routes.get(
    "/clips",
    response_class=Response,
    responses={
        200: {"description": "The playlist.", "content": {PLAYLIST_TYPE: {"schema": {"type": "string"}}}},
        202: {"description": "The playlist is not ready; retry after `Retry-After` seconds."},
        **problems(401, 410),
    },
)
async def get_clip_playlist(
    caller: Annotated[Caller, needs("record")],
    session_id: ClipId,
    start: Seconds,
    end: Seconds,
    shelf: ShelfPart,
    store: StorePart,
) -> Response:
    """Return the HLS playlist of a clip, which lists the addresses of its parts."""
    asked = await shelf.asked(session_id)
    if not await _may_see(caller, asked.account, asked.session, store):
        raise ClipGoneError
    return await shelf.answer(session_id, asked, start=start, end=end)


@routes.get(
    CHUNKS + "{name}/{file}",
    response_class=Response,
    responses={
        200: {"description": "The part.", "content": {INIT_TYPE: _OCTETS, CHUNK_TYPE: _OCTETS}},
        206: {"description": "The requested range."},
        416: {"description": "The range begins after the last byte."},
        **problems(404, 410),
    },
    openapi_extra=_PART,
)
async def get_clip_part(name: Name, file: File, request: Request, shelf: ShelfPart) -> Response:
    """Return one part of a clip. The signed address is the credential."""
    return await shelf.answer_part(name, file, request)


@routes.head(
    CHUNKS + "{name}/{file}",
    operation_id="size_of_part",
    response_class=Response,
    responses={200: {"description": "`Content-Length` is the size."}, **problems(404, 410)},
    openapi_extra=_PART,
)
async def get_clip_part_size(name: Name, file: File, request: Request, shelf: ShelfPart) -> Response:
    """Return the size of a part in `Content-Length`."""
    return await shelf.answer_part(name, file, request)


@routes.get(
    "/sessions/{sid}/journal",
    response_class=Response,
    responses={
        200: {"description": "One JSON object per line.", "content": {JOURNAL_TYPE: {"schema": {"type": "string"}}}},
        **problems(401, 404),
    },
)
async def get_session_journal(
    sid: str,
    # A journal holds what users wrote, which a link for watching does not show: it needs `control`, too.
    caller: Annotated[Caller, needs("record", "control")],
    blobs: BlobsPart,
    store: StorePart,
) -> Response:
    """Return the inputs of a recorded session, for `livereactor replay`, even after the session has ended."""
    found = await recorded(blobs, sid)
    pieces = None
    if found is not None and await _may_see(caller, found.account, found.session, store):
        pieces = journal_pieces(blobs, found.recording)
    first = None if pieces is None else await anext(pieces, None)
    if pieces is None or first is None:
        raise NoJournalError(
            f"no journal of session {sid[:64]!r} for this account: it was not recorded, or has expired"
        )
    return StreamingResponse(_behind(first, pieces), media_type=JOURNAL_TYPE)


async def _behind(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def _may_see(caller: Caller, account: str, session: str, store: Store) -> bool:
    """Return whether a session is within reach; an unscoped caller of its account needs no record of it."""
    if "admin" in caller.scopes:
        return True
    if account != caller.account:
        return False
    if not caller.reach or session in caller.bound:
        return True
    record = await store.read(lambda tx: tx.session(session))
    return record is not None and caller.reaches(record)
