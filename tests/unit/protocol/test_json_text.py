"""JSON from the network: what is refused before, while and after it is parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livereactor.base.errors import PeerError
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol import wire_v1_pb2 as wire
from livereactor.protocol.codecs import Codec
from livereactor.protocol.json_text import most_nodes, parse_json


def parsed(text: str, nodes: int = 10) -> Any:
    """The value of a text with at most so many values."""
    return parse_json(text.encode(), "it", limit=1 << 20, nodes=nodes)


@pytest.mark.parametrize(
    "text",
    ["[1,2,3,4,5,6,7,8,9]", '{"a":1,"b":[2,3],"c":{"d":[4,5]}}', "[[[[[[[[1]]]]]]]]", "1", '"' + "," * 100 + '"'],
)
def test_a_value_within_the_bound_is_read(text: str) -> None:
    assert parsed(text) == json.loads(text)


@pytest.mark.parametrize("text", ["[" + "1," * 10 + "1]", "[" * 11 + "]" * 11, '{"a":[' + "{}," * 10 + "1]}"])
def test_one_value_more_is_refused(text: str) -> None:
    with pytest.raises(PeerError, match=r"over the limit of 10 \(json_nodes\)"):
        parsed(text)


def test_texts_do_not_count_however_they_are_written() -> None:
    prompts = ["a, [b], {c}", 'he said "[,,,]"', "\\", '\\"[,,', "tab\t,", "\u2028,ü"]
    text = json.dumps(prompts * 20)
    assert len(prompts * 20) < most_nodes(text.encode(), 0) <= len(prompts * 20) + 2


def test_values_after_a_text_that_does_not_end_count() -> None:
    assert most_nodes(b'[1,2,"' + b"\\", 0) == 4
    assert most_nodes(b'[1,"a",2,3,"b,c', 0) == 6


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '[{"b":{"x":1,"y":2,"x":1}}]'])
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(PeerError, match="stands twice in one object"):
        parsed(text)


@pytest.mark.parametrize("codec", [v0, v1])
def test_a_command_of_many_values_is_refused_in_both_formats(codec: Codec) -> None:
    frame = codec.encode_client(m.Command("x", {"points": [{"x": 1.0, "y": [2.0]}] * 40}))
    assert frame is not None
    assert codec.decode_client(*frame, nodes=1000) == m.Command("x", {"points": [{"x": 1.0, "y": [2.0]}] * 40})
    with pytest.raises(PeerError, match="values"):
        codec.decode_client(*frame, nodes=100)


def test_whatever_repeats_in_a_frame_counts() -> None:
    stats = wire.ControlClientMessage()
    for number in range(100):
        stats.client_stats.connection_stat.metrics[f"metric {number}"] = 1.0
    step = wire.DataClientMessage()
    for _ in range(100):
        step.request_step.media_input.add(track="webcam", kind=1).frames.add(encoding=1)
    uploads = wire.DataClientMessage()
    for number in range(100):
        uploads.command.uploads[str(number)].upload_id = "x"
    for label, envelope in (("control", stats), ("data", step), ("data", uploads)):
        with pytest.raises(PeerError, match="more than 100 values"):
            v1.decode_client(label, envelope.SerializeToString(), nodes=100)
