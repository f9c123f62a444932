"""Signed URLs of a folder store: their holder may write or read one blob until they expire. Pure; `now_at` is passed.

obstore signs for object stores only, so the server of a folder checks these itself. The signature is HMAC-SHA256
(RFC 2104) over every field that the query carries, each percent-encoded, so no field can flow into its neighbour.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import quote, urlencode

from livereactor.base.errors import ForbiddenError
from livereactor.blobs.port import BlobKey

Method: TypeAlias = Literal["PUT", "GET"]
FIELDS: Final = ("m", "exp", "max", "size", "type", "kid")  # of the query, all of them signed
SIGNATURE: Final = "sig"  # the field beside them
MIN_SECRET_BYTES = 32  # as long as the hash: a shorter key is the weakest part (RFC 2104, section 3)


class SignatureRefusedError(ForbiddenError):
    """The signature is missing, or was made with another key or for another request."""

    code = "signature_refused"


class UploadExpiredError(ForbiddenError):
    """The signed URL has expired; the client may ask for a new one."""

    code = "UPLOAD_EXPIRED"
    recoverable = True


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights that a signed URL gives.

    Attributes:
        method: `PUT` writes the blob once, `GET` reads it.
        key: the one blob it is about.
        expires_at: Unix seconds; refused from then on.
        max_bytes: a body above it is refused; None for reads.
        exact_bytes: a body of any other size is refused; None = anything up to `max_bytes`.
        content_type: the body's Content-Type; empty = any.
    """

    method: Method
    key: BlobKey
    expires_at: int
    max_bytes: int | None = None
    exact_bytes: int | None = None
    content_type: str = ""


class Signer:
    """A signer with a ring of secrets: the first signs, all verify, so a URL outlives the secret that signed it.

    Args:
        secrets: newest first, each of at least 32 random bytes; every process that checks needs the same.
    """

    def __init__(self, *secrets: bytes) -> None:
        shortest = min(map(len, secrets))
        if shortest < MIN_SECRET_BYTES:
            raise ValueError(
                f"a signing secret needs {MIN_SECRET_BYTES} bytes, got {shortest}; use secrets.token_bytes"
            )
        self._ring = {hashlib.sha256(b"key id" + each).hexdigest()[:8]: each for each in secrets}
        self._key_id = next(iter(self._ring))

    def sign(self, grant: Grant) -> str:
        """Return the query string of the blob's URL."""
        fields = _fields(grant) | {"kid": self._key_id}
        return urlencode(fields | {SIGNATURE: _signature(self._ring[self._key_id], grant.key, fields)})

    def verify(self, method: str, key: BlobKey, query: Mapping[str, str], *, now_at: float) -> Grant:
        """Return the Grant of a request's query.

        Args:
            method: of the request.
            key: of the request's path.
            query: decoded parameters, as `sign` made them; others are ignored.
            now_at: Unix seconds.

        Raises:
            SignatureRefusedError: not signed by us for this method, key and limits.
            UploadExpiredError: signed by us, and too late.
        """
        fields = {name: query.get(name, "") for name in FIELDS}
        # The signature comes first: a query that is not ours is not even parsed, and its error says no more.
        secret = self._ring.get(fields["kid"])
        shown = query.get(SIGNATURE, "").encode()
        if secret is None or not hmac.compare_digest(_signature(secret, key, fields).encode(), shown):
            raise SignatureRefusedError("this URL was not signed by this server; request another")
        if fields["m"] != method:
            raise SignatureRefusedError(f"this URL is for {fields['m']}, not {method[:8]}; request another")
        grant = _grant(key, fields)
        if now_at >= grant.expires_at:
            raise UploadExpiredError("this URL has expired; request another")
        return grant


def _signature(secret: bytes, key: BlobKey, fields: Mapping[str, str]) -> str:
    parts = [key.path, *(fields[name] for name in FIELDS)]
    text = "\n".join(quote(part, safe="") for part in parts)
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def _fields(grant: Grant) -> dict[str, str]:
    return {
        "m": grant.method,
        "exp": str(grant.expires_at),
        "max": _number(grant.max_bytes),
        "size": _number(grant.exact_bytes),
        "type": grant.content_type,
    }


def _grant(key: BlobKey, fields: Mapping[str, str]) -> Grant:
    return Grant(
        method=cast(Method, fields["m"]),
        key=key,
        expires_at=int(fields["exp"]),
        max_bytes=int(fields["max"]) if fields["max"] else None,
        exact_bytes=int(fields["size"]) if fields["size"] else None,
        content_type=fields["type"],
    )


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
