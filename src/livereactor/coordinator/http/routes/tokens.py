"""`POST /tokens`, and links that share one Session (section 2; behaviour 16, 25.3)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from livereactor.coordinator.auth.authenticator import Auth
from livereactor.coordinator.auth.shares import share_link
from livereactor.protocol.http import read_body
from livereactor.protocol.tokens import ShareAnswer, ShareRequest, TokenAnswer, TokenRequest
from livereactor.web.access import base_url
from livereactor.web.documents import KEY, asked_by, problems, takes


def tokens(auth: Auth, *, public_url: str | None = None) -> APIRouter:
    """The routes; `public_url` is where people reach the page, where requests do not tell."""
    routes = APIRouter(tags=["tokens"])

    @routes.post(
        "/tokens",
        response_model=TokenAnswer,
        response_model_exclude_none=True,
        responses=problems(401, 403, 404),
        openapi_extra=takes(TokenRequest, example={"expires_after": 600, "scope": ["view"]}) | asked_by(KEY),
    )
    async def mint(request: Request) -> dict[str, Any]:
        """Exchange an API key for a short-lived token, narrowed as asked."""
        asked = read_body(TokenRequest, await request.body())
        return (await auth.mint(request, asked)).to_body()

    @routes.post(
        "/sessions/{sid}/share",
        response_model=ShareAnswer,
        response_model_exclude_none=True,
        responses=problems(401, 403, 404),
        openapi_extra=takes(ShareRequest, example={"expires_after": 3600, "scope": ["view"]}),
    )
    async def share(sid: str, request: Request) -> dict[str, Any]:
        """A link to one session for somebody else; by default it can be watched and nothing more."""
        asked = read_body(ShareRequest, await request.body())
        caller = await auth.caller(request)
        token = await auth.share(caller, sid, asked)
        url = share_link(public_url or base_url(request), sid, token.jwt)
        return ShareAnswer(url=url, jwt=token.jwt, expires_at=token.expires_at).to_body()

    return routes
