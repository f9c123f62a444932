"""Negotiation of a Connection over HTTP: the wire format, polls for the answer, trickled candidates."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from livereactor.client.errors import ReactorError, error_of
from livereactor.client.http.api import Api
from livereactor.engine.port import Candidate
from livereactor.protocol.messages import WireFormat

FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0  # seconds between polls, doubling
BATCH: Final = 0.025  # seconds: candidates come in bursts, and one request carries a burst
MAX_CANDIDATES: Final = 256  # what a server takes of one connection

log = structlog.get_logger(__name__)


def format_for(server_version: str) -> WireFormat:
    """Return the format that a server of this version understands; official 2.x runtimes know JSON only."""
    return WireFormat.V0 if re.match(r"v?2\.", server_version) else WireFormat.V1


async def answer_to(api: Api, session_id: str, connection: int, max_attempts: int, *, stale: str = "") -> str:
    """Poll for the answer to the offer; our servers hold the first poll until it is ready.

    Args:
        max_attempts: the number of polls.
        stale: the answer to an earlier offer, which is skipped.

    Raises:
        ReactorError: `REQUEST_TIMEOUT` if no answer came.
    """
    wait = FIRST_WAIT
    for attempt in range(max_attempts):
        if attempt:
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        answer = await api.answer(session_id, connection)
        if answer is not None and not (stale and answer == stale):
            return answer
    text = f"no answer to the offer after {max_attempts} polls; the runtime may be stuck, retry"
    raise error_of("REQUEST_TIMEOUT", text)


def with_candidates(offer: str, candidates: Sequence[Candidate]) -> str:
    """Return an offer with the candidates known so far; an empty one among them means that no more come.

    Candidates in the offer need no request of their own, and cannot arrive before it.
    """
    lines: dict[str | None, list[str]] = {}
    for candidate in candidates:
        if candidate.line:
            lines.setdefault(candidate.mid, []).append(f"a={candidate.line.removeprefix('a=')}\r\n")
    end = "a=end-of-candidates\r\n" if any(not each.line for each in candidates) else ""
    session, *sections = re.split(r"(?m)^(?=m=)", offer)
    mids = [found[1] if (found := re.search(r"(?m)^a=mid:(\S+)", section)) else None for section in sections]
    return session + "".join(s + "".join(lines.get(mid, ())) + end for s, mid in zip(sections, mids, strict=True))


class Trickle:
    """The candidates of one Peer: kept until they are taken or `run` is called, then sent in bursts."""

    def __init__(self) -> None:
        self._found = asyncio.Queue[Candidate](MAX_CANDIDATES)
        self.count = 0  # of the candidates found

    def add(self, candidate: Candidate) -> None:
        """Add a candidate; an empty line ends them. Those beyond a server's limit are dropped."""
        self.count += bool(candidate.line)
        if not self._found.full():
            self._found.put_nowait(candidate)

    def drain(self) -> list[Candidate]:
        """Take the candidates found so far, so that `run` does not send them."""
        taken: list[Candidate] = []
        while not self._found.empty():
            taken.append(self._found.get_nowait())
        return taken

    async def run(self, send: Callable[[Sequence[Candidate], bool], Coroutine[Any, Any, None]]) -> None:
        """Send candidates, the last time with True; stop if the server refuses them."""
        is_final = False
        while not is_final:
            burst = [await self._found.get()]
            await asyncio.sleep(BATCH)
            burst += self.drain()
            is_final = any(not each.line for each in burst)
            try:
                await send([each for each in burst if each.line], is_final)
            except ReactorError as error:
                # Not fatal: a reachable server finds us by our own checks.
                log.info("candidates could not be sent", code=error.code, reason=error.message)
                return
