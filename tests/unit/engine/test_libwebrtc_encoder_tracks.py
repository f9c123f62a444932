"""Which viewer a callback serves, and that a track goes once nobody needs it, whatever libwebrtc calls meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from livereactor.engine.libwebrtc import encoder_tracks
from livereactor.engine.libwebrtc import frame_tokens as tokens
from livereactor.engine.libwebrtc.encoder_tracks import SPARE_TRACKS, EncoderTracks, Served


class Track:
    """Stands for libwebrtc's: `encode` is what its encoder calls."""

    def __init__(self, encode: Callable[[Any], Served]) -> None:
        self.encode = encode

    def on_encoder_feedback(self, _: object) -> None:
        """Not looked at here."""


class Watched:
    """A viewer that answers everything."""

    def serve(self, number: int, *, key_wanted: bool, codec: object) -> Served:
        return bytes([number]), key_wanted

    def rate(self, bps: int) -> None:
        """Not looked at here."""

    def key_frame_request(self) -> None:
        """Not looked at here."""


def request(viewer: int, number: int = 1) -> Any:
    """A token as an encoder hands it over."""
    picture = np.frombuffer(tokens.draw(tokens.FrameToken(viewer, number)), np.uint8)
    luma = cv2.cvtColor(picture.reshape(tokens.HEIGHT, tokens.WIDTH, 4), cv2.COLOR_BGRA2YUV_I420)[: tokens.HEIGHT]
    return SimpleNamespace(
        y=luma.tobytes(), width=tokens.WIDTH, height=tokens.HEIGHT, request_key_frame=False, codec=None
    )


@pytest.fixture
def tracks() -> EncoderTracks:
    made: Any = Track
    return EncoderTracks(made, lambda: None)


def add(tracks: EncoderTracks) -> tuple[int, Any]:
    return tracks.add(Watched())


def test_a_track_goes_with_the_viewer_it_served(tracks: EncoderTracks) -> None:
    number, track = add(tracks)
    assert track.encode(request(number, 7)) == (b"\x07", False)
    tracks.remove(number)
    assert len(tracks) == SPARE_TRACKS
    assert track.encode(request(number)) is None


def test_a_callback_whose_viewer_leaves_while_it_runs_keeps_no_track(
    tracks: EncoderTracks, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, track = add(tracks)
    look_up = tracks.viewer

    def look_up_as_it_leaves(wanted: int) -> Any:
        found = look_up(wanted)
        tracks.remove(wanted)
        return found

    monkeypatch.setattr(tracks, "viewer", look_up_as_it_leaves)
    assert track.encode(request(number)) is None
    monkeypatch.undo()
    monkeypatch.setattr(encoder_tracks, "ORPHAN_AGE", -1.0)
    tracks.sweep()
    assert len(tracks) == SPARE_TRACKS
