"""The messages that one Connection may send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from livereactor.base.errors import LivereactorError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session.allowance import (
    KEPT,
    WINDOW,
    Allowance,
    Allowances,
    Bounds,
    InboundGate,
    Verdict,
    bounds_of,
)

VIEWER = bounds_of(Limits(), "viewer", stepped=False)
OWNER = bounds_of(Limits(), "owner", stepped=False)
LINK = bounds_of(Limits(), "owner", stepped=False, link="share_1")


def test_a_burst_passes_and_the_first_message_over_it_is_told_once() -> None:
    allowance = Allowance(VIEWER)
    verdicts = [allowance.take(10, 0.0) for _ in range(300)]
    assert verdicts[:100] == [Verdict.TAKEN] * 100
    assert verdicts[100] is Verdict.TOLD
    assert set(verdicts[101:]) == {Verdict.DROPPED}
    error = allowance.error(10)
    assert error.code == "RATE_LIMITED"
    assert "20 a second (viewer_message_rate)" in error.message
    assert "go on in 0.1 s" in error.message or "go on in 0.0 s" in error.message


@pytest.mark.parametrize("answered", [True, False])
def test_a_link_that_may_steer_has_less_at_once_than_the_owner(answered: bool) -> None:
    taken: list[int] = []
    for link in ("", "share_1"):
        gate, _ = _gate(link=link)
        count = 0
        for _ in range(5000):
            if gate("data", bytes(30)):
                count += 1
                if answered:
                    gate.repay(30)
        taken.append(count)
    assert taken == [5000 if answered else 4000, 400]


def test_steps_of_a_link_whose_results_were_sent_do_not_count() -> None:
    gate, _ = _gate(stepped=True, link="share_1")
    for _ in range(5000):
        assert gate("data", bytes(300))
        gate.repay(300)


def test_who_goes_on_at_many_times_the_rate_is_ignored_after_five_seconds() -> None:
    allowance = Allowance(VIEWER)
    verdicts = Counter(allowance.take(10, number / 120) for number in range(120 * 7))
    assert verdicts[Verdict.IGNORED] == 1
    assert verdicts[Verdict.TOLD] == 1


@pytest.mark.parametrize("size", [10, 16 * 1024])
def test_an_owner_that_floods_is_ignored_in_the_second_second(size: int) -> None:
    allowance = Allowance(OWNER)
    verdicts = [allowance.take(size, number / 5000) for number in range(15_000)]
    assert verdicts.count(Verdict.TOLD) == 1
    told, ignored = verdicts.index(Verdict.TOLD), verdicts.index(Verdict.IGNORED)
    assert 5000 < ignored - told <= 10_000


@pytest.mark.parametrize(("bounds", "taken", "dropped"), [(VIEWER, 100, 200), (LINK, 400, 400)])
def test_a_link_that_floods_is_told_and_ignored_within_a_second(bounds: Bounds, taken: int, dropped: int) -> None:
    allowance = Allowance(bounds)
    verdicts = [allowance.take(1, 0.0) for _ in range(taken + dropped + 1)]
    assert verdicts[taken] is Verdict.TOLD
    assert verdicts.index(Verdict.IGNORED) == taken + dropped


def test_a_link_that_floods_in_bytes_is_ignored_too() -> None:
    allowance = Allowance(VIEWER)
    verdicts = [allowance.take(16 * 1024, 0.0) for _ in range(20 + 41)]
    assert verdicts.index(Verdict.IGNORED) == 20 + 40


def test_an_owner_that_sent_thousands_at_once_and_then_keeps_to_its_rate_is_not_ignored() -> None:
    allowance = Allowance(OWNER)
    verdicts = Counter(allowance.take(10, 0.0) for _ in range(10_000))
    verdicts += Counter(allowance.take(10, 1 + number / 190) for number in range(190 * 30))
    assert verdicts[Verdict.IGNORED] == 0


def test_who_is_a_little_too_fast_is_never_closed_and_told_once() -> None:
    allowance = Allowance(VIEWER)
    verdicts = Counter(allowance.take(10, number / 40) for number in range(40 * 120))
    assert verdicts[Verdict.IGNORED] == 0
    assert verdicts[Verdict.TOLD] == 1
    assert verdicts[Verdict.TAKEN] >= 20 * 119


def test_who_listened_is_told_again_when_it_happens_again() -> None:
    allowance = Allowance(VIEWER)
    for at in (0.0, 60.0):
        assert Counter(allowance.take(10, at) for _ in range(200))[Verdict.TOLD] == 1


def test_bytes_are_bounded_too_and_a_script_of_an_owner_is_not() -> None:
    allowance = Allowance(OWNER)
    assert {allowance.take(1000, 0.0) for _ in range(2000)} == {Verdict.TAKEN}
    sizes = [allowance.take(256 * 1024, 0.0) for _ in range(200)]
    assert sizes.count(Verdict.TAKEN) == (40_000_000 - 2_000_000) // (256 * 1024)
    assert "message_rate_bytes" in allowance.error(256 * 1024).message


@pytest.mark.parametrize("stepped", [False, True])
def test_requests_that_were_answered_do_not_count(stepped: bool) -> None:
    gate, told = _gate(stepped=stepped)
    for _ in range(20_000):
        assert gate("data", bytes(30_000))
        gate.repay(30_000)
    assert not told


def test_a_flood_that_awaits_no_answer_is_bounded_although_some_come() -> None:
    now = [0.0]
    gate, told = _gate(now=now)
    taken = 0
    for number in range(40_000):  # ten thousand a second, of which a tenth is answered
        now[0] = number / 10_000
        taken += gate("data", bytes(100))
        if number % 10 == 0:
            gate.repay(100)
    assert taken <= 4000 + 200 * 4 + 4000 // 9 + 100
    assert len(told) == 1


def test_who_went_over_is_held_to_the_rate_and_repaid_again_when_it_waits() -> None:
    allowance = Allowance(OWNER)
    for _ in range(5000):
        allowance.take(10, 0.0)
    allowance.repay(1000, 0, 0.0)
    assert allowance.take(10, 0.0) is Verdict.DROPPED
    allowance.repay(1000, 0, 2 * WINDOW)
    assert sum(allowance.take(10, 2 * WINDOW) is Verdict.TAKEN for _ in range(4000)) >= 3000


def test_nothing_is_repaid_to_who_may_only_watch() -> None:
    gate, told = _gate("viewer")
    taken = 0
    for _ in range(1000):
        taken += gate("data", b"")
        gate.repay(0)
    assert taken == 100
    assert len(told) == 1


def test_a_lease_lets_no_more_through_than_the_bucket_held() -> None:
    now = [0.0]
    gate, _ = _gate("viewer", now=now)
    assert sum(gate("data", bytes(10)) for _ in range(200)) == 100
    now[0] = 1.0
    assert sum(gate("data", bytes(10)) for _ in range(200)) == 20
    gate, _ = _gate("viewer")
    assert sum(gate("data", bytes(16_384)) for _ in range(1000)) == 5 * 64 * 1024 // 16_384


def test_who_comes_back_goes_on_with_what_was_left() -> None:
    allowances = Allowances()
    drained = allowances.take(("viewer", "link"), VIEWER, 0.0)
    while drained.take(10, 0.0) is Verdict.TAKEN:
        pass
    allowances.keep(("viewer", "link"), drained)
    assert allowances.take(("viewer", "other"), VIEWER, 0.0) is not drained
    assert allowances.take(("viewer", "link"), OWNER, 0.0) is not drained
    assert allowances.take(("viewer", "link"), VIEWER, 0.0) is drained
    assert allowances.take(("viewer", "link"), VIEWER, 0.0) is not drained  # it is in use
    allowances.keep(("viewer", "link"), drained)
    assert allowances.take(("viewer", "link"), VIEWER, 100.0) is not drained  # it would be full again


def test_another_session_begins_with_fresh_allowances() -> None:
    allowances = Allowances()
    drained = allowances.take("a", VIEWER, 0.0)
    drained.take(10, 0.0)
    allowances.keep("a", drained)
    allowances.forget()
    assert allowances.take("a", VIEWER, 0.0) is not drained


def test_the_number_of_kept_allowances_is_bounded() -> None:
    allowances = Allowances()
    drained = [allowances.take(number, VIEWER, 0.0) for number in range(KEPT + 1)]
    for number, each in enumerate(drained):
        each.take(10, 0.0)
        allowances.keep(number, each)
    assert allowances.take(0, VIEWER, 0.0) is not drained[0]
    assert allowances.take(1, VIEWER, 0.0) is drained[1]


def test_owners_have_less_at_once_while_there_are_several() -> None:
    allowances = Allowances()
    first = allowances.take(1, OWNER, 0.0)
    allowances.take(2, LINK, 0.0)
    assert first.bounds == OWNER
    second = allowances.take(3, OWNER, 0.0)
    for each in (first, second):
        verdicts = [each.take(10, 0.0) for _ in range(2000)]
        assert verdicts.index(Verdict.TOLD) == 1000
        assert verdicts.index(Verdict.IGNORED) == 1400
    allowances.keep(3, second)
    assert first.bounds == OWNER
    assert sum(first.take(10, 100.0) is Verdict.TAKEN for _ in range(5000)) == 4000


def test_an_owner_that_leaves_company_comes_back_to_what_was_left() -> None:
    allowances = Allowances()
    allowances.take(1, OWNER, 0.0)
    second = allowances.take(2, OWNER, 0.0)
    while second.take(10, 0.0) is Verdict.TAKEN:
        pass
    allowances.keep(2, second)
    assert allowances.take(2, OWNER, 0.0) is second
    assert second.bounds == OWNER.in_company()


def test_a_closed_gate_admits_no_more_than_a_lease() -> None:
    gate, _ = _gate()
    assert gate("data", b"")
    gate.close()
    assert sum(gate("data", b"") for _ in range(1000)) <= 32


def test_a_message_too_large_is_told_with_the_start_of_it() -> None:
    gate, told = _gate()
    assert not gate("data", b"\n\3abc" + bytes(300_000))
    ((error, head),) = told
    assert (error.code, head[:5], len(head)) == ("MESSAGE_TOO_LARGE", b"\n\3abc", 128)


def _gate(
    role: Role = "owner", *, stepped: bool = False, link: str = "", now: Sequence[float] = (0.0,)
) -> tuple[InboundGate, list[tuple[LivereactorError, bytes]]]:
    told: list[tuple[LivereactorError, bytes]] = []

    def post(work: Callable[[], None]) -> None:
        work()

    allowance = Allowance(bounds_of(Limits(), role, stepped=stepped, link=link))
    gate = InboundGate(
        allowance,
        post,
        refused=lambda _, error, head: told.append((error, head)),
        ignored=lambda: None,
        clock=lambda: now[0],
    )
    return gate, told


def test_messages_that_are_too_large_cost_all_their_bytes() -> None:
    gate, told = _gate(role="viewer")
    assert not gate("data", bytes(4_000_000))
    assert not gate("data", bytes(1_000))
    (large, _), (fast, _) = told
    assert isinstance(large, TooLargeError)
    assert "viewer_message_rate_bytes" in fast.message
