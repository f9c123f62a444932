"""What waits for the model's thread is bounded in count and in bytes."""

from __future__ import annotations

from livereactor.runtime.execution.command_queue import Inbox, Job, JobKind, size_of
from livereactor.runtime.interfaces import ReceivedFile


def job(kind: JobKind = JobKind.COMMAND, size: int = 0) -> Job:
    return Job(kind, lambda: None, lambda _: None, size)


def test_commands_are_refused_past_their_bytes_and_taken_again_once_some_have_left() -> None:
    inbox = Inbox(100, limit_bytes=1000)
    assert inbox.put(job(size=5000))  # alone, whatever its size
    assert not inbox.put(job(size=1))
    assert inbox.put(job(JobKind.HOOK, size=5000))
    inbox.next()
    assert [inbox.put(job(size=400)) for _ in range(4)] == [True, True, True, False]
    inbox.drain()
    assert inbox.put(job(size=400))


def test_commands_are_refused_past_their_count() -> None:
    inbox = Inbox(2)
    assert [inbox.put(job()) for _ in range(3)] == [True, True, False]


def test_a_command_keeps_what_its_arguments_keep_at_any_depth_but_not_the_files() -> None:
    text = "x" * 100_000
    assert 300_000 < size_of({"a": text, "b": [text, {"c": text}]}) < 301_000
    assert 100_000 < size_of({text: 1}) < 101_000
    assert size_of({"file": ReceivedFile("up", "a", "text/plain", b"x" * 100_000)}) < 1000
