"""Signalling, handed to the session's worker unread, and the ICE servers, which the coordinator names itself.

Bodies are not parsed here: the worker's runtime validates them, once. The routes without a connection number are those
of old clients, which have one connection, 1001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from livereactor.base.errors import NotFoundError, PeerError, TooLargeError
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.http.dependencies import (
    AnyCaller,
    OptionsPart,
    ServicePart,
    app_part,
    body_response,
    relayed,
    while_connected,
)
from livereactor.coordinator.options import SIGNALLING_BYTES
from livereactor.coordinator.service import Service
from livereactor.protocol import link
from livereactor.protocol.http import Answer, Candidates, ConnectionCreated, IceServerBody, IceServers, Offer
from livereactor.web.access import is_on_this_machine
from livereactor.web.documents import Responses, problems, takes

IceServersOf: TypeAlias = Callable[[str], Sequence[IceServerBody]]
Number: TypeAlias = Annotated[int, Path(ge=0, le=99_999, description="1001 to 9999")]
BEYOND_THE_HOLD: Final = 5.0  # seconds; an answer that the worker holds to the last moment still arrives
_OFFER: Final = takes(
    Offer,
    required=True,
    example={
        "sdp_offer": "v=0\r\n…",
        "client_info": {"sdk_version": "1.13.0", "sdk_type": "python"},
        "track_mapping": [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}],
    },
)
_CANDIDATES: Final = takes(
    Candidates,
    example={"candidates": [{"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdp_mid": "0"}]},
)
_ERRORS: Final = problems(403, 409)
_WITH_BODY: Final = problems(403, 408, 409, 413)
_TAKEN: Final[Responses] = {202: {"description": "Accepted.", "content": {"application/json": {}}}, **_WITH_BODY}
_ANSWER: Final[Responses] = {
    200: {"model": Answer},
    202: {"description": "The answer is not ready; ask again.", "content": {"application/json": {}}},
    **_ERRORS,
}


def _taking(body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": 202, "response_class": Response, "responses": _TAKEN, "openapi_extra": body}


async def _body_text(request: Request, caller: AnyCaller) -> str:
    """Return the body as text, unparsed; read only for a known caller."""
    body = await request.body()
    if len(body) > SIGNALLING_BYTES:
        raise TooLargeError(f"the body has {len(body)} bytes, of {SIGNALLING_BYTES} that signalling takes; send less")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise PeerError("the body is not UTF-8; send JSON") from None


@dataclass(frozen=True, slots=True)
class Signal:
    """A signalling request on its way to the session's worker."""

    request: Request
    service: Service
    caller: Caller
    body: str

    async def ask(self, sid: str, rest: str, *, hold: float = 0.0) -> link.Reply:
        """Return the worker's reply to `rest`, the path behind `…/webrtc/`; it may be held for `hold` seconds."""
        query = f"?{self.request.url.query}" if self.request.url.query else ""
        path = f"/sessions/{sid}/transport/webrtc/{rest}{query}"
        asking: dict[str, Any] = {"timeout": hold + BEYOND_THE_HOLD} if hold else {}
        return await self.service.relay(self.caller, sid, self.request.method, path, self.body, **asking)

    async def held_answer(self, sid: str, rest: str, hold: float) -> Response:
        """Return the SDP answer, for which the worker may hold the request; given up when the client leaves."""
        return relayed(await while_connected(self.request, self.ask(sid, rest, hold=hold)))


async def _signal(
    request: Request, service: ServicePart, caller: AnyCaller, body: Annotated[str, Depends(_body_text)]
) -> Signal:
    return Signal(request, service, caller, body)


AnySignal = Annotated[Signal, Depends(_signal)]
IceServersPart = Annotated[IceServersOf, app_part("ice_servers")]

routes = APIRouter(prefix="/sessions/{sid}/transport/webrtc", tags=["signalling"], responses=problems(401, 404))


@routes.get("/ice_servers", summary="List ICE Servers", response_class=Response, responses={200: {"model": IceServers}})
async def list_ice_servers(
    sid: str, request: Request, caller: AnyCaller, service: ServicePart, ice_servers: IceServersPart
) -> Response:
    """List the STUN and TURN servers to gather candidates with, also while the session is still queued."""
    view = await service.queries.describe(caller, sid)
    if view.state == "CLOSED":
        raise NotFoundError(f"session {sid[:64]!r} has ended ({view.end_reason}); create another")
    # A client of this machine needs no STUN, and a STUN server that is down delays its gathering: 4.9 s in
    # JavaScript 2.9.0.
    near = is_on_this_machine(request)
    found = [each for each in ice_servers(sid) if not (near and all(url.startswith("stun") for url in each.uris))]
    return body_response(IceServers(ice_servers=found))


@routes.post(
    "/connections",
    status_code=201,
    response_class=Response,
    responses={201: {"model": ConnectionCreated}, **_WITH_BODY},
)
async def create_connection(sid: str, signal: AnySignal) -> Response:
    """Create a connection and return its number."""
    return relayed(await signal.ask(sid, "connections"))


@routes.post("/connections/{cid}/sdp_params", operation_id="offer", **_taking(_OFFER))
@routes.put("/connections/{cid}/sdp_params", operation_id="offer_again", summary="Replace Offer", **_taking(_OFFER))
async def send_offer(sid: str, cid: Number, signal: AnySignal) -> Response:
    """Send an SDP offer. PUT replaces the transport that was negotiated for this connection."""
    return relayed(await signal.ask(sid, f"connections/{cid}/sdp_params"))


@routes.get("/connections/{cid}/sdp_params", response_class=Response, responses=_ANSWER)
async def get_answer(sid: str, cid: Number, signal: AnySignal, options: OptionsPart) -> Response:
    """Return the SDP answer; the request is held until the answer is ready."""
    return await signal.held_answer(sid, f"connections/{cid}/sdp_params", options.limits.answer_hold)


@routes.post("/connections/{cid}/ice_candidates", **_taking(_CANDIDATES))
async def send_candidates(sid: str, cid: Number, signal: AnySignal) -> Response:
    """Send trickled ICE candidates, before or after the offer."""
    return relayed(await signal.ask(sid, f"connections/{cid}/ice_candidates"))


@routes.post("/sdp_params", operation_id="flat_offer", **_taking(_OFFER))
@routes.put("/sdp_params", operation_id="flat_offer_again", summary="Replace First Offer", **_taking(_OFFER))
async def send_first_offer(sid: str, signal: AnySignal) -> Response:
    """Send an SDP offer for connection 1001, the only one of old clients; PUT replaces its transport."""
    return relayed(await signal.ask(sid, "sdp_params"))


@routes.get("/sdp_params", response_class=Response, responses=_ANSWER)
async def get_first_answer(sid: str, signal: AnySignal, options: OptionsPart) -> Response:
    """Return the SDP answer for connection 1001, the only one of old clients, once it is ready."""
    return await signal.held_answer(sid, "sdp_params", options.limits.answer_hold)


@routes.post("/ice_candidates", **_taking(_CANDIDATES))
async def send_first_candidates(sid: str, signal: AnySignal) -> Response:
    """Send trickled ICE candidates for connection 1001, the only one of old clients."""
    return relayed(await signal.ask(sid, "ice_candidates"))
