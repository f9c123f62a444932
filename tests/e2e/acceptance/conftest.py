"""Acceptance behaviours of commands, messages, media and the coordinator (behaviour C-16 to C-58), seen by clients.

Two that break things are with the faults: C-40 (UDP blocked, a relay) in tests/fault/test_nat.py, C-56 (a worker is
killed) in tests/fault/test_worker_killed.py; both through `livereactor serve`.
"""

from __future__ import annotations

from tests.tools.fixtures import join, network, python_clients, server, start, viewer

__all__ = ["join", "network", "python_clients", "server", "start", "viewer"]
