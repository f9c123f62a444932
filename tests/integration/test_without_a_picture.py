"""A model without a video output: nothing of it is recorded, and whoever asks is told so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import livereactor as lr
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.runtime.recording.lifecycle import NO_PICTURE
from livereactor.runtime.recording.options import RecorderOptions
from tests.integration.rig import serving


class Spoken(lr.Model):
    """Has no picture."""

    voice = lr.AudioOut()

    def stream(self) -> Iterator[Any]:
        while True:
            yield np.zeros((1600, 1), np.int16)


async def test_the_session_says_that_it_is_not_recorded_and_a_clip_is_refused_with_the_reason() -> None:
    async with serving(Spoken, options={"recorder": RecorderOptions()}) as served:
        sid = await served.start_session()
        assert (await served.http.get("/session")).json()["recording"] == {"enabled": False}
        for codec, request_id, label in ((v1, "c1", "control"), (v0, None, "data")):
            caller = await served.client(sid, codec)
            caller.say(m.RequestClip(5, request_id))
            assert await caller.hear_of(m.ClipFailed, label=label) == m.ClipFailed(NO_PICTURE, request_id)
