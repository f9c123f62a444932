"""`POST /tokens`, links that share one session, and `/keys`: API keys, for operators with the scope `admin`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livereactor.coordinator.auth.tokens import share_link
from livereactor.coordinator.http.dependencies import AnyCaller, AuthenticatorPart, PublicBase, json_body, needs
from livereactor.protocol.tokens import (
    CreatedKey,
    KeyList,
    KeyRequest,
    ShareAnswer,
    ShareRequest,
    TokenAnswer,
    TokenRequest,
)
from livereactor.web.documents import KEY, asked_by, problems, takes

key_routes = APIRouter(prefix="/keys", tags=["keys"], dependencies=[needs("admin")], responses=problems(401, 403))
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


@key_routes.get("", response_model=KeyList, response_model_exclude_none=True)
async def listed(authenticator: AuthenticatorPart) -> dict[str, Any]:
    """Every key, newest first; what is shown of it tells it apart and opens nothing."""
    return KeyList(keys=await authenticator.keys.list()).to_body()


@key_routes.post(
    "",
    status_code=201,
    response_model=CreatedKey,
    response_model_exclude_none=True,
    openapi_extra=takes(KeyRequest, example={"name": "website", "account": "acme"}),
)
async def create(
    asked: Annotated[KeyRequest, json_body(KeyRequest)], authenticator: AuthenticatorPart
) -> dict[str, Any]:
    """Make a key; it is told this once."""
    return (await authenticator.keys.create(asked)).to_body()


@key_routes.delete("/{key}", status_code=204, response_class=Response, responses=problems(404))
async def revoke(key: str, authenticator: AuthenticatorPart) -> None:
    """End a key, named by its id or its first characters; refused everywhere within a minute."""
    await authenticator.keys.revoke(key)
