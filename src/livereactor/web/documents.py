"""OpenAPI descriptions of routes: bodies that are read by hand, problems, security. Pure.

Bodies are read by `read_body`, whatever their content type (official clients send `null`, nothing, or octets), so
FastAPI does not know them; the descriptions here are added to its document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from livereactor.blobs.signing import FIELDS, SIGNATURE
from livereactor.protocol.http import Body

_REF: Final = "#/components/schemas/{model}"
_MODEL: Final = "x-livereactor-model"  # a mark in the document under construction; none is left
Responses: TypeAlias = dict[int | str, dict[str, Any]]

TOKEN: Final = "token"
KEY: Final = "key"
WORKER: Final = "worker"
SCHEMES: Final = {
    TOKEN: {"type": "http", "scheme": "bearer", "description": "A token from `POST /tokens`, or an API key."},
    KEY: {"type": "apiKey", "in": "header", "name": "Reactor-API-Key", "description": "An API key (`rk_…`)."},
    WORKER: {"type": "http", "scheme": "bearer", "description": "The secret that Workers show."},
}
_MEANINGS: Final = {
    400: "The request cannot be read; the message says where.",
    401: "The key or token is missing, invalid or expired.",
    403: "The caller is not allowed to do this; the message names what is missing.",
    404: "The resource does not exist, or the caller may not see it.",
    408: "The body did not arrive in time.",
    409: "The call conflicts with the current state: already done, held by another caller, or too early.",
    410: "The upload has expired, or the clip is gone.",
    413: "The content exceeds the size limit.",
    415: "Files of this type are not accepted.",
    422: "The `Idempotency-Key` was used before with a different body.",
    429: "A limit was reached; the message names the limit and its use.",
    500: "An unexpected error occurred; the request id identifies it in the log.",
    503: "The service is temporarily unavailable; `Retry-After` says when to retry.",
}


class Problem(Body):
    """The body of every error response."""

    error: str = Field(examples=["no session 'ses_1' for this account; GET /sessions lists yours"])
    detail: str = Field(description="The same text as `error`; clients print one or the other.")
    code: str = Field(description="Stable name of the cause.", examples=["NOT_FOUND"])
    recoverable: bool = Field(description="Whether the same call may succeed later, unchanged.")
    quota_type: str | None = None
    limit: int | None = None
    current: int | None = None
    retry_after: float | None = Field(default=None, description="Seconds to wait, as in `Retry-After`.")


def problems(*statuses: int) -> Responses:
    """Return the error responses of a route, with those that every route may give."""
    # By reference: FastAPI builds two validators of its own for every model that a route names.
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    found = sorted({*statuses, 400, 429, 500, 503})
    return {
        status: {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}
        for status in found
    }


def takes(model: type[BaseModel], *, example: Mapping[str, Any], required: bool = False) -> dict[str, Any]:
    """Return the description of a route's body; unless `required`, nothing, `null` and `{}` are the same."""
    schema: dict[str, Any] = {"$ref": _REF.format(model=model.__name__)}
    if not required:
        schema = {"anyOf": [schema, {"type": "null"}]}
    content = {"application/json": {"schema": schema, "example": dict(example)}}
    return {
        "requestBody": {"required": required, "content": content},
        _MODEL: {model.__name__: model.model_json_schema(ref_template=_REF)},
    }


def octets(description: str) -> dict[str, Any]:
    """Return the description of a body of raw bytes, which is kept as it comes."""
    schema = {"type": "string", "format": "binary"}
    content = {"application/octet-stream": {"schema": schema}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def asked_by(*schemes: str) -> dict[str, Any]:
    """Return the security schemes of a route; none = it is public."""
    return {"security": [{each: []} for each in schemes]}


def signed(source: str) -> list[dict[str, Any]]:
    """Return the OpenAPI parameters of a signed address; `source` names where the client read the address."""
    return [
        {"name": name, "in": "query", "description": f"As in {source}.", "schema": {"type": "string"}}
        for name in (*FIELDS, SIGNATURE)
    ]


def documented(api: FastAPI, *, guests: bool) -> dict[str, Any]:
    """Return the complete OpenAPI document of an app."""
    document = get_openapi(
        title=api.title,
        version=api.version,
        description=api.description,
        routes=api.routes,
        separate_input_output_schemas=False,
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    anybody: Sequence[dict[str, list[str]]] = ({},) if guests else ()
    document["security"] = [{TOKEN: []}, {KEY: []}, *anybody]
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    _add(schemas, Problem.__name__, Problem.model_json_schema(ref_template=_REF))
    for path in document["paths"].values():
        for operation in path.values():
            for name, schema in operation.pop(_MODEL, {}).items():
                _add(schemas, name, schema)
    _say_problem_only(document, schemas)
    return document


def _add(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> None:
    for inner_name, inner in schema.pop("$defs", {}).items():
        schemas.setdefault(inner_name, inner)
    schemas.setdefault(name, schema)


def _say_problem_only(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to every route with parameters; ours is a 400 with a problem."""
    for path in document["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(answer):
                del operation["responses"]["422"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
