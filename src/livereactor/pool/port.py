"""The interface to the place where Workers run.

A pool starts and stops processes, reports their end, and finds those that it started before.

For every adapter: `start` returns as soon as the process exists; an end is reported once, by `ended`, for every
Worker that was started or adopted, as soon as it can be known; `stop` of a Worker that is gone is no error; after a
crash of the coordinator `list()` finds the Workers that live on, and their end is reported as well.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from livereactor.base.errors import UnavailableError

# Names of variables that Workers are started with.
SECRET: Final = "LIVEREACTOR_WORKER_SECRET"  # a credential, or the worker secret itself
BLOBS: Final = "LIVEREACTOR_WORKER_BLOBS"  # the coordinator's folder or bucket, which this machine can reach


class PoolUnavailableError(UnavailableError):
    """The pool cannot start a worker now."""

    code = "pool_unavailable"


@dataclass(frozen=True, slots=True)
class Needs:
    """The resources that a worker has to itself, in a pool of several machines; a pool of one machine ignores them.

    Attributes:
        gpus: GPUs, or a fraction of one. It sees no others.
        cpus: processors, or a fraction of one: counted, not enforced.
        resources: of other kinds, by the names that the cluster's operator gave them.
    """

    gpus: float = 0.0
    cpus: float = 1.0
    resources: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """The specification of a worker to start.

    Attributes:
        worker: id under which it registers.
        model: name, for lists.
        target: what `livereactor worker` is given: a file, file.py:Class or folder.
        environment: added to the process's own.
        credential: what it shows the coordinator, never logged; "" = what the environment holds.
    """

    worker: str
    model: str
    target: str
    coordinator: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    needs: Needs = Needs()
    credential: str = field(default="", repr=False)

    @property
    def whole_environment(self) -> Mapping[str, str]:
        """The environment with the credential."""
        return {**self.environment, SECRET: self.credential} if self.credential else self.environment


@dataclass(frozen=True, slots=True)
class Handle:
    """A Worker's process, as the pool knows it. `process` is a pid, or an actor's name."""

    worker: str
    model: str
    process: str


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """A Worker's process is gone.

    Attributes:
        code: exit code, negative for a signal; None where it cannot be known (it was adopted).
        last_words: the end of its log, for the operator; up to 2,000 characters.
    """

    worker: str
    code: int | None
    last_words: str = ""

    @property
    def reason(self) -> str:
        """The reason why the process ended, in words."""
        if self.code is None:
            return "its process ended"
        if self.code >= 0:
            return f"its process ended with code {self.code}"
        with suppress(ValueError):
            return f"its process was ended by {signal.Signals(-self.code).name}"
        return f"its process was ended by signal {-self.code}"


class Pool(Protocol):
    """A place where workers run."""

    async def start(self, spec: WorkerSpec) -> Handle:
        """Start a process; raises `PoolUnavailableError`."""
        ...

    async def stop(self, worker: str, *, grace: float) -> None:
        """Ask the worker to end (SIGTERM: it drains), and kill it after `grace` seconds; 0 kills at once."""
        ...

    async def list(self) -> Sequence[Handle]:
        """List the workers that live, adopted ones too; raises `PoolUnavailableError` where that is not known yet."""
        ...

    def ended(self) -> AsyncIterator[WorkerExit]:
        """Yield ends as they happen, to one reader."""
        ...

    async def capacity(self) -> int | None:
        """Return how many more workers could be started; None = unknown, try."""
        ...

    async def aclose(self) -> None:
        """Let go of the workers; they live on."""
        ...
