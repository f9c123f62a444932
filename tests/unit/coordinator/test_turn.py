"""What clients are told of STUN and TURN."""

from __future__ import annotations

import base64
import hashlib
import hmac

from livereactor.coordinator.options import TurnOptions

NOW = 1_900_000_000


def told(options: TurnOptions, longest: float = 1200.0) -> list[dict]:
    return [each.to_body() for each in options.ice_servers("ses_1", now_at=NOW, longest=longest)]


def test_without_servers_the_list_is_empty() -> None:
    assert told(TurnOptions()) == []


def test_a_stun_server_has_no_credentials_key() -> None:
    assert told(TurnOptions(stun=("stun:a:1",))) == [{"uris": ["stun:a:1"]}]


def test_a_server_with_fixed_credentials_is_told_as_it_is() -> None:
    options = TurnOptions(servers=(("u", "p", "turn:t:2"),))
    assert told(options) == [{"uris": ["turn:t:2"], "credentials": {"username": "u", "password": "p"}}]


def test_credentials_of_a_shared_secret_are_as_coturn_checks_them_and_outlive_the_session() -> None:
    options = TurnOptions(urls=("turn:t:2?transport=udp", "turns:t:3?transport=tcp"), secret="between us")
    (server,) = told(options, longest=7200)
    assert server["uris"] == ["turn:t:2?transport=udp", "turns:t:3?transport=tcp"]
    username, password = server["credentials"]["username"], server["credentials"]["password"]
    expires, session = username.split(":")
    assert session == "ses_1"
    assert int(expires) >= NOW + 7200
    expected = hmac.new(b"between us", username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(password) == expected


def test_a_server_whose_secret_is_not_known_is_not_told() -> None:
    assert told(TurnOptions(urls=("turn:t:2",))) == []
