"""Clients as this process sees them: one interface for the processes of Python clients and the browser page.

async with PythonClients.started() as clients:
    viewer = await clients.new(server.url)
    await viewer.connect()
    await viewer.command("set_prompt", prompt="rain")
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from tests.tools.processes import REPOSITORY

OWN = "tests.tools.own_client"  # a module to start `PythonClients` with


class ClientError(Exception):
    """The official client raised; what it said is here."""

    def __init__(self, failed: dict[str, Any]) -> None:
        self.kind = str(failed.get("error"))
        self.code = failed.get("code")
        self.message = str(failed.get("message"))
        self.fields = failed
        super().__init__(f"{self.kind} {self.code}: {self.message}")


class Asking(Protocol):
    """Somebody who carries out operations of official clients."""

    async def ask(self, op: str, **args: Any) -> Any: ...


class Client:
    """One official client. Every operation of the other side is a method; the commonest have their own signature."""

    def __init__(self, driver: Asking, name: str) -> None:
        self.driver = driver
        self.name = name

    async def ask(self, op: str, **args: Any) -> Any:
        """Carry out one operation; raises `ClientError` where the official client raised."""
        return await self.driver.ask(op, c=self.name, **args)

    async def connect(self, **options: Any) -> dict[str, Any]:
        """Connect and be ready, receiving `main_video`."""
        return await self.ask("connect", **options)

    async def command(self, command: str, /, **data: Any) -> Any:
        """The reply `{type, data}` of one command, None for an acknowledgement."""
        return (await self.ask("command", name=command, data=data))["reply"]

    async def frames(self, count: int = 1, *, timeout: float = 10.0, track: str = "main_video") -> dict[str, Any]:
        """What came until `count` more frames had come, or `timeout` passed."""
        return await self.ask("wait_frames", count=count, timeout=timeout, track=track)

    async def messages(self, type: str, count: int, *, timeout: float = 20.0, start: int = 0) -> list[dict[str, Any]]:
        """The data of the messages of one type, from the `start`-th on."""
        found = await self.ask("wait_messages", type=type, count=count, timeout=timeout, start=start)
        return [message["data"] for message in found]

    async def state(self) -> dict[str, Any]:
        return await self.ask("state")

    async def disconnect(self) -> None:
        await self.ask("disconnect")


class PythonClients:
    """The process of `python_client`, or of another module that serves the same operations."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read(), name="official python clients")

    @classmethod
    @asynccontextmanager
    async def started(
        cls, module: str = "tests.tools.python_client", *, python: Path = Path(sys.executable)
    ) -> AsyncIterator[PythonClients]:
        """`python`: the interpreter of the environment that has the client."""
        process = await asyncio.create_subprocess_exec(
            str(python),
            "-m",
            module,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=256 * 1024 * 1024,
        )
        clients = cls(process)
        try:
            yield clients
        finally:
            await clients.aclose()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def new(self, url: str, **options: Any) -> Client:
        """An official client that will talk to the local runtime at `url`."""
        client = Client(self, f"python-{next(self._numbers)}")
        await client.ask("new", url=url, **options)
        return client

    async def ask(self, op: str, **args: Any) -> Any:
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "op": op, "args": args}).encode() + b"\n")
        await self._process.stdin.drain()
        return await future

    async def aclose(self) -> None:
        """End the process; whoever still waits is told."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 10.0)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            future = self._waiting.pop(answer["id"], None)
            if future is None or future.done():
                continue
            if "failed" in answer:
                future.set_exception(ClientError(answer["failed"]))
            else:
                future.set_result(answer["result"])
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the process of the official python clients ended"))
