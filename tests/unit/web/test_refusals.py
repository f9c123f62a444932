"""Counting refusals: which of them are told, and that neither addresses nor reasons make the log or memory grow."""

from __future__ import annotations

import pytest

from livereactor.base.errors import ExpiredError, ForbiddenError, QuotaError, UnauthorizedError
from livereactor.web.refusals import INTERVAL, LINES, MANY, REMEMBERED, RefusalCounts, reason_of

HERE, WHY = "192.0.2.7", "wrong_credentials"


def test_the_first_is_told_then_the_tenth_then_one_a_minute() -> None:
    counts = RefusalCounts()
    told = [counts.count(HERE, WHY, now=1.0) for _ in range(1 + MANY + 50)]
    assert [each for each in told if each] == [1, MANY]
    assert told[MANY] == MANY
    assert counts.count(HERE, WHY, now=1.0 + INTERVAL) == 51
    assert counts.count(HERE, WHY, now=2.0 + INTERVAL) == 0
    assert [each for each in [counts.count(HERE, WHY, now=3.0 + INTERVAL) for _ in range(MANY)] if each] == [MANY]


def test_addresses_and_reasons_are_told_apart() -> None:
    counts = RefusalCounts()
    for origin, reason in ((HERE, WHY), ("192.0.2.8", WHY), (HERE, "forbidden")):
        assert counts.count(origin, reason, now=1.0) == 1
        assert counts.count(origin, reason, now=1.0) == 0


def test_many_addresses_cost_bounded_lines_and_memory() -> None:
    counts = RefusalCounts()
    flood = range(3 * REMEMBERED)  # over a minute that begins after a quiet time
    told = sum(counts.count(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", WHY, now=60 * n / len(flood)) for n in flood)
    assert LINES - 2 <= told <= LINES
    assert len(counts) == REMEMBERED


@pytest.mark.parametrize(
    ("status", "error", "headers", "reason"),
    [
        (401, UnauthorizedError("x"), {}, "no_credentials"),
        (401, UnauthorizedError("x"), {"x-api-key": "rk_x"}, "wrong_credentials"),
        (401, None, {"authorization": "Bearer x"}, "wrong_credentials"),
        (401, ExpiredError("x"), {"authorization": "Bearer x"}, "expired_credentials"),
        (403, ForbiddenError("x"), {}, "forbidden"),
        (413, None, {}, "too_large"),
        (431, None, {}, "too_large"),
        (429, None, {}, "rate_limited"),
        (429, QuotaError("x", quota_type="wrong_keys", limit=1, current=1), {}, "wrong_keys"),
        (200, None, {}, None),
        (404, None, {}, None),
        (500, None, {}, None),
    ],
)
def test_a_reason_is_one_word(
    status: int, error: UnauthorizedError | ForbiddenError | QuotaError | None, headers: dict[str, str], reason: str
) -> None:
    assert reason_of(status, error, headers) == reason
