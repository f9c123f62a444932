import re
from pathlib import Path

import pytest

from livereactor.base import errors as base
from livereactor.client import errors
from livereactor.client.errors import ReactorError, error_of, not_connected, not_reconnected

CODES = [
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "CONNECTION_FAILED",
    "RATE_LIMITED",
    "VERSION_MISMATCH",
    "CONFLICT",
    "MODEL_LOADING",
    "NO_CAPACITY",
    "INVALID_STATE",
    "ABORTED",
    "NOT_READY",
    "MESSAGE_SEND_FAILED",
    "MESSAGE_TOO_LARGE",
    "invalid_command",
    "unresolved_upload",
    "internal_error",
    "REQUEST_TIMEOUT",
    "DISCONNECTED",
    "GPU_CONNECTION_ERROR",
    "RECONNECTION_FAILED",
    "SESSION_TERMINAL",
    "TRACK_PUBLISH_FAILED",
    "TRACK_UNPUBLISH_FAILED",
    "DEVICE_ERROR",
    "UPLOAD_TOO_LARGE",
    "UPLOAD_TYPE_REFUSED",
    "UPLOAD_EXPIRED",
    "UPLOAD_FAILED",
    "RECORDER_DISABLED",
    "NO_MEDIA_YET",
    "INVALID_DURATION",
    "CLIP_NOT_READY",
    "CLIP_GONE",
    "PLAYLIST_FETCH_FAILED",
    "CHUNK_FETCH_FAILED",
    "INVALID_PLAYLIST",
    "DOWNLOAD_UNSUPPORTED",
    "DECODE_FAILED",
    "BAD_REQUEST",
    "NOT_SUPPORTED",
    "step_refused",
    "step_not_ready",
    "step_command_failed",
    "step_result_too_large",
    "step_session_ended",
    "GENERATION_MODE_MISMATCH",
    "MODERATED",
    "MODERATION_UNAVAILABLE",
    "ORIGIN_REFUSED",
    "NETWORK_ERROR",
    "SERVER_ERROR",
    "TRANSPORT_ERROR",
    "INTERNAL_ERROR",
]


@pytest.mark.parametrize("code", CODES)
def test_every_documented_code_has_a_class_of_its_own(code: str) -> None:
    error = error_of(code, "it went wrong")
    assert type(error) is not ReactorError
    assert (error.code, error.reason) == (code, code)
    assert isinstance(error, base.LivereactorError)


def test_an_unknown_code_is_kept_on_the_base_class() -> None:
    error = error_of("pond_is_frozen", "the pond is frozen", component="gpu")
    assert type(error) is ReactorError
    assert (error.code, error.component, error.recoverable) == ("pond_is_frozen", "gpu", False)


@pytest.mark.parametrize("code", ["UNAUTHORIZED", "NOT_FOUND", "VERSION_MISMATCH", "BAD_REQUEST", "invalid_command"])
def test_what_will_not_go_better_next_time_is_not_recoverable(code: str) -> None:
    assert not error_of(code, "no").recoverable


def test_what_the_thrower_knows_wins_over_what_the_class_has() -> None:
    error = error_of("SESSION_TERMINAL", "the worker stopped responding", reason="WORKER_LOST", recoverable=True)
    assert (error.reason, error.recoverable, error.component) == ("WORKER_LOST", True, "gpu")


def test_an_error_is_one_line_that_names_operation_and_code() -> None:
    error = error_of("RATE_LIMITED", "5 of 5 concurrent sessions in use; retry in 12 s", operation="connect")
    assert str(error) == "connect: [RATE_LIMITED] 5 of 5 concurrent sessions in use; retry in 12 s"


def test_times_are_told_in_seconds_and_in_milliseconds() -> None:
    error = error_of("GPU_CONNECTION_ERROR", "lost", retry_after=3.0)
    assert (error.retry_after, error.retry_after_ms) == (3.0, 3000)
    assert error.timestamp_ms == round(error.timestamp * 1000)


def test_a_class_that_the_server_has_too_is_caught_by_either_name() -> None:
    assert isinstance(error_of("NOT_FOUND", "no"), base.NotFoundError)
    assert isinstance(error_of("UNAUTHORIZED", "no"), base.UnauthorizedError)


def test_older_names_of_a_code_count() -> None:
    assert error_of("AUTHENTICATION_FAILED", "no").code == "UNAUTHORIZED"
    assert error_of("UNAUTHORIZED", "no").has_code("AUTHENTICATION_FAILED")


def test_a_generic_cause_becomes_the_failure_of_the_operation() -> None:
    cause = error_of("NETWORK_ERROR", "could not reach localhost:1 (refused)")
    error = not_connected(cause)
    assert (error.code, error.reason, error.component, error.recoverable) == (
        "CONNECTION_FAILED",
        "NETWORK_ERROR",
        "api",
        True,
    )
    assert error.__cause__ is cause


def test_a_specific_cause_is_raised_as_it_is() -> None:
    cause = error_of("UNAUTHORIZED", "the API key was refused (401)", status=401)
    assert not_reconnected(cause, 14.0) is cause
    assert cause.operation == "reconnect"


def test_a_failed_reconnect_says_how_long_the_session_is_kept() -> None:
    error = not_reconnected(error_of("TRANSPORT_ERROR", "no network path"), 14.2)
    assert str(error) == (
        "reconnect: [RECONNECTION_FAILED] could not resume the session (no network path); it is kept for 14 s more"
    )
    assert (error.reason, error.component, error.recoverable) == ("TRANSPORT_ERROR", "gpu", True)


def test_catching_recording_errors_catches_the_shared_codes_too() -> None:
    with pytest.raises(errors.RecordingError) as caught:
        raise errors.RecordingError("not connected", code="DISCONNECTED", recoverable=True)
    assert caught.value.has_code("DISCONNECTED")


CATALOGUE = (Path(__file__).parents[3] / "docs/behaviour.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| `(\w+)` \|.*\| ([^|]+) \|$",
    CATALOGUE.partition("### Error catalogue\n")[2].partition("\n## ")[0],
    re.MULTILINE,
)


def test_every_code_of_the_catalogue_is_in_this_test_and_the_other_way_round() -> None:
    assert sorted(code for code, _ in ROWS) == sorted(CODES)


@pytest.mark.parametrize(("code", "again"), [row for row in ROWS if not row[0].startswith("step_")])
def test_the_catalogue_says_what_may_succeed_later(code: str, again: str) -> None:
    assert again == "depends on the reason" or error_of(code, "it went wrong").recoverable is (again == "yes")
