"""The acceptance behaviours of commands, messages and media (behaviour C-16 to C-39, C-58), seen from a client."""

from __future__ import annotations

from tests.tools.fixtures import join, network, python_clients, server, start, viewer

__all__ = ["join", "network", "python_clients", "server", "start", "viewer"]
