"""A Postgres server of our own: on a free port, in a folder that is gone afterwards, ended by its own id.

Debian's `postgresql` package has the programs; Postgres refuses to run as root, so root starts it as user postgres.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg

from tests.tools.processes import ProcessFailedError, free_port

_LOOSE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_SMALL = ("shared_buffers=64MB", "max_connections=60", "unix_socket_directories=", "listen_addresses=127.0.0.1")


def programs() -> Path | None:
    """The folder with the newest `initdb` and `postgres`; None = the package is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@dataclass(slots=True)
class PostgresServer:
    """A server and its one process.

    Attributes:
        durable: commits wait for the disk, as they do in production.
    """

    folder: Path
    port: int
    durable: bool
    process: subprocess.Popen[bytes] | None = None
    databases: int = 0

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, like: str = "template0") -> str:
        """A new database, as a copy of another: its name."""
        self.databases += 1
        name = f"test_{self.databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        return name

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside of a transaction: its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = _SMALL if self.durable else (*_SMALL, *_LOOSE)
        options = [word for setting in settings for word in ("-c", setting)]
        command = [str(_programs() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = _start(command, log)
        self._wait_ready(time.monotonic() + 20.0)

    def _wait_ready(self, deadline: float) -> None:
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._ended(0.02) or time.monotonic() > deadline:
                    raise ProcessFailedError((self.folder / "log").read_text(errors="replace")) from None

    def _ended(self, timeout: float) -> bool:
        assert self.process is not None
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts off its clients, SIGQUIT is a crash that it recovers from at the next start."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20.0)
            self.process = None

    def signal_all(self, number: signal.Signals) -> None:
        """SIGSTOP: connections stay open and nobody answers; SIGCONT: as if nothing had been."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            os.kill(pid, number)


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A fresh server; its folder is removed on leaving."""
    folder = Path(tempfile.mkdtemp(prefix="livereactor-postgres-"))  # not pytest's: only root may look into that
    server = PostgresServer(folder, free_port(), durable)
    try:
        _make_cluster(folder)
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(folder: Path) -> None:
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    options = ["--username=postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync"]
    command: Sequence[str] = [str(_programs() / "initdb"), "-D", str(folder / "data"), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, **_as_postgres())
    if done.returncode != 0:
        raise ProcessFailedError(f"initdb ended with code {done.returncode}\n{done.stdout}{done.stderr}")


def _programs() -> Path:
    found = programs()
    if found is None:
        raise ProcessFailedError("no Postgres in /usr/lib/postgresql; run scripts/setup.sh test")
    return found


def _start(command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    who = "postgres" if os.getuid() == 0 else None
    groups: Sequence[str] | None = [] if who else None
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=who, group=who, extra_groups=groups
    )


def _as_postgres() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}
