"""An error that a Worker answers with is the same, whoever turned it into an answer."""

from __future__ import annotations

import json

import pytest
from starlette.types import Receive, Scope, Send

from livereactor.base.errors import (
    ConflictError,
    LimitError,
    LivereactorError,
    NotFoundError,
    QuotaError,
    TooLargeError,
    UnavailableError,
)
from livereactor.protocol import link
from livereactor.runtime.worker.requests import call, not_held, refusal
from livereactor.web.problems import problem_response

REQUEST = link.Request(id=7, method="GET", path="/session")
ERRORS = [
    UnavailableError("64 of 64 requests wait", code="RATE_LIMITED"),
    UnavailableError("busy", retry_after=0.25),
    QuotaError("too many", quota_type="requests", limit=1, current=1, retry_after=5.0),
    LimitError("full"),
    ConflictError("moved", code="FENCED"),
    NotFoundError("gone", code="CLIP_GONE"),
    TooLargeError("too much"),
    LivereactorError("unforeseen"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__} {error.code}")
async def test_a_refusal_over_the_link_is_the_one_over_http(error: LivereactorError) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    response = problem_response(error)
    passed_on = {name: value for name, value in response.headers.items() if name in ("content-type", "retry-after")}
    for reply in (refusal(REQUEST, error), await call(app, REQUEST, patience=5)):
        assert (reply.id, reply.status) == (7, response.status_code)
        assert json.loads(reply.body) == json.loads(bytes(response.body))
        assert reply.headers == passed_on


def test_what_the_slot_does_not_hold_is_fenced() -> None:
    reply = not_held(REQUEST)
    assert (reply.status, json.loads(reply.body)["code"]) == (409, "FENCED")
