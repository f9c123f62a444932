"""The tag at the end of an encoded frame (docs/protocol.md): frame | protobuf | uint32 length | "RXMT". Pure.

Three fields are all there is, so the protobuf is written and read here: 1 frame_id, 2 capture_time_us, 3 user_data.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAGIC = b"RXMT"
_TAIL = 8  # length and magic


@dataclass(frozen=True, slots=True)
class FrameTag:
    """The tag of one frame; `captured_us` is 0 where the sender does not say it."""

    number: int = 0
    captured_us: int = 0
    user_data: bytes = b""


def append_tag(data: bytes, tag: FrameTag) -> bytes:
    """`data` with its tag behind it."""
    body = b"".join(
        bytes([field << 3]) + _varint(value) for field, value in ((1, tag.number), (2, tag.captured_us)) if value
    )
    if tag.user_data:
        body += b"\x1a" + _varint(len(tag.user_data)) + tag.user_data
    return data + body + len(body).to_bytes(4, "little") + _MAGIC


def split_tag(data: bytes) -> tuple[bytes, FrameTag | None]:
    """The Frame without its tag, and the tag; None where there is none, an unreadable one is cut off as well."""
    if len(data) < _TAIL or data[-4:] != _MAGIC:
        return data, None
    length = int.from_bytes(data[-8:-4], "little")
    if length > len(data) - _TAIL:
        return data, None
    end = len(data) - _TAIL
    return data[: end - length], _read(data[end - length : end])


def _read(body: bytes) -> FrameTag | None:
    numbers, user_data, at = {1: 0, 2: 0}, b"", 0
    try:
        while at < len(body):
            key, at = _read_varint(body, at)
            value, at = _read_varint(body, at)
            if key & 7 == 2:
                if at + value > len(body):
                    return None
                user_data = body[at : at + value] if key >> 3 == 3 else user_data
                at += value
            elif key & 7 == 0:
                numbers[key >> 3] = value
            else:
                return None
    except IndexError:
        return None
    return FrameTag(numbers[1], numbers[2], user_data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError
