"""The parts, started from `deploy/compose.yaml` as processes; what is done to one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import psycopg

from tests.tools.composed import COMPOSE, Composed, Service, composed, rendered
from tests.tools.processes import REPOSITORY, request

URL: Final = "http://127.0.0.1:8080"
_SECRET: Final = "chaos-0123456789abcdef-0123456789abcdef"
_FREE: Final = ("--max-sessions", "0", "--sessions-per-minute", "0", "--json")


class Stack:
    """The service under fault.

    Attributes:
        key: an API key without quotas, which may operate too.
    """

    def __init__(self, parts: Composed) -> None:
        self.parts = parts
        self.key = ""
        self._password = _SECRET

    def is_up(self) -> bool:
        """The proxy, a coordinator and its database answer."""
        try:
            return request(f"{URL}/health", timeout=5.0)[0] == 200
        except OSError:
            return False

    def make_key(self) -> None:
        """By the operators' command, as the compose file says."""
        scopes = [word for scope in ("admin", "view", "control", "record", "upload") for word in ("--scope", scope)]
        command = ["livereactor", "keys", "create", "--account", "chaos", *scopes, *_FREE]
        self.key = json.loads(self.parts.run("coordinator-1", command))["key"]

    def workers(self) -> list[Service]:
        """Those of the file."""
        return [each for name, each in self.parts.services.items() if name.startswith("worker-")]

    def coordinators(self) -> list[Service]:
        """Those that were started."""
        return [each for name, each in self.parts.services.items() if name.startswith("coordinator-") and each.starts]

    def worker_process(self, service: Service) -> int | None:
        """The process that has the model, which its keeper has started; None = there is none now."""
        if service.process is None:
            return None
        try:
            children = psutil.Process(service.process.pid).children()
        except psutil.NoSuchProcess:
            return None
        return children[0].pid if children else None

    def history(self) -> list[tuple[str, int, str | None, dict[str, object]]]:
        """All events of the database in their order: kind, microseconds, session, data."""
        host = dict(self.parts.addresses())["postgres"]
        where = f"postgresql://livereactor:{self._password}@{host}/livereactor"
        with psycopg.connect(where, connect_timeout=10) as connection:
            rows = connection.execute("SELECT kind, at_us, session, data FROM events ORDER BY seq").fetchall()
        return [
            (kind, at, session, json.loads(data) if isinstance(data, str) else data) for kind, at, session, data in rows
        ]


@contextmanager
def stack(folder: Path, *, coordinators: int) -> Iterator[Stack]:
    """All parts, ready for sessions, in a network that the calling thread is in meanwhile."""
    environment = {
        "PUBLIC_URL": URL,
        "PUBLIC_ADDRESS": "172.30.77.1",
        "MODELS": str(REPOSITORY / "tests/fault/models_served.py"),
        **dict.fromkeys(("SECRET", "WORKER_SECRET", "POSTGRES_PASSWORD", "S3_SECRET", "TURN_SECRET"), _SECRET),
    }
    said = rendered(COMPOSE, Path(__file__).with_name("compose.yaml"), environment=environment)
    without = {f"coordinator-{number}" for number in (1, 2) if number > coordinators}
    with composed(said, folder, without=without) as parts, parts.host.inside():
        made = Stack(parts)
        parts.wait_until(made.is_up, timeout=120)
        made.make_key()
        yield made
