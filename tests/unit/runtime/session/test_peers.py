"""Candidates that come before any offer."""

from __future__ import annotations

from typing import Any

import pytest

from livereactor.base.errors import LimitError
from livereactor.base.limits import Limits
from livereactor.engine.port import Candidate, PeerConfig
from livereactor.runtime.session.peers import Peers

NOBODY: Any = None  # neither Session, engine nor outputs are asked before an offer


async def test_early_candidates_give_their_place_back_when_no_offer_comes() -> None:
    now = 100.0
    limits = Limits(waiting_connections=1, candidates_per_connection=2, offer_to_live=30.0)
    peers = Peers(NOBODY, NOBODY, PeerConfig(), limits, NOBODY, feed=NOBODY, answered=NOBODY, clock=lambda: now)
    candidate = Candidate("candidate:1 1 udp 1 192.0.2.1 1 typ host", "0", 0)
    await peers.candidates(2000, [candidate, candidate])
    now = 129.0
    for connection in (2000, 2001):
        with pytest.raises(LimitError):
            await peers.candidates(connection, [candidate])
    now = 130.0
    await peers.candidates(2001, [candidate])
    with pytest.raises(LimitError):
        await peers.candidates(2000, [candidate])
