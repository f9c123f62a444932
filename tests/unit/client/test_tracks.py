"""The Tracks of a client: one object a name, filters, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import structlog.testing

from livereactor.client.types import TrackCapability
from tests.unit.client.media_rig import Rig, rigged


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


async def test_a_track_is_one_object_for_the_life_of_the_client(rig: Rig) -> None:
    track = rig.tracks.track("main_video")
    assert (track.kind, track.direction, track.paused, track.published) == (None, None, False, False)
    await rig.connect()
    await rig.tracks.release()
    await rig.connect()
    assert rig.tracks.track("main_video") is track is rig.tracks.declared[0]
    assert (track.kind, track.direction) == ("video", "recvonly")
    assert repr(track) == "<Track 'main_video' video recvonly>"


async def test_tracks_are_listed_in_their_order_and_filtered(rig: Rig) -> None:
    assert rig.tracks.declared == []
    await rig.connect()
    listed = rig.tracks.declared
    assert [track.name for track in listed] == ["main_video", "main_audio", "webcam", "mic"]
    assert listed.with_direction("sendonly").with_kind("audio").one().name == "mic"
    with pytest.raises(ValueError, match="there are 2: main_video, main_audio"):
        listed.with_direction("recvonly").one()
    with pytest.raises(ValueError, match="there are 0: none"):
        listed.with_direction("recvonly").with_direction("sendonly").one()


async def test_a_name_that_the_session_lacks_is_said_with_those_it_has(rig: Rig) -> None:
    rig.tracks.track("main_vidoe")
    with structlog.testing.capture_logs() as lines:
        await rig.connect()
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["tracks"], line["declared"]) == (["main_vidoe"], "main_video, main_audio, webcam, mic")
    with pytest.raises(ValueError, match="no track 'main_vidoe'; declared: main_video, main_audio, webcam, mic"):
        rig.tracks.track("main_vidoe")


async def test_another_session_may_have_other_tracks(rig: Rig) -> None:
    await rig.connect()
    await rig.tracks.release()
    rig.tracks.declare([TrackCapability("main_video", "video", "recvonly")], resumes=True)
    assert [track.name for track in rig.tracks.declared] == ["main_video"]
    assert rig.tracks.wanted == ["main_video"]


def test_a_client_with_a_handler_has_loaded_neither_numpy_nor_a_codec_nor_an_engine() -> None:
    heavy = {"numpy", "cv2", "av", "reactor_webrtc", "aiortc", "livereactor.engine.libwebrtc.engine"}
    use = "lr.Reactor('pond', local=True).track('main_video').on_frame(print)"
    program = f"import sys, livereactor as lr; {use}; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
