"""The playlist of a Clip (protocol 9.2; HLS, RFC 8216), read and written: one init segment and its parts. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from livereactor.base.errors import PeerError

PLAYLIST_BYTES: Final = 16 * 1024 * 1024  # a day in parts of a second is 86,400 lines with presigned addresses
PARTS: Final = 100_000

_URI = re.compile(r'(?:^|,)URI="([^"]*)"')
_NOT_WHOLE: Final = ("#EXT-X-BYTERANGE", "#EXT-X-STREAM-INF", "#EXT-X-DISCONTINUITY")


@dataclass(frozen=True, slots=True)
class Part:
    """One Segment of a Clip: where it is, and how many seconds it lasts."""

    url: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Playlist:
    """The files to fetch, in order; all addresses are absolute.

    Attributes:
        init: the part that every other one needs before it.
        parts: at least one.
        is_complete: no more parts will come.
    """

    init: str
    parts: tuple[Part, ...]
    is_complete: bool


def read_playlist(raw: bytes, url: str) -> Playlist:
    """The playlist that was fetched from `url`.

    Args:
        raw: at most `PLAYLIST_BYTES`; line ends of either kind.
        url: absolute; relative addresses count from here.

    Raises:
        PeerError: not a playlist, or one that cannot be joined to one file: without an init segment or with two,
            without parts, in pieces of files, or encrypted.
    """
    lines = _lines(raw)
    init: str | None = None
    seconds: float | None = None
    parts: list[Part] = []
    for line in lines:
        if line.startswith("#EXT-X-MAP:"):
            address = _map_address(line, url)
            if init not in (None, address):
                raise PeerError(
                    "the playlist has two init segments, so its parts cannot be joined; request a shorter clip"
                )
            init = address
        elif line.startswith("#EXTINF:"):
            seconds = _seconds(line)
        elif line.startswith(_NOT_WHOLE) or (line.startswith("#EXT-X-KEY:") and "METHOD=NONE" not in line):
            raise PeerError(f"the playlist is not one of a clip ({line.partition(':')[0]})")
        elif not line.startswith("#"):
            if seconds is None:
                raise PeerError(f"part {len(parts) + 1} of the playlist has no duration")
            parts.append(Part(_absolute(line, url), seconds))
            seconds = None
    if init is None:
        raise PeerError("the playlist has no init segment")
    if not 0 < len(parts) <= PARTS:
        raise PeerError(f"the playlist has {len(parts):,} parts; 1 to {PARTS:,} make a clip")
    return Playlist(init, tuple(parts), "#EXT-X-ENDLIST" in lines)


def write_playlist(init: str, parts: Sequence[Part]) -> str:
    """The playlist that `read_playlist` reads, as official runtimes write it: version 7, whole.

    Args:
        init: address of the init segment; no quotes or line ends in any address.
        parts: at least one.
    """
    longest = max(1, math.ceil(max(part.seconds for part in parts)))  # whole seconds (RFC 8216, 4.3.3.1)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{longest}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    lines.append(f'#EXT-X-MAP:URI="{init}"')
    for part in parts:
        lines += [f"#EXTINF:{part.seconds:.3f},", part.url]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _lines(raw: bytes) -> list[str]:
    if len(raw) > PLAYLIST_BYTES:
        raise PeerError(f"the playlist is larger than {PLAYLIST_BYTES // 1024**2} MiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PeerError("the playlist is not UTF-8 text") from None
    lines = [stripped for line in re.split(r"\r?\n", text) if (stripped := line.strip())]
    if not lines or lines[0] != "#EXTM3U":
        raise PeerError("the answer is not a playlist: it does not begin with #EXTM3U")
    return lines


def _map_address(line: str, url: str) -> str:
    attributes = line.partition(":")[2]
    found = _URI.search(attributes)
    if found is None or "BYTERANGE=" in attributes:
        raise PeerError("the playlist's init segment has no address of its own")
    return _absolute(found[1], url)


def _seconds(line: str) -> float:
    try:
        seconds = float(line.removeprefix("#EXTINF:").partition(",")[0])
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise PeerError("the playlist has a part whose length is not a number of seconds")
    return seconds


def _absolute(address: str, url: str) -> str:
    try:
        absolute = urljoin(url, address)
        split = urlsplit(absolute)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:  # brackets without end, a port that is no number
        usable = False
        absolute = ""
    if not address or not usable or not absolute.isprintable() or " " in absolute:
        raise PeerError("the playlist has an address that cannot be fetched")
    return absolute
