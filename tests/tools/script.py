"""What a `scripted_server` is told to be and to do wrong: data.

Steps are named as docs/protocol.md names routes; the flat ones are F3 to F5.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from starlette.responses import Response, StreamingResponse

from livereactor.protocol.messages import WireFormat
from tests.tools.scripted_peer import Reply, Said, ordinary

Step: TypeAlias = Literal[
    "T", "S1", "S2", "S5", "L1", "L2", "L3", "L4", "W1", "W2", "W3", "W4", "W5", "F3", "F4", "F5", "U1", "U2",
    "C1", "C2",
]  # fmt: skip
NIL = "00000000-0000-0000-0000-000000000000"
PIECE = 64 * 1024  # bytes of a large answer at a time

MAIN_VIDEO = {"name": "main_video", "kind": "video", "direction": "recvonly"}
WEBCAM = {"name": "webcam", "kind": "video", "direction": "sendonly"}

_SESSION = "/sessions/{sid}"
_WEBRTC = f"{_SESSION}/transport/webrtc"
_EXPLICIT = f"{_WEBRTC}/connections/{{cid:int}}"
ROUTES: Mapping[Step, tuple[tuple[str, ...], str]] = {
    "T": (("POST",), "/tokens"),
    "S1": (("POST",), "/sessions"),
    "S2": (("GET",), _SESSION),
    "S5": (("DELETE",), _SESSION),
    "L1": (("POST",), "/start_session"),
    "L2": (("GET",), "/session"),
    "L3": (("POST",), "/stop_session"),
    "L4": (("GET",), "/schema"),
    "W1": (("GET",), f"{_WEBRTC}/ice_servers"),
    "W2": (("POST",), f"{_WEBRTC}/connections"),
    "W3": (("POST", "PUT"), f"{_EXPLICIT}/sdp_params"),
    "W4": (("GET",), f"{_EXPLICIT}/sdp_params"),
    "W5": (("POST",), f"{_EXPLICIT}/ice_candidates"),
    "F3": (("POST", "PUT"), f"{_WEBRTC}/sdp_params"),
    "F4": (("GET",), f"{_WEBRTC}/sdp_params"),
    "F5": (("POST",), f"{_WEBRTC}/ice_candidates"),
    "U1": (("POST",), f"{_SESSION}/uploads"),
    "U2": (("PUT",), "/uploads/{upload}"),
    "C1": (("GET",), "/clips"),
    "C2": (("GET",), "/clips/chunks/{recording}/{file}"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What a step answers instead of what it should.

    Attributes:
        status: with `body`; None = the true answer, late by `delay`.
        body: as it is sent; an object is sent as JSON.
        size: the body is followed by so many bytes of spaces, in pieces.
        delay: seconds before anything is answered.
        hangs: nothing ever is.
        skip: so many requests are served well before.
        times: so many get it then; None = all.
    """

    status: int | None = None
    body: bytes | str | Mapping[str, Any] | Sequence[Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    size: int = 0
    delay: float = 0.0
    hangs: bool = False
    skip: int = 0
    times: int | None = None

    def hits(self, number: int) -> bool:
        """Whether it is for the `number`-th request of its step, from 0."""
        return self.skip <= number < (self.skip + self.times if self.times is not None else number + 1)

    def response(self) -> Response:
        """As it goes out; only of a fault with a status."""
        assert self.status is not None
        body = b"" if self.body is None else self.body
        raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        if not self.size:
            return Response(raw, self.status, headers)

        async def pieces() -> AsyncIterator[bytes]:
            yield raw
            for _ in range(self.size // PIECE):
                yield b" " * PIECE

        return StreamingResponse(pieces(), self.status, headers)


def refuses(status: int, headers: Mapping[str, str] | None = None, *, times: int | None = None, skip: int = 0) -> Fault:
    """An error status with a sentence, as official servers say it."""
    return Fault(status, {"detail": f"refused with {status}"}, headers or {}, times=times, skip=skip)


def says(body: Any, status: int = 200) -> Fault:
    """Another body than it should be."""
    return Fault(status, body, {"Content-Type": "application/json"})


HANGS = Fault(hangs=True)


@dataclass(frozen=True, slots=True)
class Script:
    """What kind of server this is, and what goes wrong.

    Attributes:
        style: `coordinator` asks for a token and is polled; `local` is a runtime of its own.
        wire: the only format it understands, as 2.x and 3.x do; None = whichever the first frame has.
        flat: it has the flat routes only, and sends its outputs unasked.
        session_id: of every session; None = a fresh one for each.
        before_ready: what S2 says while the session is not ready, one answer each.
        then: state of a session that is ready.
        pending: so many GETs of an answer come too early, at least.
        answer_once: an answer is handed out once, as 3.10 does it.
        stale: the first GET after another offer gives the answer to the one before, as with 2.10.
        running: a session is there already, so that a second start is a conflict.
        doomed: so many sessions are gone once they are ready.
        webrtc: False = offers are taken and never answered.
        chunking: data channels take messages above 256 KiB.
        reply: what is answered on the channels.
        first_words: what is said when both channels are open.
        files: clips' parts by file name; `clip_pending`: so many 202s before a playlist.
    """

    style: Literal["coordinator", "local"] = "coordinator"
    wire: WireFormat | None = WireFormat.V1
    flat: bool = False
    session_id: str | None = None
    before_ready: Sequence[Mapping[str, Any]] = ()
    then: str = "WAITING"
    pending: int = 0
    answer_once: bool = False
    stale: bool = False
    running: bool = False
    doomed: int = 0
    webrtc: bool = True
    chunking: bool = True
    reply: Reply = ordinary
    first_words: Sequence[Said] = ()
    tracks: Sequence[Mapping[str, str]] = (MAIN_VIDEO, WEBCAM)
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    clip_pending: int = 0
    faults: Mapping[Step, Fault] = field(default_factory=dict["Step", Fault])

    def fault(self, step: Step, number: int) -> Fault | None:
        """The fault of the `number`-th request of this step, from 0."""
        fault = self.faults.get(step)
        return fault if fault is not None and fault.hits(number) else None


@dataclass(slots=True)
class Recorded:
    """One request; `at` and `ended_at` in monotonic seconds, `status` None while and where it has no answer."""

    step: Step
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float
    status: int | None = None
    ended_at: float | None = None

    @property
    def json(self) -> Any:
        """The body, None where there is none."""
        return json.loads(self.body) if self.body else None
