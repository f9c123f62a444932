"""Memory of a process as Linux counts it: resident bytes, and their peak since it was last reset."""

from __future__ import annotations

import re
from pathlib import Path


def reset_peak(pid: int) -> int:
    """Count the peak of a process anew; return its resident bytes now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _memory(pid, "VmRSS")


def peak(pid: int) -> int:
    """Return the most resident bytes of a process since `reset_peak`."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
