"""`/keys`: API keys created, listed and revoked by operators. Every route needs the scope `admin`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response

from livereactor.coordinator.http.dependencies import AuthenticatorPart, json_body, needs
from livereactor.protocol.tokens import CreatedKey, KeyList, KeyRequest
from livereactor.web.documents import problems, takes

routes = APIRouter(prefix="/keys", tags=["keys"], dependencies=[needs("admin")], responses=problems(401, 403))


@routes.get("", response_model=KeyList, response_model_exclude_none=True)
async def listed(authenticator: AuthenticatorPart) -> dict[str, Any]:
    """Every key, newest first; what is shown of it tells it apart and opens nothing."""
    return KeyList(keys=await authenticator.keys.list()).to_body()


@routes.post(
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


@routes.delete("/{key}", status_code=204, response_class=Response, responses=problems(404))
async def revoke(key: str, authenticator: AuthenticatorPart) -> None:
    """End a key, named by its id or its first characters; refused everywhere within a minute."""
    await authenticator.keys.revoke(key)
