"""HTTP answers that are not a success: the errors that they mean, and the answers after which a request is repeated.

Our servers give a code, a sentence and whether a retry may help; others give a sentence in JSON or text, or nothing.
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
from livereactor.client.http.client import HttpAnswer, origin_of
from livereactor.protocol.json_text import parse_json

API_VERSION: Final = "1"
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,63}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9.-]{1,253}", re.ASCII)
_SENTENCE: Final = 300  # characters of a server's own sentence
_WAIT: Final = 86_400.0  # seconds; a longer wait is ignored
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "RATE_LIMITED",
}
# Codes that say no more than the status does.
_VAGUE: Final = frozenset({"", "UNAVAILABLE", "INTERNAL_ERROR"})
_IN_FRONT: Final = (502, 503, 504)
_DETAILS: Final = ("quota_type", "limit", "current")


def refusal(answer: HttpAnswer, what: str, **facts: Any) -> ReactorError:
    """Return the error that an answer means.

    Args:
        answer: an answer of any status but success.
        what: the request, as the beginning of a sentence (`starting a session`).
        facts: further facts, such as `session_id`.
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
    message = sentence or f"{what}: the server answered {answer.status}{_elsewhere(answer)}"
    if wait is not None and "retry in" not in message and "try again in" not in message:
        message += f"; retry in {wait:g} s"
    return error_of(code, message, **known)


def unreadable(what: str, why: str, **facts: Any) -> ReactorError:
    """Return the error for an answer whose status is a success but whose content is not as expected."""
    return error_of("DECODE_FAILED", f"unexpected answer to {what}: {why}", **cast("Facts", facts))


def is_of_a_proxy(answer: HttpAnswer) -> bool:
    """Return whether a proxy in front of the server answered, because it did not reach the server."""
    return answer.status in _IN_FRONT and not _said(answer.body)


def retry_after(answer: HttpAnswer) -> float | None:
    """Return the seconds to wait before the next try, if the server says."""
    return _seconds(answer.headers.get("retry-after"))


def _code(status: int, said: object) -> str:
    if status == 401:  # whatever code the server gives: the remedy is the same
        return "UNAUTHORIZED"
    if isinstance(said, str) and said not in _VAGUE and _CODE.fullmatch(said):
        return said
    if 300 <= status < 400:
        return "DECODE_FAILED"  # the protocol has no redirects
    return _BY_STATUS.get(status, "SERVER_ERROR" if status >= 500 else "BAD_REQUEST")


def _elsewhere(answer: HttpAnswer) -> str:
    """Return where a redirect leads, as the end of a sentence: a proxy sends `http` to `https` so. Without the path."""
    if not 300 <= answer.status < 400:
        return ""
    try:
        scheme, host, port = origin_of(answer.headers.get("location", ""))
    except ValueError:
        return ""
    if scheme not in ("http", "https") or not _HOST.fullmatch(host):
        return ""
    usual = port == (443 if scheme == "https" else 80)
    return f", a redirect; use {scheme}://{host}{'' if usual else f':{port}'} as the address"


def _said(body: bytes) -> dict[str, Any]:
    """Return the object in an error's body; `{}` if it holds none."""
    try:
        value = parse_json(body, "an error", limit=64 * KIB)
    except PeerError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _sentence(said: Mapping[str, Any], body: bytes) -> str:
    """Return the server's own sentence, on one line; empty if it gives none for people."""
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
    """Return a text on one line, without characters that a terminal would interpret."""
    return "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))


def _versions(answer: HttpAnswer, sentence: str) -> str:
    theirs = _line(answer.headers.get("reactor-api-version", ""))[:32]
    server = f"the server (API {theirs})" if theirs else "the server"
    older = "this client is too old" if answer.status == 426 else f"{server} is too old"
    upgrade = "upgrade livereactor" if answer.status == 426 else "ask for an upgrade of the server"
    detail = f" ({sentence})" if sentence else ""
    return f"{older}: this client speaks API {API_VERSION}, {server} answered {answer.status}{detail}; {upgrade}"


def _seconds(*told: object) -> float | None:
    """Return the first value that is a number of seconds; a date is not."""
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
SPREAD: Final = 0.2  # of a pause, either way: clients that were refused together must not all come back together
LAST: Final = 10.0  # seconds after the first try; no later try is made


async def asked_again(ask: Callable[[], Awaitable[HttpAnswer]]) -> HttpAnswer:
    """Send a request up to four times, as long as a proxy answers that it did not reach the server.

    An answer of the server itself is final whatever its status, and so is a failure to connect.

    Args:
        ask: sends the request, which may be done twice.
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
