"""Two models: one that is served, and one that tries what it can to reach the other's visitors."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import resource
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

import livereactor as lr
from livereactor.wiring.worker import WorkerOptions

FOLDER = os.environ.get("TRIES")  # where it is told whom to attack, and writes what it got
PTRACE_ATTACH = 16
Tried = dict[str, Callable[[], Any]]


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
    told = Path(FOLDER or "", "attack.json")
    while not told.exists():
        time.sleep(0.05)
    asked = json.loads(told.read_text())
    _report("served", asked, _files(asked) | _processes(asked) | _requests(asked, _credential()))


def _files(asked: dict[str, Any]) -> Tried:
    if (given := asked.get("data")) is None:  # its machine has none
        return {}
    data, own = Path(given), Path(FOLDER or "")
    through = {name: f"/proc/{pid}/root{data}/secrets.json" for name, pid in _pids(asked).items()}
    return {
        "database": (data / "livereactor.db").read_bytes,
        "secrets": (data / "secrets.json").read_bytes,
        "upload": (data / "blobs" / asked["upload"]).read_bytes if "upload" in asked else str,
        "listing": lambda: [each.name for each in data.iterdir()],
        "replaced": lambda: (data / "secrets.json").write_text("mine"),
        "from its folder": lambda: Path("secrets.json").read_bytes(),
        "by a link": lambda: _linked(own / f"link{os.getpid()}", data / "secrets.json", Path.symlink_to),
        "by a hard link": lambda: _linked(own / f"hard{os.getpid()}", data / "secrets.json", Path.hardlink_to),
        "moved away": lambda: data.rename(own / "moved") and "moved",
        **{f"through {name}": Path(path).read_bytes for name, path in through.items()},
    }


def _linked(link: Path, to: Path, make: Callable[[Path, Path], None]) -> bytes:
    make(link, to)
    return link.read_bytes()


def _pids(asked: dict[str, Any]) -> dict[str, int]:
    """The processes that it attacks: whoever started it, the coordinator, workers of the other model."""
    others = {f"worker {index}": pid for index, pid in enumerate(asked.get("workers", ()))}
    return {"the parent": os.getppid(), "the coordinator": asked["coordinator"], **others}


def _processes(asked: dict[str, Any]) -> Tried:
    tried: Tried = {"descriptors": lambda: _reachable(asked)}
    for name, pid in _pids(asked).items():
        place = Path(f"/proc/{pid}")
        tried |= {
            f"environment of {name}": (place / "environ").read_bytes,
            f"command line of {name}": lambda place=place: _secrets_in((place / "cmdline").read_bytes()),
            f"maps of {name}": (place / "maps").read_bytes,
            f"memory of {name}": lambda place=place: (place / "mem").open("rb") and "opened",
            f"descriptors of {name}": lambda place=place: _opened(place),
            f"trace of {name}": lambda pid=pid: _traced(pid),
            f"limits of {name}": lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)) and "set",
            f"priority of {name}": lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 1) or "set",
            f"scheduler of {name}": lambda pid=pid: _scheduled(pid),
            f"signal to {name}": lambda pid=pid: os.kill(pid, signal.SIGCONT) or "sent",
        }
    return tried | {"affinity of the parent": lambda: _pinned(os.getppid())}


def _pinned(pid: int) -> str:
    os.sched_setaffinity(pid, os.sched_getaffinity(pid))
    return "pinned"


def _scheduled(pid: int) -> str:
    os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
    return "set"


def _secrets_in(line: bytes) -> list[str]:
    """Arguments that look like a secret, which a worker's id is not; that a command line can be read says nothing."""
    return [each for each in line.decode(errors="replace").split("\0") if re.fullmatch(r"(?!wrk_)[\w.\-]{24,}", each)]


def _opened(place: Path) -> list[str]:
    """The files that a process has open; that it has a descriptor of some number says nothing."""
    found = list[str]()
    for each in (place / "fd").iterdir():
        with suppress(OSError):
            found.append(str(each.readlink()))
    return found


