"""`new`, `run` and `dev` as a newcomer uses them: from an empty folder to a picture, and every way to end it."""

import json
import signal
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.page.conftest import opened

from .command import ended, serving, written

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLAYING = "#stage.playing:not(.covered)"
# A number that differs when the picture on screen does.
TRACE = """() => {
  const video = document.querySelector("figure:not([hidden]) video");
  if (!video?.videoWidth) return null;
  const canvas = new OffscreenCanvas(64, 36);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 64, 36);
  return context.getImageData(0, 0, 64, 36).data.reduce((sum, value) => (sum * 31 + value) | 0, 0);
}"""


async def test_new_then_run_puts_moving_pictures_on_the_page(browser: Browser, tmp_path: Path) -> None:
    assert (await ended("new", "hello", folder=tmp_path)).code == 0
    run = serving("run", "hello", "--port", "0", folder=tmp_path)
    async with run as server, opened(browser, bypass_csp=True) as (page, complaints):
        await page.goto(server.url)
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator(PLAYING)).to_be_visible(timeout=10_000)
        first = await page.evaluate(TRACE)
        await page.wait_for_function(f"({TRACE})() !== {first}", timeout=10_000)
        assert complaints == []
        assert await server.ends(signal.SIGINT) == 0
    assert not any("Traceback" in line for line in server.lines)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_code_0_and_frees_the_port(tmp_path: Path, how: signal.Signals) -> None:
    async with serving("run", written(tmp_path, ""), "--port", "0") as server:
        await server.said("model loaded")
        assert (await server.health())[0] == 200
        assert await server.ends(how) == 0
        port = server.url.rsplit(":", 1)[1]
    async with serving("run", tmp_path, "--port", port) as again:
        assert again.url == server.url


async def test_a_model_that_loads_for_long_shows_it_answers_health_and_can_be_ended(tmp_path: Path) -> None:
    body = "    def load(self):\n        self.progress(0.4, 'text encoder')\n        time.sleep(600)\n"
    async with serving("run", written(tmp_path, body), "--port", "0") as server:
        line = await server.said("still loading")
        assert "40%" in line
        assert "text encoder" in line
        status, _ = await server.health()
        assert status in (200, 503)
        assert await server.ends(signal.SIGINT) == 0


async def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    async with serving(
        "run", written(tmp_path, "    def load(self):\n        time.sleep(600)\n"), "--port", "0"
    ) as server:
        await server.said("still loading")
        server.process.send_signal(signal.SIGINT)
        await server.said("again to stop at once")
        assert await server.ends(signal.SIGINT) == 130


async def test_a_model_that_hangs_in_a_step_is_left_behind(browser: Browser, tmp_path: Path) -> None:
    body = "    def stream(self):\n        print('stepping', flush=True)\n        time.sleep(600)\n        yield None\n"
    async with serving("run", written(tmp_path, body), "--port", "0") as server, opened(browser) as (page, _):
        await page.goto(server.url)
        await page.get_by_role("button", name="Start").click()
        assert server.process.stdout is not None
        assert await server.process.stdout.readline() == b"stepping\n"
        assert await server.ends(signal.SIGINT) == 0


async def test_json_gives_the_address_to_a_script(tmp_path: Path) -> None:
    made = await ended("new", "hello", "--json", folder=tmp_path)
    assert json.loads(made.out) == {"model": "hello/model.py", "class": "Hello"}
    async with serving("run", "hello", "--json", "--port", "0", folder=tmp_path) as server:
        await server.said("model loaded")
        assert await server.ends(signal.SIGTERM) == 0


async def test_what_set_gives_reaches_load_with_the_file_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "livereactor.toml").write_text("[model]\nsteps = 4\n")
    body = "    def load(self, config):\n        print(config['steps'], config['size'], config.path.name, flush=True)\n"
    async with serving("run", written(tmp_path, body), "--port", "0", "--set", "size=small") as server:
        assert server.process.stdout is not None
        assert await server.process.stdout.readline() == b"4 small livereactor.toml\n"
