"""The measuring stand: servers of ours and rivals beside them, and the clients that look at both.

Everything is started when first asked for and ends with the stand. Streams run one at a time: a stand has few cores.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

from tests.tools.browser import BrowserClient, BrowserClients
from tests.tools.drivers import OWN as OWN_CLIENT
from tests.tools.drivers import Client, PythonClients
from tests.tools.official import VERSIONS, official_run, python_of
from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve

OURS = "livereactor"
OWN, PYTHON, JAVASCRIPT, PAGE = "own client", "python 1.13.0", "javascript 2.9.0", "javascript 2.9.0, on the page"
SIZES = {"360p": ("640", "360"), "720p": ("1280", "720")}
# Which official runtime a client can talk to: 3.10 lacks the routes of JavaScript 2.9.
RIVALS = {OWN: 3, PYTHON: 3, JAVASCRIPT: 2, PAGE: 2}


class ServerSettings(TypedDict, total=False):
    """What a server shows, and how: the conformance model, recorded, unless said otherwise.

    Attributes:
        target: a file of this repository, for ours; `model`: of bench/official, for a rival's.
    """

    target: str
    model: str
    recording: bool
    environment: Mapping[str, str]
    silent_stun: bool


@dataclass
class Stand:
    """What figures measure with.

    Attributes:
        rivals: measure the official runtimes too, where they are installed.
        trials: of latencies, per row.
        seconds: of streams, per row.
        long: seconds for what shows after an hour only.
        clients: which clients measure.
    """

    rivals: bool = True
    trials: int = 60
    seconds: float = 30.0
    long: float = 3600.0
    clients: tuple[str, ...] = (OWN, PYTHON, JAVASCRIPT, PAGE)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _servers: dict[str, Program] = field(default_factory=dict[str, Program])
    _drivers: dict[str, PythonClients | BrowserClients] = field(
        default_factory=dict[str, PythonClients | BrowserClients]
    )

    @property
    def connects(self) -> int:
        """Connects a row: each takes longer than a latency."""
        return max(2, self.trials // 2)

    async def aclose(self) -> None:
        """End everything that was started."""
        await self._stack.aclose()

    def rival_of(self, client: str) -> int | None:
        """The official runtime to compare with, None where there is none."""
        version = RIVALS[client]
        return version if self.rivals and python_of(version).exists() else None

    def servers_for(self, client: str) -> list[str]:
        """Ours, and the rival this client can talk to."""
        rival = self.rival_of(client)
        return [OURS] if rival is None else [OURS, f"official {VERSIONS[rival]}"]

    def server(self, name: str, size: str, **settings: Unpack[ServerSettings]) -> Program:
        """A running server: `name` as in `servers_for`, showing `size`."""
        key = f"{name} {size} {sorted(settings.items())}"
        if key not in self._servers:
            self._servers[key] = self._stack.enter_context(self.starting(name, size, **settings))
        return self._servers[key]

    def starting(self, name: str, size: str, **settings: Unpack[ServerSettings]) -> AbstractContextManager[Program]:
        """The same, for whoever wants several or to end it before the stand does."""
        width, height = SIZES[size]
        variables = {"CONFORMANCE_WIDTH": width, "CONFORMANCE_HEIGHT": height, **settings.get("environment", {})}
        log_path = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        recording = settings.get("recording", True)
        if name == OURS:
            # `src` first: a checkout measures itself, whichever is installed. bench/models stand on the other two.
            ways = (REPOSITORY / "src", REPOSITORY / "examples", REPOSITORY)
            variables.setdefault("PYTHONPATH", ":".join(map(str, ways)))
            variables.setdefault("LIVEREACTOR_RECORDER__ENABLED", str(recording).lower())
            target = REPOSITORY / settings.get("target", "examples/conformance.py")
            return livereactor_run(target, log_path=log_path, environment=variables)
        version = next(number for number, text in VERSIONS.items() if text in name)
        return official_run(
            version,
            log_path=log_path,
            environment=variables,
            model=settings.get("model", "Conformance"),
            recording=recording,
            silent_stun=settings.get("silent_stun", False),
        )

    def coordinator(
        self,
        *,
        target: str = "examples/conformance.py",
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> Coordinator:
        """A running coordinator with its workers ready, showing 360p."""
        key = f"coordinator {target} {arguments} {sorted((environment or {}).items())}"
        if key not in self._servers:
            width, height = SIZES["360p"]
            variables = {"CONFORMANCE_WIDTH": width, "CONFORMANCE_HEIGHT": height, **(environment or {})}
            log_path = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "log"
            started = livereactor_serve(
                [REPOSITORY / target], log_path=log_path, environment=variables, arguments=arguments, port=port
            )
            self._servers[key] = self._stack.enter_context(started)
        server = self._servers[key]
        assert isinstance(server, Coordinator)
        server.wait_for_worker()
        return server

    async def new(self, client: str, server: Program, *, joining: bool = False) -> Client:
        """A client of that kind for this server, not connected yet; `joining` a session that is there."""
        driver = await self._driver(client)
        if isinstance(server, Coordinator):
            shown = {"jwt": server.token()} if client in (JAVASCRIPT, PAGE) else {"api_key": server.key}
            return await driver.new(server.url, **shown)
        if not joining:  # the official runtime refuses a session while the last one is closing
            server.wait_until(lambda: server.get("/health")[1].get("state") not in ("serving",), timeout=30.0)
        return await driver.new(server.url)

    @asynccontextmanager
    async def connected(self, client: str, server: Program) -> AsyncIterator[Client]:
        """A connected client that receives the picture; disconnected on leaving."""
        made = await self.new(client, server)
        await (made.connect(onPage=True) if client == PAGE else made.connect())
        try:
            yield made
        finally:
            await made.ask("drop")

    async def _driver(self, client: str) -> PythonClients | BrowserClients:
        kind = JAVASCRIPT if client in (JAVASCRIPT, PAGE) else client
        if kind not in self._drivers:
            if kind == JAVASCRIPT:
                directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
                started = BrowserClients.started(directory)
                self._drivers[kind] = await self._stack.enter_async_context(started)
            else:
                started = PythonClients.started(OWN_CLIENT) if kind == OWN else PythonClients.started()
                self._drivers[kind] = await self._stack.enter_async_context(started)
        return self._drivers[kind]


async def frames_for(client: Client, seconds: float) -> dict[str, object]:
    """What came in the next seconds, whichever client it is."""
    if isinstance(client, BrowserClient):
        return await client.frames_for(seconds)
    return await client.ask("frames_for", seconds=seconds)