def _traced(pid: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    return "attached" if libc.ptrace(PTRACE_ATTACH, pid, None, None) == 0 else ""


def _reachable(asked: dict[str, Any]) -> list[str]:
    """The files of the coordinator that were handed down, without its own log."""
    data = str(asked.get("data", "/nowhere"))
    return [each for each in _opened(Path("/proc/self")) if each.startswith(data) and not each.endswith(".log")]


def _credential() -> str:
    """What this process shows the coordinator, which is in its memory and nowhere else."""
    gc.unfreeze()  # what the worker took out of garbage collection is not listed
    [options] = {id(each): each for each in gc.get_objects() if isinstance(each, WorkerOptions)}.values()
    return options.secret


def _requests(asked: dict[str, Any], shown: str) -> Tried:
    def ask(path: str, method: str = "GET", body: bytes | None = None, *, key: str = shown) -> bytes:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(asked["url"] + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return b"got " + answer.read()

    def register(worker: str, model: str) -> str:
        slots = [{"n": 0, "phase": "free"}]
        hello = {"type": "hello", "worker": worker, "incarnation": "incarnation", "model": model, "slots": slots}
        with connect(
            asked["url"].replace("http", "ws") + "/workers/link",
            additional_headers={"Authorization": f"Bearer {shown}"},
            proxy=None,
        ) as socket:
            socket.send(json.dumps(hello | {"state": "ready"}))
            answer = json.loads(socket.recv(timeout=10))
            return "" if answer["type"] == "refused" else answer["type"]

    blobs, other = "/internal/blobs/", asked["worker"]
    # Only a credential that was made by who knows the model names one (docs/auth.md).
    unbound: Tried = {} if asked.get("unbound") else {"another model": lambda: register(asked["own"], "prey")}
    return unbound | {
        "http upload": lambda: ask(blobs + asked["upload"]),
        "http uploads": lambda: ask(f"{blobs}sessions?prefix=1"),
        "http recordings": lambda: ask(f"{blobs}recordings?prefix=1"),
        "http erased": lambda: ask(f"{blobs}sessions?prefix=1", "DELETE"),
        "http written": lambda: ask(blobs + asked["upload"], "PUT", b"mine"),
        "http died": lambda: ask(f"/workers/{other}/died", "POST", b"{}"),
        "http request": lambda: ask(f"/internal/workers/{other}/requests?timeout=1", "POST", b"{}"),
        "http sessions": lambda: ask("/sessions"),
        "http a guest's sessions": lambda: ask("/sessions", key=""),
        "http session": lambda: ask(f"/sessions/{asked['session']}", key=""),
        "http overview": lambda: ask("/admin/overview"),
        "http a guest's overview": lambda: ask("/admin/overview", key=""),
        "http key": lambda: ask("/keys", "POST", b"{}"),
        "http a guest's key": lambda: ask("/keys", "POST", b"{}", key=""),
        "http token": lambda: ask("/tokens", "POST", b"{}"),
        "http drained": lambda: ask(f"/admin/workers/{other}/drain", "POST"),
        "another worker": lambda: register(other, "prey"),
        "another worker of its model": lambda: register(other, "spy"),
        "a new worker": lambda: register("wrk_new", "prey"),
    }


def _report(phase: str, asked: dict[str, Any], tried: Tried) -> None:
    got: dict[str, str] = {}
    for name, act in tried.items():
        try:
            got[name] = str(act() or "")[:100]
        except (OSError, urllib.error.URLError, WebSocketException, ValueError):  # ValueError: no such limit
            got[name] = ""
    draft = Path(FOLDER or "", f"{phase}.draft")
    draft.write_text(json.dumps({"got": got, "environment": dict(os.environ), "asked": asked}))
    draft.rename(Path(FOLDER or "", f"{phase}.json"))


if FOLDER is not None and (early := Path(FOLDER, "early.json")).exists():  # where it is imported for its schema
    about = json.loads(early.read_text())
    _report("imported", about, _files(about) | _processes(about))
