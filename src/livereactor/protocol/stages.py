"""Answer of `GET /sessions/{sid}/stages`: where a Session's time goes (docs/protocol.md)."""

from __future__ import annotations

from pydantic import Field

from livereactor.protocol.http import Body


class StageRow(Body):
    """One stage, since the Session began; of `network`, now. Percentiles are right to 6 %."""

    stage: str = Field(
        description="command_wait, commands, command_reply; input_wait, step; queue, convert, encode, send; "
        "network, jitter_buffer, decode.",
        examples=["encode"],
    )
    track: str | None = Field(default=None, description="Absent: of no track.")
    count: int = Field(description="How often it took place: Frames, Commands, steps; of `network`, clients.")
    total_ms: float = Field(description="Two answers' difference by that of `count` is the mean between them.")
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class TrackPictures(Body):
    """Counts of a video track's pictures by what became of them, since the session began."""

    track: str
    given: int = Field(description="By the model.")
    replaced: int = Field(description="Not encoded, as a newer one was there before their turn.")
    left_out: int = Field(description="Not encoded, as the network had no room; once per rung and codec.")
    refused: int = Field(description="Encoded, and not taken for a viewer; once per viewer.")


class SessionStages(Body):
    """Stages in the order in which a Command and a Frame pass them; a stage that did not take place is absent.

    `jitter_buffer` and `decode` are means of a report each, and there where a client reports them.
    """

    session_id: str
    seconds: float = Field(description="Since the Session began.")
    clients: int = Field(description="Peers that answered for `network`.")
    stages: list[StageRow]
    pictures: list[TrackPictures] = Field(
        default_factory=list[TrackPictures],
        description="Of the video tracks, as the model declares them; absent where the worker is older.",
    )
