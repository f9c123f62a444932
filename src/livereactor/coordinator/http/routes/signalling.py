"""Signalling (W1 to W5, and the flat F3 to F5), handed to the Session's Worker as it comes; ICE servers are ours.

Bodies are not read here: the Worker's runtime checks them, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from livereactor.base.errors import NotFoundError
from livereactor.base.limits import Limits
from livereactor.coordinator.cluster.forwarding import BODY_BYTES
from livereactor.coordinator.http.requests import Door, relayed, text_of, told, while_connected
from livereactor.coordinator.service import Service
from livereactor.protocol import link
from livereactor.protocol.http import Answer, Candidates, ConnectionCreated, IceServerBody, IceServers, Offer
from livereactor.web.access import is_on_this_machine
from livereactor.web.documents import Responses, problems, takes

IceServersOf: TypeAlias = Callable[[str], Sequence[IceServerBody]]
Number: TypeAlias = Annotated[int, Path(ge=0, le=99_999, description="1001 to 9999")]
BEYOND_THE_HOLD: Final = 5.0  # seconds: a Worker that holds an answer to the last is not cut short on the way
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
_ERRORS: Final = problems(401, 403, 404, 409)
_WITH_BODY: Final = problems(401, 403, 404, 408, 409, 413)
_TAKEN: Final[Responses] = {202: {"description": "Taken.", "content": {"application/json": {}}}, **_WITH_BODY}
_ANSWER: Final[Responses] = {
    200: {"model": Answer},
    202: {"description": "Not there yet; ask again.", "content": {"application/json": {}}},
    **_ERRORS,
}


def signalling(door: Door, service: Service, ice_servers: IceServersOf, limits: Limits) -> APIRouter:
    """The routes; `ice_servers` names those of a Session, by its id."""
    routes = APIRouter(prefix="/sessions/{sid}/transport/webrtc", tags=["signalling"])

    async def ask(request: Request, sid: str, rest: str, *, hold: float = 0.0) -> link.Reply:
        caller = await door.caller(request)
        body = await text_of(request, limit=BODY_BYTES)
        query = f"?{request.url.query}" if request.url.query else ""
        path = f"/sessions/{sid}/transport/webrtc/{rest}{query}"
        asking: dict[str, Any] = {"timeout": hold + BEYOND_THE_HOLD} if hold else {}
        return await service.relay(caller, sid, request.method, path, body, **asking)

    @routes.get("/ice_servers", response_class=Response, responses={200: {"model": IceServers}, **problems(401, 404)})
    async def servers(sid: str, request: Request) -> Response:
        """STUN and TURN servers to gather with; from the session's first moment on."""
        view = await service.describe(await door.caller(request), sid)
        if view.state == "CLOSED":
            raise NotFoundError(f"session {sid[:64]!r} is over ({view.end_reason}); create another")
        # Who needs no STUN would pay for a dead one with its own gathering: 4.9 s in JavaScript 2.9.0.
        near = is_on_this_machine(request)
        found = [each for each in ice_servers(sid) if not (near and all(url.startswith("stun") for url in each.uris))]
        return told(IceServers(ice_servers=found))

    @routes.post(
        "/connections",
        status_code=201,
        response_class=Response,
        responses={201: {"model": ConnectionCreated}, **_WITH_BODY},
    )
    async def connect(sid: str, request: Request) -> Response:
        """A number for a new connection."""
        return relayed(await ask(request, sid, "connections"))

    @routes.post("/connections/{cid}/sdp_params", operation_id="offer", **_taking(_OFFER))
    @routes.put("/connections/{cid}/sdp_params", operation_id="offer_again", **_taking(_OFFER))
    async def offer(sid: str, cid: Number, request: Request) -> Response:
        """An SDP offer; PUT replaces what was negotiated on this number."""
        return relayed(await ask(request, sid, f"connections/{cid}/sdp_params"))

    @routes.get("/connections/{cid}/sdp_params", response_class=Response, responses=_ANSWER)
    async def answer(sid: str, cid: Number, request: Request) -> Response:
        """The SDP answer, held until it is there."""
        held = ask(request, sid, f"connections/{cid}/sdp_params", hold=limits.answer_hold)
        return relayed(await while_connected(request, held))

    @routes.post("/connections/{cid}/ice_candidates", **_taking(_CANDIDATES))
    async def candidates(sid: str, cid: Number, request: Request) -> Response:
        """Trickled candidates; they may come before the offer."""
        return relayed(await ask(request, sid, f"connections/{cid}/ice_candidates"))

    @routes.post("/sdp_params", operation_id="flat_offer", **_taking(_OFFER))
    @routes.put("/sdp_params", operation_id="flat_offer_again", **_taking(_OFFER))
    async def flat_offer(sid: str, request: Request) -> Response:
        """As with a number, which is 1001 (old clients)."""
        return relayed(await ask(request, sid, "sdp_params"))

    @routes.get("/sdp_params", response_class=Response, responses=_ANSWER)
    async def flat_answer(sid: str, request: Request) -> Response:
        """As with a number, which is 1001 (old clients)."""
        held = ask(request, sid, "sdp_params", hold=limits.answer_hold)
        return relayed(await while_connected(request, held))

    @routes.post("/ice_candidates", **_taking(_CANDIDATES))
    async def flat_candidates(sid: str, request: Request) -> Response:
        """As with a number, which is 1001 (old clients)."""
        return relayed(await ask(request, sid, "ice_candidates"))

    return routes


def _taking(body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": 202, "response_class": Response, "responses": _TAKEN, "openapi_extra": body}
