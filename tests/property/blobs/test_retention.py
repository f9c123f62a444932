"""Whatever lies in the blobs: what runs stays, what can be watched longest stays longest, and room is told truly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livereactor.blobs.port import BlobKey
from livereactor.blobs.retention import (
    AT_ONCE,
    CLIPS_SHARE,
    HOUR,
    LEFT_BEHIND,
    QUIET,
    Folder,
    Root,
    Rules,
    doubtful,
    plan,
)

NOW = 1_000_000.0
RULES = Rules(retention=24 * HOUR, max_bytes=1_000)
FOLDERS = st.lists(
    st.builds(
        lambda root, size_bytes, age, is_ended: (root, size_bytes, age, is_ended and root is Root.RECORDINGS),
        st.sampled_from(Root),
        st.integers(0, 600),
        st.one_of(
            st.floats(-60, 48 * HOUR), st.sampled_from([QUIET, QUIET + 1, LEFT_BEHIND, LEFT_BEHIND + 1, 24 * HOUR])
        ),
        st.booleans(),
    ),
    max_size=40,
)


def folders_of(found: list[tuple[Root, int, float, bool]]) -> dict[BlobKey, Folder]:
    made = [
        Folder(BlobKey(f"{root.value.path}/{n}"), root, size_bytes, NOW - age, is_ended)
        for n, (root, size_bytes, age, is_ended) in enumerate(found)
    ]
    return {each.key: each for each in made}


@given(FOLDERS, st.sets(st.integers(0, 39)))
def test_a_plan_keeps_what_runs_and_tells_the_truth(found: list[tuple[Root, int, float, bool]], run: set[int]) -> None:
    folders = folders_of(found)
    running = {each.key for n, each in enumerate(doubtful(folders, NOW)) if n in run}
    decided = plan(folders, running, RULES, NOW)
    removed = set(decided.removed)
    stays = [each for each in folders.values() if each.key not in removed]
    kept = [each for each in stays if each.root in (Root.RECORDINGS, Root.CLIPS)]
    growing = {
        each.key
        for each in folders.values()
        if each.root is Root.RECORDINGS and not each.is_ended and NOW - each.changed_at <= QUIET
    }

    assert len(removed) == len(decided.removed) <= AT_ONCE
    assert not removed & (running | growing)
    assert decided.is_full == (sum(each.size_bytes for each in kept) > RULES.max_bytes)
    assert sum(each.size_bytes for each in kept if each.root is Root.CLIPS) <= RULES.max_bytes // CLIPS_SHARE
    if decided.is_full:  # nothing that could have gone is left
        assert all(each.root is Root.CLIPS or each.key in running | growing for each in kept)


@given(FOLDERS)
def test_of_the_recordings_that_go_for_room_none_is_younger_than_one_that_stays(
    found: list[tuple[Root, int, float, bool]],
) -> None:
    folders = folders_of(found)
    removed = set(plan(folders, (), RULES, NOW).removed)
    over = [
        each
        for each in folders.values()
        if each.root is Root.RECORDINGS and (each.is_ended or NOW - each.changed_at > QUIET)
    ]
    gone = [each.changed_at for each in over if each.key in removed]
    stay = [each.changed_at for each in over if each.key not in removed]
    assert not gone or not stay or max(gone) <= min(stay)


@given(FOLDERS)
def test_behind_a_plan_that_was_carried_out_there_is_nothing_to_do(found: list[tuple[Root, int, float, bool]]) -> None:
    folders = folders_of(found)
    first = plan(folders, (), RULES, NOW)
    left = {key: each for key, each in folders.items() if key not in first.removed}
    second = plan(left, (), RULES, NOW)
    assert second.removed == ()
    assert second.is_full == first.is_full
