"""The services of a compose file as processes of this machine, with the file's own commands, environment and names.

There are no images here. What an image would bring is this machine's own file system, under an overlay that each
service has for itself; a network namespace and `/etc/hosts` do the rest, so that nothing of the file has to be changed.
What an image's entry point does before the command stands in `_IMAGES`. Needs root, as Docker does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tools import postgres
from tests.tools.netns import Namespace
from tests.tools.processes import LIVEREACTOR, REPOSITORY, ProcessFailedError

COMPOSE = REPOSITORY / "deploy/compose.yaml"
_BIN = (Path(LIVEREACTOR[0]).parent, Path(sys.prefix, "bin"))
# Mounts: root of the service, then what is bound into it. The command follows; `exec` keeps it the process we know.
_ENTER = """
set -e
root=$1 upper=$2 user=$3; shift 3
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper/data,workdir=$upper/work" "$root"
for each in proc dev sys; do mount --rbind "/$each" "$root/$each"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"  # as empty as an image's
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; touch "$root$2"; fi
    mount --bind "$1" "$root$2"; shift 2
done
shift
exec chroot --userspec="$user" "$root" "$@"
"""
_NAMED = 'mount --bind "$1" /etc/hosts; shift; exec "$@"'
# The official image of Postgres makes the cluster, the account and the database before it starts what it is told to.
_FIRST_POSTGRES = """
set -e
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    password=$(mktemp) && printf %s "$POSTGRES_PASSWORD" > $password
    initdb --pgdata=$data --username="$POSTGRES_USER" --pwfile=$password --auth=scram-sha-256 --encoding=UTF8 --no-sync
    rm $password
    echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
    printf 'CREATE DATABASE %s;\\n' "$POSTGRES_DB" | postgres --single -D $data postgres
fi
exec "$@" -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp
"""


@dataclass(frozen=True, slots=True)
class _Image:
    """What stands for an image: who it runs as, and its entry point."""

    user: str = "root:root"
    first: tuple[str, ...] = ()


_IMAGES: Mapping[str, _Image] = {
    "livereactor": _Image(first=("livereactor",)),  # ENTRYPOINT of deploy/Dockerfile
    "postgres": _Image("postgres:postgres", ("sh", "-c", _FIRST_POSTGRES, "sh")),
    "nginx": _Image(),
    "chrislusf/seaweedfs": _Image(),
    "coturn/coturn": _Image(),
}


def rendered(*files: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """A compose file as Docker's own parser reads it, checked against its schema, variables filled in.

    Raises:
        ProcessFailedError: it is refused; the message is the parser's.
    """
    named = [word for file in files for word in ("--file", str(file))]
    command = ["docker-compose", "--project-directory", str(files[0].parent), *named, "config", "--format", "json"]
    # Nothing of this machine's environment is to fill in what the file leaves open.
    known = {"PATH": os.environ["PATH"], "HOME": "/root", **environment}
    done = subprocess.run(command, env=known, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ProcessFailedError(done.stderr)
    return json.loads(done.stdout)


@dataclass(slots=True)
class Service:
    """One service of the file.

    Attributes:
        namespace: its network; the host's own where the file says `network_mode: host`.
        process: None while it does not run.
    """

    name: str
    said: Mapping[str, Any]
    folder: Path
    namespace: Namespace
    binds: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def image(self) -> str:
        return str(self.said["image"]).partition(":")[0]

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    def environment(self) -> dict[str, str]:
        """As the container has it; programs are found where this machine has them."""
        programs = postgres.programs()
        places = [*map(str, _BIN), *([str(programs)] if programs else []), os.environ["PATH"]]
        ours = {
            "PATH": ":".join(places),
            "HOME": "/root",
            "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}",
            # Ray's gRPC would ask a name server, as Docker is one, for what stands in /etc/hosts here.
            "GRPC_DNS_RESOLVER": "native",
        }
        return {**ours, **(self.said.get("environment") or {})}

    def command(self) -> list[str]:
        """What runs in it."""
        image = _IMAGES[self.image]
        first = list(image.first if self.said.get("entrypoint") is None else self.said["entrypoint"])
        return [*first, *(self.said.get("command") or [])]

    def start(self) -> None:
        """Start it; waits for nothing."""
        assert self.process is None
        self.starts += 1
        bound = [word for source, target in self.binds for word in (str(source), target)]
        if REPOSITORY.is_relative_to("/tmp"):  # which is empty there, and a checkout may be anywhere
            bound += [str(REPOSITORY), str(REPOSITORY)]
        where = [str(self.folder / "root"), str(self.folder / "upper"), _IMAGES[self.image].user]
        command = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", *where, *bound, "--", *self.command()]
        with self.log_path.open("ab") as log, self.namespace.inside():
            self.process = subprocess.Popen(
                command,
                cwd="/",
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, number: signal.Signals = signal.SIGTERM, *, within: float = 20.0) -> int | None:
        """Send a signal to it, and SIGKILL to all of it where it does not end in time; its exit code."""
        process, self.process = self.process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(within)
            except subprocess.TimeoutExpired:
                pass
        kill_all(process.pid)
        return process.wait(20.0)

    def is_healthy(self) -> bool:
        """Its health check, as the file has it; True without one where the process lives."""
        if self.process is None or self.process.poll() is not None:
            return False
        check = self.said.get("healthcheck")
        if check is None:
            return True
        with self.namespace.inside():
            done = subprocess.run(
                check["test"][1:], env=self.environment(), capture_output=True, timeout=20, check=False
            )
        return done.returncode == 0

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


def kill_all(group: int) -> None:
    """SIGKILL to every process of a group; nothing where it is gone."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


