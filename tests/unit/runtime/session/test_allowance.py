"""The messages that one Connection may send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from livereactor.base.errors import LivereactorError
from livereactor.base.limits import Limits
from livereactor.runtime.session.allowance import Allowance, InboundGate, Verdict, bounds_of

VIEWER = bounds_of(Limits(), "viewer", stepped=False)
OWNER = bounds_of(Limits(), "owner", stepped=False)


def test_a_burst_passes_and_the_first_message_over_it_is_told_once() -> None:
    allowance = Allowance(VIEWER)
    verdicts = [allowance.take(10, 0.0) for _ in range(1000)]
    assert verdicts[:100] == [Verdict.TAKEN] * 100
    assert verdicts[100] is Verdict.TOLD
    assert set(verdicts[101:]) == {Verdict.DROPPED}
    error = allowance.error(10)
    assert error.code == "RATE_LIMITED"
    assert "20 a second (viewer_message_rate)" in error.message
    assert "go on in 0.1 s" in error.message or "go on in 0.0 s" in error.message


def test_who_goes_on_at_many_times_the_rate_is_ignored_after_five_seconds() -> None:
    allowance = Allowance(VIEWER)
    verdicts = Counter(allowance.take(10, number / 1000) for number in range(5200))
    assert verdicts[Verdict.IGNORED] == 1
    assert verdicts[Verdict.TOLD] == 1


def test_who_is_a_little_too_fast_is_never_closed_and_told_once() -> None:
    allowance = Allowance(VIEWER)
    verdicts = Counter(allowance.take(10, number / 40) for number in range(40 * 120))
    assert verdicts[Verdict.IGNORED] == 0
    assert verdicts[Verdict.TOLD] == 1
    assert verdicts[Verdict.TAKEN] >= 20 * 119


def test_who_listened_is_told_again_when_it_happens_again() -> None:
    allowance = Allowance(VIEWER)
    for at in (0.0, 60.0):
        assert Counter(allowance.take(10, at) for _ in range(1000))[Verdict.TOLD] == 1


def test_bytes_are_bounded_too_and_a_script_of_an_owner_is_not() -> None:
    allowance = Allowance(OWNER)
    assert {allowance.take(1000, 0.0) for _ in range(2000)} == {Verdict.TAKEN}
    sizes = [allowance.take(256 * 1024, 0.0) for _ in range(200)]
    assert sizes.count(Verdict.TAKEN) == (40_000_000 - 2_000_000) // (256 * 1024)
    assert "message_rate_bytes" in allowance.error(256 * 1024).message


def test_steps_whose_results_were_sent_do_not_count() -> None:
    gate, told = _gate(stepped=True)
    for _ in range(20_000):
        assert gate("data", bytes(300))
        gate.repay()
    assert not told
    assert gate("data", bytes(1 << 20))


def test_a_message_too_large_is_told_with_the_start_of_it() -> None:
    gate, told = _gate()
    assert not gate("data", b"\n\3abc" + bytes(300_000))
    ((error, head),) = told
    assert (error.code, head[:5], len(head)) == ("MESSAGE_TOO_LARGE", b"\n\3abc", 128)


def _gate(*, stepped: bool = False) -> tuple[InboundGate, list[tuple[LivereactorError, bytes]]]:
    told: list[tuple[LivereactorError, bytes]] = []

    def post(work: Callable[[], None]) -> None:
        work()

    bounds = bounds_of(Limits(), "owner", stepped=stepped)
    gate = InboundGate(
        bounds, post, refused=lambda _, error, head: told.append((error, head)), ignored=lambda: None, clock=lambda: 0.0
    )
    return gate, told
