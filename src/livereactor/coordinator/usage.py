"""The use of accounts, counted from events, for invoices and planning. Pure but for the transaction.

A session counts on the day it ends, with the seconds for which it had a worker. Events are kept for five
weeks (`CoordinatorOptions.events_kept`), so that a month can be billed when it is over.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Final

from livereactor.base.errors import PeerError
from livereactor.store.port import Tx
from livereactor.store.records import EventRecord

PAGE: Final = 500
MOMENT_CHARS: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = frozenset({"session.ended", "session.requeued"})


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The use of one model by one account. `seconds`: time with workers, also those that a session left."""

    account: str
    model: str
    sessions: int
    seconds: float


def usage(tx: Tx, *, since_us: int, until_us: int, account: str | None = None) -> list[UsageRow]:
    """Return rows by account and model, of use that ended at or after `since_us` and before `until_us`.

    Args:
        since_us, until_us: microseconds of Unix time.
        account: None = all.
    """
    totals: dict[tuple[str, str], tuple[int, float]] = {}
    for event in _events(tx):
        if not since_us <= event.at_us < until_us or event.account is None or account not in (None, event.account):
            continue
        key = event.account, str(event.data.get("model", ""))
        sessions, seconds = totals.get(key, (0, 0.0))
        ended = event.kind == "session.ended"
        totals[key] = sessions + ended, seconds + float(event.data.get("seconds", 0.0))
    return [UsageRow(*key, sessions, round(seconds, 3)) for key, (sessions, seconds) in sorted(totals.items())]


def moment_us(text: str) -> int:
    """Return the microseconds of Unix time of a moment, as people and programs write it.

    Args:
        text: a day (`2026-11-26`), a time of ISO 8601 (UTC where no zone is named), or Unix seconds.

    Raises:
        PeerError: none of these.
    """
    text = text.strip()[:MOMENT_CHARS]
    try:
        if text.replace(".", "", 1).isdecimal() and len(text.partition(".")[0]) != len("20261126"):
            at = datetime.fromtimestamp(float(text), UTC)
        else:
            at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise PeerError(f"{text!r} is not a time; write 2026-11-26, 2026-11-26T08:00:00Z or Unix seconds") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return round((at - _EPOCH).total_seconds() * 1e6)


def as_json_lines(rows: Iterable[UsageRow]) -> str:
    """Return the rows as JSON, one object a line."""
    return "".join(json.dumps(asdict(row)) + "\n" for row in rows)


def as_csv(rows: Iterable[UsageRow]) -> str:
    """Return the rows as CSV with a header; an apostrophe precedes names that a spreadsheet would run as formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([each.name for each in fields(UsageRow)])
    writer.writerows([_plain(row.account), _plain(row.model), row.sessions, row.seconds] for row in rows)
    return text.getvalue()


def _events(tx: Tx) -> Iterator[EventRecord]:
    seen = 0
    while page := tx.events(after_seq=seen, kinds=_KINDS, limit=PAGE):
        yield from page
        seen = page[-1].seq


def _plain(name: str) -> str:
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
