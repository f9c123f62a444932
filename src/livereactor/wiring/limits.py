"""The bounds that a runtime and a coordinator share, as the settings say."""

from __future__ import annotations

from dataclasses import replace

from livereactor.base.limits import Limits
from livereactor.settings import Settings


def limits(settings: Settings) -> Limits:
    """The defaults, with what the operator set."""
    given = settings.runtime
    return replace(
        Limits(),
        max_connections=given.max_connections,
        max_session_duration=given.max_session_duration,
        time_warning=given.time_warning,
        reconnection_window=given.reconnection_window,
        unclaimed_window=given.unclaimed_window,
        upload_bytes=given.upload_bytes,
        upload_session_bytes=given.upload_session_bytes,
        upload_url_lifetime=given.upload_url_lifetime,
        upload_wait=given.upload_wait,
        client_silence=given.client_silence,
    )
