"""Signatures of outgoing requests, as the Standard Webhooks specification says (v1, HMAC-SHA256). Pure.

Its libraries verify them; `docs/operating.md` shows how to do it without one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

_PREFIX: Final = "whsec_"


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: `whsec_` and base64 as the specification writes it, or any text."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass  # a secret that is plain text and happens to begin like that
    return secret.encode()


def signed(keys: Sequence[bytes], message: str, at: int, body: bytes) -> Mapping[str, str]:
    """Return the headers of a message, with its signature by each key; `at` is Unix seconds."""
    content = f"{message}.{at}.".encode() + body
    digests = [hmac.new(key, content, hashlib.sha256).digest() for key in keys]
    return {
        "Content-Type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests),
    }
