"""Every engine as a server to a real browser: picture, channel, camera and microphone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from livereactor.base.clock import monotonic_us
from livereactor.engine.port import ChannelOpened, Engine, KeyFrameWanted, PeerConfig, PeerState, Use
from livereactor.media.encoder import VideoEncoder
from livereactor.media.frames import Frame, Sound, VideoCodec

from .harness import Inbox, Side, make_side
from .pictures import picture

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
FLAGS = [
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking",
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream",
]
PAGE = """<!doctype html><video id=v autoplay muted playsinline></video><script>
let pc, data, seen = [];
async function makeOffer(codec) {
  pc = new RTCPeerConnection();
  const main = pc.addTransceiver('video', {direction: 'recvonly'});
  if (codec) main.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter(
    c => c.mimeType === codec || c.mimeType === 'video/rtx'));
  const stream = await navigator.mediaDevices.getUserMedia({video: {width: 320, height: 240}, audio: true});
  pc.addTransceiver(stream.getVideoTracks()[0], {direction: 'sendonly'});
  pc.addTransceiver(stream.getAudioTracks()[0], {direction: 'sendonly'});
  data = pc.createDataChannel('data');
  data.onmessage = event => data.send(event.data);
  pc.ontrack = event => { if (event.track.kind === 'video') show(event.track); };
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
function show(track) {
  const video = document.getElementById('v'), canvas = document.createElement('canvas');
  const paint = canvas.getContext('2d', {willReadFrequently: true});
  video.srcObject = new MediaStream([track]);
  const look = () => {
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    paint.drawImage(video, 0, 0);
    const row = paint.getImageData(0, canvas.height >> 1, canvas.width, 1).data, bar = canvas.width >> 4;
    let number = 0;
    for (let bit = 0; bit < 16; bit++) if (row[4 * (bit * bar + (bar >> 1))] > 128) number |= 1 << bit;
    seen.push(number);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}
async function takeAnswer(sdp) { await pc.setRemoteDescription({type: 'answer', sdp}); }
</script>"""

USES = {"0": Use.SEND, "1": Use.RECEIVE, "2": Use.RECEIVE}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    assert CHROMIUM, "these tests need a Chromium on the PATH"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=" ".join(FLAGS).split())
        page = await browser.new_page()
        await page.route("http://localhost/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        await page.goto("http://localhost/")
        yield page
        await browser.close()


async def serve(engine: Engine, page: Page, codec: VideoCodec) -> tuple[Side, object]:
    offer = await page.evaluate("codec => makeOffer(codec)", f"video/{codec.value}")
    server = await make_side(engine, PeerConfig(video_codecs=(codec,)))
    accepted = await server.peer.accept(offer, USES)
    await page.evaluate("sdp => takeAnswer(sdp)", accepted.answer)
    await server.state(PeerState.CONNECTED)
    await server.inbox.get(KeyFrameWanted)
    return server, accepted.video["0"]


@pytest.mark.parametrize("codec", list(VideoCodec))
async def test_a_browser_plays_our_picture(engine: Engine, page: Page, codec: VideoCodec) -> None:
    server, output = await serve(engine, page, codec)
    encoder = VideoEncoder(codec, fps=30, bps=1_500_000)
    sent = 0
    async with asyncio.timeout(20.0):
        while not {500, 501, 502} <= set(await page.evaluate("seen")):
            shown = 500 + sent % 3
            frame = encoder.encode(picture(shown), key=sent == 0, captured_us=monotonic_us())
            output.send(frame)  # type: ignore[attr-defined]
            sent += 1
            await asyncio.sleep(1 / 30)  # the pace of a model
    assert set(await page.evaluate("seen")) <= {0, 500, 501, 502}
    await server.peer.aclose()


async def test_a_browser_and_we_exchange_messages(engine: Engine, page: Page) -> None:
    server, _ = await serve(engine, page, VideoCodec.VP8)
    data = await server.channel("data")
    await data.inbox.get(ChannelOpened)
    data.channel.send("héllo".encode(), text=True)
    data.channel.send(bytes(range(256)) * 1024, text=False)
    echoed = await data.messages(2)
    assert [(message.data[:6], message.text) for message in echoed] == [
        ("héllo".encode(), True),
        (bytes(range(6)), False),
    ]
    assert len(echoed[1].data) == data.channel.max_message_bytes
    await server.peer.aclose()


async def test_a_browsers_camera_and_microphone_arrive(engine: Engine, page: Page) -> None:
    server, _ = await serve(engine, page, VideoCodec.VP8)
    frames, sounds = await server.frames("1"), Inbox()
    (await server.track("2")).on_sound(sounds.put_threadsafe)
    late = await frames.get(Frame, lambda frame: frame.number >= 10)
    assert late.pixels.ndim == 3
    assert late.pixels.shape[2] == 3
    assert late.pixels.std() > 10
    assert [frame.number for frame in frames.all(Frame)][:10] == list(range(1, 11))
    loud = await sounds.get(Sound, lambda sound: int(np.abs(sound.samples).max()) > 300)
    assert loud.rate in (8_000, 16_000, 24_000, 32_000, 44_100, 48_000)
    await server.peer.aclose()
