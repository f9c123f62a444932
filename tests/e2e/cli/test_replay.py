"""`livereactor run`, a client, `livereactor replay`: the same pictures, also of what a killed runtime left."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import av
import pytest

import livereactor as lr
from tests.e2e.cli.command import Ended, ended, serving

EXAMPLES = Path(__file__).parents[3] / "examples"
PATIENCE = 30.0
# The pond with a seed, and a tap: the digest of every picture in a file.
MODEL = f"""
import hashlib, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import numpy as np
import livereactor as lr
import pond


class Tapped(pond.Pond):
    def load(self, config):
        super().load()
        self.seed, self.tap = int(config["seed"]), config["tap"]

    def open(self, session):
        super().open(session)
        self.water.chance = np.random.default_rng(self.seed)

    @lr.command
    def say(self, text: str) -> None:
        self.water.poke(len(text) / 100, 0.5)

    def stream(self):
        with open(self.tap, "w") as tap:
            for picture in super().stream():
                print(hashlib.sha256(picture).hexdigest(), file=tap, flush=True)
                yield picture
"""
SECRET = "a secret of mine"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model, whose recordings are kept in `kept`."""
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.setenv("LIVEREACTOR_BLOBS__URL", str(tmp_path / "kept"))
    return tmp_path


async def stirred(url: str, seconds: float) -> str:
    """A client steers the pond for a while; the session's id."""
    enough, frames = asyncio.Event(), 0
    async with lr.Reactor("tapped", local=url) as reactor:

        @reactor.track("main_video").on_frame
        def seen(_: object) -> None:
            nonlocal frames
            frames += 1
            if frames >= seconds * 30:
                enough.set()

        await reactor.send_command("drop", {"x": 0.4, "y": 0.5})
        await reactor.send_command("set_rain", {"rain": 0.9})
        await reactor.send_command("say", {"text": SECRET})
        await asyncio.wait_for(enough.wait(), PATIENCE)
        await reactor.send_command("drop", {"x": 0.1, "y": 0.9, "strength": 2.0})
        assert reactor.session_id is not None
        return reactor.session_id


async def replay(house: Path, *arguments: str) -> Ended:
    return await ended("replay", *arguments, "--set", f"tap={house / 'again'}", "--json", folder=house)


def tapped(house: Path, name: str) -> list[str]:
    return (house / name).read_text().split()


async def test_a_session_is_replayed_picture_for_picture_with_its_seed_and_filmed(house: Path) -> None:
    film = house / "film.mp4"
    options = ("--port", "0", "--set", "seed=12", "--set", f"tap={house / 'then'}")
    async with serving("run", "model.py", *options, folder=house) as running:
        session = await stirred(running.url, 3.0)
        assert await running.ends(signal.SIGTERM) == 0
        log = "".join(running.lines)
    assert SECRET not in log
    again = await replay(house, session, "--film", str(film), "--from", "1", "--to", "2")
    assert again.code == 0, again.log
    result = json.loads(again.out)
    assert result["notices"] == []
    assert result["compared"] >= 2
    assert result["differ"] == []
    assert tapped(house, "again") == tapped(house, "then")[: result["steps"]]
    with av.open(str(film)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times[0] == 0
    assert times[-1] == pytest.approx(1.0, abs=0.25)  # of a machine that may be slow
    whole = await replay(house, session)
    assert tapped(house, "again") == tapped(house, "then")
    assert json.loads(whole.out)["steps"] == len(tapped(house, "then"))
    other = await replay(house, session, "--set", "seed=13")
    assert other.code == 1
    assert json.loads(other.out)["differ"] != []


async def test_what_a_killed_runtime_left_is_replayed_but_for_its_last_moment(house: Path) -> None:
    options = ("--port", "0", "--set", "seed=12", "--set", f"tap={house / 'then'}")
    async with serving("run", "model.py", *options, folder=house) as running:
        session = await stirred(running.url, 4.0)
        await running.ends(signal.SIGKILL)
    again = await replay(house, session)
    assert again.code == 0, again.log
    result, then = json.loads(again.out), tapped(house, "then")
    assert tapped(house, "again") == then[: result["steps"]]
    assert result["steps"] >= len(then) - 120  # two seconds of digests and pieces, each at most 60 steps


async def test_a_session_that_is_not_there_is_told_with_what_to_do(house: Path) -> None:
    (house / "kept").mkdir()
    again = await replay(house, "ses_of_nobody")
    assert again.code == 2
    assert "no session 'ses_of_nobody' among the recordings in" in again.log
    assert "--data-dir, --blobs or --coordinator" in again.log


async def test_without_recording_nothing_is_kept(house: Path) -> None:
    options = ("--port", "0", "--set", "seed=12", "--set", f"tap={house / 'then'}")
    (house / "livereactor.toml").write_text("[recorder]\nenabled = false\n")
    async with serving("run", "model.py", *options, folder=house) as running:
        await stirred(running.url, 1.5)
        assert await running.ends(signal.SIGTERM) == 0
    assert not list((house / "kept").rglob("*.jsonl"))
