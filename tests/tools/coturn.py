"""A real coturn with `deploy/coturn.conf`, as an operator would fill it in, on a free port of a namespace."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from livereactor.protocol.turn import turn_credentials
from tests.tools.processes import REPOSITORY, free_port, listening

SECRET = "tests-only-0123456789abcdef"
_OPERATORS_OWN = re.compile(
    r"^(static-auth-secret|external-ip|allowed-peer-ip|syslog|listening-port).*\n", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Coturn:
    """A relay that runs."""

    host: str
    port: int
    log_path: Path
    secret: str = SECRET

    @property
    def urls(self) -> tuple[str, str]:
        """Over UDP and over TCP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"turn:{host}:{self.port}?transport=udp", f"turn:{host}:{self.port}?transport=tcp"

    def entries(self, *, lifetime: float = 3600) -> tuple[str, ...]:
        """`[turn] turn`, with credentials that live so many seconds."""
        made = turn_credentials(self.secret, "test", int(time.time() + lifetime))
        return tuple(f"{made.username};{made.password};{url}" for url in self.urls)

    def allocations(self) -> int:
        """How many relays it has opened."""
        return self.log_path.read_text(errors="replace").count("ALLOCATE processed, success")


@contextmanager
def coturn(host: str, directory: Path, *, peers: str | None = None, lines: tuple[str, ...] = ()) -> Iterator[Coturn]:
    """Start it in the namespace of the calling thread and end it with the block.

    Args:
        host: address it listens on and relays from.
        directory: for its configuration, log and database.
        peers: private addresses it may send to, as `low-high`.
        lines: more configuration.
    """
    binary = shutil.which("turnserver")
    assert binary is not None, "no coturn; `make setup-test` installs it"
    port = free_port(host)
    text = _OPERATORS_OWN.sub("", (REPOSITORY / "deploy/coturn.conf").read_text())
    more = [f"static-auth-secret={SECRET}", f"listening-ip={host}", f"relay-ip={host}", f"listening-port={port}"]
    more += [f"log-file={directory / 'log'}", "simple-log", "verbose", f"pidfile={directory / 'pid'}"]
    more += [f"userdb={directory / 'turndb'}", *([f"allowed-peer-ip={peers}"] if peers else []), *lines]
    (directory / "turnserver.conf").write_text(text + "\n".join(more) + "\n")
    command = [binary, "-c", str(directory / "turnserver.conf")]
    with listening(command, host, port, said=directory / "said", timeout=10.0, patience=5.0):
        yield Coturn(host, port, directory / "log")
