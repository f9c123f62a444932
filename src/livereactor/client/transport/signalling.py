"""How a Connection is negotiated over HTTP: the wire format, polling for the answer, trickling candidates."""

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

FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0  # seconds between them, doubling
BATCH: Final = 0.025  # seconds: candidates come in bursts, and one request carries one
MAX_CANDIDATES: Final = 256  # what a server takes of one connection

log = structlog.get_logger(__name__)


def format_for(server_version: str) -> WireFormat:
    """What a server of this version understands (protocol 12.5): official 2.x runtimes know JSON only."""
    return WireFormat.V0 if re.match(r"v?2\.", server_version) else WireFormat.V1


async def answer_to(api: Api, session_id: str, connection: int, max_attempts: int, *, stale: str = "") -> str:
    """The answer to the offer that was sent; servers of ours hold the first poll until it is there.

    Args:
        max_attempts: polls.
        stale: an answer to an earlier offer, which is none to this one.

    Raises:
        ReactorError: `REQUEST_TIMEOUT` when it did not come.
    """
    wait = FIRST_WAIT
    for attempt in range(max_attempts):
        if attempt:
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        answer = await api.answer(session_id, connection)
        if answer is not None and not (stale and answer == stale):
            return answer
    raise error_of(
        "REQUEST_TIMEOUT", f"no answer to the offer after {max_attempts} polls; the runtime may be stuck, retry"
    )


def with_candidates(offer: str, candidates: Sequence[Candidate]) -> str:
    """An offer with candidates that are known already; an empty one among them says that there are no others.

    Those in the offer need no request of their own, and cannot come before it.
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
    """Candidates of one Peer on their way to the server: kept until they are taken or `run`, then sent in bursts."""

    def __init__(self) -> None:
        self._found = asyncio.Queue[Candidate](MAX_CANDIDATES)
        self.count = 0  # of those found

    def add(self, candidate: Candidate) -> None:
        """One was found; an empty line ends them. Beyond what a server takes they are left out."""
        self.count += bool(candidate.line)
        if not self._found.full():
            self._found.put_nowait(candidate)

    def take(self) -> list[Candidate]:
        """Those found so far, which are not sent any more."""
        taken: list[Candidate] = []
        while not self._found.empty():
            taken.append(self._found.get_nowait())
        return taken

    async def run(self, send: Callable[[Sequence[Candidate], bool], Coroutine[Any, Any, None]]) -> None:
        """Send them, the last time with True; a server that refuses them is not told more of them."""
        is_final = False
        while not is_final:
            burst = [await self._found.get()]
            await asyncio.sleep(BATCH)
            burst += self.take()
            is_final = any(not each.line for each in burst)
            try:
                await send([each for each in burst if each.line], is_final)
            except ReactorError as error:
                # Not fatal: where the server can be reached it finds us by our own checks.
                log.info("candidates could not be sent", code=error.code, reason=error.message)
                return
