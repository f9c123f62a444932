"""`/keys`: API keys made, listed and revoked by operators (behaviour 16.1)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from livereactor.coordinator.auth.authenticator import Auth
from livereactor.protocol.http import read_body
from livereactor.protocol.keys import CreatedKey, KeyList, KeyRequest
from livereactor.web.documents import problems, takes


def keys(auth: Auth) -> APIRouter:
    """The routes; all of them want the scope `admin`."""
    routes = APIRouter(prefix="/keys", tags=["keys"])

    async def must_be_operator(request: Request) -> None:
        (await auth.caller(request)).need("admin")

    @routes.get("", response_model=KeyList, response_model_exclude_none=True, responses=problems(401, 403))
    async def listed(request: Request) -> dict[str, Any]:
        """Every key, newest first; what is shown of it tells it apart and opens nothing."""
        await must_be_operator(request)
        return KeyList(keys=await auth.keys.list()).to_body()

    @routes.post(
        "",
        status_code=201,
        response_model=CreatedKey,
        response_model_exclude_none=True,
        responses=problems(401, 403),
        openapi_extra=takes(KeyRequest, example={"name": "website", "account": "acme"}),
    )
    async def create(request: Request) -> dict[str, Any]:
        """Make a key; it is told this once."""
        await must_be_operator(request)
        return (await auth.keys.create(read_body(KeyRequest, await request.body()))).to_body()

    @routes.delete("/{key}", status_code=204, response_class=Response, responses=problems(401, 403, 404))
    async def revoke(key: str, request: Request) -> None:
        """End a key, named by its id or its first characters; refused everywhere within a minute."""
        await must_be_operator(request)
        await auth.keys.revoke(key)

    return routes
