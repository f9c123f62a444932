"""A stepped Session as Gymnasium's own checker sees it, and the example that plays it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import livereactor as lr
from livereactor.integrations.gym import ReactorEnv
from tests.e2e.integrations.conftest import Serve
from tests.tools.processes import REPOSITORY

MODEL = "examples/clients/balance.py"


@pytest.fixture
def env(serve: Serve) -> Iterator[ReactorEnv]:
    made = ReactorEnv(lr.SyncReactor("balance", local=serve(MODEL).url, generation="stepped"), render_mode="rgb_array")
    yield made
    made.close()


def test_gymnasiums_checker_finds_no_fault(env: ReactorEnv) -> None:
    check_env(env, skip_render_check=True)


def test_a_seed_makes_an_episode_again_and_another_seed_another(env: ReactorEnv) -> None:
    def episode(seed: int) -> list[np.ndarray]:
        first, _ = env.reset(seed=seed)
        return [first, *(env.step(np.float32(0.3))[0] for _ in range(10))]

    one, again, other = episode(1), episode(1), episode(2)
    assert all(np.array_equal(*pair) for pair in zip(one, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_a_push_is_seen_and_a_fall_ends_the_episode(env: ReactorEnv) -> None:
    first, _ = env.reset(seed=1)
    rewards, steps, terminated, pixels = 0.0, 0, False, first
    while not terminated and steps < 200:
        pixels, reward, terminated, truncated, info = env.step(np.float32(1.0))
        rewards, steps = rewards + reward, steps + 1
        assert not truncated
        assert info["number"] == steps + 1
    assert terminated
    assert rewards == steps - 1
    assert not np.array_equal(first, pixels)
    assert env.render() is pixels


def test_an_episode_can_start_with_parameters_of_its_own(env: ReactorEnv) -> None:
    def second(**params: float) -> np.ndarray:
        env.reset(seed=1, options={"params": params})  # its push shows one step later, as speed
        return env.step(np.float32(0))[0]

    assert not np.array_equal(second(), second(push=1.0))


def test_a_mistake_leaves_no_session_behind(serve: Serve) -> None:
    server = serve(MODEL)
    with pytest.raises(ValueError, match="no parameter 'pull'; there are push, seed"):
        ReactorEnv(lr.SyncReactor("balance", local=server.url, generation="stepped"), actions=["pull"])
    server.wait_until(lambda: server.get("/health")[1]["state"] == "available", timeout=10.0)


def test_the_example_keeps_the_pole_up(serve: Serve) -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples/clients/play_balance.py")],
        env={**os.environ, "LIVEREACTOR_LOCAL_URL": serve(MODEL).url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "balanced for 60 steps" in done.stdout
