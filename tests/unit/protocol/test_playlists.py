"""Playlists: what a clip's says, and that no bytes from outside do more than be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import PeerError
from livereactor.protocol.playlists import PARTS, PLAYLIST_BYTES, Part, read_playlist, write_playlist

URL = "https://api.example/clips?session_id=1&start=0.000&end=8.000"
OFFICIAL = b"""#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="/clips/chunks/f22024ab/init.mp4"
#EXTINF:4.000,
/clips/chunks/f22024ab/chunk_00000.m4s
#EXTINF:3.5,
https://store.example/b/chunk_00001.m4s?signature=a%2Fb
#EXT-X-ENDLIST
"""


def test_an_official_playlist_is_read_with_absolute_addresses() -> None:
    playlist = read_playlist(OFFICIAL, URL)
    assert playlist.init == "https://api.example/clips/chunks/f22024ab/init.mp4"
    assert playlist.parts == (
        Part("https://api.example/clips/chunks/f22024ab/chunk_00000.m4s", 4.0),
        Part("https://store.example/b/chunk_00001.m4s?signature=a%2Fb", 3.5),
    )
    assert playlist.is_complete


def test_line_ends_blank_lines_and_unknown_tags_are_nothing() -> None:
    other = b"\xef\xbb\xbf" + OFFICIAL.replace(b"\n", b"\r\n\r\n").replace(
        b"VOD", b"VOD\r\n#EXT-X-INDEPENDENT-SEGMENTS"
    )
    assert read_playlist(other, URL) == read_playlist(OFFICIAL, URL)


def test_a_recording_that_grows_is_not_complete() -> None:
    assert not read_playlist(OFFICIAL.replace(b"#EXT-X-ENDLIST\n", b""), URL).is_complete


def test_the_same_init_segment_may_be_named_twice() -> None:
    line = b'#EXT-X-MAP:URI="/clips/chunks/f22024ab/init.mp4"\n'
    assert read_playlist(OFFICIAL.replace(b"#EXTINF:3.5", line + b"#EXTINF:3.5"), URL).parts[1].seconds == 3.5


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"#EXTM3U", b"<html>", "not a playlist"),
        (b"#EXT-X-MAP", b"#EXT-X-NAP", "no init segment"),
        (b'URI="/clips', b'URL="/clips', "no address"),
        (b'init.mp4"', b'init.mp4",BYTERANGE="7@0"', "no address"),
        (b"#EXTINF:3.5", b'#EXT-X-MAP:URI="other.mp4"\n#EXTINF:3.5', "two init segments"),
        (b"#EXTINF:3.5,\n", b"", "has no duration"),
        (b"#EXTINF:3.5", b"#EXTINF:nan", "not a number"),
        (b"#EXTINF:3.5", b"#EXTINF:-1", "not a number"),
        (b"#EXTINF:3.5", b"#EXT-X-BYTERANGE:5@0\n#EXTINF:3.5", "the playlist is not one of a clip"),
        (b"#EXTINF:3.5", b"#EXT-X-KEY:METHOD=AES-128\n#EXTINF:3.5", "the playlist is not one of a clip"),
        (b"https://store.example/b", b"file:///etc", "cannot be fetched"),
        (b"https://store.example/b", b"http://[::1/b", "cannot be fetched"),
        (b"https://store.example/b", b"http://a:port/b", "cannot be fetched"),
        (b"store.example/b/c", b"store.example/b/\x07c", "cannot be fetched"),
        (b"https", b"\xff", "not UTF-8"),
    ],
)
def test_what_makes_no_file_is_refused_with_the_reason(old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(PeerError, match=words):
        read_playlist(OFFICIAL.replace(old, new), URL)


def test_a_playlist_without_parts_is_refused() -> None:
    with pytest.raises(PeerError, match="0 parts"):
        read_playlist(OFFICIAL[: OFFICIAL.index(b"#EXTINF")], URL)


def test_a_playlist_has_an_end() -> None:
    with pytest.raises(PeerError, match="larger than"):
        read_playlist(OFFICIAL + b"#" * PLAYLIST_BYTES, URL)
    with pytest.raises(PeerError, match=r"100,003 parts"):
        read_playlist(OFFICIAL + b"#EXTINF:1,\na\n" * (PARTS + 1), URL)


@given(st.lists(st.sampled_from(OFFICIAL.split(b"\n")) | st.binary(max_size=40)))
def test_any_bytes_are_a_playlist_or_refused(lines: list[bytes]) -> None:
    try:
        playlist = read_playlist(b"\n".join([b"#EXTM3U", *lines]), URL)
    except PeerError:
        return
    assert all(url.startswith(("http://", "https://")) for url in (playlist.init, *(p.url for p in playlist.parts)))


def test_a_playlist_is_written_byte_for_byte_as_official_runtimes_write_theirs() -> None:
    parts = [Part("/clips/chunks/f22024ab/chunk_00000.m4s", 4.0)]
    assert write_playlist("/clips/chunks/f22024ab/init.mp4", parts).encode() == OFFICIAL.replace(
        b"#EXTINF:3.5,\nhttps://store.example/b/chunk_00001.m4s?signature=a%2Fb\n", b""
    )


@given(st.lists(st.floats(0.0, 600.0), min_size=1, max_size=8))
def test_what_is_written_is_read_and_no_part_is_longer_than_the_target(lengths: list[float]) -> None:
    text = write_playlist("/i.mp4", [Part(f"/{number}.m4s?a=b%2F", each) for number, each in enumerate(lengths)])
    playlist = read_playlist(text.encode(), URL)
    assert playlist.is_complete
    assert playlist.init == "https://api.example/i.mp4"
    assert [part.seconds for part in playlist.parts] == pytest.approx(lengths, abs=0.0005)
    target = int(text.partition("#EXT-X-TARGETDURATION:")[2].partition("\n")[0])
    assert all(round(each) <= target for each in lengths)
