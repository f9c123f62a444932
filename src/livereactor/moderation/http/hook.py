"""A moderator at a URL: each question is a signed HTTP POST of JSON, and the answer is JSON. Loop only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Final

import httpx2

from livereactor.base.limits import KIB
from livereactor.base.signatures import signed, signing_key
from livereactor.moderation.port import NoVerdictError, Question, Verdict
from livereactor.moderation.verdicts import question_json, read_verdict

ANSWER_BYTES: Final = 64 * KIB
LONGEST: Final = 60.0  # seconds of one read or write; the judge waits for less


class HttpModerator:
    """Asks an operator's service.

    Args:
        url: of the service.
        secrets: each signs, as in `base.signatures`; none = requests are not signed.
        connections: to the service at once.
        now: the clock, seconds of Unix time.
        client: for tests; closed with this.
    """

    def __init__(
        self,
        url: str,
        secrets: Sequence[str] = (),
        *,
        connections: int = 32,
        now: Callable[[], float] = time.time,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._url, self._keys, self._now = url, [signing_key(each) for each in secrets], now
        self._client = client or httpx2.AsyncClient(
            timeout=LONGEST, follow_redirects=False, limits=httpx2.Limits(max_connections=connections)
        )

    async def ask(self, question: Question) -> Verdict:
        """Return the verdict; raises `NoVerdictError`."""
        has_bytes = question.file is not None and question.file.data is not None
        # Base64, JSON and signature of a file take longer than a frame lasts.
        body, headers = await asyncio.to_thread(self._request, question) if has_bytes else self._request(question)
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                if response.status_code != 200:
                    raise NoVerdictError(f"the moderator answered status {response.status_code}; want 200")
                answer = await _bounded(response)
        except httpx2.HTTPError as error:
            raise NoVerdictError(type(error).__name__) from None  # its text may hold the URL, which may hold a secret
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            raise NoVerdictError("the moderator's answer is not JSON") from None
        return read_verdict(found)

    def _request(self, question: Question) -> tuple[bytes, dict[str, str]]:
        body = json.dumps(question_json(question)).encode()
        return body, dict(signed(self._keys, f"mod_{token_hex(12)}", int(self._now()), body))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _bounded(response: httpx2.Response) -> bytes:
    answer = bytearray()
    async for piece in response.aiter_bytes():
        answer += piece
        if len(answer) > ANSWER_BYTES:
            raise NoVerdictError(f"the moderator's answer is over {ANSWER_BYTES // KIB} KiB")
    return bytes(answer)
