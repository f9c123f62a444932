"""The table of `livereactor stats`."""

from __future__ import annotations

from typing import Any

from livereactor.base.timing import StageName
from livereactor.cli.commands.stats import WORDS, table


def row(stage: str, count: int, total_ms: float, track: str | None = None) -> dict[str, Any]:
    named = {"stage": stage, "track": track} if track else {"stage": stage}
    mean = total_ms / count
    return (
        named | {"count": count, "total_ms": total_ms} | dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "max_ms"), mean)
    )


def body(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"session_id": "ses_1", "seconds": 12.4, "clients": 1, "stages": list(rows)}


def test_every_stage_there_is_has_a_word() -> None:
    assert set(WORDS) == {each.value for each in StageName}


def test_now_is_the_mean_since_the_look_before_and_nothing_where_nothing_came() -> None:
    before = body(row("step", 100, 200.0), row("encode", 100, 300.0, "main_video"))
    after = body(row("step", 110, 300.0), row("encode", 100, 300.0, "main_video"), row("encode", 1, 4.0, "side"))
    head, _, titles, step, main, side = table(after, before).splitlines()
    assert head == "ses_1  12 s  1 client"
    assert titles.split() == ["STAGE", "TRACK", "COUNT", "NOW", "P50", "P95", "P99", "MAX"]
    assert step.split() == ["step", "110", "10.00", "2.73", "2.73", "2.73", "2.73"]
    assert main.split() == ["encode", "main_video", "100", "3.00", "3.00", "3.00", "3.00"]
    assert side.split() == ["encode", "side", "1", "4.00", "4.00", "4.00", "4.00"]
    assert len({len(line) for line in (titles, step, main, side)}) == 1


def test_what_became_of_the_pictures_stands_below_and_says_why_some_were_not_sent() -> None:
    told = body(row("step", 1, 1.0))
    assert len(table(told).splitlines()) == 4  # of a server that does not tell
    told["pictures"] = [
        {"track": "main_video", "given": 300, "replaced": 2, "left_out": 31, "refused": 0},
        {"track": "side", "given": 9, "replaced": 0, "left_out": 0, "refused": 0},
    ]
    *_, blank, main, side = table(told).splitlines()
    assert blank == ""
    assert main == (
        "main_video: 300 pictures, 2 replaced by newer ones before encoding, "
        "31 skipped because the network was too slow"
    )
    assert side == "side: 9 pictures"


def test_a_stage_of_a_newer_server_is_shown_as_it_is_called() -> None:
    assert "warped" in table(body(row("warped", 1, 1.0)))
