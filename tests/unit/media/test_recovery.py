"""A killed recording: what was written before counts, to the last whole fragment; and all of it as one film."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import livereactor.media.flatten as flatten_module
from livereactor.media import recovery
from livereactor.media.boxes import VIDEO_SCALE, init_segment
from livereactor.media.clip import NothingRecordedError, cut
from livereactor.media.excerpt import Read
from livereactor.media.fragments import DamagedError, boxes_in, read_init
from livereactor.media.h264 import open_h264
from livereactor.media.recovery import Recovered, index_of, recover
from livereactor.media.whole import Piece, WholeFilm, whole_film, write
from tests.tools.tapes import HEIGHT, WIDTH, Tape, beeping, record, seen, visible

SECONDS = 4
END = SECONDS * VIDEO_SCALE
STARTS = range(0, END, 3000)
LOST = VIDEO_SCALE * 3 // 5  # of what is torn: a fragment of a quarter of a second, a picture, sound of 50 ms


@cache
def tape() -> Tape:
    flashes = frozenset(range(7, len(STARTS), 20))
    audio, sound = beeping(flashes, STARTS, end=END)
    return record(open_h264(WIDTH, HEIGHT, 30, 500_000), STARTS, end=END, flashes=flashes, audio=audio, sound=sound)


def recovered(files: Mapping[int, bytes | bytearray], init: bytes | None = None) -> Recovered:
    opened = [(number, io.BytesIO(bytes(files[number]))) for number in sorted(files)]
    return recover(tape().segmenter.init if init is None else init, opened)


def reader(files: Mapping[int, bytes | bytearray]) -> Read:
    return lambda segment, offset, size: bytes(files[segment][offset : offset + size])


def exported(film: WholeFilm, files: Mapping[int, bytes | bytearray]) -> bytes:
    target = io.BytesIO()
    write(film, target, reader(files))
    return target.getvalue()


def test_an_index_is_found_again_as_it_was() -> None:
    had, found = tape().segmenter, recovered(tape().files)
    assert (found.video, found.audio, found.end) == (had.video, had.audio, END)
    assert found.sizes == {number: len(data) for number, data in tape().files.items()}
    for kept, again in ((had.pictures, found.pictures), (had.sound, found.sound)):
        assert (kept.first, kept.end) == (again.first, again.end)
        assert repr(kept.slice(0, kept.end)) == repr(again.slice(0, again.end))


@settings(max_examples=40)
@given(st.floats(0, 1))
def test_whatever_the_kill_tore_off_all_before_it_plays(place: float) -> None:
    files, at = dict[int, bytes](), round(place * len(tape().read_all()))
    for number in sorted(tape().files):
        files[number] = bytes(tape().files[number][:at])
        at -= len(files[number])
        if at <= 0 and len(files[number]) < len(tape().files[number]):
            break
    found = recovered(files)
    whole = {number: data[: found.sizes[number]] for number, data in files.items()}
    counters = list(range(1, found.end // 3000 + 1))
    if not counters:
        return
    assert seen(tape().segmenter.init + b"".join(whole.values())).counters == counters
    assert exported(whole_film(found.excerpt(0, END, reader(whole))), whole)
    torn = len(b"".join(files.values())) - len(b"".join(whole.values()))
    assert torn < 20_000


def test_a_recording_that_was_flushed_and_killed_loses_half_a_second_at_most() -> None:
    written = tape().segmenter.sound.end * 1024 / 48_000
    assert END / VIDEO_SCALE - written < LOST / VIDEO_SCALE


def test_what_follows_a_missing_or_torn_segment_is_left_out() -> None:
    files = dict(tape().files)
    del files[2]
    assert set(recovered(files).sizes) == {0, 1}
    files = dict(tape().files)
    files[1] = files[1][:-1]
    assert set(recovered(files).sizes) == {0, 1}


def test_an_empty_new_segment_is_no_harm() -> None:
    found = recovered({**tape().files, 4: b""})
    assert (found.end, found.sizes[4]) == (END, 0)


@pytest.mark.parametrize("data", [b"", b"hello", bytes(500), b"\0\0\0\x10ftypiso6\0\0\2\0"])
def test_an_init_segment_that_is_none_is_told(data: bytes) -> None:
    with pytest.raises(DamagedError, match="init segment"):
        recovered(tape().files, data)


@given(st.integers(0, 1200), st.integers(0, 255))
def test_a_spoilt_init_segment_is_read_or_told(at: int, value: int) -> None:
    data = bytearray(tape().segmenter.init)
    data[at % len(data)] = value
    try:
        read_init(bytes(data))
    except DamagedError:
        pass


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_spoilt_segment_is_read_or_told(at: int, value: int) -> None:
    files = {number: bytearray(data) for number, data in tape().files.items()}
    files[1][at] = value
    try:
        recovered(files)
    except DamagedError:
        pass


@pytest.mark.parametrize(
    ("box", "at", "changed"),
    [
        pytest.param(b"avcC", 13, b"\xe0", id="no parameter set"),
        pytest.param(b"avcC", 14, b"\0\1", id="a parameter set of a byte"),
        pytest.param(b"mp4a", 32, b"\0\0", id="sound of no rate"),
    ],
)
def test_an_init_segment_that_nobody_could_write_is_told(box: bytes, at: int, changed: bytes) -> None:
    data = bytearray(tape().segmenter.init)
    start = data.index(box) - 4 + at
    data[start : start + len(changed)] = changed
    with pytest.raises(DamagedError, match="init segment"):
        index_of(io.BytesIO(bytes(data) + bytes(tape().files[0])))


def test_samples_before_their_file_are_told() -> None:
    data = bytearray(tape().files[0])
    start = data.index(b"trun") - 4 + 16
    data[start : start + 4] = (-5000).to_bytes(4, "big", signed=True)
    with pytest.raises(DamagedError, match="byte 0"):
        recovered({0: data})


def test_foreign_bytes_in_a_segment_are_told() -> None:
    with pytest.raises(DamagedError, match="byte 0"):
        recovered({0: b"\0\0\0\x10ftypiso6\0\0\2\0"})


@pytest.mark.parametrize("has_sound", [True, False])
def test_an_init_segment_says_what_it_was_made_of(has_sound: bool) -> None:
    video, audio = tape().segmenter.video, tape().segmenter.audio if has_sound else None
    assert read_init(init_segment(video, audio)) == (video, audio)


@pytest.mark.parametrize("oldest", [0, 2])
def test_the_whole_recording_is_one_ordinary_film(oldest: int) -> None:
    files = {number: data for number, data in tape().files.items() if number >= oldest}
    found = recovered(files)
    data = exported(whole_film(found.excerpt(0, 10**15, reader(files))), files)
    begin = oldest * VIDEO_SCALE
    assert [kind for kind, _, _ in boxes_in(data)] == ["ftyp", "moov", "mdat"]
    read = seen(data)
    assert read.counters == visible(tape(), begin, END)
    assert read.times[0] == 0
    assert read.duration == pytest.approx(SECONDS - oldest, abs=0.022)
    assert [flash for flash in read.flashes if min(abs(flash - beep) for beep in read.beeps) > 0.001] == []


@given(st.integers(-10, 60_000), st.integers(1, 60_000))
def test_a_range_of_the_film_is_those_very_bytes(begin: int, length: int) -> None:
    film = whole_film(recovered(tape().files).excerpt(0, END, reader(tape().files)))
    begin = max(0, begin)
    pieces = film.pieces(begin, begin + length)
    read = reader(tape().files)
    parts = [each if isinstance(each, bytes) else read(each.segment, each.offset, each.size_bytes) for each in pieces]
    whole = exported(film, tape().files)
    assert film.size_bytes == len(whole)
    assert b"".join(parts) == whole[begin : begin + length]


def test_pictures_and_sound_of_a_fragment_are_read_at_once() -> None:
    film = whole_film(recovered(tape().files).excerpt(0, END, reader(tape().files)))
    fragments = tape().read_all().count(b"moof")
    assert len([piece for piece in film.pieces() if isinstance(piece, Piece)]) == fragments


def test_a_clip_of_a_killed_recording_is_as_good_as_another() -> None:
    source = recovered(tape().files).excerpt(130_000, 250_000, reader(tape().files))
    head, bodies = cut(source, 130_000, 250_000).flat()
    assert seen(head + b"".join(bodies)).counters == visible(tape(), 130_000, 250_000)


def test_nothing_recorded_is_told() -> None:
    with pytest.raises(NothingRecordedError) as told:
        whole_film(recovered({0: b""}).excerpt(0, END, reader({})))
    assert told.value.code == "NO_MEDIA_YET"


def test_a_file_of_ours_is_flattened_by_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(flatten_module, "av")
    (tmp_path / "parts.mp4").write_bytes(tape().whole())
    assert flatten_module.flatten(tmp_path / "parts.mp4", tmp_path / "flat.mp4")
    read = seen((tmp_path / "flat.mp4").read_bytes())
    assert (read.counters, read.times[0]) == (list(range(1, len(STARTS) + 1)), 0)
    assert [flash for flash in read.flashes if min(abs(flash - beep) for beep in read.beeps) > 0.001] == []
    assert not flatten_module.flatten(tmp_path / "parts.mp4", tmp_path / "flat.mp4", stopped=lambda: True)


@pytest.mark.parametrize("begin", [1, 70_000])
def test_the_parts_of_a_clip_are_flattened_as_they_would_have_been(begin: int, tmp_path: Path) -> None:
    film = cut(tape().excerpt(begin, END), begin, END)
    init, parts = film.parts()
    (tmp_path / "parts.mp4").write_bytes(init + b"".join(data for _, data in parts))
    assert flatten_module.flatten(tmp_path / "parts.mp4", tmp_path / "flat.mp4")
    head, bodies = film.flat()
    one, other = seen((tmp_path / "flat.mp4").read_bytes()), seen(head + b"".join(bodies))
    assert (one.counters, one.times, one.beeps) == (other.counters, other.times, other.beeps)


def test_places_past_32_bits_are_counted_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "WINDOW", 3000)
    data = tape().whole()
    found = recovery.index_of(io.BytesIO(data))
    assert set(found.pictures.slice(0, found.pictures.end).segment) > {1, 2}

    def read_window(window: int, offset: int, size: int) -> bytes:
        return data[window * 3000 + offset :][:size]

    target = io.BytesIO()
    write(whole_film(found.excerpt(0, END, read_window)), target, read_window)
    assert seen(target.getvalue()).counters == list(range(1, len(STARTS) + 1))


@pytest.mark.parametrize("spoil", ["torn", "a box more", "another init"])
def test_a_file_that_is_not_wholly_ours_is_left_to_others(spoil: str) -> None:
    data = tape().whole()
    content = {
        "torn": data[:-5],
        "a box more": data + b"\0\0\0\x08free",
        "another init": data.replace(b"livereactor\0", b"livereactor!"),
    }[spoil]
    with pytest.raises(DamagedError):
        recovery.index_of(io.BytesIO(content))
