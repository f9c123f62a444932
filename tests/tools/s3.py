"""A real S3 store of our own: SeaweedFS on free loopback ports, in a folder that is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.tools.processes import ProcessFailedError, free_port

KEY, SECRET = "a-key-of-the-tests", "a-secret-of-the-tests"
_WEED = Path(sys.prefix) / "bin" / "weed"
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
_STARTS_IN = 40.0  # seconds


@dataclass(slots=True)
class S3Server:
    """A store and its one process. Buckets are made by the first write into them."""

    folder: Path
    ports: Mapping[str, int] = field(default_factory=lambda: {name: free_port() for name in _PORTS})
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def url(self, bucket: str, prefix: str = "") -> str:
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}"

    def start(self) -> None:
        """Start it and wait until it takes writes."""
        if not _WEED.exists():
            raise ProcessFailedError("no SeaweedFS in the environment; run scripts/setup.sh test")
        (self.folder / "data").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_ready(time.monotonic() + _STARTS_IN)

    def stop(self) -> None:
        """Kill it, as a machine that fails; what it has acknowledged is there at the next start."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20.0)
            self.process = None

    def freeze(self) -> None:
        """Connections stay open and nobody answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # A thread stops when it next comes by the kernel, and may answer until then.
        os.waitpid(self.process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        """As if nothing had been."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        return [
            str(_WEED),
            "-logtostderr=true",
            "server",
            f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # it is alone
            "-master.volumeSizeLimitMB=64",
            "-volume.max=40",
            "-filer",
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={config}",
            *(f"-{name}={port}" for name, port in self.ports.items()),
        ]

    def _wait_ready(self, deadline: float) -> None:
        """Until a bucket takes a write: master, volume server, filer and gateway have found each other."""
        assert self.process is not None
        while not self._takes_writes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ProcessFailedError((self.folder / "log").read_text(errors="replace"))
            time.sleep(0.05)  # another process, which tells nobody when it is ready

    def _takes_writes(self) -> bool:
        store = S3Store(
            "ready",
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(store, "now", b"x" * 10_000)  # too much to be kept beside its name
            return len(obstore.get(store, "now").bytes()) > 0
        except (BaseError, FileNotFoundError):
            return False


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A fresh, empty store; credentials for it are in the environment, where its users look for them."""
    server = S3Server(Path(tempfile.mkdtemp(prefix="livereactor-s3-")))
    try:
        server.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", KEY)
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
        Path(f"/tmp/seaweedfs-s3-grpc-{server.ports['s3.port.grpc']}.sock").unlink(missing_ok=True)  # its own leaving
