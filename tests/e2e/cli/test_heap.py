"""The processes that serve a model have taken its objects out of garbage collection before anybody comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livereactor import Reactor
from tests.tools.processes import livereactor_run
from tests.tools.serving import livereactor_serve

MODEL = """
import gc
import livereactor as lr
import numpy as np


class Count(lr.Message):
    count: int


class Counting(lr.Model):
    main_video = lr.VideoOut(width=64, height=64, fps=5)

    def load(self) -> None:
        self.many = [[number] for number in range(100_000)]

    def stream(self):
        while True:
            yield np.zeros((64, 64, 3), np.uint8)

    @lr.command
    def frozen(self) -> Count:
        return Count(count=gc.get_freeze_count())


class Count(lr.Message):
    count: int
"""


@pytest.mark.parametrize("name", ["run", "serve"])
async def test_a_loaded_model_is_left_out_of_collections(name: str, tmp_path: Path) -> None:
    model = tmp_path / "counting.py"
    model.write_text(MODEL)
    log = tmp_path / "log"
    begun = livereactor_run(model, log_path=log) if name == "run" else livereactor_serve([model], log_path=log)
    with begun as program:
        there: dict[str, Any] = {"local": program.url}
        if name == "serve":
            there = {"api_key": program.key, "api_url": program.url}  # type: ignore[attr-defined]
        async with Reactor("counting", **there) as reactor:
            reply: Any = await reactor.send_command("frozen", {}, timeout=30)
            assert reply["data"]["count"] > 100_000
