"""The rules of a Worker's link, one by one; what no order of events may break is in tests/property/worker."""

from __future__ import annotations

from typing import Any, TypeVar

from livereactor.protocol import link
from livereactor.runtime.worker import events as e
from livereactor.runtime.worker.link import About, LinkState, WorkerLink

F = TypeVar("F")


class Acting:
    """A link, and what it asked for."""

    def __init__(self, *, slots: int = 1, pooled: bool = False) -> None:
        self.now = 100.0
        self.names = 0
        about = About("w-1", "pond", pooled=pooled)
        self.link = WorkerLink(about, slots, incarnation=self._fresh, drain_timeout=30.0, now=self.now)
        self.done: list[e.LinkEffect] = []

    def _fresh(self) -> str:
        self.names += 1
        return f"incarnation {self.names}"

    def tell(self, event: e.LinkEvent) -> list[e.LinkEffect]:
        self.done = self.link.handle(event, self.now)
        return self.done

    def hear(self, frame: link.FromCoordinator) -> list[e.LinkEffect]:
        return self.tell(frame)

    def at(self, now: float) -> list[e.LinkEffect]:
        self.now = now
        return self.tell(e.TimedOut())

    def sent(self, kind: type[F]) -> list[F]:
        return [each.frame for each in self.done if isinstance(each, e.Send) and isinstance(each.frame, kind)]

    def only(self, kind: type[F]) -> F:
        (found,) = [each for each in self.done if isinstance(each, kind)]
        return found

    def up(self) -> None:
        self.tell(e.AllLoaded())
        self.tell(e.SocketOpened())
        self.hear(link.Welcome())

    def beat(self) -> link.Beat:
        (beat,) = self.sent(link.Beat)
        return beat

    def run(self, session: str = "ses_1", fence: int = 1, slot: int = 0) -> None:
        """Give it a Session and let it begin."""
        self.hear(link.Assign(slot=slot, fence=fence, session=session, start={"steps": 3}))
        self.hear(link.Renewed(number=self.beat().number, held=[0, 1]))


def assign(fence: int = 1, session: str = "ses_1", **more: Any) -> link.Assign:
    return link.Assign(slot=0, fence=fence, session=session, **more)


def test_it_greets_with_what_it_holds_and_beats_once_it_is_welcome() -> None:
    act = Acting()
    act.tell(e.SocketOpened())
    (hello,) = act.sent(link.Hello)
    assert (hello.worker, hello.state, [each.phase for each in hello.slots]) == ("w-1", "starting", ["free"])
    act.hear(link.Welcome())
    assert act.beat().number == 1


def test_beats_come_every_two_seconds() -> None:
    act = Acting()
    act.up()
    assert act.link.deadline() == act.now + link.BEAT_EVERY
    act.at(act.now + link.BEAT_EVERY)
    assert act.beat().number == 2


def test_loading_that_goes_on_is_told_four_times_a_second_at_most() -> None:
    act = Acting()
    act.tell(e.SocketOpened())
    act.hear(link.Welcome())
    assert act.tell(e.LoadProgressed(0.1, "text encoder")) == []
    assert act.link.deadline() == act.now + 0.25
    act.at(act.now + 0.25)
    assert (act.beat().progress, act.beat().text) == (0.1, "text encoder")


def test_an_assignment_is_a_hint_and_the_session_starts_when_its_beat_is_held() -> None:
    act = Acting()
    act.up()
    act.hear(assign(start={"steps": 3}))
    beat = act.beat()
    assert (beat.slots[0].phase, beat.slots[0].fence) == ("accepting", 1)
    assert not any(isinstance(each, e.Start) for each in act.done)
    act.hear(link.Renewed(number=beat.number, held=[0]))
    assert act.only(e.Start) == e.Start(0, "ses_1", {"steps": 3})
    assert act.sent(link.SessionReport)[0].phase == "waiting"


def test_a_hint_that_is_not_held_comes_to_nothing() -> None:
    act = Acting()
    act.up()
    act.hear(assign())
    act.hear(link.Renewed(number=act.beat().number, held=[]))
    assert not any(isinstance(each, e.Start) for each in act.done)
    assert act.beat().slots[0].phase == "free"


def test_a_hint_told_again_is_beaten_again_and_a_newer_one_takes_its_place() -> None:
    act = Acting()
    act.up()
    act.hear(assign())
    act.hear(assign())
    assert act.beat().slots[0].fence == 1
    act.hear(assign(fence=2, session="ses_2"))
    assert act.beat().slots[0].session == "ses_2"
    assert act.hear(assign()) == act.done
    assert act.beat().slots[0].session == "ses_2"


def test_an_answer_to_a_beat_before_the_hint_starts_nothing() -> None:
    act = Acting()
    act.up()
    act.hear(assign())
    assert act.hear(link.Renewed(number=1, held=[0])) == []


