"""Bytes that wait to be taken by the other end of a connection, and for how long none of them was."""

from __future__ import annotations

import asyncio
import fcntl
import termios
from array import array
from contextlib import suppress
from typing import Any


def unread(transport: asyncio.Transport) -> int:
    """Return the bytes that the other end has not taken: those that wait in this process, and the kernel's.

    0 where none waits in this process: what the kernel holds needs no connection of ours. The kernel's count, because
    it asks for more only when a third of its buffer is free, which takes a slow reader a minute.
    """
    size = transport.get_write_buffer_size()
    if size == 0:
        return 0
    found: Any = transport.get_extra_info("socket")
    sent = array("i", [0])
    with suppress(OSError, ValueError):  # a system that does not count, or a socket that is closed already
        fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, sent)
    return size + sent[0]


class Stall:
    """Whether a connection made no way for too long. Pure.

    The kernel's TCP_USER_TIMEOUT would end readers that take less than a whole segment at a time.

    Args:
        wait: seconds.
    """

    def __init__(self, wait: float) -> None:
        self._wait, self._last, self._since = wait, 0, 0.0

    def restart(self) -> None:
        """Note that it made way."""
        self._last = 0

    def is_over(self, waiting: int, now: float) -> bool:
        """Take how many bytes wait now; return whether they have not become fewer within the wait."""
        if waiting == 0 or self._last == 0 or waiting < self._last:
            self._since = now
        self._last = waiting
        return now - self._since >= self._wait
