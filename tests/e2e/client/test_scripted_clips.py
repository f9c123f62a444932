"""Clips of a server that records, the client's side, in both wire formats."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import livereactor as lr
from livereactor.client.errors import ClipNotReadyError
from livereactor.client.types import Clip
from livereactor.protocol import messages as m
from livereactor.protocol.messages import WireFormat
from tests.e2e.client.scripting import ready
from tests.tools.films import Film, boxes, make_film, pictures
from tests.tools.scripted_peer import Said, ordinary

RECORDING = "f22024ab-78bb-4774-b5fe-1e0c30d8a511"
STREAMED = 12.0  # seconds when a clip is asked for
CAP = 10.0


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(12)


def files_of(film: Film) -> dict[str, bytes]:
    parts = {f"chunk_{number:05}.m4s": part for number, part in enumerate(film.parts)}
    return {"init.mp4": film.init, **parts}


def recording(message: m.ClientMessage) -> Sequence[Said]:
    """What a server answers that has streamed for twelve seconds and gives ten at most."""
    match message:
        case m.RequestClip(seconds, request_id):
            start = max(0.0, STREAMED - min(seconds, CAP))
            return [clip_ready("snap", start, request_id)]
        case m.RequestRecording(request_id):
            return [clip_ready("recording", 0.0, request_id)]
        case _:
            return ordinary(message)


def clip_ready(kind: str, start: float, request_id: str | None) -> m.ClipReady:
    url = f"/clips?session_id={RECORDING}&start={start:.3f}&end={STREAMED:.3f}"
    return m.ClipReady(
        RECORDING,
        "snap" if kind == "snap" else "recording",
        start,
        STREAMED,
        STREAMED,
        1_795_502_098_953,
        url,
        request_id,
    )


@pytest.mark.parametrize("wire", list(WireFormat))
async def test_ten_seconds_are_a_film_of_ten_seconds_from_zero(tmp_path: Path, film: Film, wire: WireFormat) -> None:
    async with ready(style="local", wire=wire, reply=recording, files=files_of(film[2:])) as them:
        path = await them.reactor.download_clip(10, tmp_path / "clip.mp4")
    shown = pictures(path)
    assert shown[0] == (0.0, 60)
    assert shown[-1] == (pytest.approx(10.0, abs=0.1), 359)
    kinds = [kind for kind, _ in boxes(path.read_bytes())]
    assert kinds.index("moov") < kinds.index("mdat")


@pytest.mark.parametrize("wire", list(WireFormat))
async def test_each_of_several_requests_gets_its_own_answer(wire: WireFormat) -> None:
    async with ready(style="local", wire=wire, reply=recording) as them:
        reactor, asked = them.reactor, (1.0, 600.0, 3.0)
        *clips, whole = await asyncio.gather(
            *(reactor.request_clip(each) for each in asked), reactor.request_recording()
        )
        assert [clip.duration for clip in clips] == [1.0, CAP, 3.0]
        assert (whole.kind, whole.start_marker, whole.duration) == ("recording", 0.0, STREAMED)
        assert {clip.playlist_url.partition("/clips")[0] for clip in clips} == {them.server.url}


async def test_the_default_file_lies_in_the_current_folder(
    tmp_path: Path, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with ready(style="local", reply=recording, files=files_of(film[10:])) as them:
        assert await them.reactor.download_clip_as_file(2) == Path("reactor-clip.mp4")
        assert len(pictures(tmp_path / "reactor-clip.mp4")) == 60
        assert isinstance(await them.reactor.download_clip_as_file(2, None), bytes)


async def test_a_clip_that_is_not_there_yet_is_waited_for_until_its_session_ends(film: Film) -> None:
    async with ready(style="local", reply=recording, files=files_of(film[10:]), clip_pending=1_000) as them:
        clip = await them.reactor.request_clip(2)
        download = asyncio.create_task(them.reactor.download_clip(clip))
        await them.server.until(lambda: len(them.server.of("C1")) >= 2)
        assert not download.done()
        await them.reactor.disconnect()
        asked = len(them.server.of("C1"))
        with pytest.raises(ClipNotReadyError):
            await download
        assert len(them.server.of("C1")) - asked <= 2


@pytest.mark.parametrize("style", ["local", "coordinator"])
async def test_a_clip_outlives_its_session_and_its_client(tmp_path: Path, film: Film, style: str) -> None:
    async with ready(style=style, reply=recording, files=files_of(film[10:])) as them:
        clip = await them.reactor.request_recording()
        await them.reactor.disconnect()
        assert isinstance(clip, Clip)
        await lr.download_clip(clip, tmp_path / "clip.mp4", jwt="a token")
        shown = {each.headers.get("authorization") for each in them.server.of("C1", "C2")}
        assert shown == {"Bearer a token"}
    assert len(pictures(tmp_path / "clip.mp4")) == 60
