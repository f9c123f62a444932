"""Whatever a journal holds is read back; wherever it is torn, what comes before is; nothing else passes for one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.runtime.replay.journal_format import (
    PIECE_BYTES,
    ClientJoined,
    ClientLeft,
    CommandRan,
    Entry,
    FileArrived,
    FileDigest,
    JournalCut,
    JournalEnd,
    JournalError,
    JournalHeader,
    OutputsWanted,
    PictureDigest,
    line_of,
    pieces_of,
    read_journal,
)
from livereactor.runtime.replay.rerun import step_times

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
ROLE = st.sampled_from(["owner", "viewer"])
CLIENT = st.integers(0, 9999)
MOMENT = st.floats(0, 1e10)
FILE = st.builds(FileDigest, name=TEXT, mime_type=TEXT, size=st.integers(0, 2**40), digest=TEXT)
WHAT = st.one_of(
    st.builds(
        CommandRan,
        command=TEXT,
        arguments=OBJECT,
        files=st.dictionaries(TEXT, FILE, max_size=2),
        client=CLIENT,
        role=ROLE,
    ),
    st.builds(ClientJoined, client=CLIENT, role=ROLE, joined_at=MOMENT),
    st.builds(ClientLeft, client=CLIENT, role=ROLE, joined_at=MOMENT),
    st.builds(OutputsWanted, tracks=st.lists(TEXT, max_size=3).map(tuple)),
    st.builds(FileArrived, upload_id=TEXT, file=FILE),
    st.builds(PictureDigest, track=TEXT, digest=TEXT),
    st.builds(JournalEnd, failed=st.booleans()),
)
HEADER = st.builds(
    JournalHeader,
    session=TEXT,
    started_us=st.integers(0, 2**60),
    model=TEXT,
    model_version=TEXT,
    contract=TEXT,
    generation=st.sampled_from(["streamed", "stepped"]),
    fps=st.none() | st.floats(0.1, 1000),
    params=OBJECT,
    extra_args=OBJECT,
    seed=st.none() | st.integers() | TEXT,
    not_kept=st.lists(TEXT, max_size=2).map(tuple),
)
ENTRIES = st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e6), st.booleans(), WHAT), max_size=12).map(
    lambda rows: [
        Entry(n=number, step=step, at=at, within=within, what=what)
        for number, (step, at, within, what) in enumerate(rows, start=1)
    ]
)


@given(HEADER, ENTRIES)
def test_a_journal_is_read_as_it_was_written(header: JournalHeader, entries: list[Entry]) -> None:
    journal = read_journal(b"".join(pieces_of(map(line_of, [header, *entries]))))
    assert journal.header == header
    assert list(journal.entries) == entries
    assert journal.notices == ()


@given(HEADER, ENTRIES, st.data())
def test_a_torn_journal_is_read_up_to_its_last_whole_line(
    header: JournalHeader, entries: list[Entry], data: Any
) -> None:
    lines = list(map(line_of, [header, *entries]))
    at = data.draw(st.integers(len(lines[0]), sum(map(len, lines))))
    journal = read_journal(b"".join(lines)[:at])
    whole = next(n for n in range(len(lines), -1, -1) if sum(map(len, lines[:n])) <= at)
    assert list(journal.entries) == entries[: whole - 1]
    torn = at > sum(map(len, lines[:whole]))
    assert list(journal.notices) == ["the last line was not finished and is left out"] * torn


@given(HEADER, ENTRIES.filter(lambda entries: len(entries) > 2), st.data())
def test_nothing_behind_a_gap_is_replayed(header: JournalHeader, entries: list[Entry], data: Any) -> None:
    gone = data.draw(st.integers(1, len(entries) - 2))
    journal = read_journal(b"".join(map(line_of, [header, *entries[:gone], *entries[gone + 1 :]])))
    assert list(journal.entries) == entries[:gone]
    assert journal.notices == (f"entries {gone + 1} to {gone + 1} are missing: it is replayed up to there",)


@given(st.binary(max_size=200))
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    with pytest.raises(JournalError):
        read_journal(data)


@given(HEADER, st.binary(min_size=1, max_size=40).filter(lambda line: b"\n" not in line))
def test_a_line_that_is_none_is_named_without_what_stands_in_it(header: JournalHeader, line: bytes) -> None:
    with pytest.raises(JournalError, match="line 2 of the journal is damaged"):
        read_journal(line_of(header) + line + b"\n")


@given(st.lists(st.integers(1, 100_000), max_size=40))
def test_pieces_hold_whole_lines_and_are_bounded(lengths: list[int]) -> None:
    lines = [b"x" * (length - 1) + b"\n" for length in lengths]
    pieces = list(pieces_of(lines))
    assert b"".join(pieces) == b"".join(lines)
    assert all(len(piece) <= PIECE_BYTES or piece.count(b"\n") == 1 for piece in pieces)
    assert all(piece.endswith(b"\n") for piece in pieces)
    # None could have taken the first line of the next.
    assert all(len(a) + b.index(b"\n") + 1 > PIECE_BYTES for a, b in pairwise(pieces))


@given(HEADER, st.lists(st.tuples(st.integers(0, 40), st.floats(0, 60)), max_size=8), st.integers(0, 60))
@settings(max_examples=200)
def test_times_of_steps_go_forward_and_pass_through_what_is_known(
    header: JournalHeader, gaps: list[tuple[int, float]], more: int
) -> None:
    step, at, entries = 0, 0.0, list[Entry]()
    for number, (steps, seconds) in enumerate(gaps, start=1):
        step, at = step + steps + 1, at + seconds + 0.001 * (steps + 1)
        entries.append(Entry(n=number, step=step, at=at, what=PictureDigest(track="main_video", digest="")))
    entries.append(Entry(n=len(entries) + 1, step=step + more, at=at, what=JournalEnd()))
    journal = read_journal(b"".join(map(line_of, [header, *entries])))
    times = step_times(journal)
    assert len(times) == journal.steps + 2
    assert (times[1:] > times[:-1]).all()
    for entry in entries[:-1]:
        assert times[entry.step] == pytest.approx(entry.at, abs=1e-6)


def test_a_cut_says_up_to_where_it_is_replayed() -> None:
    header = JournalHeader(
        session="s", started_us=0, model="m", model_version="v", contract="c", generation="streamed"
    )  # fmt: skip
    entry = Entry(n=1, step=8, at=1.0, what=JournalCut(why="too much"))
    journal = read_journal(line_of(header) + line_of(entry))
    assert journal.steps == 7
    assert journal.notices == ("the journal is incomplete (too much): it is replayed up to step 8",)


@pytest.mark.parametrize("version", ["0", "2", '"1"', "null"])
def test_another_version_is_named(version: str) -> None:
    with pytest.raises(JournalError, match=r"has version .*, this livereactor reads 1"):
        read_journal(f'{{"livereactor_journal": {version}}}\n'.encode())


def test_a_version_of_any_length_is_named_in_a_sentence() -> None:
    with pytest.raises(JournalError) as refused:
        read_journal(f'{{"livereactor_journal": "{"9" * 10_000}"}}\n'.encode())
    assert len(str(refused.value)) < 200


def test_a_header_that_nests_without_end_is_no_header() -> None:
    with pytest.raises(JournalError, match="its first line is not a header"):
        read_journal(b"[" * 200_000 + b"\n")
