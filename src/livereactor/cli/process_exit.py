"""Exit of the command's process with its exit code, even while threads of a library still use Python."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Final

# Its threads take the interpreter once more after they have answered, to release what they hold. If the interpreter is
# being finalized at that moment, Python ends the thread in the middle of Rust code, which aborts the process with exit
# code 134 after successful work (pyo3-async-runtimes issue 40; 11 of 40 runs here). Python 3.14 lets such threads hang.
RISKY: Final = "obstore"


class ProcessExit:
    """Exit handler that ends the process after all others, before Python is finalized under those threads.

    Attributes:
        code: exit code of the process; None = leave the exit to Python.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self)  # the handler registered first runs last

    def __call__(self) -> None:
        if self.code is None or RISKY not in sys.modules:
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader is gone, or the stream is closed
                stream.flush()
        os._exit(self.code)

    def note(self, end: SystemExit) -> None:
        """Take the exit code from a SystemExit. If it carries a text instead, Python prints it and exits."""
        if end.code is None or isinstance(end.code, int):
            self.code = end.code or 0
