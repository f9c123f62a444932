"""What clients were told and what was done to the parts, each with its time: what promises are judged by. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Seen:
    """One session as its client knows it. Times are Unix seconds.

    Attributes:
        ends: its client asked for the end itself, or left without a word, at this time; None = it stayed.
        vanished: its client was killed at `ends`, and said nothing.
        frames: when frames came, and their numbers.
        clips: digests of clips that were downloaded, by their playlists' URLs.
    """

    session: str
    model: str
    began: float
    ends: float | None = None
    frames: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    clips: dict[str, str] = field(default_factory=dict[str, str])
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to a part of the service.

    Attributes:
        until: when the part was let go on, or started again; it needs a while from there.
    """

    part: str
    what: str
    at: float
    until: float

    def touches(self, start: float, end: float, *, slack: float) -> bool:
        """It was under way in this time, or up to `slack` seconds before or after."""
        return self.at - slack <= end and start <= self.until + slack


@dataclass(slots=True)
class Ledger:
    """All of it.

    Attributes:
        wrong: promises that were seen broken, in words.
        tally: what happened how often.
    """

    sessions: dict[str, Seen] = field(default_factory=dict[str, Seen])
    faults: list[Fault] = field(default_factory=list[Fault])
    wrong: list[str] = field(default_factory=list[str])
    tally: Counter[str] = field(default_factory=Counter[str])

    def see(self, session: str, model: str, now: float) -> Seen:
        """The session of that id, from now on known to be promised."""
        return self.sessions.setdefault(session, Seen(session, model, now))

    def faults_of(self, *parts: str) -> list[Fault]:
        """Those of parts whose name begins so."""
        return [each for each in self.faults if each.part.startswith(parts)]
