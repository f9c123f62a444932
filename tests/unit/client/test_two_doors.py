"""Both doors have the same handles: each other's, and those that behaviour's method table names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_overloads

import pytest

from livereactor.client._sync.generated.reactor import SyncReactor, SyncTrack, SyncTrackList
from livereactor.client.reactor import Reactor
from livereactor.client.tracks.track import Track
from livereactor.client.tracks.tracks import TrackList
from scripts import generate_sync_client

PAIRS = [(Reactor, SyncReactor), (Track, SyncTrack), (TrackList, SyncTrackList)]
# What the client itself does with its Tracks, not a program.
INSIDE = {
    Track: {
        *("arrived", "attach", "close", "declare", "detach", "disconnected"),
        *("key_frame_wanted", "rate_changed", "release", "restore"),
    }
}

# What a type of one door is called at the other.
TRANSLATED = {
    "Track": "SyncTrack",
    "TrackList": "SyncTrackList",
    "Frames": "SyncStream[Any]",
    "Stream[Event]": "SyncStream[Event]",
    "Stream[dict[str, Any]]": "SyncStream[dict[str, Any]]",
}

# The client's methods: calls with the arguments named there, then what is only read.
METHODS = {
    "connect": {"jwt", "max_attempts", "session_id", "connection_id", "auto_resume_tracks", "timeout"},
    "disconnect": {"recoverable"},
    "reconnect": {"max_attempts"},
    "close": set(),
    "send_command": {"name", "data", "timeout", "wait", "scope"},
    "upload_file": {"file", "name", "mime_type", "on_progress"},
    "request_clip": {"seconds"},
    "request_recording": set(),
    "download_clip": {"clip", "path", "on_progress", "ready_timeout", "cancel"},
    "download_clip_as_file": {"clip", "filename", "jwt", "cancel", "on_progress"},
    "publish_track": {"name", "source"},
    "unpublish_track": {"name"},
    "set_bitrate": {"min_bps", "start_bps", "max_bps"},
    "on": {"event", "handler", "replay"},
    "off": {"event", "handler"},
    "once": {"event", "handler"},
    "on_status": set(),
    "on_message": set(),
    "on_track": set(),
    "on_error": set(),
    "on_stats": set(),
    "on_runtime_message": set(),
    "messages": set(),
    "events": set(),
    "request_schema": set(),
    "step": {"params", "commands", "media"},
    "fetch_stats": set(),
    "track": {"name"},
}
READ = [
    "status", "state", "session_id", "last_error", "capabilities", "session_info", "stats", "schema",
    "session_expiration", "connection_timings", "queue_position", "queue_length", "estimated_wait", "tracks",
    "paused_tracks",
]  # fmt: skip
GETTERS = ["status", "state", "session_id", "last_error", "capabilities", "session_info", "stats", "schema"]


def public(door: type) -> set[str]:
    return {name for name in dir(door) if not name.startswith("_")} - INSIDE.get(door, set())


def told(signature: inspect.Signature, *, translate: bool) -> tuple[list[Any], str]:
    """Parameters, with defaults, and what comes back."""
    returns = str(signature.return_annotation)
    returns = TRANSLATED.get(returns, returns) if translate else returns
    return [
        (each.name, each.kind, each.default, str(each.annotation)) for each in signature.parameters.values()
    ], returns


@pytest.mark.parametrize(("wanted", "sync"), PAIRS)
def test_both_doors_have_the_same_names(wanted: type, sync: type) -> None:
    assert public(wanted) | {"name"} == public(sync) | {"name"}  # a Track has its name as an attribute


@pytest.mark.parametrize(
    ("wanted", "sync", "name"),
    [(wanted, sync, name) for wanted, sync in PAIRS for name in sorted(public(wanted) & public(sync))],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_name_means_the_same_at_both_doors(wanted: type, sync: type, name: str) -> None:
    there, here = inspect.getattr_static(wanted, name), inspect.getattr_static(sync, name)
    if isinstance(there, property):
        assert isinstance(here, property)
        assert there.fget is not None
        assert here.fget is not None
        there, here = there.fget, here.fget
    elif not callable(there):
        return
    if there is here:
        return
    try:
        one, other = inspect.signature(there), inspect.signature(here)
    except ValueError:  # a builtin, of list
        return
    assert told(one, translate=True) == told(other, translate=False)
    overloads: list[Callable[..., Any]] = list(get_overloads(there))
    assert [told(inspect.signature(each), translate=True) for each in overloads] == [
        told(inspect.signature(each), translate=False) for each in get_overloads(here)
    ]
    assert not inspect.iscoroutinefunction(here)
    assert here.__doc__


def test_the_synchronous_client_is_the_one_that_the_script_writes() -> None:
    assert generate_sync_client.TARGET.read_text() == generate_sync_client.generated(), (
        "run python scripts/generate_sync_client.py"
    )


def test_both_are_made_alike() -> None:
    one, other = inspect.signature(Reactor), inspect.signature(SyncReactor)
    assert told(one, translate=False) == told(other, translate=False)


@pytest.mark.parametrize("door", [Reactor, SyncReactor])
def test_the_method_table_of_behaviour_is_all_there(door: type) -> None:
    for name, arguments in METHODS.items():
        assert arguments <= set(inspect.signature(getattr(door, name)).parameters), name
    for name in READ:
        assert isinstance(inspect.getattr_static(door, name), property), name
    for name in GETTERS:
        assert callable(getattr(door, f"get_{name}"))
    made = inspect.signature(door).parameters
    assert list(made)[:2] == ["model_name", "api_key"]
    assert {"jwt", "api_url", "local", "auto_resume_tracks", "auto_reconnect", "max_session_duration"} <= set(made)
    assert {"session_args", "connect_timeout", "log_level"} <= set(made)


def test_a_client_is_made_without_a_thread_and_says_nothing_secret() -> None:
    import threading

    before = threading.active_count()
    client = SyncReactor("pond", api_key="rk_secret", jwt="secret.token")
    assert threading.active_count() == before
    assert "secret" not in repr(client)
    assert repr(client).startswith("<SyncReactor 'pond' at api.reactor.inc disconnected")
    assert client.status == "disconnected"
    assert client.track("main_video") is client.track("main_video")
    assert (client.session_id, client.stats, client.capabilities, list(client.tracks)) == (None, None, None, [])


def test_mistakes_in_arguments_are_the_same_at_both_doors() -> None:
    mistakes: list[dict[str, Any]] = [{"model_name": ""}, {"model_name": "pond", "api_url": "ftp://x"}]
    for wrong in mistakes:
        with pytest.raises(ValueError) as there:  # noqa: PT011  (compared below)
            Reactor(**wrong)
        with pytest.raises(ValueError) as here:  # noqa: PT011
            SyncReactor(**wrong)
        assert str(there.value) == str(here.value)
