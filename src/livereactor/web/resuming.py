"""Headers of an upload that goes on where it broke off: the core of tus 1.0.0, and the digest of RFC 9530. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final

from livereactor.base.errors import PeerError

TUS: Final = {"Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}
RESUMABLE: Final = {"Upload-Offset": "0"}  # of the answer that gives a slot: its address takes PATCH
_DIGEST: Final = r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):"  # of RFC 9530's list, which may name others
OFFSETS: Final = 10**15  # above any file


def offset_of(headers: Mapping[str, str]) -> int:
    """Return where the bytes of a PATCH begin; raises `PeerError` if its `Upload-Offset` is not a number."""
    text = headers.get("upload-offset", "")
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(OFFSETS))):
        raise PeerError("Upload-Offset has to say at which byte the body begins; HEAD tells how many are there")
    return int(text)


def digest_of(headers: Mapping[str, str]) -> bytes | None:
    """SHA-256 of the whole file, where `Repr-Digest` tells it; one that cannot be read counts as none (RFC 8941)."""
    found = re.search(_DIGEST, headers.get("repr-digest", ""))
    return base64.b64decode(found[1]) if found else None


def progress(offset: int, size: int) -> dict[str, str]:
    """Headers that tell how far an upload has come."""
    return {**TUS, "Upload-Offset": str(offset), "Upload-Length": str(size)}