class Composed:
    """All services of a compose file, and the machine that they run on.

    Args:
        said: as `rendered` returns it.
        without: services that are not started.

    Attributes:
        host: the network of the machine; clients are to be in it.
    """

    def __init__(self, said: Mapping[str, Any], folder: Path, *, without: Collection[str] = ()) -> None:
        self._said, self._folder, self._without = said, folder, without
        self._stack = ExitStack()
        self.host = self._namespace()
        network = said["networks"]["inside"]["ipam"]["config"][0]
        self.gateway = str(network["gateway"])
        self.host.ip("link add inside type bridge", f"addr add {self.gateway}/24 dev inside", "link set inside up")
        self.services: dict[str, Service] = {}
        for number, (name, service) in enumerate(said["services"].items()):
            self.services[name] = self._service(number, name, service)
        self._publish()

    def _namespace(self) -> Namespace:
        made = Namespace()
        self._stack.callback(made.close)
        return made

    def _service(self, number: int, name: str, said: Mapping[str, Any]) -> Service:
        folder = self._folder / name
        for each in ("root", "upper/data", "upper/work"):
            (folder / each).mkdir(parents=True)
        inside = said.get("network_mode") != "host"
        namespace = self._namespace() if inside else self.host
        if inside:
            address = said["networks"]["inside"]["ipv4_address"]
            self.host.ip(f"link add v{number} type veth peer name eth0 netns {namespace.path}")
            self.host.ip(f"link set v{number} master inside", f"link set v{number} up")
            namespace.ip(f"addr add {address}/24 dev eth0", "link set eth0 up", f"route add default via {self.gateway}")
        return Service(name, said, folder, namespace, self._binds(folder, said, inside=inside))

    def _binds(self, folder: Path, said: Mapping[str, Any], *, inside: bool) -> list[tuple[Path, str]]:
        binds: list[tuple[Path, str]] = []
        for volume in said.get("volumes") or []:
            source = Path(volume["source"])
            if volume["type"] == "volume":
                source = self._folder / "volumes" / volume["source"]
                source.mkdir(parents=True, exist_ok=True)
                shutil.chown(source, *_IMAGES[str(said["image"]).partition(":")[0]].user.split(":"))
            binds.append((source, volume["target"]))
        for each in said.get("configs") or []:
            written = folder / each["source"]
            written.write_text(self._said["configs"][each["source"]]["content"])
            binds.append((written, each["target"]))
        if inside:
            hosts = folder / "hosts"
            hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{to} {name}\n" for name, to in self.addresses()))
            binds.append((hosts, "/etc/hosts"))
        return binds

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Names and addresses of the network `inside`."""
        for name, said in self._said["services"].items():
            if said.get("network_mode") != "host":
                yield name, said["networks"]["inside"]["ipv4_address"]

    def _publish(self) -> None:
        """Ports of services on the machine's own addresses, loopback among them, as Docker does it."""
        rules: list[str] = []
        for service in self.services.values():
            for port in service.said.get("ports") or []:
                to = f"{service.said['networks']['inside']['ipv4_address']}:{port['target']}"
                here = f"{{ 127.0.0.1, {self.gateway} }}"
                rules.append(f"ip daddr {here} {port['protocol']} dport {port['published']} dnat to {to}")
        published = "\n".join(rules)
        leaves = "type nat hook postrouting priority 100\nip saddr 127.0.0.0/8 oifname inside masquerade"
        chains = {
            "output": f"type nat hook output priority -100\n{published}",
            "comes": f"type nat hook prerouting priority -100\n{published}",
            "leaves": f"{leaves}\niifname inside oifname != inside masquerade",
            "passes": "type filter hook forward priority 0; policy drop\n"
            "ct state established,related accept\nct status dnat accept\niifname inside accept",
        }
        self.host.forward()
        said = "\n".join(f"chain {name} {{\n{text}\n}}" for name, text in chains.items())
        self.host.nft(f"table ip published {{\n{said}\n}}\n")
        with self.host.inside():
            for name in ("all", "inside"):
                Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")

    def outside(self) -> Namespace:
        """A machine elsewhere: it reaches this one at the gateway's address, and no service by the service's own."""
        made = self._namespace()
        self.host.ip(f"link add outside type veth peer name eth0 netns {made.path}")
        self.host.ip("addr add 198.51.100.1/24 dev outside", "link set outside up")  # RFC 5737
        made.ip("addr add 198.51.100.2/24 dev eth0", "link set eth0 up", "route add default via 198.51.100.1")
        return made

    def start(self, *, timeout: float = 120.0) -> None:
        """Start all, each once those it depends on are there."""
        deadline = time.monotonic() + timeout
        waiting = {name: each for name, each in self.services.items() if name not in self._without}
        while waiting:
            ready = [each for each in waiting.values() if self._may_start(each)]
            for each in ready:
                each.start()
                del waiting[each.name]
            if not ready:
                self._look(deadline)

    def _may_start(self, service: Service) -> bool:
        for name, wanted in (service.said.get("depends_on") or {}).items():
            if name in self._without:
                continue
            needed = self.services[name]
            started = needed.process is not None
            if not started or (wanted["condition"] == "service_healthy" and not needed.is_healthy()):
                return False
        return True

    def _look(self, deadline: float) -> None:
        """Wait a little; raises where one has ended, or it is too late."""
        for each in self.services.values():
            if each.process is not None and (code := each.process.poll()) is not None:
                raise ProcessFailedError(f"{each.name} ended with code {code}\n{each.log()}")
        if time.monotonic() > deadline:
            logs = "\n".join(f"--- {each.name}\n{each.log()[-2000:]}" for each in self.services.values())
            raise ProcessFailedError(f"not there in time\n{logs}")
        time.sleep(0.05)  # another process's health, which it tells only when asked

    def wait_until(self, condition: Callable[[], bool], *, timeout: float) -> None:
        """Until it holds; raises with what all have said where one ends, or in the end."""
        deadline = time.monotonic() + timeout
        while not condition():
            self._look(deadline)

    def run(self, service: str, command: Sequence[str], *, timeout: float = 60.0) -> str:
        """`docker compose exec`, without its file system: what a command says; raises with its complaint."""
        it = self.services[service]
        with it.namespace.inside():
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", _NAMED, "sh", str(it.folder / "hosts"), *command],
                env=it.environment(),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        if done.returncode != 0:
            raise ProcessFailedError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def close(self) -> None:
        """End all of it."""
        for each in self.services.values():
            if each.process is not None:
                kill_all(each.process.pid)
                each.process.wait(20.0)
        self._stack.close()


@contextmanager
def composed(said: Mapping[str, Any], folder: Path, *, without: Collection[str] = ()) -> Iterator[Composed]:
    """All of it started in the file's order, and killed on leaving; `folder` holds files and logs."""
    made = Composed(said, folder, without=without)
    try:
        made.start()
        yield made
    finally:
        made.close()
