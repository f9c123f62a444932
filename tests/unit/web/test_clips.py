"""The shelf of Clips: what it makes of the blobs, and what it takes for an address."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from livereactor.base.errors import ForbiddenError, NotFoundError
from livereactor.blobs.clips import Made, chunk
from livereactor.blobs.port import BlobKey, BlobMissingError
from livereactor.blobs.signing import Signer
from livereactor.protocol.playlists import read_playlist
from livereactor.web import clips
from livereactor.web.clips import LATE, ClipGoneError, ClipShelf
from tests.tools.films import Film
from tests.tools.kept_clips import DAY_US, Kept, finish, keep, promise, put
from tests.tools.memory_blobs import MemoryBlobs

FILM = Film(b"init", (b"one", b"two"), (range(1), range(1, 2)))
SECRET = b"s" * 32


@dataclass
class Shelf:
    """A shelf whose clock is turned by hand."""

    now_us: int = 1_800_000_000_000_000
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)

    def __post_init__(self) -> None:
        self.shelf = ClipShelf(self.blobs, Signer(SECRET), unix_us=lambda: self.now_us)

    async def keep(self, **asked: object) -> Kept:
        return await keep(self.blobs, FILM, **self.times(), **asked)

    def times(self) -> dict[str, Any]:
        return {"made_us": self.now_us, "predicted_ready_us": self.now_us, "expires_us": self.now_us + DAY_US}

    async def playlist(self, clip: str) -> str | None:
        return await self.shelf.playlist(clip, await self.shelf.asked(clip))

    async def addresses(self, clip: str) -> list[str]:
        text = await self.playlist(clip)
        assert text is not None
        playlist = read_playlist(text.encode(), "http://h/clips")
        return [playlist.init, *(part.url for part in playlist.parts)]

    async def part(self, address: str) -> bytes:
        split = urlsplit(address)
        name, file = split.path.split("/")[-2:]
        key = self.shelf.part(name, file, dict(parse_qsl(split.query)))
        try:
            return await self.blobs.get(key)
        except BlobMissingError:
            raise await self.shelf.missing(name, file) from None


@pytest.fixture(autouse=True)
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "HOLD", 0.0)


async def test_a_clip_that_is_whole_has_a_playlist_of_its_parts_with_their_true_lengths() -> None:
    shelf = Shelf()
    kept = await promise(shelf.blobs, **shelf.times())
    await finish(shelf.blobs, kept, FILM, lengths=[0.7, 1.25])
    text = await shelf.playlist(kept.id)
    assert text is not None
    lines = [line.partition("?")[0] for line in text.split("\n")]
    assert lines == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        f'#EXT-X-MAP:URI="/clips/chunks/{kept.id}/init.mp4',
        "#EXTINF:0.700,",
        f"/clips/chunks/{kept.id}/chunk_00000.m4s",
        "#EXTINF:1.250,",
        f"/clips/chunks/{kept.id}/chunk_00001.m4s",
        "#EXT-X-ENDLIST",
        "",
    ]
    assert [await shelf.part(each) for each in await shelf.addresses(kept.id)] == [b"init", b"one", b"two"]


async def test_the_parts_of_a_whole_recording_are_those_of_its_session() -> None:
    shelf = Shelf()
    kept = await shelf.keep(kind="recording")
    recording = kept.folder.removeprefix("recordings/")
    assert recording != kept.id
    addresses = await shelf.addresses(kept.id)
    assert all(f"/clips/chunks/{recording}/" in each for each in addresses)
    assert [await shelf.part(each) for each in addresses] == [b"init", b"one", b"two"]


async def test_a_clip_that_is_not_made_yet_is_pending_until_a_minute_past_the_prediction() -> None:
    shelf = Shelf()
    kept = await promise(shelf.blobs, **shelf.times())
    shelf.now_us += LATE - 1
    assert await shelf.playlist(kept.id) is None
    shelf.now_us += 1
    with pytest.raises(ClipGoneError, match="never finished"):
        await shelf.playlist(kept.id)


async def test_a_playlist_is_held_until_the_clip_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "HOLD", 10.0)
    shelf = Shelf()
    kept = await promise(shelf.blobs, **shelf.times())
    asking = asyncio.create_task(shelf.playlist(kept.id))
    await asyncio.sleep(0)
    assert not asking.done()
    await finish(shelf.blobs, kept, FILM)
    assert (await asking or "").endswith("#EXT-X-ENDLIST\n")


@pytest.mark.parametrize(
    "clip",
    [
        "218b55b3-0a79-4c12-be57-1f21e70d076a",
        "",
        "x",
        "..",
        "../clips",
        "218B55B3-0A79-4C12-BE57-1F21E70D076A",
        "218b55b3-0a79-4c12-be57-1f21e70d076a\n",
        "0" * 10_000,
        "００００００００-0000-0000-0000-000000000000",
    ],
)
async def test_what_is_no_clip_of_ours_is_gone(clip: str) -> None:
    with pytest.raises(ClipGoneError, match="request another") as gone:
        await Shelf().playlist(clip)
    assert gone.value.code == "CLIP_GONE"


async def test_a_clip_is_gone_with_its_day() -> None:
    shelf = Shelf()
    kept = await shelf.keep()
    addresses = await shelf.addresses(kept.id)
    shelf.now_us += DAY_US - 1_000_000
    assert await shelf.playlist(kept.id)
    assert await shelf.part(addresses[1]) == b"one"
    shelf.now_us += 1_000_000
    with pytest.raises(ClipGoneError):
        await shelf.playlist(kept.id)
    with pytest.raises(ClipGoneError):
        await shelf.part(addresses[1])


async def test_a_clip_that_could_not_be_made_says_why() -> None:
    shelf = Shelf()
    kept = await promise(shelf.blobs, **shelf.times())
    failed = {"init": None, "parts": [], "failed": "the encoder stopped"}
    await put(shelf.blobs, f"clips/{kept.id}/clip.json", failed)
    with pytest.raises(ClipGoneError, match="the encoder stopped"):
        await shelf.playlist(kept.id)


async def test_a_recording_that_was_removed_to_make_room_is_gone() -> None:
    shelf = Shelf()
    kept = await shelf.keep(kind="recording")
    addresses = await shelf.addresses(kept.id)
    await shelf.blobs.delete_prefix(BlobKey.parse(kept.folder))
    with pytest.raises(ClipGoneError, match="removed"):
        await shelf.playlist(kept.id)
    with pytest.raises(ClipGoneError):
        await shelf.part(addresses[0])


@pytest.mark.parametrize(
    "document",
    [
        {"init": "../../etc/passwd", "parts": []},
        {"init": "clips/x/asked.json", "parts": [["clips/x/asked.json", 1]]},
        {"parts": 5},
        [],
    ],
)
async def test_a_document_that_is_damaged_leads_nowhere(document: object) -> None:
    shelf = Shelf()
    kept = await promise(shelf.blobs, **shelf.times())
    await put(shelf.blobs, f"clips/{kept.id}/clip.json", document)
    with pytest.raises(ClipGoneError):
        await shelf.playlist(kept.id)


async def test_a_part_is_only_given_to_its_signed_address() -> None:
    shelf = Shelf()
    kept, other = await shelf.keep(), await shelf.keep()
    init, first, _ = (urlsplit(each) for each in await shelf.addresses(kept.id))
    query = dict(parse_qsl(first.query))
    refused = [
        (kept.id, "chunk_00000.m4s", {}),
        (kept.id, "chunk_00000.m4s", {**query, "sig": query["sig"][::-1]}),
        (kept.id, "chunk_00000.m4s", {**query, "exp": str(int(query["exp"]) + 1)}),
        (kept.id, "chunk_00000.m4s", dict(parse_qsl(init.query))),
        (kept.id, "chunk_00001.m4s", query),
        (other.id, "chunk_00000.m4s", query),
    ]
    for name, file, shown in refused:
        with pytest.raises(ForbiddenError, match="fetch the clip's playlist again"):
            shelf.shelf.part(name, file, shown)
        assert not shelf.shelf.is_granted(f"/clips/chunks/{name}/{file}", shown)
    assert shelf.shelf.is_granted(first.path, query)
    assert not shelf.shelf.is_granted("/sessions", query)


@pytest.mark.parametrize(
    "file",
    [
        "asked.json",
        "clip.json",
        "..",
        "init.mp4\n",
        "chunk_0000.m4s",
        "chunk_000000.m4s",
        "chunk_٠٠٠٠٠.m4s",
        "INIT.MP4",
    ],
)
async def test_no_other_file_has_an_address(file: str) -> None:
    shelf = Shelf()
    kept = await shelf.keep()
    with pytest.raises(NotFoundError, match="playlist names") as missing:
        shelf.shelf.part(kept.id, file, {})
    assert missing.value.code == "NOT_FOUND"
    assert not shelf.shelf.is_granted(f"/clips/chunks/{kept.id}/{file}", {})


async def test_a_part_that_is_missing_of_a_clip_that_is_there_is_not_found() -> None:
    shelf = Shelf()
    kept = await promise(shelf.blobs, **shelf.times())
    await finish(shelf.blobs, kept, Film(b"init", (b"one",), (range(1),)))
    await shelf.blobs.delete_prefix(BlobKey.parse(kept.folder))
    await put(shelf.blobs, f"clips/{kept.id}/asked.json", {})
    signer = Signer(SECRET)
    key = BlobKey.parse(f"clips/{kept.id}/chunk_00000.m4s")
    grant = clips.Grant("GET", key, shelf.now_us // 1_000_000 + 60)
    with pytest.raises(NotFoundError, match="has no part"):
        await shelf.part(f"/clips/chunks/{kept.id}/chunk_00000.m4s?{signer.sign(grant)}")


@pytest.mark.parametrize("number", [0, 99_999, 100_000, 9_999_999])
async def test_a_recording_of_days_has_parts_beyond_five_digits(number: int) -> None:
    shelf = Shelf()
    key = BlobKey.parse(f"recordings/{uuid.uuid4()}/{chunk(number)}")
    assert Made(init=f"{key.path.rpartition('/')[0]}/init.mp4", parts=[(key.path, 1.0)]).parts
    grant = clips.Grant("GET", key, shelf.now_us // 1_000_000 + 60)
    query = dict(parse_qsl(Signer(SECRET).sign(grant)))
    assert shelf.shelf.part(key.path.split("/")[1], chunk(number), query) == key
