"""A runtime that is killed in the middle of a Segment leaves all Segments before it, and they play."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, cast

import av

from livereactor import Reactor
from livereactor.probes.watching import read_barcode
from tests.fault.models_served import FPS
from tests.tools.processes import REPOSITORY, livereactor_run

MODEL = REPOSITORY / "tests/fault/models_served.py"
SECONDS = 6


def counters(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data), "r") as container:
        codes = [read_barcode(cast(Any, frame).to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [code.counter for code in codes if code is not None]


async def test_a_killed_runtime_leaves_all_segments_before_the_last(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    environment = {"PYTHONPATH": str(REPOSITORY), "LIVEREACTOR_BLOBS__URL": str(root)}
    with livereactor_run(f"{MODEL}:Numbered", log_path=tmp_path / "log", environment=environment) as program:
        reactor = Reactor("numbered", local=program.url)
        await reactor.connect()
        last = 0
        async for frame in reactor.track("main_video").frames():
            code = read_barcode(frame)
            last = code.counter if code is not None else last
            if last >= SECONDS * FPS:
                break
        program.process.kill()
        program.process.wait(10)
        await reactor.disconnect()
    (recording,) = (root / "recordings").iterdir()
    assert json.loads((recording / "recording.json").read_bytes())["video"]["fps"] == FPS
    chunks = sorted(recording.glob("chunk_*.m4s"))
    seen = counters((recording / "init.mp4").read_bytes() + b"".join(chunk.read_bytes() for chunk in chunks))
    assert seen == sorted(set(seen))
    assert seen[0] == 1
    assert seen[-1] >= (SECONDS - 2) * FPS
    assert not (recording / "end.json").exists()
