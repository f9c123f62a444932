"""Official clients, unmodified, against a server on a private network."""

from __future__ import annotations

from tests.tools.fixtures import either_server as server
from tests.tools.fixtures import join, network, python_clients, start, viewer

__all__ = ["join", "network", "python_clients", "server", "start", "viewer"]
