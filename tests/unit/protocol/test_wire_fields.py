"""The count of fields before a message is parsed: right for each message, and quick for one that is hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import PeerError
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.protocol import wire_v1_pb2 as wire
from livereactor.protocol.structs import has_more_nodes
from livereactor.protocol.wire_fields import has_more_fields

KIND = wire.DataClientMessage.DESCRIPTOR
MANY = 1_000_000
LARGE = 1 << 26
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=30,
)


def fields(data: bytes) -> int:
    return next(count for count in range(MANY) if not has_more_fields(data, KIND, count))  # type: ignore[arg-type]


def frame(state: dict[str, object], pictures: int = 0) -> bytes:
    shown = m.MediaFrame("raw", "uint8", (480, 640, 3), bytes(900), b"tag", 5)
    media = (m.TrackFrames("webcam", "video", (shown,) * pictures, 30.0),) if pictures else ()
    encoded = v1.encode_client(m.RequestStep("data_1", state, (m.Command("go", {"x": 1.0}),), media))
    assert encoded is not None
    return encoded[1]


def test_each_field_and_each_packed_value_counts_once() -> None:
    # id, kind, the step, a command with name, data, an entry with key and value and its number; the track with name,
    # kind and rate; each picture with encoding, type, shape and its three numbers, data, metadata and time.
    one, two = fields(frame({}, 1)), fields(frame({}, 2))
    assert two - one == 10
    assert one == fields(frame({})) + 4 + 10


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=5), st.integers(0, 3))
def test_what_the_count_of_values_lets_through_is_not_refused_before(state: dict[str, object], pictures: int) -> None:
    data = frame(state, pictures)
    parsed = wire.DataClientMessage.FromString(data)
    values = next(count for count in range(MANY) if not has_more_nodes(parsed, count))
    assert not has_more_fields(data, KIND, v1.FIELDS_OF_VALUE * values)  # type: ignore[arg-type]


def prefixed(number: int, body: bytes) -> bytes:
    size, rest = bytearray(), len(body)
    while rest > 0x7F:
        size.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([number << 3 | 2, *size, rest]) + body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(prefixed(3, b"") * MANY, id="empty tracks"),
        pytest.param(prefixed(3, prefixed(3, prefixed(3, b"\1" * MANY))), id="numbers of a shape"),
        pytest.param(b"\x78\1" * MANY, id="unknown fields"),
        pytest.param(b"\x7b" * MANY, id="groups"),
    ],
)
def test_a_large_message_of_many_fields_is_refused_unparsed(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(v1, "_parse", parsed)
    with pytest.raises(PeerError, match="10000 values"):
        v1.decode_client("data", prefixed(11, body), limit=LARGE)


@pytest.mark.parametrize("data", [b"\x5a\xff", b"\x0a", b"\x0f", b"\x5a\x05\x1a\x08", b"\x80" * 20, b"\x09\1"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        has_more_fields(data, KIND, 100)  # type: ignore[arg-type]


def test_frames_of_megabytes_pass() -> None:
    picture = m.MediaFrame("raw", "uint8", (2160, 3840, 3), bytes(2160 * 3840 * 3))
    request = m.RequestStep("data_1", {}, (), (m.TrackFrames("webcam", "video", (picture,) * 2, 30.0),))
    encoded = v1.encode_client(request)
    assert encoded is not None
    assert v1.decode_client("data", encoded[1], limit=LARGE) == request
