"""What is kept and what goes, by age, by room, and because nobody owns it."""

from __future__ import annotations

from livereactor.blobs.port import BlobEntry, BlobKey
from livereactor.blobs.retention import AT_ONCE, HOUR, LEFT_BEHIND, QUIET, Folders, Root, Rules, Survey, doubtful, plan

NOW = 1_000_000.0
RULES = Rules(retention=24 * HOUR, max_bytes=1_000)


def survey(*blobs: tuple[str, int, float]) -> Folders:
    """Of (key, bytes, age in seconds)."""
    made = Survey()
    for path, size_bytes, age in blobs:
        root = next(each for each in Root if path.startswith(f"{each.value.path}/"))
        made.add(root, BlobEntry(BlobKey.parse(path), size_bytes, NOW - age))
    return made.folders


def recording(name: str, size_bytes: int, age: float, *, ended: bool = True) -> list[tuple[str, int, float]]:
    """Head an hour before its newest segment, and an end."""
    blobs = [
        (f"recordings/{name}/recording.json", 0, age + HOUR),
        (f"recordings/{name}/chunk_00000.m4s", size_bytes, age),
    ]
    return [*blobs, (f"recordings/{name}/end.json", 0, age)] if ended else blobs


def removed(folders: Folders, *running: str) -> list[str]:
    return [key.path for key in plan(folders, [BlobKey(each) for each in running], RULES, NOW).removed]


def test_a_folder_is_as_large_as_its_blobs_and_as_young_as_the_newest() -> None:
    (folder,) = survey(("clips/c/asked.json", 10, 50), ("clips/c/init.mp4", 5, 20), ("clips/stray", 99, 0)).values()
    assert (folder.key.path, folder.size_bytes, folder.changed_at, folder.is_ended) == ("clips/c", 15, NOW - 20, False)


def test_what_is_older_than_its_retention_goes_and_what_is_younger_stays() -> None:
    folders = survey(
        *recording("old", 1, 25 * HOUR),
        *recording("young", 1, 23 * HOUR),
        ("clips/old/clip.json", 1, 25 * HOUR),
        ("clips/young/clip.json", 1, 23 * HOUR),
    )
    assert sorted(removed(folders)) == ["clips/old", "recordings/old"]


def test_a_recording_is_as_old_as_its_end() -> None:
    assert removed(survey(*recording("long", 1, 23.5 * HOUR))) == []  # begun 24.5 hours ago


def test_over_the_limit_the_oldest_finished_recordings_go_until_the_rest_fits() -> None:
    folders = survey(*recording("a", 500, 3), *recording("b", 500, 9), *recording("c", 500, 6), ("clips/c/x", 250, 99))
    decided = plan(folders, [], RULES, NOW)
    assert [key.path for key in decided.removed] == ["recordings/b", "recordings/c"]
    assert not decided.is_full


def test_clips_are_not_taken_to_make_room_for_recordings() -> None:
    assert removed(survey(("clips/c/x", 250, 9), *recording("a", 751, 3))) == ["recordings/a"]


def test_clips_take_a_quarter_of_the_room_at_most_and_no_recording_goes_for_more_of_them() -> None:
    clips = [(f"clips/{name}/x", 100, age) for name, age in [("a", 3), ("b", 9), ("c", 6), ("d", 4)]]
    decided = plan(survey(*clips, *recording("a", 800, 99)), [], RULES, NOW)
    assert [key.path for key in decided.removed] == ["clips/b", "clips/c"]
    assert not decided.is_full


def test_a_recording_that_runs_is_never_taken_and_nothing_new_is_recorded() -> None:
    folders = survey(*recording("runs", 2_000, 5, ended=False))
    assert doubtful(folders, NOW) == []
    assert plan(folders, [], RULES, NOW).removed == ()
    assert plan(folders, [], RULES, NOW).is_full


def test_a_recording_of_a_paused_model_is_kept_while_its_session_runs() -> None:
    folders = survey(*recording("paused", 2_000, 30 * HOUR, ended=False))
    assert [each.key.path for each in doubtful(folders, NOW)] == ["recordings/paused"]
    assert removed(folders, "recordings/paused") == []


def test_a_recording_whose_worker_was_killed_is_over_after_an_hour() -> None:
    assert removed(survey(*recording("killed", 2_000, QUIET - 1, ended=False))) == []
    assert removed(survey(*recording("killed", 2_000, QUIET + 1, ended=False))) == ["recordings/killed"]
    assert removed(survey(*recording("killed", 500, QUIET + 1, ended=False))) == []  # it fits, and can be watched


def test_what_sessions_and_killed_writers_left_behind_goes_after_a_day() -> None:
    folders = survey(
        ("sessions/open/a/content", 1, LEFT_BEHIND + 1),
        ("sessions/left/a/content", 1, LEFT_BEHIND + 1),
        ("sessions/new/a/content", 1, LEFT_BEHIND - 1),
        ("staging/left/content", 1, LEFT_BEHIND + 1),
        ("staging/new/content", 1, LEFT_BEHIND - 1),
    )
    assert sorted(each.key.path for each in doubtful(folders, NOW)) == ["sessions/left", "sessions/open"]
    assert sorted(removed(folders, "sessions/open")) == ["sessions/left", "staging/left"]


def test_uploads_and_half_written_streams_take_no_room_from_recordings() -> None:
    folders = survey(("sessions/s/a/content", 9_000, 1), ("staging/s/content", 9_000, 1), *recording("a", 900, 5))
    decided = plan(folders, [], RULES, NOW)
    assert (decided.removed, decided.is_full) == ((), False)


def test_one_round_is_bounded_and_says_that_more_is_to_do() -> None:
    folders = survey(*((f"clips/{n}/x", 1, 25 * HOUR) for n in range(AT_ONCE + 1)))
    decided = plan(folders, [], RULES, NOW)
    assert len(decided.removed) == AT_ONCE
    assert decided.is_partial


def test_what_just_fits_stays() -> None:
    decided = plan(survey(*recording("a", 500, 3), *recording("b", 500, 9)), [], RULES, NOW)
    assert (decided.removed, decided.is_full) == ((), False)


def test_what_leads_to_a_recording_goes_with_it_and_not_before() -> None:
    survey = Survey()
    for path, age in (
        ("recordings/old/end.json", 25 * HOUR),
        ("recordings/young/end.json", HOUR),
        ("recorded/ses_1/old", 30 * HOUR),
        ("recorded/ses_2/young", 30 * HOUR),
        ("recorded/ses_3/begins", 1.0),  # before anything of the recording
        ("recorded/ses_4/old", 30 * HOUR),
        ("recorded/ses_4/young", 30 * HOUR),
    ):
        root = Root.RECORDED if path.startswith("recorded") else Root.RECORDINGS
        survey.add(root, BlobEntry(BlobKey(path), 1, NOW - age))
    removed = plan(survey.folders, (), Rules(24 * HOUR, 1_000), NOW).removed
    assert [each.path for each in removed] == ["recordings/old", "recorded/ses_1"]
