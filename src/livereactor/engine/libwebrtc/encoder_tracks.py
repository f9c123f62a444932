"""Inline encoder tracks and the callbacks behind them: which viewer a callback really serves, and when it may go.

Callbacks belong to encoders in the order those were created, not to tracks: the first encoder of the process takes the
callback of the oldest track that has none yet, for whatever viewer. So every callback is the same function,
the token in its frame says which viewer it works for, and a track is held until both its owner and its
actual user have gone: dropping it earlier turns that user's encoder into a built-in one, which shows it the token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import reactor_webrtc as rw

from livereactor.engine.libwebrtc import frame_tokens as tokens

SPARE_TRACKS: Final = 2  # for encoders that libwebrtc makes anew; without a track such a viewer would see its token
ORPHAN_AGE: Final = 2.0  # seconds before a track that no encoder took goes: one may just be taking it

Served: TypeAlias = tuple[bytes, bool] | None  # bytes and whether they are a key frame; None = nothing this time
TrackFactory: TypeAlias = Callable[[Callable[[rw.RawVideoFrameInfo], Served]], rw.Track]


class Viewer(Protocol):
    """A video output, for which an encoder callback works."""

    def serve(self, number: int, *, key_wanted: bool, codec: rw.VideoCodec) -> Served: ...
    def rate(self, bps: int) -> None: ...
    def key_frame_request(self) -> None: ...


class EncoderTrack:
    """One inline encoder track with its callback."""

    def __init__(self, tracks: EncoderTracks, owner: Viewer | None) -> None:
        self._tracks = tracks
        self.owner = owner
        self.owner_left_at: float | None = None
        self.user: Viewer | None = None
        self.taken = False  # an encoder has called; it never goes to another one
        self.native: rw.Track | None = None
        self._early_rate: int | None = None

    def encode(self, info: rw.RawVideoFrameInfo) -> Served:
        """Return the encoded Frame behind a token. libwebrtc calls it on its encoder thread; must not raise."""
        token = tokens.read(info.y, width=info.width, height=info.height)
        viewer = None if token is None else self._tracks.viewer(token.viewer)
        if token is None or viewer is None:
            return None
        if self.user is not viewer:
            if not self._tracks.bind(self, token.viewer):
                return None
            if self._early_rate is not None:
                viewer.rate(self._early_rate)
        return viewer.serve(token.number, key_wanted=info.request_key_frame, codec=info.codec)

    def feedback(self, event: rw.KeyFrameRequest | rw.RateUpdate) -> None:
        """Pass on a new rate, or a request for a key frame. libwebrtc calls it."""
        user = self.user
        if isinstance(event, rw.RateUpdate):
            if user is None:
                self._early_rate = event.bitrate_bps
            else:
                user.rate(event.bitrate_bps)
        elif user is not None:
            user.key_frame_request()


class EncoderTracks:
    """All tracks of the process. Made and dropped on the loop; looked up from encoder threads.

    Args:
        make_track: one of libwebrtc's, for a callback.
        release: frees libwebrtc's tracks that nobody has any more.
    """

    def __init__(self, make_track: TrackFactory, release: Callable[[], None]) -> None:
        self._make_track, self._release = make_track, release
        self._lock = threading.Lock()
        self._tracks: list[EncoderTrack] = []
        self._viewers: dict[int, Viewer] = {}
        self._next_viewer = 1
        # Kept for ever: with no custom track alive a peer connection offers no H.264 and fails.
        for _ in range(SPARE_TRACKS):
            self._make(None)

    def add(self, viewer: Viewer) -> tuple[int, rw.Track]:
        """Make a track for a viewer; its number for tokens, and libwebrtc's track."""
        self.sweep()
        with self._lock:
            number = self._next_viewer
            self._next_viewer += 1
            self._viewers[number] = viewer
        return number, self._make(viewer)

    def viewer(self, number: int) -> Viewer | None:
        return self._viewers.get(number)

    def bind(self, track: EncoderTrack, number: int) -> bool:
        """An encoder has taken the track and works for this viewer; False when the viewer has left meanwhile."""
        with self._lock:
            track.user, track.taken = self._viewers.get(number), True
            return track.user is not None

    def remove(self, number: int) -> None:
        """A viewer has gone; tracks nobody needs any more are dropped now or at a later sweep."""
        with self._lock:
            viewer = self._viewers.pop(number, None)
            for track in self._tracks:
                if track.owner is viewer:
                    track.owner, track.owner_left_at = None, time.monotonic()
                if track.user is viewer:
                    track.user = None
        self.sweep()

    def sweep(self) -> None:
        """Drop the tracks whose owner and user have gone, and make spares for those that were taken."""
        now = time.monotonic()
        with self._lock:
            gone = [track for track in self._tracks if _is_free(track, now)]
            self._tracks = [track for track in self._tracks if track not in gone]
        for track in gone:
            track.native = None
        self._release()
        free = sum(not track.taken for track in self._tracks)
        waiting = len(self._viewers) - len({id(track.user) for track in self._tracks if track.user is not None})
        for _ in range(waiting + SPARE_TRACKS - free):
            self._make(None)

    def __len__(self) -> int:
        return len(self._tracks)

    def _make(self, owner: Viewer | None) -> rw.Track:
        track = EncoderTrack(self, owner)
        track.native = native = self._make_track(track.encode)
        native.on_encoder_feedback(track.feedback)
        with self._lock:
            self._tracks.append(track)
        return native


def _is_free(track: EncoderTrack, now: float) -> bool:
    if track.owner is not None or track.user is not None:
        return False
    if track.taken:
        return True
    return track.owner_left_at is not None and now - track.owner_left_at > ORPHAN_AGE