def test_nothing_is_accepted_while_the_model_loads_or_the_worker_drains() -> None:
    act = Acting(slots=2)
    act.tell(e.SocketOpened())
    act.hear(link.Welcome())
    assert act.hear(assign()) == []
    act.tell(e.AllLoaded())
    act.hear(link.Assign(slot=1, fence=1, session="ses_9"))
    act.hear(link.Renewed(number=act.beat().number, held=[1]))
    act.hear(link.Drain(grace=10))
    assert act.hear(assign()) == []


def test_what_is_not_held_any_more_ends_quietly_and_nothing_is_reported_of_it() -> None:
    act = Acting()
    act.up()
    act.run()
    act.at(act.now + 2)
    act.hear(link.Renewed(number=act.beat().number, held=[]))
    assert act.only(e.EndSession).quietly
    act.tell(e.SlotMoved(0, "ses_1", "closing", "worker_lost"))
    act.tell(e.SlotClosed(0, "ses_1", "worker_lost"))
    assert act.sent(link.SessionReport) == []
    assert act.beat().slots[0].phase == "free"


def test_an_end_of_another_fence_ends_nothing() -> None:
    act = Acting()
    act.up()
    act.run(fence=4)
    assert act.hear(link.End(slot=0, fence=3, session="ses_1")) == []
    act.hear(link.End(slot=0, fence=4, session="ses_1", reason="evicted"))
    assert act.only(e.EndSession) == e.EndSession(0, "ses_1", "evicted")


def test_the_end_is_reported_before_the_slot_is_free() -> None:
    act = Acting()
    act.up()
    act.run()
    act.tell(e.SlotMoved(0, "ses_1", "streaming", seen=True))
    act.tell(e.SlotClosed(0, "ses_1", "timed_out", "nobody came"))
    first, second = [each.frame for each in act.done if isinstance(each, e.Send)]
    assert isinstance(first, link.SessionReport)
    assert (first.phase, first.reason, first.detail, first.first_frame) == ("closed", "timed_out", "nobody came", True)
    assert isinstance(second, link.Beat)
    assert second.slots[0].phase == "free"


def test_an_end_that_a_broken_socket_swallowed_is_told_on_the_next() -> None:
    act = Acting()
    act.up()
    act.run()
    act.tell(e.SlotClosed(0, "ses_1", "idle"))
    act.tell(e.SocketClosed())
    act.tell(e.SocketOpened())
    assert act.sent(link.Hello)[0].slots[0].phase == "closing"
    act.hear(link.Welcome(held=[0]))
    assert act.sent(link.SessionReport)[0].reason == "idle"
    assert act.beat().slots[0].phase == "free"
    act.hear(link.Renewed(number=act.beat().number, held=[]))
    act.tell(e.SocketClosed())
    act.tell(e.SocketOpened())
    assert act.sent(link.Hello)[0].slots[0].phase == "free"


def test_a_session_outlives_a_broken_socket() -> None:
    act = Acting()
    act.up()
    act.run()
    act.tell(e.SocketClosed())
    act.tell(e.SocketOpened())
    (hello,) = act.sent(link.Hello)
    assert (hello.incarnation, hello.slots[0].session) == ("incarnation 1", "ses_1")
    act.hear(link.Welcome(held=[0]))
    assert not any(isinstance(each, e.EndSession) for each in act.done)
    assert act.sent(link.SessionReport)[0].phase == "waiting"


def test_a_stale_worker_ends_everything_and_comes_back_empty_under_a_new_name() -> None:
    act = Acting()
    act.up()
    act.run()
    act.tell(e.SocketClosed())
    act.tell(e.SocketOpened())
    act.hear(link.Refused(code="stale"))
    assert act.only(e.EndSession).quietly
    assert act.only(e.CloseSocket)
    act.tell(e.SocketClosed())
    assert not act.link.may_dial
    act.tell(e.SlotClosed(0, "ses_1", "worker_lost"))
    assert act.link.may_dial
    act.tell(e.SocketOpened())
    (hello,) = act.sent(link.Hello)
    assert (hello.incarnation, hello.slots[0].session, hello.slots[0].fence) == ("incarnation 2", None, 1)


def test_a_request_of_another_fence_is_refused() -> None:
    act = Acting()
    act.up()
    act.run(fence=2)
    for fence in (1, 3):
        act.hear(link.Request(id=1, fence=fence, method="GET", path="/x"))
        assert act.only(e.RefuseRequest)
    act.hear(link.Request(id=1, fence=2, method="GET", path="/x"))
    assert act.only(e.PassRequest)
    act.hear(link.Request(id=1, fence=None, method="GET", path="/metrics"))
    assert act.only(e.PassRequest)
    act.hear(link.Request(id=1, slot=7, method="GET", path="/metrics"))
    assert act.only(e.RefuseRequest)


