"""A spare process: it becomes the next Worker, and is in nobody's way when it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from livereactor.pool.subprocess.pool import SubprocessPool
from livereactor.pool.subprocess.processes import birth
from livereactor.pool.subprocess.spare import SpareProcess
from tests.contract.pool.rig import Ends, SubprocessRig, command, pid_of, spec, until
from tests.fault.test_pool import is_there
from tests.tools.processes import REPOSITORY

# What `livereactor spare-worker` does, without the imports.
WAITING = """
import json, os, sys, time
print("waiting", os.getpid(), flush=True)
line = sys.stdin.readline()
if line:
    print("told", json.loads(line)["worker"], flush=True)
    time.sleep(60)
"""
ENVIRONMENT = spec("any").environment


def spare_command() -> list[str]:
    return [sys.executable, "-I", "-S", "-c", WAITING]


class SpareRig(SubprocessRig):
    def pool(self) -> SubprocessPool:
        return SubprocessPool(self.folder, command=command, spare=ENVIRONMENT, spare_command=spare_command)

    async def waiting(self, pool: SubprocessPool) -> int:
        """Until the pool has a spare that waits; its pid."""
        await pool.list()  # a pool begins with what it is first asked
        await until(lambda: "waiting" in self.log("spare"))
        return int(self.log("spare").rpartition("waiting ")[2])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[SpareRig]:
    made = SpareRig(tmp_path / "workers")
    yield made
    made.tidy()


async def test_the_next_worker_is_the_spare_and_its_log_goes_on(rig: SpareRig) -> None:
    pool = rig.pool()
    ends, waiting = Ends(pool), await rig.waiting(pool)
    await pool.start(spec("wrk_1"))
    await until(lambda: "told wrk_1" in rig.log("wrk_1"))
    assert await pid_of(pool, "wrk_1") == waiting
    assert rig.log("wrk_1").startswith(f"waiting {waiting}")
    await pool.stop("wrk_1", grace=5)
    assert (await ends.of("wrk_1")).code == -signal.SIGTERM
    await pool.aclose()


async def test_a_spare_that_became_a_worker_outlives_its_pool_and_is_adopted(rig: SpareRig) -> None:
    pool = rig.pool()
    waiting = await rig.waiting(pool)
    await pool.start(spec("wrk_1"))
    await pool.aclose()
    following = SubprocessPool(rig.folder, command=command)
    assert await pid_of(following, "wrk_1") == waiting
    await following.aclose()


async def test_a_worker_that_wants_another_environment_does_not_get_the_spare(rig: SpareRig) -> None:
    pool = rig.pool()
    waiting = await rig.waiting(pool)
    asked = spec("wrk_1")
    other = type(asked)(asked.worker, asked.model, asked.target, asked.coordinator, {"LIVEREACTOR_WORKER_SECRET": "x"})
    await pool.start(other)
    assert await pid_of(pool, "wrk_1") != waiting
    await pool.aclose()


async def test_a_spare_that_has_died_costs_nothing_but_its_time(rig: SpareRig) -> None:
    pool = rig.pool()
    waiting = await rig.waiting(pool)
    os.kill(waiting, signal.SIGKILL)
    await until(lambda: not is_there(waiting))
    await pool.start(spec("wrk_1"))
    await rig.ready("wrk_1")
    assert await pid_of(pool, "wrk_1") != waiting
    await pool.aclose()


async def test_a_pool_that_is_closed_takes_its_spare_with_it(rig: SpareRig) -> None:
    pool = rig.pool()
    waiting = await rig.waiting(pool)
    await pool.aclose()
    assert birth(waiting) is None


@pytest.mark.timeout(60)
def test_a_spare_ends_by_itself_when_its_pool_is_killed(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("wb")
    spare = SpareProcess([sys.executable, "-m", "livereactor", "spare-worker"], ENVIRONMENT, log.fileno())
    assert spare.child.stdin is not None
    spare.child.stdin.close()  # as the kernel does it for a pool that is killed
    assert spare.child.wait(50) == 0


def test_the_real_spare_serves_what_it_is_told(tmp_path: Path) -> None:
    """It fails as `livereactor worker` does, with the same words, where there is no such model."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        spare = SpareProcess([sys.executable, "-m", "livereactor", "spare-worker"], ENVIRONMENT, output.fileno())
    spare.assign(spec("wrk_1", str(tmp_path / "none.py")))
    code = spare.child.wait(50)
    worker = [sys.executable, "-m", "livereactor", "worker", str(tmp_path / "none.py")]
    said = subprocess.run(
        [*worker, "--coordinator", "http://127.0.0.1:1", "--pooled"],
        cwd=REPOSITORY,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (code, log.read_text()) == (said.returncode, said.stdout + said.stderr)
    assert "none.py" in said.stderr
