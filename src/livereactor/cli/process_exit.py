"""How the command's process ends: with its exit code, also where threads of a library still touch Python."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Final

# Its threads give an answer and then take the interpreter once more, to let go of what they held. One that comes to
# that while the interpreter is finalized is ended by Python in the midst of Rust, which aborts the process: exit code
# 134 after work that went well (pyo3-async-runtimes issue 40; 11 of 40 here). Python 3.14 lets such threads hang.
RISKY: Final = "obstore"


class ProcessExit:
    """Ends the process behind all other exit handlers, before Python is taken down under those threads.

    Attributes:
        code: to exit with; None = as Python does it.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self)  # the first is the last to run

    def __call__(self) -> None:
        if self.code is None or RISKY not in sys.modules:
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # its reader has gone, or it is closed
                stream.flush()
        os._exit(self.code)

    def told(self, end: SystemExit) -> None:
        """What the process is to exit with; a text is left to Python, which prints it."""
        if end.code is None or isinstance(end.code, int):
            self.code = end.code or 0
