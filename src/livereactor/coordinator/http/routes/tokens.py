"""`POST /tokens`, and links that share one session."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request

from livereactor.coordinator.auth.shares import share_link
from livereactor.coordinator.http.dependencies import AnyCaller, AuthenticatorPart, PublicBase, json_body
from livereactor.protocol.tokens import ShareAnswer, ShareRequest, TokenAnswer, TokenRequest
from livereactor.web.documents import KEY, asked_by, problems, takes

routes = APIRouter(tags=["tokens"], responses=problems(401, 403, 404))


@routes.post(
    "/tokens",
    response_model=TokenAnswer,
    response_model_exclude_none=True,
    openapi_extra=takes(TokenRequest, example={"expires_after": 600, "scope": ["view"]}) | asked_by(KEY),
)
async def mint(
    request: Request, asked: Annotated[TokenRequest, json_body(TokenRequest)], authenticator: AuthenticatorPart
) -> dict[str, Any]:
    """Exchange an API key for a short-lived token, narrowed as asked."""
    return (await authenticator.mint(request, asked)).to_body()


@routes.post(
    "/sessions/{sid}/share",
    response_model=ShareAnswer,
    response_model_exclude_none=True,
    openapi_extra=takes(ShareRequest, example={"expires_after": 3600, "scope": ["view"]}),
)
async def share(
    sid: str,
    asked: Annotated[ShareRequest, json_body(ShareRequest)],
    caller: AnyCaller,
    authenticator: AuthenticatorPart,
    page: PublicBase,
) -> dict[str, Any]:
    """A link to one session for somebody else; by default it can be watched and nothing more."""
    token = await authenticator.share(caller, sid, asked)
    url = share_link(page, sid, token.jwt)
    return ShareAnswer(url=url, jwt=token.jwt, expires_at=token.expires_at).to_body()
