"""A process between a coordinator and a Ray cluster: the only place that imports ray. `pool.py` starts it.

Ray ends the process that uses it when the cluster's head stays away, blocks for a minute where there is none, and its
calls know no deadline: all of that is this process's, not the coordinator's. It reads requests as lines of JSON on
standard input and answers on standard output; it ends with its standard input, and the actors live on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import ray as untyped_ray
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.util import list_named_actors

from livereactor.base.tasks import TaskSet
from livereactor.pool.ray.host import WorkerHost

KILL_TIMEOUT: Final = 5.0  # seconds; who does not answer by then is frozen or out of reach
ASK_AGAIN: Final = 1.0  # seconds until an actor that could not be reached is asked again
LINE_BYTES: Final = 1024 * 1024
TOLD: Final = 400  # characters of an error
ray: Final[Any] = untyped_ray
_BETWEEN: Final = "/"  # a model's name, which has none, and a Worker's, in an actor's


class Driver:
    """The Workers of one namespace.

    Args:
        output: file descriptor for lines.
    """

    def __init__(self, output: int) -> None:
        self._output = output
        self._hosts: dict[str, Any] = {}  # actors by Worker, until their end was told and heard
        self._watches: dict[str, tuple[str, asyncio.Task[None]]] = {}  # models, and who waits for their end

    async def adopt(self) -> None:
        """Find those that live, another coordinator's too, and say which we know now."""
        for name in await asyncio.to_thread(list_named_actors):
            model, _, worker = name.partition(_BETWEEN)
            if worker not in self._hosts:
                with suppress(ValueError):  # it has ended meanwhile
                    self._hosts[worker] = await asyncio.to_thread(ray.get_actor, name)
                    self._watch(worker, model)
        self._say(known=[(worker, model) for worker, (model, _) in self._watches.items()])

    async def obey(self, asked: Mapping[str, Any]) -> None:
        """Do what a line asks for, and say that it is done, or why not."""
        error = None
        try:
            match asked["do"]:
                case "start":
                    await self._start(**asked["with"])
                case "stop":
                    await self._stop(**asked["with"])
                case "adopt":
                    await self.adopt()
                case _:
                    await self._forget(**asked["with"])
        except Exception as failure:  # whatever Ray raises, the coordinator gets its text
            error = _told(failure)
        self._say(done=asked["number"], error=error)

    async def _start(
        self,
        worker: str,
        model: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        needs: Mapping[str, Any],
        within: float,
    ) -> None:
        host = self._hosts[worker] = await asyncio.to_thread(_make, f"{model}{_BETWEEN}{worker}", needs)
        try:
            async with asyncio.timeout(within):
                await host.run.remote(list(arguments), dict(environment))
        except TimeoutError:
            await self._forget(worker)
            raise TimeoutError(await asyncio.to_thread(_no_room, needs, within)) from None
        except BaseException:
            await self._forget(worker)
            raise
        self._say(started=worker, model=model)
        self._watch(worker, model)

    async def _stop(self, worker: str, grace: float) -> None:
        host = self._hosts.get(worker)
        if host is None:
            return
        if worker not in self._watches:  # it waits for room
            await self._forget(worker)
            return
        _, watch = self._watches[worker]
        with suppress(TimeoutError, RayActorError):
            async with asyncio.timeout(grace + KILL_TIMEOUT):
                await host.stop.remote(grace)
        await asyncio.wait([watch], timeout=KILL_TIMEOUT)
        if not watch.done():
            # The host obeys when it wakes. Until then it holds no session: its fence is an old one.
            watch.cancel()
            self._ended(worker, None, "its machine does not answer")

    async def _forget(self, worker: str) -> None:
        """Drop the watch of an ended worker, and kill its actor."""
        self._watches.pop(worker, None)
        if (host := self._hosts.pop(worker, None)) is not None:
            await asyncio.to_thread(ray.kill, host, no_restart=True)

    def _watch(self, worker: str, model: str) -> None:
        self._watches[worker] = model, asyncio.create_task(self._until_ended(worker), name=f"end of {worker}")

    async def _until_ended(self, worker: str) -> None:
        host = self._hosts[worker]
        while True:
            try:
                code, words = await host.ended.remote()
            except ActorUnavailableError:  # cut off for a moment, which is no death
                await asyncio.sleep(ASK_AGAIN)
            except RayActorError as error:
                return self._ended(worker, None, str(error))
            else:
                return self._ended(worker, code, words)

    def _ended(self, worker: str, code: int | None, words: str) -> None:
        self._say(ended=worker, code=code, last_words=words)

    def _say(self, **line: Any) -> None:
        os.write(self._output, json.dumps(line).encode() + b"\n")


def _make(name: str, needs: Mapping[str, Any]) -> Any:
    """Create an actor that waits for a machine with room for it."""
    # Ray never restarts it: that would hide its death, and its twin would have no valid fence.
    made = ray.remote(WorkerHost).options(
        name=name,
        lifetime="detached",
        max_restarts=0,
        num_gpus=needs["gpus"],
        num_cpus=needs["cpus"],
        resources=needs["resources"],
    )
    return made.remote()


def _no_room(needs: Mapping[str, Any], within: float) -> str:
    free: Mapping[str, float] = ray.available_resources()
    there: Mapping[str, float] = ray.cluster_resources()
    named = sorted(name for name in there if not name.startswith(("node:", "object_store_memory", "memory")))
    told = ", ".join(f"{free.get(name, 0):g} of {there[name]:g} {name}" for name in named)
    asked = {"GPU": needs["gpus"], "CPU": needs["cpus"], **needs["resources"]}
    needed = ", ".join(f"{count:g} {name}" for name, count in asked.items() if count)
    return f"no machine of the cluster had {needed} free within {within:g} s; free in the whole cluster: {told}"


def _told(error: Exception) -> str:
    """Return an error's text on one line, of at most `TOLD` characters; Ray's own texts fill pages."""
    return " ".join(str(error).split())[:TOLD] or type(error).__name__


async def _lines(driver: Driver) -> None:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await driver.adopt()
    tasks = TaskSet()
    while line := await reader.readline():
        tasks.start(driver.obey(json.loads(line)))


def main() -> None:
    """Run until standard input ends. Arguments: the cluster's address, the namespace."""
    address, namespace = sys.argv[1:]
    # What Ray prints is not for the reader of our lines.
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        sys.exit(_told(error))
    asyncio.run(_lines(Driver(output)))
    os._exit(0)  # Ray's own goodbye takes seconds, and says nothing that its sockets do not


if __name__ == "__main__":
    main()
