"""Where an answer says we are, and whether a relay is worth waiting for."""

from __future__ import annotations

import pytest

from livereactor.engine.gathering import RELAY_WAIT, Relays, announced
from livereactor.engine.port import IceServer, PeerConfig

HOST = "a=candidate:1 1 udp 2122260223 10.0.0.5 40000 typ host generation 0 ufrag abcd\r\n"
HOST6 = "a=candidate:2 1 udp 2122262783 fd00::5 40001 typ host generation 0\r\n"
REFLEXIVE = "a=candidate:3 1 udp 1686052607 {} {} typ srflx raddr 10.0.0.5 rport 40000\r\n"
RELAY = "a=candidate:4 1 udp 41885695 198.51.100.9 50000 typ relay raddr 203.0.113.7 rport 40000\r\n"
TURN = PeerConfig(ice_servers=(IceServer(("turn:relay.example:3478",), "user", "secret"),))


def test_without_public_addresses_nothing_changes() -> None:
    text = f"v=0\r\n{HOST}{HOST6}"
    assert announced(text, ()) == text


def test_a_host_candidate_is_announced_at_the_public_address_with_its_port() -> None:
    found = announced(f"v=0\r\n{HOST}a=end-of-candidates\r\n", ["203.0.113.7"])
    expected = "a=candidate:1 1 udp 2122260223 203.0.113.7 40000 typ host generation 0 ufrag abcd\r\n"
    assert found == f"v=0\r\n{expected}a=end-of-candidates\r\n"


def test_each_family_has_addresses_of_its_own_and_stays_as_it_is_without() -> None:
    assert announced(HOST + HOST6, ["2001:db8::7"]) == HOST + HOST6.replace("fd00::5", "2001:db8::7")
    assert announced(HOST + HOST6, ["203.0.113.7"]) == HOST.replace("10.0.0.5", "203.0.113.7") + HOST6


def test_of_several_addresses_each_is_announced_the_first_preferred() -> None:
    lines = announced(HOST, ["203.0.113.7", "10.0.0.5"]).splitlines()
    fields = [line.removeprefix("a=candidate:").split() for line in lines]
    assert [(each[4], each[5]) for each in fields] == [("203.0.113.7", "40000"), ("10.0.0.5", "40000")]
    assert len({each[0] for each in fields}) == 2
    assert int(fields[0][3]) > int(fields[1][3]) > 0


def test_what_stun_found_out_about_the_same_address_is_left_out() -> None:
    assert announced(REFLEXIVE.format("203.0.113.7", 40000), ["203.0.113.7"]) == ""
    other = REFLEXIVE.format("198.51.100.1", 4711)
    assert announced(other + RELAY, ["203.0.113.7"]) == other + RELAY


def test_a_relay_is_waited_for_until_it_kept_silent_and_again_once_it_has_answered() -> None:
    relays = Relays()
    assert relays.patience(TURN) == RELAY_WAIT
    relays.missed(TURN)
    assert relays.patience(TURN) == 0
    relays.heard(TURN)
    assert relays.patience(TURN) == RELAY_WAIT


@pytest.mark.parametrize(
    "config",
    [
        PeerConfig(),
        PeerConfig(ice_servers=(IceServer(("stun:stun.example:3478",)),)),
        PeerConfig(ice_servers=TURN.ice_servers, public_addresses=("203.0.113.7",)),
        PeerConfig(ice_servers=TURN.ice_servers, relay_only=True),
    ],
)
def test_nothing_is_waited_for_where_no_relay_is_needed_or_the_answer_waits_anyway(config: PeerConfig) -> None:
    assert Relays().patience(config) == 0
