"""What an HTTP answer means where it is not what was asked for: the error a client raises (part D). Pure.

Our servers say a code, a sentence and what to expect; others say a sentence in JSON or text, or nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from livereactor.base.errors import PeerError
from livereactor.base.limits import KIB
from livereactor.client.errors import Facts, ReactorError, error_of
from livereactor.client.http.client import HttpAnswer
from livereactor.protocol.json_text import parse_json

API_VERSION: Final = "1"
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,63}", re.ASCII)
_SENTENCE: Final = 300  # characters of a server's own words
_WAIT: Final = 86_400.0  # seconds; longer is no advice
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "RATE_LIMITED",
}
# Of a server that says no more than its status: what to expect is told by the status.
_VAGUE: Final = frozenset({"", "UNAVAILABLE", "INTERNAL_ERROR"})
_IN_FRONT: Final = (502, 503, 504)
_DETAILS: Final = ("quota_type", "limit", "current")


def refusal(answer: HttpAnswer, what: str, **facts: Any) -> ReactorError:
    """The error that an answer without success is.

    Args:
        answer: of any status.
        what: what was asked, as the beginning of a sentence (`starting a session`).
        facts: more of them, such as `session_id`.
    """
    said = _said(answer.body)
    wait = _seconds(said.get("retry_after"), answer.headers.get("retry-after"))
    details = {name: said[name] for name in _DETAILS if isinstance(said.get(name), str | int)}
    if request := answer.headers.get("x-request-id"):
        details["request_id"] = request[:64]
    recoverable = said.get("recoverable")
    known: Facts = {
        "component": "api",
        "status": answer.status,
        "retry_after": wait,
        "recoverable": recoverable if isinstance(recoverable, bool) else None,
        "details": details,
        **cast("Facts", facts),
    }
    sentence = _sentence(said, answer.body)
    if answer.status in (426, 501):
        return error_of("VERSION_MISMATCH", _versions(answer, sentence), **{**known, "recoverable": False})
    code = _code(answer.status, said.get("code"))
    message = sentence or f"{what}: the server answered {answer.status}"
    if wait is not None and "retry in" not in message:
        message += f"; retry in {wait:g} s"
    return error_of(code, message, **known)


def unreadable(what: str, why: str, **facts: Any) -> ReactorError:
    """The error for an answer of success that is not what it should be."""
    return error_of("DECODE_FAILED", f"unexpected answer to {what}: {why}", **cast("Facts", facts))


def is_of_a_proxy(answer: HttpAnswer) -> bool:
    """Whether what stands in front of a server says, without a word of the protocol's, that it did not reach it."""
    return answer.status in _IN_FRONT and not _said(answer.body)


def retry_after(answer: HttpAnswer) -> float | None:
    """Seconds to leave before the next try, where the server says."""
    return _seconds(answer.headers.get("retry-after"))


def _code(status: int, said: object) -> str:
    if status == 401:  # whatever the server calls it: what helps is the same
        return "UNAUTHORIZED"
    if isinstance(said, str) and said not in _VAGUE and _CODE.fullmatch(said):
        return said
    if 300 <= status < 400:
        return "DECODE_FAILED"  # redirects are none of the protocol's
    return _BY_STATUS.get(status, "SERVER_ERROR" if status >= 500 else "BAD_REQUEST")


def _said(body: bytes) -> dict[str, Any]:
    """The object in an error's body; `{}` where there is none."""
    try:
        value = parse_json(body, "an error", limit=64 * KIB)
    except PeerError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _sentence(said: Mapping[str, Any], body: bytes) -> str:
    """The server's own words, on one line; empty where there are none that people can read."""
    words: object = said.get("error") or said.get("detail")
    if isinstance(words, dict):  # {"error": {"message": …}}
        words = cast("dict[str, Any]", words).get("message")
    if isinstance(words, list) and words and isinstance(words[0], dict):  # FastAPI's own: a list of faults
        words = cast("dict[str, Any]", words[0]).get("msg")
    if not isinstance(words, str):
        words = (
            "" if said or body.lstrip()[:1] in (b"<", b"{", b"[") else body[: 4 * _SENTENCE].decode(errors="replace")
        )
    return _line(words)[:_SENTENCE]


def _line(text: str) -> str:
    """On one line that a terminal shows as it is."""
    return "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))


def _versions(answer: HttpAnswer, sentence: str) -> str:
    theirs = _line(answer.headers.get("reactor-api-version", ""))[:32]
    server = f"the server (API {theirs})" if theirs else "the server"
    older = "this client is too old" if answer.status == 426 else f"{server} is too old"
    upgrade = "upgrade livereactor" if answer.status == 426 else "ask for an upgrade of the server"
    detail = f" ({sentence})" if sentence else ""
    return f"{older}: this client speaks API {API_VERSION}, {server} answered {answer.status}{detail}; {upgrade}"


def _seconds(*told: object) -> float | None:
    """The first of them that is a number of seconds; a date is not."""
    for each in told:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            continue
        try:
            seconds = float(each)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return min(seconds, _WAIT)
    return None


PAUSES: Final = (0.3, 1.0, 3.0)  # seconds before the second, third and fourth time; a coordinator starts in two
SPREAD: Final = 0.2  # of a pause, either way: clients that were refused together do not come back together
LAST: Final = 10.0  # seconds after the first time, later than which nothing is asked again


async def asked_again(ask: Callable[[], Awaitable[HttpAnswer]]) -> HttpAnswer:
    """The answer of a server, asked up to four times; of the proxy, where that has nothing else to say.

    What a server says itself is its answer whatever the status, and so is no connection at all.

    Args:
        ask: a request that may be done twice.
    """
    began = time.monotonic()
    for pause in PAUSES:
        answer = await ask()
        if not is_of_a_proxy(answer):
            return answer
        spread = pause * random.uniform(1 - SPREAD, 1 + SPREAD)
        wait = max(spread, retry_after(answer) or 0.0)
        if time.monotonic() + wait > began + LAST:
            return answer
        await asyncio.sleep(wait)
    return await ask()
