"""`POST /tokens`, links that share one session, and `/keys`: API keys, for operators with the scope `admin`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from starlette.requests import HTTPConnection

from livereactor.coordinator.auth.caller import Caller
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


async def _minter(request: HTTPConnection, authenticator: AuthenticatorPart) -> Caller:
    return await authenticator.minter(request)


@routes.post(
    "/tokens",
    response_model=TokenAnswer,
    response_model_exclude_none=True,
    openapi_extra=takes(TokenRequest, example={"expires_after": 600, "scope": ["view"]}) | asked_by(KEY),
)
async def create_token(
    holder: Annotated[Caller, Depends(_minter)],
    asked: Annotated[TokenRequest, json_body(TokenRequest)],
    authenticator: AuthenticatorPart,
) -> dict[str, Any]:
    """Exchange an API key for a short-lived token with the requested scopes and limits."""
    return (await authenticator.mint_for(holder, asked)).to_body()


@routes.post(
    "/sessions/{sid}/share",
    response_model=ShareAnswer,
    response_model_exclude_none=True,
    openapi_extra=takes(ShareRequest, example={"expires_after": 3600, "scope": ["view"]}),
)
async def share_session(
    sid: str,
    caller: AnyCaller,
    asked: Annotated[ShareRequest, json_body(ShareRequest)],
    authenticator: AuthenticatorPart,
    page: PublicBase,
) -> dict[str, Any]:
    """Create a link to one session for another person, who by default may only watch."""
    token = await authenticator.share(caller, sid, asked)
    url = share_link(page, sid, token.jwt)
    return ShareAnswer(url=url, jwt=token.jwt, expires_at=token.expires_at).to_body()


@key_routes.get("", response_model=KeyList, response_model_exclude_none=True)
async def list_keys(authenticator: AuthenticatorPart) -> dict[str, Any]:
    """List the API keys, newest first. Secrets are not shown, only their first characters."""
    return KeyList(keys=await authenticator.keys.list()).to_body()


@key_routes.post(
    "",
    status_code=201,
    response_model=CreatedKey,
    response_model_exclude_none=True,
    openapi_extra=takes(KeyRequest, example={"name": "website", "account": "acme"}),
)
async def create_key(
    asked: Annotated[KeyRequest, json_body(KeyRequest)], authenticator: AuthenticatorPart
) -> dict[str, Any]:
    """Create an API key. The answer is the only one that contains the secret."""
    return (await authenticator.keys.create(asked)).to_body()


@key_routes.delete("/{key}", status_code=204, response_class=Response, responses=problems(404))
async def revoke_key(key: str, authenticator: AuthenticatorPart) -> None:
    """Revoke an API key, named by its id or first characters. Every coordinator refuses it within a minute."""
    await authenticator.keys.revoke(key)
