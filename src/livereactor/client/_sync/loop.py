"""The threads behind `SyncReactor`: one event loop for the whole process, and a thread per client for its handlers.

Both are daemons, started when first needed: neither keeps a process alive. Every open client is closed before the
interpreter ends.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakSet

import structlog

from livereactor.base.exit_gate import EXIT_GATE
from livereactor.base.sparse_log import SparseLog

log = structlog.get_logger(__name__)

CLEAN_UP: Final = 5.0  # seconds for an interrupted call to end its Session, as disconnect() does
AT_EXIT: Final = CLEAN_UP + 2.0  # seconds for all clients and the tasks that remain
LOOK_UP: Final = 0.2  # seconds between two checks for Ctrl-C
IDLE: Final = 1.0  # seconds without an event after which the handlers' thread ends; the next event starts another
BACKLOG: Final = 4096  # calls that wait for a handler that hangs: minutes of a model's Messages

_T = TypeVar("_T")


class ClosableClient(Protocol):
    """A client that is closed before the interpreter ends."""

    async def disconnect(self) -> None: ...


class LoopThread:
    """An asyncio loop on a thread of its own.

    Attributes:
        clients: the clients to close at exit, held weakly.
    """

    def __init__(self) -> None:
        self.clients: WeakSet[ClosableClient] = WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run `work` on the loop, and wait for its result; call it from any other thread.

        An interrupted wait (Ctrl-C) cancels `work`, and gives it up to `CLEAN_UP` seconds to clean up.

        Raises:
            RuntimeError: it was called on the loop's own thread, which would wait for itself.
        """
        loop = self._running()
        if self._thread is threading.current_thread():
            work.close()
            raise RuntimeError("SyncReactor cannot wait on its own loop's thread; use Reactor here")
        call = _Call(loop, work)
        # The try begins here because Ctrl-C may come anywhere once the work is handed over.
        try:
            loop.call_soon_threadsafe(call.begin)
            return _result(call.outcome)
        except BaseException:
            if not call.outcome.done():
                loop.call_soon_threadsafe(call.cancel)
                wait([call.outcome], CLEAN_UP)
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A forked child has the object, but not the thread.
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                if self._loop is None:
                    atexit.register(self._at_exit)
                self._loop = _Loop()
                run, name = self._loop.run_forever, "livereactor client loop"
                self._thread = threading.Thread(target=run, name=name, daemon=True)
                self._thread.start()
            return self._loop

    def _at_exit(self) -> None:
        """Close the open clients, after the program's threads have ended and before native libraries are torn down."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._close_all(), loop).result(AT_EXIT)
        except TimeoutError:  # a callback of the program blocks the loop: do not wait for it for ever
            log.warning("the clients could not be closed at exit")
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLEAN_UP)

    async def _close_all(self) -> None:
        closing = [asyncio.ensure_future(client.disconnect()) for client in self.clients]
        if closing:
            await asyncio.wait(closing, timeout=CLEAN_UP)
        # Like asyncio.run at its end: no thread of the engine may call a task of an interpreter that has gone.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)


def _result(outcome: Future[_T]) -> _T:
    """Wait for a result, and wake up regularly.

    The system may deliver a signal to any thread, but only the main thread raises KeyboardInterrupt, once it wakes up.
    With libwebrtc's dozen threads, one Ctrl-C in twelve took effect only at the end of the call.
    """
    while not outcome.done():
        try:
            return outcome.result(LOOK_UP)
        except TimeoutError:  # the call's own, or not yet
            continue
    return outcome.result()


class _Loop(asyncio.SelectorEventLoop):
    """A loop that gives each blocking call a thread of its own.

    Executors take no work once the main thread has ended, but other threads of the program may still use a client.
    """

    def run_in_executor(self, executor: object, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        outcome: Future[_T] = Future()

        def run() -> None:
            if not outcome.set_running_or_notify_cancel():
                return
            try:
                outcome.set_result(func(*args))
            except BaseException as error:
                outcome.set_exception(error)

        threading.Thread(target=run, name="livereactor blocking call", daemon=True).start()
        return asyncio.wrap_future(outcome, loop=self)


class _Call(Generic[_T]):
    """Work on the loop that a thread waits for; its methods are called on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, _T]) -> None:
        self.outcome: Future[_T] = Future()
        self._loop, self._work = loop, work
        self._task: asyncio.Task[_T] | None = None

    def begin(self) -> None:
        self._task = self._loop.create_task(self._work)
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # it was interrupted before it began
            self._work.close()
            self._cancelled()

    def _cancelled(self) -> None:
        self.outcome.cancel()
        self.outcome.set_running_or_notify_cancel()  # else a thread in `wait` does not wake up

    def _done(self, task: asyncio.Task[_T]) -> None:
        if task.cancelled():
            self._cancelled()
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


class HandlerThread:
    """Runs handlers one after the other, in the order of their events; a slow one delays only the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._sparse = SparseLog(log)

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call` after those before it; where too many wait, it is lost and that is logged."""
        with self._lock:
            if self._calls.qsize() >= BACKLOG:
                self._sparse.warning("handlers are too slow, an event was lost")
            else:
                self._add(call)

    def drain(self, timeout: float) -> None:
        """Return when every handler so far has run, or after `timeout` seconds; at once on the handlers' own thread."""
        drained = threading.Event()
        with self._lock:
            if self._thread is None or self._thread is threading.current_thread():
                return
            self._add(drained.set)  # behind a full queue, too: it takes no time, and a lost one would be waited for
        drained.wait(timeout)

    def _add(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="livereactor handlers", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    if self._calls.empty():
                        self._thread = None
                        return
                continue
            try:
                with EXIT_GATE:
                    call()
            except Exception:
                log.exception("handler raised")


LOOP: Final = LoopThread()
