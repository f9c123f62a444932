"""`make demo`, as a person on a machine with this checkout types it, and what it leaves behind: nothing."""

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.async_api import Browser, expect

from livereactor.cli.commands.serve import MODELS
from tests.e2e.page.conftest import opened
from tests.tools.processes import REPOSITORY, free_port, request

from .command import Serving, serving
from .test_run import PLAYING, TRACE

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMES = {Path(each).stem for each in MODELS}
POND = json.dumps({"model": {"name": "pond"}}).encode()


async def asked(demo: Serving, path: str, *, body: bytes | None = None) -> Any:
    """The answer to a guest of this machine, who shows no token."""
    method = "GET" if body is None else "POST"
    json_body = {"Content-Type": "application/json"}
    status, answer = await asyncio.to_thread(
        request, demo.url + path, method=method, body=body, headers=json_body, timeout=30.0
    )
    assert status in (200, 201), (status, answer)
    return answer


async def states(demo: Serving) -> dict[str, str]:
    return {each["name"]: each["state"] for each in (await asked(demo, "/models"))["models"]}


async def played(demo: Serving) -> None:
    """Until the pond's worker, which nobody had started, serves a session."""
    session = (await asked(demo, "/sessions", body=POND))["session_id"]
    while "capabilities" not in await asked(demo, f"/sessions/{session}"):
        assert demo.process.returncode is None, demo.lines


def workers(demo: Serving) -> list[psutil.Process]:
    """The processes that it started and that lead sessions of their own."""
    pids = [re.search(r"pid=(\d+)", line) for line in demo.lines if "worker started" in line]
    return [psutil.Process(int(found[1])) for found in pids if found is not None]


def is_there(folder: str | Path) -> bool:
    return Path(folder).exists()


async def test_make_demo_shows_moving_pictures_that_answer_a_command(browser: Browser) -> None:
    make = ("make", "--no-print-directory", "demo", f"PORT={free_port()}")
    async with serving(command=make, folder=REPOSITORY) as demo, opened(browser, bypass_csp=True) as (page, complaints):
        await page.goto(demo.url)
        await page.get_by_role("button", name="pond", exact=True).click()
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator("#stage .card")).to_contain_text("its process starts")
        await expect(page.locator(PLAYING)).to_be_visible(timeout=60_000)  # its worker starts now
        first = await page.evaluate(TRACE)
        await page.wait_for_function(f"({TRACE})() !== {first}", timeout=10_000)
        await page.locator("#stage video").click(position={"x": 200, "y": 100})
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .reply")).to_contain_text("dropped")
        assert complaints == []
        folder = (await demo.said("Data:")).split()[1]
        await demo.ends(signal.SIGINT)
    assert not is_there(folder)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "terminal closed"])
async def test_a_models_worker_starts_on_first_use_and_nothing_is_left(tmp_path: Path, how: signal.Signals) -> None:
    async with serving("demo", "--port", "0", folder=tmp_path) as demo:
        folder = (await demo.said("Data:")).split()[1]
        await demo.said("On this machine nobody needs a key until you create one")
        assert await states(demo) == dict.fromkeys(NAMES, "cold")
        await played(demo)
        assert await states(demo) == {**dict.fromkeys(NAMES, "cold"), "pond": "ready"}
        (worker,) = workers(demo)
        assert is_there(folder)
        assert await demo.ends(how) == 0
    assert not is_there(folder)
    assert not is_there(tmp_path / "livereactor-data")
    assert not worker.is_running()
