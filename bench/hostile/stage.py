"""The stage: a server, its owner, the links that were given away, and one attack after the other."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from bench.hostile.attack import Attack, Program, Target
from bench.hostile.attacking import attacker
from bench.hostile.owner import Owner, owning
from bench.hostile.verdict import Measured, is_back
from bench.hostile.watching import held, peaked, settled, udp_ports, watched
from livereactor import Reactor
from tests.tools.netns import ADDRESS
from tests.tools.processes import REPOSITORY, livereactor_run
from tests.tools.processes import Program as Server
from tests.tools.serving import Coordinator, livereactor_serve

MODEL = REPOSITORY / "bench" / "models" / "looking.py"
WAYS = (REPOSITORY / "src", REPOSITORY / "examples")  # what the model stands on; a checkout measures itself
SIZE = {"CONFORMANCE_WIDTH": "640", "CONFORMANCE_HEIGHT": "360"}
# Attackers come from addresses that are nobody's interface: media is not gathered there, and each attack has its own.
ATTACKERS = "198.18.64.0/18"
SOURCES: dict[Program, str] = {"serve": "198.18", "run": "127.0"}  # `run` listens on loopback, as it does by default
SETTLES = 45.0  # seconds: offers and lost clients are given up after 30, idle connections sooner
WARM_UP = 0.2  # of the attack: what is loaded once is not what grows
LINKS = 4  # of each kind
CROWD, CROWD_WAITS = 64, 60.0  # requests at once, and seconds that each may take


@dataclass
class Stage:
    """A server with its owner.

    Attributes:
        program: which of ours it is.
    """

    program: Program
    server: Server
    owner: Owner
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def measure(self, attack: Attack, seconds: float) -> Measured:
        """Attack for so long, and as long be quiet before it."""
        pid = self.server.pid
        first = held(pid)
        async with attacker(attack, self._target()) as strike:
            await strike(WARM_UP * seconds)
        await settled(pid, lambda now: now.descriptors <= first.descriptors and now.udp <= first.udp, SETTLES)
        # By somebody else than in the warm-up, whose allowance is spent, and who has been told so.
        async with attacker(attack, self._target()) as strike:
            quiet, before = await asyncio.gather(self.owner.feels(seconds), watched(pid, seconds))
            felt, peak, struck = await asyncio.gather(self.owner.feels(seconds), peaked(pid, seconds), strike(seconds))
        after = await settled(pid, lambda now: is_back(before, now), SETTLES)
        ended, self.owner.ended = self.owner.ended, []
        return Measured(quiet, felt, before, peak, after, struck.sent, struck.answers, ended)

    def _target(self) -> Target:
        """A fresh address, and fresh links: what one attack spent is no other's."""
        number = next(self._numbers)
        given = {
            "url": self.server.url,
            "source": f"{SOURCES[self.program]}.{64 + number // 250}.{1 + number % 250}",
            "session": self.owner.session,
            "media": tuple((ADDRESS, port) for port in udp_ports(self.server.pid)),
        }
        if not isinstance(self.server, Coordinator):
            return Target(**given, watch=("",) * LINKS, steer=("",) * LINKS)
        return Target(
            **given,
            watch=tuple(self._share("view") for _ in range(LINKS)),
            steer=tuple(self._share("view", "control", "upload") for _ in range(LINKS)),
            stranger=self.server.key_of(f"stranger-{number}"),
        )

    def _share(self, *scope: str) -> str:
        assert isinstance(self.server, Coordinator)
        status, body = self.server.call("POST", f"/sessions/{self.owner.session}/share", {"scope": list(scope)})
        assert status == 200, body
        return str(body["jwt"])


@asynccontextmanager
async def on_stage(program: Program, **environment: str) -> AsyncIterator[Stage]:
    """A server of this kind with an owner, in a private network that the caller is in."""
    with tempfile.TemporaryDirectory() as folder, _started(program, Path(folder), environment) as server:
        if isinstance(server, Coordinator):
            await asyncio.to_thread(server.wait_for_worker)
            reactor = Reactor("conformance", server.key, api_url=server.url)
        else:
            reactor = Reactor("conformance", local=server.url)
        async with owning(reactor) as owner:
            await _crowd(server, owner.session)
            yield Stage(program, server, owner)


async def _crowd(server: Server, session: str) -> None:
    """Ask many harmless things at once: pools of threads and connections grow to their bounds, and stay."""
    headers = {"Authorization": f"Bearer {server.key}"} if isinstance(server, Coordinator) else {}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=CROWD_WAITS) as client:
        paths = [f"/sessions/{session}/transport/webrtc/ice_servers", "/health", "/limits", "/models"] * (CROWD // 4)
        for _ in range(3):
            await asyncio.gather(*(client.get(path) for path in paths))


@contextmanager
def _started(program: Program, folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    subprocess.run(["ip", "route", "replace", "local", ATTACKERS, "dev", "lo"], check=True, capture_output=True)
    given = {**SIZE, "PYTHONPATH": ":".join(map(str, WAYS)), **environment}
    if program == "serve":
        with livereactor_serve([MODEL], log_path=folder / "log", environment=given, host=ADDRESS) as coordinator:
            yield coordinator
    else:
        with livereactor_run(MODEL, log_path=folder / "log", environment=given) as runtime:
            yield runtime
