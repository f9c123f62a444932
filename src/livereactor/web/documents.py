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
    401: "No key or token, or one that is invalid or expired.",
    403: "The caller is not allowed to do this; the message names what is missing.",
    404: "Not found for this caller.",
    408: "The body did not arrive in time.",
    409: "It conflicts with the current state: already done, held by another caller, or too early.",
    410: "It has expired.",
    413: "More bytes than the limit.",
    415: "Files of this type are not accepted.",
    422: "The `Idempotency-Key` was used for another body.",
    429: "A limit was reached; the message names the limit and its use.",
    500: "Unexpected error; the request id identifies it in the log.",
    503: "Temporarily unavailable; `Retry-After` says when to retry.",
}


class Problem(Body):
    """Every answer that is an error."""

    error: str = Field(examples=["no session 'ses_1' for this account; GET /sessions lists yours"])
    detail: str = Field(description="The same; clients print one or the other.")
    code: str = Field(description="Stable name of the cause.", examples=["NOT_FOUND"])
    recoverable: bool = Field(description="The same call may succeed later, unchanged.")
    quota_type: str | None = None
    limit: int | None = None
    current: int | None = None
    retry_after: float | None = Field(default=None, description="Seconds; as in the header `Retry-After`.")


def problems(*statuses: int) -> Responses:
    """The errors of a route; those that every route may answer are among them."""
    # By reference: FastAPI makes a validator of its own, twice, of every model that it is told of.
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    found = sorted({*statuses, 400, 429, 500, 503})
    return {
        status: {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}
        for status in found
    }


def takes(model: type[BaseModel], *, example: Mapping[str, Any], required: bool = False) -> dict[str, Any]:
    """The body of a route; unless `required`, nothing, `null` and `{}` are the same."""
    schema: dict[str, Any] = {"$ref": _REF.format(model=model.__name__)}
    if not required:
        schema = {"anyOf": [schema, {"type": "null"}]}
    content = {"application/json": {"schema": schema, "example": dict(example)}}
    return {
        "requestBody": {"required": required, "content": content},
        _MODEL: {model.__name__: model.model_json_schema(ref_template=_REF)},
    }


def octets(description: str) -> dict[str, Any]:
    """A body that is kept as it comes."""
    schema = {"type": "string", "format": "binary"}
    content = {"application/octet-stream": {"schema": schema}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def asked_by(*schemes: str) -> dict[str, Any]:
    """Return the security schemes of a route; none = it is public."""
    return {"security": [{each: []} for each in schemes]}


def signed(source: str) -> list[dict[str, Any]]:
    """The parameters of a signed address, as OpenAPI tells of them; `source`: what the address was read in."""
    return [
        {"name": name, "in": "query", "description": f"As in {source}.", "schema": {"type": "string"}}
        for name in (*FIELDS, SIGNATURE)
    ]


def documented(api: FastAPI, *, guests: bool) -> dict[str, Any]:
    """The OpenAPI document of an app, whole."""
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
    """FastAPI announces its own 422 for every route with parameters; ours is a 400 with a problem."""
    for path in document["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(answer):
                del operation["responses"]["422"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
