"""What an account and a token may use, and how a refusal says so."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livereactor.base.errors import QuotaError
from livereactor.coordinator import quotas
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.coordinator.quotas import TokenSpentError, seconds_until_next
from livereactor.protocol.http import problem
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import Account, SessionRecord, SessionState
from tests.unit.coordinator.service_rig import Rig

NOW = 1_900_000_000_000_000
DEFAULTS = Quotas(concurrent_sessions=5, sessions_per_minute=10, session_burst=3)
CALLER = Caller("acme")


class Counted:
    """A store with Sessions of one account."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.made = 0

    async def made_at(self, seconds_ago: float, *, state: SessionState = SessionState.CLOSED, token: str = "") -> None:
        self.made += 1
        at = NOW - round(seconds_ago * 1e6)
        record = SessionRecord(f"ses_{self.made}", "acme", "m", state, at, at, token=token)
        await self.store.transact(lambda tx: tx.add_session(record))

    async def account(self, **given: Any) -> None:
        await self.store.transact(lambda tx: tx.put_account(Account("acme", "Acme", 0, **given)))

    async def check(self, caller: Caller = CALLER, defaults: Quotas = DEFAULTS) -> None:
        await self.store.transact(lambda tx: quotas.check(tx, caller, defaults, NOW))

    async def refusal(self, caller: Caller = CALLER, defaults: Quotas = DEFAULTS) -> QuotaError:
        with pytest.raises(QuotaError) as caught:
            await self.check(caller, defaults)
        return caught.value


@pytest.fixture
def counted() -> Counted:
    return Counted()


async def test_the_sixth_open_session_is_refused_with_type_limit_use_and_retry(counted: Counted) -> None:
    for _ in range(4):
        await counted.made_at(300, state=SessionState.ACTIVE)
    await counted.check()
    await counted.made_at(300, state=SessionState.QUEUED)
    error = await counted.refusal()
    assert error.http_status == 429
    body = problem(error)
    assert (body["quota_type"], body["limit"], body["current"]) == ("concurrent_sessions", 5, 5)
    assert body["retry_after"] > 0
    assert body["code"] == "RATE_LIMITED"
    assert "5 of 5" in body["error"]


async def test_closed_sessions_are_not_in_use(counted: Counted) -> None:
    for _ in range(20):
        await counted.made_at(500)
    await counted.check()


async def test_three_at_once_are_granted_and_the_fourth_is_told_when_to_come(counted: Counted) -> None:
    for _ in range(2):
        await counted.made_at(0)
    await counted.check()
    await counted.made_at(0)
    error = await counted.refusal()
    assert (error.quota_type, error.limit, error.current) == ("sessions_per_minute", 10, 3)
    assert error.retry_after == pytest.approx(6.0)


async def test_after_the_time_it_was_told_the_next_is_granted(counted: Counted) -> None:
    for _ in range(3):
        await counted.made_at(6.0)
    await counted.check()


async def test_an_accounts_own_numbers_count_instead(counted: Counted) -> None:
    await counted.account(max_sessions=6, sessions_per_minute=0)
    for _ in range(5):
        await counted.made_at(0, state=SessionState.ACTIVE)
    await counted.check()
    await counted.made_at(0, state=SessionState.ACTIVE)
    assert (await counted.refusal()).limit == 6


async def test_zero_is_unlimited(counted: Counted) -> None:
    for _ in range(50):
        await counted.made_at(0, state=SessionState.ACTIVE)
    await counted.check(defaults=Quotas(concurrent_sessions=0, sessions_per_minute=0))


async def test_an_account_that_may_make_more_a_minute_may_make_as_much_more_at_once(counted: Counted) -> None:
    await counted.account(sessions_per_minute=100, max_sessions=0)
    for _ in range(29):
        await counted.made_at(0)
    await counted.check()
    await counted.made_at(0)
    assert (await counted.refusal()).quota_type == "sessions_per_minute"


