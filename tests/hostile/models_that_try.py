"""Two models: one that is served, and one that tries what it can to reach the other's visitors."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

import livereactor as lr

FOLDER = os.environ.get("TRIES")  # where it is told whom to attack, and writes what it got
SECRET = os.environ.get("LIVEREACTOR_WORKER_SECRET", "")


class Prey(lr.Model):
    """A model with a visitor."""

    main_video = lr.VideoOut(width=64, height=64, fps=10)

    def stream(self) -> Iterator[None]:
        while True:
            yield None


class Spy(lr.Model):
    """A model that tries."""

    main_video = lr.VideoOut(width=64, height=64, fps=10)

    def load(self) -> None:
        threading.Thread(target=_wait_and_try, daemon=True).start()

    def stream(self) -> Iterator[None]:
        while True:
            yield None


def _wait_and_try() -> None:
    assert FOLDER is not None
    told = Path(FOLDER, "attack.json")
    while not told.exists():
        time.sleep(0.05)
    _report("served", _files(told) | _requests(json.loads(told.read_text())))


def _files(told: Path) -> dict[str, str]:
    asked = json.loads(told.read_text())
    data = Path(asked["data"])
    tried: dict[str, Callable[[], Any]] = {
        "database": (data / "livereactor.db").read_bytes,
        "secrets": (data / "secrets.json").read_bytes,
        "upload": (data / "blobs" / asked["upload"]).read_bytes if "upload" in asked else list,
        "listing": lambda: [each.name for each in data.iterdir()],
        "replaced": lambda: (data / "secrets.json").write_text("mine"),
        "coordinator's environment": Path(f"/proc/{asked['coordinator']}/environ").read_bytes,
        "coordinator's memory": Path(f"/proc/{asked['coordinator']}/maps").read_bytes,
        "through the coordinator": Path(f"/proc/{asked['coordinator']}/root{data}/secrets.json").read_bytes,
        "signal": lambda: os.kill(asked["coordinator"], signal.SIGCONT) or "sent",
    }
    return {name: _got(act) for name, act in tried.items()}


def _requests(asked: dict[str, Any]) -> dict[str, str]:
    def ask(path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {SECRET}"}
        request = urllib.request.Request(asked["url"] + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return b"got " + answer.read()

    def register(worker: str, model: str) -> str:
        slots = [{"n": 0, "phase": "free"}]
        hello = {"type": "hello", "worker": worker, "incarnation": "incarnation", "model": model, "slots": slots}
        with connect(
            asked["url"].replace("http", "ws") + "/workers/link",
            additional_headers={"Authorization": f"Bearer {SECRET}"},
            proxy=None,
        ) as socket:
            socket.send(json.dumps(hello | {"state": "ready"}))
            answer = json.loads(socket.recv(timeout=10))
            return "" if answer["type"] == "refused" else answer["type"]

    blobs, other = "/internal/blobs/", asked["worker"]
    return {
        "http upload": _got(lambda: ask(blobs + asked["upload"])),
        "http uploads": _got(lambda: ask(f"{blobs}sessions?prefix=1")),
        "http recordings": _got(lambda: ask(f"{blobs}recordings?prefix=1")),
        "http erased": _got(lambda: ask(f"{blobs}sessions?prefix=1", "DELETE")),
        "http died": _got(lambda: ask(f"/workers/{other}/died", "POST", b"{}")),
        "http request": _got(lambda: ask(f"/internal/workers/{other}/requests?timeout=1", "POST", b"{}")),
        "http sessions": _got(lambda: ask("/sessions")),
        "another worker": _got(lambda: register(other, "prey")),
        "a new worker": _got(lambda: register("wrk_new", "prey")),
        "another model": _got(lambda: register(asked["own"], "prey")),
    }


def _got(act: Callable[[], Any]) -> str:
    try:
        return str(act() or "")[:100]
    except (OSError, urllib.error.URLError):
        return ""


def _report(phase: str, found: dict[str, str]) -> None:
    assert FOLDER is not None
    draft = Path(FOLDER, f"{phase}.draft")
    draft.write_text(json.dumps({"got": found, "environment": dict(os.environ)}))
    draft.rename(Path(FOLDER, f"{phase}.json"))


if FOLDER is not None and (early := Path(FOLDER, "early.json")).exists():  # where it is imported for its schema
    _report("imported", _files(early))
