"""The way to the process that speaks to Ray (`ray_driver.py`): lines of JSON to it and from it. Loop only."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from livereactor.pool.port import PoolUnavailableError

LINE_BYTES: Final = 1024 * 1024  # what is said of thousands of Workers, in one line
KEPT_LINES: Final = 20  # of what it printed to standard error, for the operator
END_TIMEOUT: Final = 2.0  # seconds


class RayLink:
    """One such process.

    Args:
        address: of the cluster, as `ray.init` takes it.
        namespace: whose actors.
    """

    def __init__(self, address: str, namespace: str) -> None:
        self._command = [sys.executable, "-m", "livereactor.pool.ray.driver", address, namespace]
        self._process: asyncio.subprocess.Process
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._number = 0

    async def lines(self) -> AsyncIterator[Mapping[str, Any]]:
        """Start it, and give what it says of itself and of Workers, until it ends; answers go to whoever asked."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE_BYTES, start_new_session=True
        )
        assert self._process.stdout is not None
        listening = asyncio.create_task(self._listen(), name="errors of ray")
        try:
            async for line in self._process.stdout:
                said = json.loads(line)
                if "done" not in said:
                    yield said
                elif (answer := self._asked.pop(said["done"], None)) is not None and not answer.done():
                    _settle(answer, said["error"])
            await listening
        finally:
            listening.cancel()
            await self.aclose()
            for answer in self._asked.values():
                if not answer.done():
                    _settle(answer, self.last_error())
            self._asked.clear()

    async def ask(self, do: str, arguments: Mapping[str, Any], *, timeout: float) -> None:
        """Have something done; raises `PoolUnavailableError` where it could not be, or not in time."""
        assert self._process.stdin is not None
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        line = json.dumps({"number": number, "do": do, "with": arguments})
        try:
            async with asyncio.timeout(timeout):
                self._process.stdin.write(f"{line}\n".encode())
                await self._process.stdin.drain()
                await answer
        except TimeoutError:
            raise PoolUnavailableError(f"the Ray cluster did not answer within {timeout:g} s") from None
        except ConnectionError as error:
            raise PoolUnavailableError(self.last_error()) from error
        finally:
            self._asked.pop(number, None)

    def last_error(self) -> str:
        """The reason why the driver ended, in its own words."""
        return next((line for line in reversed(self._errors) if line), "its connection ended")

    async def aclose(self) -> None:
        """End it; actors live on."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(END_TIMEOUT):
                    await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._errors.append(line.decode(errors="replace").strip()[:500])


def _settle(answer: asyncio.Future[None], error: str | None) -> None:
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(PoolUnavailableError(error))
        answer.exception()  # whoever asked may have given up