def test_sessions_end_after_sixty_seconds_from_the_sending_of_the_last_beat_acknowledged() -> None:
    act = Acting()
    act.up()
    act.run()
    sent_at = act.now
    act.now += 5  # the answer was slow: the lease counts from when the beat left
    act.at(sent_at + 2)
    first = act.beat()
    act.now = sent_at + 4
    act.hear(link.Renewed(number=first.number, held=[0]))
    act.at(sent_at + 2 + link.SELF_FENCE - 0.01)
    assert not any(isinstance(each, e.EndSession) for each in act.done)
    act.at(sent_at + 2 + link.SELF_FENCE)
    assert act.only(e.EndSession) == e.EndSession(0, "ses_1", "worker_lost")
    act.tell(e.SlotClosed(0, "ses_1", "worker_lost"))
    assert not any(isinstance(each, e.EndProcess) for each in act.done)
    assert act.link.may_dial


def test_a_worker_of_a_pool_ends_after_sixty_seconds_without_its_coordinator() -> None:
    act = Acting(pooled=True)
    act.tell(e.AllLoaded())
    act.at(act.now + link.SELF_FENCE)
    assert "acknowledged nothing" in (act.only(e.EndProcess).failure or "")


def test_another_worker_waits_for_its_coordinator_as_long_as_it_takes() -> None:
    act = Acting()
    act.tell(e.AllLoaded())
    assert act.at(act.now + 10 * link.SELF_FENCE) == []
    assert act.link.may_dial


def test_a_hello_that_is_not_answered_is_tried_on_another_socket() -> None:
    act = Acting()
    act.tell(e.SocketOpened())
    act.at(act.now + 10)
    assert act.only(e.CloseSocket)
    assert act.link.may_dial


def test_a_worker_that_drains_finishes_what_runs_and_says_goodbye() -> None:
    act = Acting()
    act.up()
    act.run()
    act.tell(e.DrainRequested(20))
    assert act.beat().state == "draining"
    act.tell(e.SlotClosed(0, "ses_1", "stopped"))
    kinds = [type(each.frame if isinstance(each, e.Send) else each) for each in act.done]
    assert kinds == [link.SessionReport, link.Beat, link.Bye, e.EndProcess]
    assert act.only(e.EndProcess).failure is None
    assert act.link.deadline() is None


def test_what_runs_longer_than_the_drain_may_take_is_evicted() -> None:
    act = Acting()
    act.up()
    act.run()
    act.tell(e.DrainRequested(20))
    act.tell(e.DrainRequested(60))  # the shorter one counts
    act.at(act.now + 20)
    assert act.only(e.EndSession) == e.EndSession(0, "ses_1", "evicted")


def test_a_signal_does_not_shorten_what_the_coordinator_of_a_pooled_worker_allows() -> None:
    """It tells the Worker to drain, and has its pool signal the process."""
    act = Acting(pooled=True)
    act.up()
    act.run()
    act.hear(link.Drain(grace=40))
    act.tell(e.DrainRequested(20))
    act.at(act.now + 20)
    assert not [each for each in act.done if isinstance(each, e.EndSession)]
    act.at(act.now + 20)
    assert act.only(e.EndSession) == e.EndSession(0, "ses_1", "evicted")


def test_whoever_keeps_a_worker_may_shorten_its_drain() -> None:
    act = Acting()
    act.up()
    act.run()
    act.hear(link.Drain(grace=40))
    act.tell(e.DrainRequested(20))  # its keeper kills it after that
    act.at(act.now + 20)
    assert act.only(e.EndSession) == e.EndSession(0, "ses_1", "evicted")


def test_a_model_that_does_not_load_is_told_before_the_end() -> None:
    act = Acting()
    act.tell(e.SlotBroken(0, "weights are missing"))
    assert act.done == []  # no socket yet
    act.tell(e.SocketOpened())
    act.hear(link.Welcome())
    assert (act.beat().state, act.beat().text) == ("draining", "weights are missing")
    assert act.sent(link.Bye)
    assert act.only(e.EndProcess).failure == "weights are missing"


def test_nobody_waits_long_to_tell_that_a_model_does_not_load() -> None:
    act = Acting()
    act.tell(e.SlotBroken(0, "weights are missing"))
    deadline = act.link.deadline()
    assert deadline is not None
    assert deadline - act.now <= 3
    act.at(deadline)
    assert act.only(e.EndProcess).failure == "weights are missing"


def test_a_broken_slot_is_never_free_and_the_others_may_finish() -> None:
    act = Acting(slots=2)
    act.up()
    act.run()
    act.run("ses_2", slot=1)
    act.tell(e.SlotBroken(0, "the model hangs"))
    first, second = [each.frame for each in act.done if isinstance(each, e.Send)]
    assert isinstance(first, link.Beat)  # before the end is told: the Slot must not be given away
    assert (first.state, first.slots[0].phase) == ("draining", "closing")
    assert isinstance(second, link.SessionReport)
    assert (second.phase, second.reason) == ("closed", "error")
    act.tell(e.SlotClosed(1, "ses_2", "stopped"))
    assert act.only(e.EndProcess).failure == "the model hangs"
    assert act.link.state is LinkState.ENDED
