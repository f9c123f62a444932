"""A real Ray cluster under test, on this machine: a head and more nodes, each with processes to kill and freeze."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.tools.processes import free_port

PATIENCE = 240.0  # seconds for a node that takes six on an idle machine
# Ray's raylet ends where its two agents have not written their ports within 15 s, and on a busy machine they have not.
# What is written here is what they write: one has a port that we chose, the other, without `ray[default]`, none (-1).
_UNUSED_PORTS = ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port")
_STORE_BYTES = 80_000_000


@dataclass(slots=True)
class RayNode:
    """A node: `ray start --block` and all it started."""

    process: subprocess.Popen[bytes]

    def processes(self) -> list[psutil.Process]:
        """What runs of it, itself too."""
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        return []

    def freeze(self) -> None:
        """All of it, as a machine that is suspended."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def wake(self) -> None:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def end(self) -> None:
        """SIGKILL to all of it, children first seen first, as a machine that loses its power."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)


@dataclass(slots=True)
class RayCluster:
    """A running cluster.

    Attributes:
        address: for `pool.ray_address`.
        environment: for whoever connects to it.
    """

    address: str
    environment: Mapping[str, str]
    folder: Path
    nodes: list[RayNode] = field(default_factory=list[RayNode])

    def join(self, *, cpus: int, gpus: int = 0, resources: Mapping[str, float] | None = None) -> RayNode:
        """One node more."""
        node = _start(self, ["--address", self.address], cpus=cpus, gpus=gpus, resources=resources or {})
        self.nodes.append(node)
        return node


@contextmanager
def ray_cluster(*, cpus: int = 8, gpus: int = 0, resources: Mapping[str, float] | None = None) -> Iterator[RayCluster]:
    """A head on free ports, with a small object store and no dashboard; all of it is gone afterwards."""
    # Sockets of Ray's lie below it, and the name of a socket has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="lr-ray-"))
    port = free_port()
    cluster = RayCluster(f"127.0.0.1:{port}", _environment(folder), folder)
    client_port = free_port()  # of a server that nobody asks; 0 is refused
    head = [
        "--head",
        "--port",
        str(port),
        "--include-dashboard=false",
        "--no-monitor",
        f"--ray-client-server-port={client_port}",
    ]
    try:
        cluster.nodes.append(_start(cluster, head, cpus=cpus, gpus=gpus, resources=resources or {}))
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            node.wake()
            node.end()
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # else all that actors start gives way to everything else
        # A node that does not answer is gone after some 5 s; without these after a minute.
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "4",
        "RAY_raylet_start_wait_time_s": str(int(PATIENCE)),
        "RAY_TMPDIR": str(folder),
    }


def _start(
    cluster: RayCluster, arguments: list[str], *, cpus: int, gpus: int, resources: Mapping[str, float]
) -> RayNode:
    node_id, agent_port = secrets.token_hex(28), free_port()
    ports = {**dict.fromkeys(_UNUSED_PORTS, -1), "runtime_env_agent_port": agent_port}
    log = (cluster.folder / f"{node_id[:8]}.log").open("wb")
    process = subprocess.Popen(
        [
            Path(sys.executable).with_name("ray"), "start", "--block", *arguments, "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}", f"--num-gpus={gpus}",
            f"--resources={json.dumps(resources)}", f"--object-store-memory={_STORE_BYTES}",
            "--include-log-monitor=false", f"--runtime-env-agent-port={agent_port}",
        ],
        env={**os.environ, **cluster.environment, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": node_id},
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    log.close()
    node, deadline = RayNode(process), time.monotonic() + PATIENCE
    try:
        while "runtime started" not in (said := Path(log.name).read_text(errors="replace")):
            assert process.poll() is None, (process.returncode, log.name, Path(log.name).read_text(errors="replace"))
            assert time.monotonic() < deadline, said
            _write_ports(cluster.folder, node_id, ports)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    except BaseException:
        node.end()
        raise
    return node


def _write_ports(folder: Path, node_id: str, ports: Mapping[str, int]) -> None:
    for session in folder.glob("ray/session_2*"):
        for name, port in ports.items():
            if not (path := session / f"{name}_{node_id}").exists():
                path.write_text(str(port))


def kill_actor_of(pid: int) -> None:
    """SIGKILL to the actor whose child this process is."""
    parent = psutil.Process(pid).parent()
    assert parent is not None
    assert "ray::" in " ".join(parent.cmdline()) or "default_worker" in " ".join(parent.cmdline()), parent
    os.kill(parent.pid, signal.SIGKILL)
