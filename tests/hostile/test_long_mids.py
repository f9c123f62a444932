"""Mids that no engine takes: answered 400 before an engine is asked, without a traceback."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from livereactor.base.errors import PeerError
from livereactor.protocol.sdp import parse_offer
from tests.hostile.offers import offer, section
from tests.integration.models import Plain
from tests.integration.rig import next_session_works, serving

MIDS = ("m" * 17, "m" * 3000, "a b", "☂", "a\tb", "m;")


def _named(mid: str) -> str:
    return offer([section("video", mid), section("application", "d")], (f"{mid} d",))


@pytest.mark.parametrize("mid", MIDS, ids=lambda mid: mid[:20])
def test_a_mid_is_a_short_token(mid: str) -> None:
    with pytest.raises(PeerError, match="mid") as refusal:
        parse_offer(_named(mid))
    assert len(refusal.value.message) < 250


def test_a_section_has_one_mid() -> None:
    # Readers differ in which of two they take.
    two = [*section("video", "0"), "a=mid:1"]
    with pytest.raises(PeerError, match="two mids"):
        parse_offer(offer([two, section("application", "d")], ("0 d",)))


def test_sixteen_characters_are_taken() -> None:
    assert parse_offer(_named("m" * 16)).media[0].mid == "m" * 16


async def test_thirty_of_them_leave_one_short_line_in_the_log() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        with capture_logs() as lines:
            for number in range(30):
                path = served.path(sid, f"connections/{2000 + number}/sdp_params")
                refused = await served.http.post(path, json={"sdp_offer": _named("m" * 3000), "want_answer": True})
                assert refused.status_code == 400
                assert len(refused.content) < 500
        shown = [line for line in lines if line["log_level"] != "debug"]
        assert 1 <= len(shown) <= 2  # one every 5 s
        assert all(line["event"] == "offer refused" and "exc_info" not in line for line in shown)
        assert len(str(shown)) < 1000
        await next_session_works(served)