async def test_a_token_has_so_many_sessions_in_its_life_closed_ones_and_bound_ones_included(counted: Counted) -> None:
    caller = replace(CALLER, token="jti", max_sessions=3, bound=frozenset({"ses_other"}))
    await counted.made_at(300, token="jti")
    await counted.check(caller)
    await counted.made_at(300, token="jti")
    error = await counted.refusal(caller)
    assert isinstance(error, TokenSpentError)
    assert (error.http_status, error.code, error.limit, error.current) == (403, "FORBIDDEN", 3, 3)
    assert "limit=3" in error.message
    assert problem(error)["limit"] == 3
    assert "retry_after" not in problem(error)


async def test_a_token_bound_to_sessions_without_a_number_creates_nothing(counted: Counted) -> None:
    caller = replace(CALLER, token="jti", max_sessions=1, bound=frozenset({"ses_other"}))
    assert isinstance(await counted.refusal(caller), TokenSpentError)


async def test_a_tokens_open_sessions_are_counted_apart_from_the_accounts(counted: Counted) -> None:
    caller = replace(CALLER, token="jti", max_concurrent=1)
    await counted.made_at(300, token="another", state=SessionState.ACTIVE)
    await counted.check(caller)
    await counted.made_at(300, token="jti", state=SessionState.ACTIVE)
    error = await counted.refusal(caller)
    assert (error.quota_type, error.limit, error.current) == ("max_concurrent_sessions", 1, 1)


async def test_quotas_are_listed_with_their_use(counted: Counted) -> None:
    await counted.made_at(30, state=SessionState.ACTIVE)
    await counted.made_at(90)
    rows = await counted.store.read(lambda tx: quotas.usage(tx, "acme", DEFAULTS, NOW, connections=4))
    by_type = {row.pop("quota_type"): row for row in rows}
    assert by_type == {
        "concurrent_sessions": {"limit": 5, "current": 1},
        "sessions_per_minute": {"limit": 10, "burst": 3, "current": 1},
        "connections": {"limit": 4},
    }


@given(
    gaps=st.lists(st.floats(0, 30), max_size=80),
    per_minute=st.integers(1, 60),
    burst=st.integers(1, 10),
)
def test_whoever_keeps_to_what_he_is_told_never_exceeds_burst_plus_rate(
    gaps: list[float], per_minute: int, burst: int
) -> None:
    now, made = NOW, list[int]()
    for gap in gaps:
        now += round(gap * 1e6)
        if seconds_until_next(made[::-1], per_minute=per_minute, burst=burst, now_us=now) == 0:
            made.append(now)
    for first in range(len(made)):
        for last in range(first, len(made)):
            span = (made[last] - made[first]) / 60e6
            assert last - first + 1 <= burst + span * per_minute + 1e-6


@given(st.integers(1, 60), st.integers(1, 10), st.integers(0, 30))
@example(59, 10, 9)  # the errors of nine additions came to a microsecond
def test_the_wait_that_is_told_is_long_enough_and_no_longer(per_minute: int, burst: int, count: int) -> None:
    made = [NOW] * count
    wait = seconds_until_next(made, per_minute=per_minute, burst=burst, now_us=NOW)
    assert (wait > 0) == (count >= burst)
    later = NOW + round(wait * 1e6) + 1
    assert seconds_until_next(made, per_minute=per_minute, burst=burst, now_us=later) == 0
    if wait > 0.01:
        assert seconds_until_next(made, per_minute=per_minute, burst=burst, now_us=later - 10_000) > 0


@pytest.mark.parametrize("limit", [100, 300])
async def test_a_high_allowance_is_an_allowance_all_the_same(limit: int) -> None:
    """Whoever asks a hundred times a second gets what the bucket gives, within the twentieth that it may err by."""
    rig = Rig(CoordinatorOptions(quotas=Quotas(concurrent_sessions=0)))
    await rig.model()
    account = Account("alice", "Alice", 0, sessions_per_minute=limit)
    await rig.store.transact(lambda tx: tx.put_account(account))
    made = 0
    for _ in range(3000):  # half a minute
        with suppress(QuotaError):
            await rig.create()
            made += 1
        rig.advance(0.01)
    burst = round(limit * Quotas().session_burst / Quotas().sessions_per_minute)
    assert limit / 2 <= made <= (limit / 2 + burst) * 1.06
