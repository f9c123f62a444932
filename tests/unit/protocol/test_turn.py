"""Short-lived TURN credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac

from livereactor.protocol.turn import turn_credentials


def test_credentials_are_expiry_and_session_signed_with_the_shared_secret() -> None:
    found = turn_credentials("between us", "s-1", 1_900_000_000)
    assert found.username == "1900000000:s-1"
    expected = hmac.new(b"between us", b"1900000000:s-1", hashlib.sha1).digest()
    assert base64.b64decode(found.password) == expected


def test_a_password_does_not_show_in_logs() -> None:
    found = turn_credentials("between us", "s-1", 1_900_000_000)
    assert found.password not in repr(found)
