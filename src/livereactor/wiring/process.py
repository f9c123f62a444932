"""Parts that every serving process shares: port, HTTP server, signals, log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Generator
from typing import Final

import structlog
import uvicorn

from livereactor.base.errors import ConfigError
from livereactor.base.sparse_log import SparseRecords

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
EVERYWHERE: Final = ("0.0.0.0", "::")

log = structlog.get_logger("livereactor")


@contextlib.contextmanager
def listen(host: str, port: int) -> Generator[socket.socket]:
    """A listening socket; port 0 takes a free one. Raises `ConfigError`, naming a port that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio sends small writes at once only on sockets that say they are TCP, and without
    # that each answer waits 40 ms for the client's delayed ACK.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(256)
        except OSError as error:
            raise ConfigError(_cannot_listen(host, port, error)) from error
        yield listener


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    neighbours = range(port + 1, min(port + 50, 65535))
    number = next((each for each in neighbours if _is_free(host, each)), None) or _any_free_port()
    reason = (error.strerror or str(error)).lower()
    return f"cannot listen on {host}:{port} ({reason}); choose another port with --port {number}, which is free"


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: they would replace ours and end the process before its sessions."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a browser finds a listener; one on all addresses is named by this machine's name."""
    host, port = listener.getsockname()[:2]
    if host in EVERYWHERE:
        return f"http://{socket.gethostname()}:{port}"
    name = "localhost" if host in LOOPBACK else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def stop_on_signals() -> asyncio.Event:
    """Set by the first SIGINT, SIGTERM or SIGHUP; a second one does not wait for anybody.

    SIGHUP is a closed terminal: without it Workers, which lead sessions of their own, would outlive theirs. Where it
    was ignored (`nohup`) it stays so.
    """
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()
        log.info("stopping; send the signal (Ctrl-C) again to stop at once")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, asked)
    return stop


def configure_logging(form: str) -> None:
    """structlog to stderr: one line a record for people, JSON for machines."""
    as_json = form == "json"
    for_people = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if as_json else for_people
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # uvicorn takes a socket that was refused with a response for one that nobody answered, at each try of its client.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing handshake" not in record.msg)
    # A stranger causes its lines at will: `Invalid HTTP request received.` for every byte that is no HTTP.
    logging.getLogger("uvicorn.error").addFilter(SparseRecords())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
