"""Clips and Recordings (9.2, 9.3): a playlist is fetched with a token, its parts by signed addresses without one."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from livereactor.blobs.clips import FILE, ID, Asked
from livereactor.coordinator.caller import Caller
from livereactor.coordinator.requests import Door
from livereactor.store.port import Store
from livereactor.web.clips import CHUNK_TYPE, CHUNKS, INIT_TYPE, PLAYLIST_TYPE, ClipGoneError, ClipShelf, Seconds
from livereactor.web.documents import asked_by, problems, signed
from livereactor.web.ranges import RANGE_HEADER

# Told, not checked: what cannot be an id is gone as any other that is not known.
ClipId: TypeAlias = Annotated[str, Query(description="As in `playlist_url`.", json_schema_extra={"pattern": f"^{ID}$"})]
Name: TypeAlias = Annotated[str, Path(json_schema_extra={"pattern": f"^{ID}$"})]
File: TypeAlias = Annotated[str, Path(json_schema_extra={"pattern": f"^{FILE}$"})]
_OCTETS: Final = {"schema": {"type": "string", "format": "binary"}}
_PART: Final[dict[str, Any]] = {**asked_by(), "parameters": [*signed("the playlist"), RANGE_HEADER]}


def clips(door: Door, shelf: ClipShelf, store: Store) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["clips"])

    @routes.get(
        "/clips",
        response_class=Response,
        responses={
            200: {"description": "The playlist.", "content": {PLAYLIST_TYPE: {"schema": {"type": "string"}}}},
            202: {"description": "Not there yet; `Retry-After` says when to ask again."},
            **problems(401, 403, 410),
        },
    )
    async def playlist(session_id: ClipId, start: Seconds, end: Seconds, request: Request) -> Response:
        """Where the parts of a clip are."""
        caller = await door.caller(request)
        caller.need("record")
        asked = await shelf.asked(session_id)
        if not await _may_see(caller, asked, store):
            raise ClipGoneError
        return await shelf.answer(session_id, asked, start=start, end=end)

    @routes.get(
        CHUNKS + "{name}/{file}",
        response_class=Response,
        responses={
            200: {"description": "The part.", "content": {INIT_TYPE: _OCTETS, CHUNK_TYPE: _OCTETS}},
            206: {"description": "The range that was asked for."},
            416: {"description": "The range begins behind the end."},
            **problems(403, 404, 410),
        },
        openapi_extra=_PART,
    )
    async def part(name: Name, file: File, request: Request) -> Response:
        """One part of a clip; the address is the credential."""
        return await shelf.answer_part(name, file, request)

    @routes.head(
        CHUNKS + "{name}/{file}",
        operation_id="size_of_part",
        response_class=Response,
        responses={200: {"description": "`Content-Length` is the size."}, **problems(403, 404, 410)},
        openapi_extra=_PART,
    )
    async def size(name: Name, file: File, request: Request) -> Response:
        """The size of a part."""
        return await shelf.answer_part(name, file, request)

    return routes


async def _may_see(caller: Caller, asked: Asked, store: Store) -> bool:
    """The Clip is of a Session within the caller's reach; an account's own outlive the records of its Sessions."""
    if "admin" in caller.scopes:
        return True
    if asked.account != caller.account:
        return False
    if not caller.reach or asked.session in caller.bound:
        return True
    session = await store.read(lambda tx: tx.session(asked.session))
    return session is not None and caller.reaches(session)
