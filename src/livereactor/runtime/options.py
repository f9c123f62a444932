"""The options of a Runtime, as one value, and the TURN servers that a stand-alone runtime makes credentials for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livereactor.base.limits import Limits
from livereactor.engine.port import IceServer, PeerConfig
from livereactor.moderation.judge import Judge
from livereactor.protocol.http import ModerationTerms
from livereactor.protocol.turn import turn_credentials
from livereactor.runtime.recording.options import RecorderOptions


@dataclass(frozen=True, slots=True)
class SharedRelays:
    """TURN servers that accept credentials signed with their secret.

    Attributes:
        urls: as `turn:host:port?transport=udp`.
        lifetime: seconds that credentials are good for; a relay ends with the credentials it was opened with.
    """

    urls: tuple[str, ...]
    secret: str = field(repr=False)
    lifetime: float

    def server(self, session: str, *, now_at: float) -> IceServer:
        """Return the servers, with credentials for this Session from `now_at`, Unix seconds, on."""
        made = turn_credentials(self.secret, session, int(now_at + self.lifetime))
        return IceServer(self.urls, made.username, made.password)


@dataclass(frozen=True, slots=True)
class Moderated:
    """The judge of what clients send, and the terms on which it is asked.

    Attributes:
        terms: of every Session; None = each Session's start brings its own, or none.
    """

    judge: Judge
    terms: ModerationTerms | None = None


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """The operator's choices for a Runtime.

    Attributes:
        limits: windows, sizes, counts.
        peers: how each Peer gathers.
        relays: more TURN servers, which need credentials for each Session.
        config: the argument of `load(self, config)`; `config_path`: the file that it came from.
        idle_timeout: seconds without a Command that end a Session; 0 = the model's own, or never.
        recorder: how Sessions are recorded; None = not at all.
        reloads: the author works on the model (`livereactor dev`), so a model that cannot open a Session is reloaded,
            and its process not replaced.
        moderation: who is asked about prompts and uploads before the model sees them; None = nobody.
        upload_types: MIME types that may be uploaded, such as `image/png` or `image/*`; none = any.
    """

    limits: Limits = field(default_factory=Limits)
    peers: PeerConfig = field(default_factory=PeerConfig)
    relays: SharedRelays | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    config_path: Path | None = None
    idle_timeout: float = 0.0
    upload_types: tuple[str, ...] = ()
    recorder: RecorderOptions | None = None
    reloads: bool = False
    moderation: Moderated | None = None
