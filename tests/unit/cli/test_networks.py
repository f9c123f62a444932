"""Settings of networks: public addresses, TURN servers with a shared secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from livereactor.base.errors import ConfigError
from livereactor.media.frames import VideoCodec
from livereactor.settings import resolve
from livereactor.wiring.options import public_addresses, shared_relays
from livereactor.wiring.runtime import runtime_options
from tests.integration.models import Plain


def settled(folder: Path, **values: object):
    flat = {name.replace("__", "."): value for name, value in values.items()}
    return resolve(folder, command_line=flat, environ={})


def test_public_addresses_reach_the_peers(tmp_path: Path) -> None:
    resolved = settled(tmp_path, runtime__public_address="203.0.113.7, 2001:db8::7")
    assert runtime_options(Plain, resolved).peers.public_addresses == ("203.0.113.7", "2001:db8::7")
    assert runtime_options(Plain, settled(tmp_path)).peers.public_addresses == ()


def test_where_it_is_recorded_viewers_get_what_is_recorded_if_they_can(tmp_path: Path) -> None:
    assert runtime_options(Plain, settled(tmp_path)).peers.video_codecs[0] is VideoCodec.H264
    unrecorded = settled(tmp_path, recorder__enabled=False)
    assert runtime_options(Plain, unrecorded).peers.video_codecs[0] is VideoCodec.VP8


@pytest.mark.parametrize(
    "value", ["", "203.0.113.7:5000", "203.0.113", "http://a", "a b", "-a.example", "203.0.113.7,", "256.1.1.1"]
)
def test_what_is_no_address_and_no_name_is_refused_where_it_stands(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"--public-address: runtime.public_address = .*want IP addresses or host na"):
        settled(tmp_path, runtime__public_address=value)


def test_a_name_that_does_not_resolve_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"public_address: 'nowhere.invalid' cannot be resolved .*write the IP addr"):
        public_addresses("nowhere.invalid")


@pytest.mark.parametrize("value", ["127.0.0.1", "localhost", "0.0.0.0", "::", "224.0.0.1", "fe80::1"])
def test_an_address_at_which_nobody_else_reaches_us_is_an_error(value: str) -> None:
    with pytest.raises(ConfigError, match=f"'{re.escape(value)}' is .*, which others cannot reach"):
        public_addresses(value)


def test_relays_with_a_shared_secret_give_each_session_credentials_of_its_own(tmp_path: Path) -> None:
    resolved = settled(
        tmp_path,
        turn__urls=["turn:relay.example:3478"],
        turn__secret="between us",
        runtime__max_session_duration=600,
    )
    relays = runtime_options(Plain, resolved).relays
    assert relays is not None
    one, other = relays.server("one", now_at=1_000), relays.server("other", now_at=1_000)
    assert one.urls == ("turn:relay.example:3478",)
    assert one.username == f"{1_000 + 86_400 + 600}:one"
    assert one.password != other.password
    assert "between us" not in repr(relays)


def test_such_relays_without_their_secret_are_an_error_that_says_so(tmp_path: Path) -> None:
    resolved = settled(tmp_path, turn__urls=["turn:relay.example:3478"])
    with pytest.raises(ConfigError, match=r"turn.urls without turn.secret: .*set turn.secret"):
        shared_relays(resolved.settings)


def test_a_relay_is_written_as_a_turn_url(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'relay.example' is not a TURN server; write 'turn:host:port"):
        settled(tmp_path, turn__urls=["relay.example"])
