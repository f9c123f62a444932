"""Records for the tests of the store: full of what is hard to keep, and short to write."""

from __future__ import annotations

from typing import Any

from livereactor.store.records import (
    Account,
    ApiKey,
    EventRecord,
    ModelRecord,
    Remembered,
    SessionRecord,
    SessionState,
    SlotRecord,
    SlotState,
    UploadRecord,
    WorkerRecord,
    WorkerState,
)

MODEL = "pond"
LATE_US = 4_102_444_800_000_000  # the year 2100: no column may be narrower
TRICKY = {"text": "ünï ☃ 😀 'quoted\" \\ %s :name", "nul": "a\x00b", "lone": "\ud800", "deep": [{"a": [1.5, None]}]}


def account(name: str = "tests", **more: Any) -> Account:
    return Account(**{"id": name, "name": f"{name}'s", "created_us": LATE_US, **more})


def key(name: str = "key_1", **more: Any) -> ApiKey:
    given = {"account": "tests", "name": "laptop", "prefix": "lr_ab", "scopes": ("sessions", "admin")}
    return ApiKey(**{"id": name, "sha256": f"{name:0>64}", "created_us": LATE_US, **given, **more})


def model(name: str = MODEL, **more: Any) -> ModelRecord:
    return ModelRecord(**{"name": name, "version": "v1", "spec": TRICKY, **more})


def session(name: str, state: SessionState = SessionState.QUEUED, **more: Any) -> SessionRecord:
    given = {"account": "tests", "model": MODEL, "created_us": 1_000, "polled_us": 1_000}
    return SessionRecord(**{"id": name, "state": state, **given, **more})


def running(name: str, state: SessionState = SessionState.ACTIVE, **more: Any) -> SessionRecord:
    promised = {"worker": "wrk_1", "slot": 0, "fence": 1, "assigned_us": 2_000, "accepted_us": 3_000}
    return session(name, state, **{**promised, **more})


def closed(name: str, ended_us: int = 9_000, **more: Any) -> SessionRecord:
    return running(name, SessionState.CLOSED, **{"ended_us": ended_us, "end_reason": "stopped", **more})


def worker(name: str = "wrk_1", state: WorkerState = WorkerState.READY, **more: Any) -> WorkerRecord:
    given = {"model": MODEL, "incarnation": f"{name}-life", "node": "here", "slots": 1}
    return WorkerRecord(**{"id": name, "state": state, "started_us": 1, "lease_until_us": 5_000, **given, **more})


def slot(of: str = "wrk_1", n: int = 0, state: SlotState = SlotState.FREE, **more: Any) -> SlotRecord:
    return SlotRecord(of, n, state, **more)


def upload(name: str, of: str = "ses_1", **more: Any) -> UploadRecord:
    given = {"account": "tests", "name": "ünï.png", "mime_type": "image/png", "size_bytes": 2**40}
    return UploadRecord(**{"id": name, "session": of, "key": f"up/{name}", "expires_us": LATE_US, **given, **more})


def event(kind: str = "session.created", at_us: int = 1_000, **more: Any) -> EventRecord:
    return EventRecord(kind, at_us, **more)


def answer(name: str = "idem", **more: Any) -> Remembered:
    given = {"account": "tests", "request_sha256": "ab", "status": 201, "body": TRICKY}
    return Remembered(**{"key": name, "created_us": 1_000, **given, **more})
