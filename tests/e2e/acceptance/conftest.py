"""Acceptance tests of commands, messages, media and the coordinator, seen by clients (docs/behaviour.md).

Two that break things are with the faults: UDP blocked, with a relay, in tests/fault/test_nat.py; a worker that is
killed) in tests/fault/test_worker_killed.py; both through `livereactor serve`.
"""

from __future__ import annotations

from tests.tools.fixtures import join, network, python_clients, server, start, viewer

__all__ = ["join", "network", "python_clients", "server", "start", "viewer"]
