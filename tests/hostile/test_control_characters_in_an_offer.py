"""Characters that some readers take for the end of a line: one line would become many sections to those readers."""

from __future__ import annotations

import pytest

from livereactor.base.errors import PeerError
from livereactor.protocol.sdp import parse_offer
from tests.hostile.offers import good
from tests.integration.models import Plain
from tests.integration.rig import next_session_works, serving

# Those that end a line to `str.splitlines`, then other controls, then half of a pair that UTF-8 cannot write.
REFUSED = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r\x00\x01\x1b\x7f\x9f\ud800"


@pytest.mark.parametrize("character", REFUSED, ids=lambda character: f"U+{ord(character):04X}")
def test_a_line_with_it_is_refused(character: str) -> None:
    hidden = f"a=x:1{character}m=audio 9 UDP/TLS/RTP/SAVPF 96{character}a=mid:9" * 100
    with pytest.raises(PeerError, match=r"^line \d+ of the offer has the control character U\+") as refusal:
        parse_offer(good([hidden]))
    assert len(refusal.value.message) < 250


def test_a_tab_is_part_of_a_line() -> None:
    assert parse_offer(good(["a=x:1\t2"])).media[-1].value("x") == "1\t2"


async def test_a_runtime_answers_400_and_serves_on() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        path = served.path(sid, "connections/2000/sdp_params")
        for character in REFUSED[:-1]:
            refused = await served.http.post(path, json={"sdp_offer": good([f"a=x:{character}m=audio 9 X 0"])})
            assert refused.status_code == 400
            assert refused.json()["code"] == "BAD_REQUEST"
        await next_session_works(served)
