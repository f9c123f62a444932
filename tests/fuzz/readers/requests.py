"""What a request says before it is answered: tokens, credentials of workers, signed URLs, headers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from livereactor.base.errors import ForbiddenError, PeerError, UnauthorizedError, UsageError
from livereactor.base.limits import KIB, Limits
from livereactor.base.spans import parsed
from livereactor.blobs.port import BlobKey
from livereactor.blobs.signing import Grant, Signer
from livereactor.coordinator.auth.caller import SESSION_SCOPES
from livereactor.coordinator.auth.tokens import Tokens, standing_claims
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, claimed_name, identified
from livereactor.web.access import Access, base_url, is_of_this_machine, page_origin
from livereactor.web.blob_answers import OFFSETS, byte_range, digest_of, offset_of
from livereactor.web.guard import Guard
from livereactor.web.proxies import BehindProxies
from tests.fuzz.promises import Target

NOW: Final = 1_800_000_000.0
SECRET: Final = b"k" * 32
TOKENS: Final = Tokens({"k1": SECRET})
CLAIMS: Final = standing_claims("default", SESSION_SCOPES, "jti", NOW) | {"exp": int(NOW) + 60}
WORKER: Final = WorkerIdentity("w1", "pond")
SIGNER: Final = Signer(SECRET)
GRANT: Final = Grant("PUT", BlobKey("sessions/s/u"), int(NOW) + 60, max_bytes=10, exact_bytes=5, content_type="a/b")
SIZE: Final = 1_000  # bytes of a blob
_loop: Final = asyncio.new_event_loop()


def _token(data: bytes) -> object:
    """A token as text; behind an exclamation mark its header and claims as JSON, signed by somebody."""
    text = _joined(data[1:]) if data[:1] == b"!" else data.decode("latin-1")
    caller = Tokens({"k1": SECRET}).verify(text, now_at=NOW)
    assert text == TOKENS.sign(CLAIMS), "only what was signed is taken, in its own spelling"
    return caller


def _worker_credential(data: bytes) -> object:
    text = "wk_" + _joined(data[1:]) if data[:1] == b"!" else data.decode("latin-1")
    claimed = claimed_name(text)
    found = identified(text, ["worker secret"], now_at=NOW)
    assert found == WORKER
    assert claimed == WORKER.worker
    return found


def _joined(data: bytes) -> str:
    """Header, claims and signature, one a line, as a token has them."""
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in data.split(b"\n", 2))
    return b".".join(parts).decode()


def _signed_url(data: bytes) -> object:
    """A path and a query."""
    path, _, query = data.decode("latin-1").partition("?")
    key = BlobKey.parse(path)
    found = SIGNER.verify("PUT", key, QueryParams(query), now_at=NOW)
    assert found == GRANT
    return found


def _headers(data: bytes) -> object:
    """Header lines, as a server hands them on; the first line is the address of the client."""
    client, *lines = data.split(b"\n")
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    seen: list[Any] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        request = HTTPConnection(scope)
        host = request.headers.get("host")
        seen.append((scope["client"], host, base_url(request), page_origin(request), is_of_this_machine(request)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": (client.decode("latin-1"), 1),
        "headers": pairs,
    }
    for access in (Access(any_host=True), Access(("https://studio.example",))):
        said.clear()
        guarded = BehindProxies(Guard(app, access, Limits()), ("127.0.0.1", "10.0.0.0/8"))
        _loop.run_until_complete(guarded(scope, receive, send))
    assert said[0]["status"] in (200, 204, 403, 413)
    assert sum(len(name) + len(value) for name, value in said[0]["headers"]) < 4 * KIB
    assert all(b"\n" not in value for _, value in said[0]["headers"])
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
    span = byte_range(headers.get("range", ""), SIZE)
    assert span is None or (span[0] >= 0 and span[1] <= SIZE)
    digest = digest_of(headers)
    assert digest is None or len(digest) == 32
    parsed(headers.get("traceparent", ""))
    if "upload-offset" in headers:
        assert 0 <= offset_of(headers) < OFFSETS
    return seen, said, span, digest


TARGETS: Final = {
    "token": Target("token", _token, (UnauthorizedError,)),
    "worker_credential": Target("worker_credential", _worker_credential, (UnauthorizedError,)),
    "signed_url": Target("signed_url", _signed_url, (ForbiddenError, UsageError), longest=1_024),
    "headers": Target("headers", _headers, (PeerError,), longest=2_048),
}
