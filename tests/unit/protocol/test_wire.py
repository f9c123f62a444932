"""The wire formats against the frames that docs/protocol.md shows."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest

from livereactor.base.errors import PeerError, UsageError
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol import wire_v1_pb2 as wire
from livereactor.protocol.codecs import CODECS, format_of
from livereactor.protocol.messages import WireFormat

UPLOAD = m.UploadReference("up-1", "a.txt", "text/plain", 5)

CLIENT_V0 = [
    (
        '{"scope":"application","data":{"type":"set_prompt","data":{"prompt":"hi","n":3}}}',
        m.Command("set_prompt", {"prompt": "hi", "n": 3}),
    ),
    (
        '{"scope":"application","data":{"type":"set_image","data":{"k":1},"uploads":{"image":'
        '{"upload_id":"up-1","name":"a.txt","mime_type":"text/plain","size":5}}}}',
        m.Command("set_image", {"k": 1}, {"image": UPLOAD}),
    ),
    ('{"scope":"runtime","data":{"type":"ping","data":{}}}', m.Ping()),
    (
        '{"scope":"runtime","data":{"type":"fileUploaded","data":'
        '{"upload_id":"up-1","name":"a.txt","mime_type":"text/plain","size":5}}}',
        m.FileUploaded(UPLOAD),
    ),
    ('{"scope":"runtime","data":{"type":"requestClip","data":{"duration_seconds":4.0}}}', m.RequestClip(4.0)),
    ('{"scope":"runtime","data":{"type":"requestRecording","data":{}}}', m.RequestRecording()),
    ('{"scope":"runtime","data":{"type":"requestSchema","data":{}}}', m.RequestSchema()),
    ('{"scope":"runtime","data":{"type":"requestCapabilities","data":{}}}', m.RequestCapabilities()),
]
CONTROL_V0 = [
    (
        '{"type":"request","method":"publish_track","request_id":"ctrl_1","data":{"name":"webcam"}}',
        m.PublishTrack("webcam", "ctrl_1"),
    ),
    ('{"type":"notification","event":"unpublish_track","data":{"name":"webcam"}}', m.UnpublishTrack("webcam")),
    ('{"type":"notification","event":"pause_track","data":{"name":"main_video"}}', m.PauseTrack("main_video")),
    ('{"type":"notification","event":"resume_track","data":{"name":"main_video"}}', m.ResumeTrack("main_video")),
]
SERVER_V0 = [
    (
        '{"scope":"application","data":{"type":"brightness_set","data":{"brightness":1.5}}}',
        m.ModelMessage("brightness_set", {"brightness": 1.5}),
    ),
    (
        '{"scope":"runtime","data":{"type":"clipReady","data":{"session_id":"f2","kind":"snap","start_marker":0.0,'
        '"end_marker":3.567,"now_marker":3.567,"predicted_ready_at_ms":1795502098953,"playlist_url":"/clips?x"}}}',
        m.ClipReady("f2", "snap", 0.0, 3.567, 3.567, 1795502098953, "/clips?x"),
    ),
    (
        '{"scope":"runtime","data":{"type":"clipFailed","data":{"reason":"recorder disabled"}}}',
        m.ClipFailed("recorder disabled"),
    ),
    (
        '{"scope":"runtime","data":{"type":"moderation","data":{"action":"warn","input_kind":"text",'
        '"command":"set_prompt","categories":["violence"],"message":"please rephrase"}}}',
        m.Moderation("warn", "text", "set_prompt", ("violence",), "please rephrase"),
    ),
    (
        '{"scope":"runtime","data":{"type":"sessionEnded","data":{"reason":"maintenance"}}}',
        m.SessionEnded("maintenance"),
    ),
    (
        '{"scope":"runtime","data":{"type":"modelSchema","data":{"openapi":"3.1.0"}}}',
        m.SchemaDocument({"openapi": "3.1.0"}),
    ),
]
CLIENT_V1 = [
    ("control", "1003 5200", m.Ping()),
    ("control", "1003 8a01 0c 0a0a 6d61696e5f766964656f", m.ResumeTrack("main_video")),
    ("control", "1003 8201 0c 0a0a 6d61696e5f766964656f", m.PauseTrack("main_video")),
    ("control", "1003 9201 08 0a06 77656263616d", m.UnpublishTrack("webcam")),
    ("control", "0a06 6374726c5f34 1001 7a08 0a06 77656263616d", m.PublishTrack("webcam", "ctrl_4")),
    ("control", "0a06 6374726c5f31 1001 5a00", m.RequestSchema("ctrl_1")),
    ("control", "1003 621b 0a04 75702d31 1205 612e747874 1a0a 746578742f706c61696e 2005", m.FileUploaded(UPLOAD)),
    ("control", "0a06 6374726c5f32 1001 6a09 09 0000000000001040", m.RequestClip(4.0, "ctrl_2")),
    ("control", "0a06 6374726c5f33 1001 7200", m.RequestRecording("ctrl_3")),
    ("data", "0a06 646174615f32 1001 5207 0a03 61636b 1200", m.Command("ack", request_id="data_2")),
]
SERVER_V1 = [
    ("control", "0a06 6374726c5f34 1002 7208 0a06 77656263616d", m.PublishGranted("webcam", "ctrl_4")),
    (
        "control",
        "0a06 6374726c5f31 1002 5216 0a14 0a12 0a07 6f70656e617069 1207 1a05 332e312e30",
        m.SchemaDocument({"openapi": "3.1.0"}, "ctrl_1"),
    ),
    ("data", "0a06 646174615f32 1002", m.Ack("data_2")),
    (
        "data",
        "0a06 646174615f33 1002 c202 17 0a0f 696e76616c69645f636f6d6d616e64 1204 6e6f7065",
        m.Failure("data_3", "invalid_command", "nope"),
    ),
    (
        "data",
        "0a06 646174615f31 1002 5218 0a04 6563686f 1210 0a0e 0a01 61 1209 11 000000000000f03f",
        m.ModelMessage("echo", {"a": 1.0}, "data_1"),
    ),
]


@pytest.mark.parametrize(("text", "message"), CLIENT_V0)
def test_a_v0_client_frame_reads_and_writes_as_specified(text: str, message: m.ClientMessage) -> None:
    assert v0.decode_client("data", text.encode()) == message
    assert v0.decode_client("any-other-label", text.encode()) == message
    assert v0.encode_client(message) == ("data", text.encode())


@pytest.mark.parametrize(("text", "message"), CONTROL_V0)
def test_a_v0_track_verb_reads_and_writes_as_specified(text: str, message: m.ClientMessage) -> None:
    assert v0.decode_client("control", text.encode()) == message
    assert v0.encode_client(message) == ("control", text.encode())


@pytest.mark.parametrize(("text", "message"), SERVER_V0)
def test_a_v0_server_frame_reads_and_writes_as_specified(text: str, message: m.ServerMessage) -> None:
    assert v0.encode_server(message) == ("data", text.encode())
    assert v0.decode_server("data", text.encode()) == message


def test_v0_answers_a_claim_on_control() -> None:
    granted = b'{"type":"response","method":"publish_track","request_id":"ctrl_1","data":{}}'
    refused = (
        b'{"type":"response","method":"publish_track","request_id":"ctrl_1",'
        b'"error":{"code":"PUBLISHER_SLOT_TAKEN","message":"taken"}}'
    )
    assert v0.encode_server(m.PublishGranted("webcam", "ctrl_1")) == ("control", granted)
    assert v0.encode_server(m.PublishRefused("webcam", "ctrl_1", "taken")) == ("control", refused)
    assert v0.decode_server("control", granted) == m.PublishGranted("", "ctrl_1")
    assert v0.decode_server("control", refused) == m.PublishRefused("", "ctrl_1", "taken")


@pytest.mark.parametrize(
    "message",
    [m.Ack("data_1"), m.Failure("data_1", "invalid_command", "no"), m.StepResult("data_1", 1), m.Pong()],
)
def test_v0_has_no_place_for_command_replies(message: m.ServerMessage) -> None:
    assert v0.encode_server(message) is None


def test_a_v0_reply_is_just_another_message() -> None:
    frame = v0.encode_server(m.ModelMessage("echo", {}, request_id="x"))
    assert frame == ("data", b'{"scope":"application","data":{"type":"echo","data":{}}}')


def test_a_v0_command_needs_no_data() -> None:
    frame = b'{"scope":"application","data":{"type":"go"}}'
    assert v0.decode_client("data", frame) == m.Command("go")


def test_a_server_frame_without_envelope_is_an_application_message() -> None:
    assert v0.decode_server("data", b'{"type":"hello","data":{"a":1}}') == m.ModelMessage("hello", {"a": 1})


def test_an_unknown_runtime_message_reaches_the_client() -> None:
    frame = b'{"scope":"runtime","data":{"type":"mediaStats","data":{"a":1}}}'
    assert v0.decode_server("data", frame) == m.RuntimeMessage("mediaStats", {"a": 1})


@pytest.mark.parametrize(("label", "frame", "message"), CLIENT_V1)
def test_a_v1_client_frame_reads_and_writes_as_specified(label: str, frame: str, message: m.ClientMessage) -> None:
    assert v1.decode_client(label, bytes.fromhex(frame)) == message
    assert v1.encode_client(message) == (label, bytes.fromhex(frame))


@pytest.mark.parametrize(("label", "frame", "message"), SERVER_V1)
def test_a_v1_server_frame_reads_and_writes_as_specified(label: str, frame: str, message: m.ServerMessage) -> None:
    assert v1.encode_server(message) == (label, bytes.fromhex(frame))
    assert v1.decode_server(label, bytes.fromhex(frame)) == message


def test_v1_refuses_a_claim_with_an_error_on_control() -> None:
    frame = v1.encode_server(m.PublishRefused("webcam", "ctrl_1", "taken"))
    assert frame is not None
    assert wire.ControlServerMessage.FromString(frame[1]).error.code == "publish_refused"
    assert v1.decode_server(*frame) == m.PublishRefused("", "ctrl_1", "taken")


def test_v1_answers_a_ping_with_an_empty_notification_on_control() -> None:
    assert v1.encode_server(m.Pong()) == ("control", bytes.fromhex("1003"))


def test_v1_skips_fields_it_does_not_know() -> None:
    unknown = bytes.fromhex("fa0f 03 616263")  # field 255, three bytes
    assert v1.decode_client("control", bytes.fromhex("1003 5200") + unknown) == m.Ping()


BAD_V0: list[tuple[str, bytes, str]] = [
    ("data", b"", "not JSON"),
    ("data", b"\xff", "not UTF-8"),
    ("data", b"[]", "expected an object"),
    ("data", b"nonsense", "not JSON"),
    ("data", b'{"scope":"application","data":{"type":"a","data":{"x":NaN}}}', "NaN"),
    ("data", b'{"scope":"application","data":{"type":"a","data":{"x":1e999}}}', "not finite"),
    ("data", b'{"scope":"application","data":{"type":"a","data":{"x":"\\ud800"}}}', "surrogate"),
    ("data", b'{"scope":"application","data":{"type":"a","data":{"x":1' + b"0" * 400 + b"}}}", "too large"),
    ("data", b'{"scope":"application","data":{"type":"a","data":' + b'{"x":' * 40 + b"1" + b"}" * 42, "deeper"),
    ("data", b"[" * 9_000, "deeper"),
    ("data", b"[" * 200_000, "over the limit of 10000"),
    ("data", b'{"scope":"application","data":{"type":7}}', "type"),
    ("data", b'{"scope":"application","data":{"type":"a","data":[]}}', "data"),
    ("data", b'{"scope":"runtime","data":{"type":"dance"}}', "dance"),
    ("data", b'{"scope":["x"],"data":{"type":"a"}}', "scope"),
    ("data", b'{"data":{"type":"a"}}', "scope"),
    ("data", b'{"scope":"runtime","data":{"type":"requestClip","data":{}}}', "duration_seconds"),
    ("data", b'{"scope":"application","data":{"type":"a","uploads":{"f":{}}}}', "upload_id"),
    ("control", b'{"type":"request","method":"steal","data":{"name":"x"}}', "steal"),
    ("control", b'{"type":"request","method":"publish_track","data":{"name":"x"}}', "request_id"),
    ("control", b'{"type":"notification","event":"pause_track","data":{}}', "name"),
]


@pytest.mark.parametrize(("label", "frame", "part"), BAD_V0)
def test_a_wrong_v0_frame_is_a_peer_error_that_says_why(label: str, frame: bytes, part: str) -> None:
    with pytest.raises(PeerError, match=part) as caught:
        v0.decode_client(label, frame)
    assert len(str(caught.value)) < 300


def nested_struct(levels: int) -> bytes:
    envelope = wire.DataClientMessage()
    struct = envelope.command.data
    for _ in range(levels):
        struct = struct.fields["x"].struct_value
    struct.fields["x"].number_value = 1
    return envelope.SerializeToString()


def with_number(value: float) -> bytes:
    envelope = wire.DataClientMessage()
    envelope.command.data.fields["x"].number_value = value
    return envelope.SerializeToString()


@pytest.mark.parametrize(
    ("label", "frame"),
    [
        ("data", b"\xff\xff"),
        ("data", b""),
        ("control", b""),
        ("control", bytes.fromhex("0a02c328")),  # a text that is not UTF-8
        ("data", with_number(math.nan)),
        ("data", with_number(math.inf)),
        (
            "control",
            wire.ControlClientMessage(request_clip=wire.RequestClip(duration_seconds=math.nan)).SerializeToString(),
        ),
        ("data", nested_struct(33)),
        ("data", bytes(300_000)),
    ],
)
def test_a_wrong_v1_frame_is_a_peer_error(label: str, frame: bytes) -> None:
    with pytest.raises(PeerError):
        v1.decode_client(label, frame)


@pytest.mark.parametrize("codec", CODECS.values())
@pytest.mark.parametrize("value", [math.nan, math.inf, object(), "\ud800", {1: 2}, 10**400])
def test_what_is_not_json_is_not_sent(codec: Any, value: object) -> None:
    with pytest.raises(UsageError):
        codec.encode_server(m.ModelMessage("a", {"x": value}))


@pytest.mark.parametrize(
    ("frame", "text", "expected"),
    [
        (b"\x10\x03\x52\x00", True, WireFormat.V0),
        (b'{"scope":1}', False, WireFormat.V0),
        (b"  \r\n\t[1]", False, WireFormat.V0),
        (bytes.fromhex("10038a010c0a0a"), False, WireFormat.V1),
        (bytes.fromhex("10035200"), False, WireFormat.V1),
        (bytes.fromhex("0a06646174615f31100152"), False, WireFormat.V1),
        (b"", False, WireFormat.V1),
    ],
)
def test_the_first_frame_decides_the_format(frame: bytes, text: bool, expected: WireFormat) -> None:
    assert format_of(frame, text=text) is expected


def test_a_small_command_decodes_fast() -> None:
    command = m.Command("drop", {"x": 0.25, "y": 0.5, "strength": 1.0, "name": "water"}, request_id="data_17")
    for codec in CODECS.values():
        frame = codec.encode_client(command)
        assert frame is not None
        best = min(_seconds_of(codec.decode_client, *frame) for _ in range(200))
        assert best < 100e-6, f"{best * 1e6:.0f} µs"


def _seconds_of(decode: Any, label: str, data: bytes) -> float:
    started = time.perf_counter()
    decode(label, data)
    return time.perf_counter() - started


FIELDS = {  # of wire_v1.proto, told once more: message -> field numbers by name
    "DataClientMessage": "1 request_id 2 kind 10 command 11 request_step 40 error",
    "DataServerMessage": "1 request_id 2 kind 10 message 11 step_result 40 error",
    "ControlClientMessage": "1 request_id 2 kind 10 ping 11 request_schema 12 file_uploaded 13 request_clip "
    "14 request_recording 15 publish_track 16 pause_track 17 resume_track 18 unpublish_track 19 client_stats 40 error",
    "ControlServerMessage": "1 request_id 2 kind 10 model_schema 11 clip_ready 12 clip_failed 13 moderation "
    "14 publish_track 15 session_ended 40 error",
    "Error": "1 code 2 message",
    "UploadReference": "1 upload_id 2 name 3 mime_type 4 size",
    "Command": "1 type 2 data 3 uploads",
    "ModelMessage": "1 type 2 data",
    "ClipReady": "1 session_id 2 kind 3 start_marker 4 end_marker 5 now_marker 6 predicted_ready_at_ms 7 playlist_url",
    "Moderation": "1 action 2 input_kind 3 command 4 categories 5 message",
    "Frame": "1 encoding 2 dtype 3 shape 4 data 5 metadata 6 capture_time_us",
    "TrackFrames": "1 track 2 kind 3 frames 4 rate",
    "RequestStep": "1 state 2 commands 3 media_input",
    "StepResult": "1 step 2 tracks 3 elapsed_seconds 4 files 5 error 6 failure_code 7 code 8 entry",
    "ClientTrackStat": "1 timestamp 2 track_name 3 kind 4 direction 5 video_codec 6 audio_codec 7 paused 8 metrics "
    "9 frame_stages 10 codec_implementation 11 hardware_codec",
}


@pytest.mark.parametrize("name", FIELDS)
def test_field_numbers_are_the_protocols(name: str) -> None:
    fields = wire.DESCRIPTOR.message_types_by_name[name].fields
    assert " ".join(f"{field.number} {field.name}" for field in sorted(fields, key=lambda f: f.number)) == FIELDS[name]


def test_v0_writes_readable_json() -> None:
    frame = v0.encode_server(m.ModelMessage("said", {"text": "schön ☂"}))
    assert frame is not None
    assert "schön ☂" in frame[1].decode()
    assert json.loads(frame[1])["data"]["data"] == {"text": "schön ☂"}
