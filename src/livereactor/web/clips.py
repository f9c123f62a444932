"""Clips as clients fetch them: from blobs to playlists and parts (playlists of HLS).

No state is kept here: only what a runtime wrote is read, so any coordinator answers for any Worker, also
when that is gone. A part's address is signed, since official JavaScript clients show no token there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Final, TypeAlias, TypeVar

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import ValidationError

from livereactor.base.errors import NotFoundError, PeerError
from livereactor.blobs.clips import (
    FOLDERS,
    INIT,
    Asked,
    Made,
    asked_key,
    is_file,
    is_id,
    made_key,
    part_key,
    recording_key,
)
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs, is_there
from livereactor.blobs.signing import Grant, SignatureRefusedError, Signer, UploadExpiredError
from livereactor.protocol.http import Body
from livereactor.protocol.playlists import Part, write_playlist
from livereactor.web.blob_answers import blob_answer

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
INIT_TYPE, CHUNK_TYPE = "video/mp4", "video/iso.segment"
CHUNKS: Final = "/clips/chunks/"
# A cut takes a tenth of a second as a rule: a client that is answered 202 would wait at least two of them.
HOLD: Final = 1.0  # seconds that a playlist is waited for
LOOK: Final = 0.01  # seconds between two looks at least; else a tenth of what was waited
RETRY_AFTER: Final = "0.2"  # seconds; what comes next is held too
LATE: Final = 60_000_000  # microseconds past the predicted moment after which a Clip never comes

Seconds: TypeAlias = Annotated[float, Query(ge=0, allow_inf_nan=False)]
B = TypeVar("B", bound=Body)


class ClipGoneError(NotFoundError):
    """The clip is unknown, expired, another caller's, or was never made; the answer does not say which."""

    code = "CLIP_GONE"

    def __init__(self, why: str = "the clip is unknown or has expired") -> None:
        super().__init__(f"{why}; request another")


class ClipShelf:
    """The clips in the blobs.

    Args:
        signer: signs and checks parts' addresses; every replica needs the same secret.
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(self, blobs: Blobs, signer: Signer, *, unix_us: Callable[[], int]) -> None:
        self._blobs, self._signer, self._unix_us = blobs, signer, unix_us

    async def asked(self, clip: str) -> Asked:
        """Return the clip that was requested under this id; a server with accounts compares the account.

        Raises:
            ClipGoneError: nothing was, or its time is over.
        """
        asked = await self._read(asked_key(clip), Asked) if is_id(clip) else None
        if asked is None or self._unix_us() >= asked.expires_us:
            raise ClipGoneError
        return asked

    async def playlist(self, clip: str, asked: Asked) -> str | None:
        """Return the playlist of a clip after a wait of up to `HOLD`; None = not ready yet.

        Raises:
            ClipGoneError: it will never be there, or what it names was removed.
        """
        made = await self._made(clip)
        if made is None:
            if self._unix_us() >= asked.predicted_ready_us + LATE:
                raise ClipGoneError("the clip was never finished")
            return None
        if made.failed is not None:
            raise ClipGoneError(f"the clip could not be made ({made.failed})")
        if made.init is None or not made.parts or not await is_there(self._blobs, BlobKey.parse(made.init)):
            raise ClipGoneError("that part of the recording has been removed")
        # Off the loop: of a session of ten hours these are 36,000 signatures, seconds of work.
        return await asyncio.to_thread(self._written, made.init, made.parts, asked)

    def part(self, name: str, file: str, query: Mapping[str, str]) -> BlobKey:
        """Return the blob key of a part that a playlist has named.

        Args:
            name: of a clip or a recording.
            file: of the part.
            query: decoded, as signed.

        Raises:
            ClipGoneError: the address has expired.
            NotFoundError: no part is called so.
            ForbiddenError: the address was not made here.
        """
        if not is_id(name):
            raise ClipGoneError
        if not is_file(file):
            raise NotFoundError(f"no part {file[:64]!r}; fetch those that the clip's playlist names")
        return self._granted(name, file, query)

    async def missing(self, name: str, file: str) -> NotFoundError:
        """Return the error for a part that is missing."""
        if await is_there(self._blobs, asked_key(name)) or await is_there(self._blobs, recording_key(name)):
            return NotFoundError(f"the clip has no part {file!r}; fetch those that its playlist names")
        return ClipGoneError()

    def is_granted(self, path: str, query: Mapping[str, str]) -> bool:
        """Return whether the request has a valid signature, which replaces a token."""
        name, _, file = path.removeprefix(CHUNKS).partition("/")
        if not path.startswith(CHUNKS) or not (is_id(name) and is_file(file)):
            return False
        with suppress(NotFoundError, SignatureRefusedError):
            self._granted(name, file, query)
            return True
        return False

    async def answer(self, clip: str, asked: Asked, *, start: float, end: float) -> Response:
        """`GET /clips`: the playlist, or 202. The range is the one that the Clip was cut to; it is checked, no more."""
        if end <= start:
            raise PeerError("end must be after start; fetch the playlist at the clip's own address")
        text = await self.playlist(clip, asked)
        if text is None:
            return Response(status_code=202, headers={"Retry-After": RETRY_AFTER})
        return Response(text, media_type=PLAYLIST_TYPE)

    async def answer_part(self, name: str, file: str, request: Request) -> Response:
        """`GET` and `HEAD` of a part; raises what `part` raises, and the same where it is not there."""
        key = self.part(name, file, dict(request.query_params))
        try:
            return await blob_answer(self._blobs, key, request, INIT_TYPE if file == INIT else CHUNK_TYPE)
        except BlobMissingError:
            raise await self.missing(name, file) from None

    def _written(self, init: str, parts: Iterable[tuple[str, float]], asked: Asked) -> str:
        return write_playlist(
            self._address(init, asked), [Part(self._address(key, asked), seconds) for key, seconds in parts]
        )

    def _granted(self, name: str, file: str, query: Mapping[str, str]) -> BlobKey:
        for folder in FOLDERS:  # the signature tells which
            key = part_key(folder, name, file)
            with suppress(SignatureRefusedError):
                try:
                    self._signer.verify("GET", key, query, now_at=self._unix_us() / 1e6)
                except UploadExpiredError:
                    raise ClipGoneError from None
                return key
        raise SignatureRefusedError("this address was not signed by this server; fetch the clip's playlist again")

    async def _made(self, clip: str) -> Made | None:
        began = time.monotonic()
        while True:
            made, waited = await self._read(made_key(clip), Made), time.monotonic() - began
            if made is not None or waited >= HOLD:
                return made
            await asyncio.sleep(max(LOOK, waited / 10))

    def _address(self, key: str, asked: Asked) -> str:
        _, name, file = key.split("/")
        grant = Grant("GET", BlobKey.parse(key), asked.expires_us // 1_000_000)
        return f"{CHUNKS}{name}/{file}?{self._signer.sign(grant)}"

    async def _read(self, key: BlobKey, document: type[B]) -> B | None:
        try:
            return await asyncio.to_thread(document.model_validate_json, await self._blobs.get(key))
        except BlobMissingError:
            return None
        except ValidationError as error:
            raise ClipGoneError(f"the stored clip cannot be read ({error.error_count()} errors)") from error
