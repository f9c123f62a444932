"""HTTP answers without success as the errors of the catalogue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livereactor.client.http.api_errors import refusal, retry_after
from livereactor.client.http.client import HttpAnswer


def answer(status: int, body: Any = None, **headers: str) -> HttpAnswer:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize(
    ("status", "code", "recoverable"),
    [
        (400, "BAD_REQUEST", False),
        (401, "UNAUTHORIZED", False),
        (402, "BAD_REQUEST", False),
        (403, "FORBIDDEN", False),
        (404, "NOT_FOUND", False),
        (409, "CONFLICT", True),
        (418, "BAD_REQUEST", False),
        (422, "BAD_REQUEST", False),
        (426, "VERSION_MISMATCH", False),
        (429, "RATE_LIMITED", True),
        (500, "SERVER_ERROR", True),
        (501, "VERSION_MISMATCH", False),
        (503, "SERVER_ERROR", True),
        (302, "DECODE_FAILED", False),
    ],
)
def test_a_status_alone_says_the_code(status: int, code: str, recoverable: bool) -> None:
    error = refusal(answer(status), "creating a session")
    assert (error.code, error.status, error.component, error.recoverable) == (code, status, "api", recoverable)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"error": "no such model", "detail": "other"}, "no such model"),
        ({"detail": "no session"}, "no session"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"error": {"message": "no\nsuch  thing"}}, "no such thing"),
        (b"plain words", "plain words"),
        (b"<html>502</html>", "x: the server answered 404"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\ufffd"),
        ([], "x: the server answered 404"),
        ({"error": 5}, "x: the server answered 404"),
    ],
)
def test_the_servers_own_sentence_is_told_on_one_line(body: Any, sentence: str) -> None:
    assert refusal(answer(404, body), "x").message == sentence


def test_what_our_servers_say_of_an_allowance_is_kept() -> None:
    body = {
        "error": "5 of 5 concurrent sessions in use",
        "code": "RATE_LIMITED",
        "recoverable": True,
        "quota_type": "concurrent_sessions",
        "limit": 5,
        "current": 5,
        "retry_after": 12,
    }
    error = refusal(answer(429, body, x_request_id="abc"), "creating a session", session_id=None)
    assert error.message == "5 of 5 concurrent sessions in use; retry in 12 s"
    assert error.retry_after == 12
    assert error.details == {"quota_type": "concurrent_sessions", "limit": 5, "current": 5, "request_id": "abc"}


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ("MODEL_LOADING", 503, "MODEL_LOADING"),
        ("NO_CAPACITY", 503, "NO_CAPACITY"),
        ("UNAVAILABLE", 503, "SERVER_ERROR"),
        ("INTERNAL_ERROR", 500, "SERVER_ERROR"),
        ("expired_token", 401, "UNAUTHORIZED"),
        ("UPLOAD_TOO_LARGE", 413, "UPLOAD_TOO_LARGE"),
        ("a code", 404, "NOT_FOUND"),
        (5, 404, "NOT_FOUND"),
        ("MODEL_LOADING", 426, "VERSION_MISMATCH"),
    ],
)
def test_a_servers_code_counts_where_it_says_more_than_the_status(said: Any, status: int, code: str) -> None:
    assert refusal(answer(status, {"error": "e", "code": said}), "x").code == code


def test_versions_are_told_with_what_to_do() -> None:
    old = refusal(answer(426, {"error": "too old"}, reactor_api_version="2"), "x").message
    assert "speaks API 1" in old
    assert "API 2" in old
    assert old.endswith("upgrade livereactor")
    assert refusal(answer(501), "x").message.endswith("ask for an upgrade of the server")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("inf", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None),
     ("1e400", None), ("1e300", 86_400.0), ("", None)],
)  # fmt: skip
def test_retry_after_is_a_number_of_seconds_or_nothing(value: str, seconds: float | None) -> None:
    assert retry_after(answer(503, retry_after=value)) == seconds


@pytest.mark.parametrize(
    ("location", "end"),
    [
        ("https://live.example/tokens?x=secret", ", a redirect; use https://live.example as the address"),
        ("https://live.example:8443/tokens", ", a redirect; use https://live.example:8443 as the address"),
        ("https://a b/", ""),
        ("https://live.example:nan/", ""),
        ("javascript:alert(1)", ""),
        ("/login", ""),
        ("", ""),
    ],
)
def test_a_redirect_says_which_address_to_use(location: str, end: str) -> None:
    assert (
        refusal(answer(301, b"<html>moved</html>", location=location), "x").message
        == f"x: the server answered 301{end}"
    )


def test_a_wait_that_the_sentence_tells_is_not_told_again() -> None:
    told = refusal(answer(429, {"error": "close one or try again in 5 s", "retry_after": 5}), "x")
    assert (told.message, told.retry_after) == ("close one or try again in 5 s", 5)
